//! System calls of the library's own that a sandbox refuses, or an older kernel does not know.
//!
//! A filter that was installed before the program started answers `EPERM` or `ENOSYS`; a kernel `ENOSYS`, or `EINVAL` where
//! it knows the call and not the flag. Each part of the library goes on without such a call, and the user is told once what
//! no longer works because of it.

use super::program::STATS;
use super::{errno, log, process};
use libc::{c_int, c_long};
use rustix::fs::{openat2, statx, AtFlags, Mode, OFlags, ResolveFlags, StatxFlags, CWD};
use rustix::io::Errno;
use rustix::mm::{madvise, Advice};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::*};

/// A system call, and what is lost where it is refused.
#[derive(Debug)]
pub struct Refusable {
    name: &'static str,
    lost: &'static str,
    is_told: AtomicBool,
    /// What a helper was answered that nobody has told of yet; 0 for nothing.
    untold: AtomicI32,
}

impl Refusable {
    const fn new(name: &'static str, lost: &'static str) -> Refusable {
        Refusable {
            name,
            lost,
            is_told: AtomicBool::new(false),
            untold: AtomicI32::new(0),
        }
    }

    /// The call has failed with this error: says so, once, where it means that the call is refused.
    #[cold]
    pub fn failed(&self, error: Errno) {
        match error {
            Errno::PERM => self.is_refused("EPERM"),
            Errno::NOSYS => self.is_refused("ENOSYS"),
            _ => {}
        }
    }

    /// The same for a helper, whose descriptor table has no standard error: [`tell`] says so later.
    #[cold]
    pub fn failed_in_helper(&self, error: Errno) {
        if matches!(error, Errno::PERM | Errno::NOSYS) && !self.is_told.load(Relaxed) {
            self.is_untold(error);
        }
    }

    fn is_untold(&self, error: Errno) {
        self.untold.store(error.raw_os_error(), Relaxed);
        UNTOLD.store(true, Release);
    }

    #[cold]
    fn tell(&self) {
        let _errno = errno::Guard::new();
        match self.untold.swap(0, Relaxed) {
            0 => {}
            libc::EINVAL => {
                self.is_refused("EINVAL: MADV_POPULATE_READ is unknown, which Linux 5.14 has");
            }
            error => self.failed(Errno::from_raw_os_error(error)),
        }
    }

    /// Says it, once.
    #[cold]
    fn is_refused(&self, how: &str) {
        if !self.is_told.swap(true, Relaxed) {
            let Refusable { name, lost, .. } = self;
            STATS.process.refused.add_line(name);
            log::complain(&format!(
                "liblaio: {name} is refused ({how}) in process {}: {lost}\n",
                process::pid()
            ));
        }
    }
}

/// Finding out whether an operation has waited. Such a loop never starts helpers, so it is no use to ask there.
pub static GETRUSAGE: Refusable = Refusable::new(
    "getrusage",
    "stalls are not noticed, so nothing is learnt from them",
);
/// Listing a directory ahead.
pub static GETDENTS64: Refusable = Refusable::new(
    "getdents64",
    "directories are not brought into memory before they are listed",
);
/// A waker for a loop in `poll` or `select`.
pub static EPOLL_CREATE1: Refusable = Refusable::new(
    "epoll_create1",
    "a loop in poll or select wakes up every millisecond while a request is held back",
);
/// Looking a path up, and no further than memory.
static OPENAT2: Refusable = Refusable::new("openat2", NO_REQUEST);
/// Making pages of a mapping resident.
static MADVISE: Refusable = Refusable::new(
    "madvise",
    "bodies that are written from mapped files are not brought into memory",
);
/// Keeping secrets out of core dumps and of children.
pub static MADVISE_SECRETS: Refusable = Refusable::new(
    "madvise",
    "secrets cannot be kept out of core dumps, so requests that come by TLS are not looked at",
);
/// Reading a whole window at once.
pub static FADVISE64: Refusable = Refusable::new(
    "fadvise64",
    "files are brought into memory piece by piece, which takes longer",
);
/// Finding out whether a thread is gone.
pub static TGKILL: Refusable = Refusable::new(
    "tgkill",
    "stacks of helpers that have ended are not used again, so later helpers may be started more slowly",
);
/// Starting a thread.
pub static CLONE: Refusable = Refusable::new("clone", NOTHING_HELD);

const NOTHING_HELD: &str = "no thread can be started, so nothing is held back";
const NO_REQUEST: &str = "no request is held back";

/// A call that every event loop with helpers makes, in a form that does nothing.
struct Needed {
    number: c_long,
    arguments: [c_long; 5],
    call: Refusable,
}

const fn needed(
    number: c_long,
    arguments: [c_long; 5],
    name: &'static str,
    lost: &'static str,
) -> Needed {
    Needed {
        number,
        arguments,
        call: Refusable::new(name, lost),
    }
}

/// No descriptor, and no value of anything else that is asked for here.
const NONE: c_long = -1;

/// All of them. Nothing is here that the library would not call in any such process: a filter may end it for the
/// attempt.
static NEEDED: [Needed; 10] = [
    needed(
        libc::SYS_preadv2,
        [NONE, 0, 0, 0, 0],
        "preadv2",
        "nobody can say what is in memory, so nothing is held back",
    ),
    // An invalid mask.
    needed(
        libc::SYS_statx,
        [NONE, 0, 0, 1 << 31, 0],
        "statx",
        "nobody can say what is in memory, so nothing is held back",
    ),
    // A range that ends before it begins.
    needed(
        libc::SYS_close_range,
        [1, 0, 0, 0, 0],
        "close_range",
        "helpers cannot have descriptors of their own, so nothing is held back",
    ),
    needed(
        libc::SYS_fstatfs,
        [NONE, 0, 0, 0, 0],
        "fstatfs",
        "every file system is treated as one that cannot say what is in memory",
    ),
    needed(
        libc::SYS_sendfile,
        [NONE, NONE, 0, 0, 0],
        "sendfile",
        "files are brought into memory by copying them, which takes more of the processor",
    ),
    // Onto itself.
    needed(
        libc::SYS_dup3,
        [NONE, NONE, 0, 0, 0],
        "dup3",
        "the descriptor table is not enlarged ahead, so the program may stop for some milliseconds when it grows",
    ),
    // No bytes.
    needed(
        libc::SYS_mprotect,
        [0, 0, 0, 0, 0],
        "mprotect",
        NOTHING_HELD,
    ),
    needed(
        libc::SYS_recvfrom,
        [NONE, 0, 0, 0, 0],
        "recvfrom",
        NO_REQUEST,
    ),
    needed(
        libc::SYS_fcntl,
        [NONE, libc::F_GETFL as c_long, 0, 0, 0],
        "fcntl",
        "no connection is known to be non-blocking, so nothing is held back",
    ),
    needed(
        libc::SYS_prctl,
        [NONE, 0, 0, 0, 0],
        "prctl",
        "the library's threads have the program's name",
    ),
];

/// Tries what helpers and their loop will call, once in a process, and tells of what is refused.
pub fn look() {
    static IS_DONE: AtomicBool = AtomicBool::new(false);
    if IS_DONE.swap(true, Relaxed) {
        return;
    }
    let _errno = errno::Guard::new();
    for Needed {
        number,
        arguments: [a, b, c, d, e],
        call,
    } in &NEEDED
    {
        let [number, a, b, c, d, e] = [*number, *a, *b, *c, *d, *e].map(|word| word as usize);
        // SAFETY: each names nothing that exists, or no bytes: the kernel refuses it, or does nothing.
        let result = unsafe { syscalls::raw::syscall6(number, a, b, c, d, e, 0) } as c_long;
        if (-4095..0).contains(&result) {
            call.failed(Errno::from_raw_os_error(-result as c_int));
        }
    }
    look_for_lookups();
    look_for_proc();
}

/// A look at no path at all, which is `ENOENT`: flags are looked at before.
fn look_for_lookups() {
    let (flags, how) = (OFlags::PATH | OFlags::CLOEXEC, ResolveFlags::CACHED);
    match openat2(CWD, c"", flags, Mode::empty(), how) {
        Err(Errno::INVAL) => {
            OPENAT2.is_refused("EINVAL: RESOLVE_CACHED is unknown, which Linux 5.12 has")
        }
        Err(error) => OPENAT2.failed(error),
        Ok(_) => {}
    }
}

/// Memory could not be populated, which may be the memory's fault: a kernel that does not know how cannot populate nothing
/// either.
#[cold]
pub fn populating_failed(error: Errno) {
    // SAFETY: there are no pages in it.
    let nothing = || unsafe { madvise(null_mut(), 0, Advice::LinuxPopulateRead) };
    if error == Errno::INVAL && nothing() == Err(Errno::INVAL) {
        MADVISE.is_untold(error);
    } else {
        MADVISE.failed_in_helper(error);
    }
}

/// Whether a helper has been refused anything that nobody has told of.
static UNTOLD: AtomicBool = AtomicBool::new(false);

/// Tells of what helpers were refused, in a thread that has the program's descriptors.
#[inline]
pub fn tell() {
    if UNTOLD.load(Relaxed) && UNTOLD.swap(false, Acquire) {
        [&GETDENTS64, &MADVISE, &FADVISE64]
            .into_iter()
            .for_each(Refusable::tell);
    }
}

/// The files of a program are opened by their names in `/proc`.
fn look_for_proc() {
    let there = statx(
        CWD,
        "/proc/thread-self/fd",
        AtFlags::STATX_DONT_SYNC,
        StatxFlags::TYPE,
    );
    if matches!(there, Err(Errno::NOENT)) {
        log::complain(&format!(
            "liblaio: there is no /proc in process {}: bodies are not brought into memory behind their first window\n",
            process::pid()
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without it, a question could do something, or be answered by `EPERM` or `ENOSYS` where nothing is refused.
    #[test]
    fn nothing_is_refused_here() {
        look();
        populating_failed(Errno::INVAL);
        tell();
        let all = NEEDED.iter().map(|needed| &needed.call);
        let told = all
            .chain([&OPENAT2, &MADVISE])
            .find(|call| call.is_told.load(Relaxed));
        assert!(told.is_none(), "{told:?}");
    }
}
