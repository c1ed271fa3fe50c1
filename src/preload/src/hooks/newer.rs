//! Functions that an older C library lacks.
//!
//! This library exports them all the same, so a program that looks for one by `dlsym`, or refers to it weakly, finds it, and
//! may call it. It is done here then as a newer C library does it: by the system call, which the kernel may not have, or by
//! the function that it has replaced.

use libc::{c_char, c_int, c_long, c_uint, c_void, epoll_event, sigset_t, timespec};
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

/// A function that may or may not be behind this library.
pub struct Next<F> {
    /// With a zero byte at its end.
    name: &'static str,
    stand_in: F,
    found: AtomicPtr<c_void>,
}

impl<F: Copy> Next<F> {
    /// `F` is the type of a pointer to that function.
    pub const fn new(name: &'static str, stand_in: F) -> Next<F> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        Next {
            name,
            stand_in,
            found: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// The real function, or the one that stands in for it.
    #[inline]
    pub fn get(&self) -> F {
        let found = self.found.load(Relaxed);
        if found.is_null() {
            return self.find();
        }
        // SAFETY: a pointer that `find` has left, to a function of this type.
        unsafe { std::mem::transmute_copy(&found) }
    }

    #[cold]
    fn find(&self) -> F {
        debug_assert!(self.name.ends_with('\0'));
        // SAFETY: a name that ends, which is looked for behind this library.
        let mut next = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr().cast()) };
        if next.is_null() {
            // SAFETY: a pointer to a function is as large as this, and never null.
            next = unsafe { std::mem::transmute_copy(&self.stand_in) };
        }
        self.found.store(next, Relaxed);
        // SAFETY: the C library's function of that name has this type.
        unsafe { std::mem::transmute_copy(&next) }
    }
}

/// The only layout of `struct stat` that there is: `__xstat` and its kin are told which is meant.
const LAYOUT: c_int = if cfg!(target_arch = "x86_64") { 1 } else { 0 };

/// Functions that were in each program, and called another one in the C library.
macro_rules! by_versioned {
    ($($name:ident by $versioned:ident ($($argument:ident: $type:ty),*);)+) => {$(
        pub unsafe extern "C" fn $name($($argument: $type),*) -> c_int {
            // SAFETY: the caller's arguments.
            unsafe { super::$versioned::real(LAYOUT, $($argument),*) }
        }
    )+};
}

by_versioned! {
    stat by __xstat(path: *const c_char, into: *mut c_void);
    stat64 by __xstat64(path: *const c_char, into: *mut c_void);
    lstat by __lxstat(path: *const c_char, into: *mut c_void);
    lstat64 by __lxstat64(path: *const c_char, into: *mut c_void);
    fstat by __fxstat(fd: c_int, into: *mut c_void);
    fstat64 by __fxstat64(fd: c_int, into: *mut c_void);
    fstatat by __fxstatat(at: c_int, path: *const c_char, into: *mut c_void, flags: c_int);
    fstatat64 by __fxstatat64(at: c_int, path: *const c_char, into: *mut c_void, flags: c_int);
}

/// A system call with the C library's way to answer, past our own hook of it.
unsafe fn system_call(number: c_long, [a, b, c, d, e, f]: [c_long; 6]) -> c_int {
    // SAFETY: as the caller says. Each of these calls answers with an `int`.
    unsafe { super::syscall::real(number, a, b, c, d, e, f) as c_int }
}

pub unsafe extern "C" fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    let arguments = [first.into(), last.into(), flags.into(), 0, 0, 0];
    // SAFETY: numbers.
    unsafe { system_call(libc::SYS_close_range, arguments) }
}

/// Where the kernel cannot close a range, each number is closed that a descriptor may have.
pub unsafe extern "C" fn closefrom(first: c_int) {
    let first = first.max(0);
    // SAFETY: numbers.
    if unsafe { close_range(first.unsigned_abs(), c_uint::MAX, 0) } == 0 {
        return;
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let end = limit.and_then(|limit| c_int::try_from(limit).ok());
    for fd in first..end.unwrap_or(c_int::MAX) {
        // SAFETY: the caller wants all of them closed.
        unsafe { rustix::io::close(fd) };
    }
}

pub unsafe extern "C" fn epoll_pwait2(
    instance: c_int,
    events: *mut epoll_event,
    most: c_int,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    /// The kernel's set of signals is smaller than the C library's.
    const MASK: c_long = size_of::<u64>() as c_long;
    let (events, timeout, mask) = (events as c_long, timeout as c_long, mask as c_long);
    let arguments = [instance.into(), events, most.into(), timeout, mask, MASK];
    // SAFETY: the caller's arguments.
    unsafe { system_call(libc::SYS_epoll_pwait2, arguments) }
}

pub unsafe extern "C" fn execveat(
    at: c_int,
    path: *const c_char,
    arguments: *const *const c_char,
    environment: *const *const c_char,
    flags: c_int,
) -> c_int {
    let (path, list) = (path as c_long, arguments as c_long);
    let arguments = [
        at.into(),
        path,
        list,
        environment as c_long,
        flags.into(),
        0,
    ];
    // SAFETY: the caller's arguments.
    unsafe { system_call(libc::SYS_execveat, arguments) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::sys::errno;
    use std::os::fd::{AsRawFd, IntoRawFd};
    use std::os::unix::fs::MetadataExt;

    /// Without it, a program on an older C library would be ended where it starts, or where it calls what it has found.
    #[test]
    fn a_function_that_is_not_there_has_a_stand_in() {
        unsafe extern "C" fn seven() -> c_int {
            7
        }
        static ABSENT: Next<unsafe extern "C" fn() -> c_int> = Next::new("laio_no_such\0", seven);
        static PRESENT: Next<unsafe extern "C" fn() -> c_int> = Next::new("getppid\0", seven);
        for _ in 0..2 {
            // SAFETY: neither takes an argument.
            let results = unsafe { (ABSENT.get()(), PRESENT.get()()) };
            assert_eq!(results.0, 7);
            assert_eq!(
                results.1.unsigned_abs(),
                std::os::unix::process::parent_id()
            );
        }
    }

    /// Without it, another layout than the caller's could be written.
    #[test]
    fn status_is_that_of_the_file() {
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let path = c"/proc/self/exe".as_ptr();
        let wanted = file.metadata().unwrap().ino();
        let fd = file.as_raw_fd();
        // SAFETY: the structure has room for what each writes.
        unsafe {
            let mut status: libc::stat64 = std::mem::zeroed();
            let into = (&raw mut status).cast();
            for (name, result) in [
                ("stat", stat(path, into)),
                ("stat64", stat64(path, into)),
                ("fstat", fstat(fd, into)),
                ("fstat64", fstat64(fd, into)),
                ("fstatat", fstatat(-1, path, into, 0)),
                ("fstatat64", fstatat64(-1, path, into, 0)),
            ] {
                assert_eq!((result, status.st_ino), (0, wanted), "{name}");
            }
            assert_eq!(lstat(path, into) | lstat64(path, into), 0);
            assert_eq!(status.st_mode & libc::S_IFMT, libc::S_IFLNK);
            assert_eq!(stat(c"/no/such".as_ptr(), into), -1);
            assert!(errno::is(libc::ENOENT));
        }
    }

    /// Without it, one of them could make another call, or answer as the kernel does.
    #[test]
    fn calls_are_those_of_the_kernel() {
        let fd = std::fs::File::open("/").unwrap().into_raw_fd();
        // SAFETY: a descriptor of this test's own; no other memory is named.
        unsafe {
            assert_eq!(close_range(fd.unsigned_abs(), fd.unsigned_abs(), 0), 0);
            assert_eq!(close_range(1, 0, 0), -1);
            assert!(errno::is(libc::EINVAL));
            let none: *const c_void = std::ptr::null();
            assert_eq!(
                execveat(-1, c"no/such".as_ptr(), none.cast(), none.cast(), 0),
                -1
            );
            assert!(errno::is(libc::EBADF));
            let instance = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            let mut event = epoll_event { events: 0, u64: 0 };
            let time = timespec {
                tv_sec: 0,
                tv_nsec: 1000,
            };
            assert_eq!(
                epoll_pwait2(instance, &raw mut event, 1, &raw const time, none.cast()),
                0
            );
            assert_eq!(
                epoll_pwait2(-1, &raw mut event, 1, &raw const time, none.cast()),
                -1
            );
            assert!(errno::is(libc::EBADF));
            libc::close(instance);
            // The last numbers that there can be: nobody has one.
            closefrom(c_int::MAX - 1);
        }
    }
}
