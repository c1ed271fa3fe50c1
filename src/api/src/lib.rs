//! Lazy asynchronous I/O from Rust, after Elmeleegy, Chanda, Cox and Zwaenepoel (USENIX ATC 2004): what
//! `include/laio.h` declares, with Rust's types.
//!
//! A system call that does not block is done when [`syscall`] returns. One that would block goes on in the
//! background, and [`poll`] hands out its result later, once, when it is done in its entirety.
//!
//! ```no_run
//! use liblaio::{poll, syscall, Completion, Outcome};
//! use std::os::fd::AsRawFd;
//!
//! let file = std::fs::File::open("/srv/www/index.html")?;
//! let mut buffer = vec![0u8; 4096];
//! let arguments = [i64::from(file.as_raw_fd()), buffer.as_mut_ptr() as i64, 4096, 0, 0, 0];
//! // SAFETY: the buffer and the file stay where they are until the operation is complete.
//! let length = match unsafe { syscall(libc::SYS_pread64, arguments) }? {
//!     Outcome::Done(length) => length,
//!     Outcome::GoesOn(handle) => {
//!         let mut completions = [Completion::default()];
//!         while poll(&mut completions, None)? != 1 || completions[0].handle() != Some(handle) {}
//!         completions[0].result()?
//!     }
//! };
//! println!("{length} bytes");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! The library is found by `pkg-config`, in `LAIO_LIB_DIR`, or in the workspace that this crate belongs to. It also
//! stands in for the C library's functions in a program that is linked with it, as if it were preloaded; `LAIO=off` in the
//! environment keeps it from that and leaves this interface.

use libc::{c_int, c_long, c_void, timespec};
use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::{null, null_mut, NonNull};
use std::time::Duration;

extern "C" {
    fn laio_syscall(number: c_long, ...) -> c_long;
    fn laio_gethandle() -> *mut c_void;
    fn laio_setdata(handle: *mut c_void, data: *mut c_void) -> c_int;
    fn laio_poll(completions: *mut Completion, count: c_int, timeout: *const timespec) -> c_int;
    fn laio_eventfd() -> c_int;
    fn laio_cancel(handle: *mut c_void) -> c_int;
    fn laio_pending() -> c_int;
}

/// An operation that went to the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle(NonNull<c_void>);

// SAFETY: it is a number, and the library takes it from any thread.
unsafe impl Send for Handle {}
// SAFETY: the same.
unsafe impl Sync for Handle {}

/// What has come of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did not block, and this is what it returned.
    Done(c_long),
    /// It goes on, and [`poll`] will tell.
    GoesOn(Handle),
}

/// What has become of an operation: `struct laio_completion`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Completion {
    handle: *mut c_void,
    data: *mut c_void,
    value: c_long,
    error: c_int,
}

impl Default for Completion {
    fn default() -> Completion {
        Completion {
            handle: null_mut(),
            data: null_mut(),
            value: 0,
            error: 0,
        }
    }
}

impl Completion {
    /// Which operation; none where nothing was handed out here.
    pub fn handle(&self) -> Option<Handle> {
        NonNull::new(self.handle).map(Handle)
    }

    /// What [`Handle::set_token`] attached, or 0.
    pub fn token(&self) -> usize {
        self.data.addr()
    }

    /// What the system call returned.
    ///
    /// # Errors
    ///
    /// Its error; `ECANCELED` after [`Handle::cancel`].
    pub fn result(&self) -> io::Result<c_long> {
        match self.error {
            0 => Ok(self.value),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

impl Handle {
    /// Attaches a number of the program's own, which the operation's completion will carry.
    ///
    /// # Errors
    ///
    /// `ENOENT`: the completion has been handed out already.
    pub fn set_token(self, token: usize) -> io::Result<()> {
        let data = null_mut::<c_void>().with_addr(token);
        // SAFETY: neither of the two is looked into.
        check(unsafe { laio_setdata(self.0.as_ptr(), data) }).map(drop)
    }

    /// Gives the operation up, if nobody is at it. Its completion comes all the same.
    ///
    /// # Errors
    ///
    /// `EBUSY`: it is being performed. `ENOENT`: it is complete already.
    pub fn cancel(self) -> io::Result<()> {
        // SAFETY: a handle is a number.
        check(unsafe { laio_cancel(self.0.as_ptr()) }).map(drop)
    }
}

/// Makes a system call, as `syscall(2)` does.
///
/// # Errors
///
/// That of the call; `EOPNOTSUPP` for one that is about the calling thread or the process as a whole.
///
/// # Safety
///
/// As for the system call. Where it goes on, what the arguments point to stays as it is and where it is, and the
/// descriptors stay open, until the completion is handed out.
pub unsafe fn syscall(number: c_long, arguments: [c_long; 6]) -> io::Result<Outcome> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: by the caller's promise.
    let result = unsafe { laio_syscall(number, a, b, c, d, e, f) };
    if result != -1 {
        return Ok(Outcome::Done(result));
    }
    let error = io::Error::last_os_error();
    // SAFETY: it touches nothing but this thread's last handle.
    match NonNull::new(unsafe { laio_gethandle() }) {
        Some(handle) => Ok(Outcome::GoesOn(Handle(handle))),
        None => Err(error),
    }
}

/// Hands out completions of this process, and waits for the first until the time is over; for as long as it takes
/// where there is none. Tells how many.
///
/// # Errors
///
/// `EINTR`: a signal handler has run. `EMFILE`, `ENFILE`, `ENOMEM`: nothing can be had to wait with.
pub fn poll(completions: &mut [Completion], timeout: Option<Duration>) -> io::Result<usize> {
    let most = c_int::try_from(completions.len()).unwrap_or(c_int::MAX);
    let timeout = timeout.map(|timeout| timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let timeout = timeout
        .as_ref()
        .map_or(null(), |timeout| &raw const *timeout);
    // SAFETY: there is room for so many, and the time lives until the call returns.
    let count = check(unsafe { laio_poll(completions.as_mut_ptr(), most, timeout) })?;
    Ok(count.unsigned_abs() as usize)
}

/// The descriptor that is readable when [`poll`] has something to do. It must not be read or closed.
///
/// # Errors
///
/// `EMFILE`, `ENFILE`, `ENOMEM`: there is none to be had.
pub fn eventfd() -> io::Result<BorrowedFd<'static>> {
    // SAFETY: the library keeps it for as long as the process lives.
    unsafe { check(laio_eventfd()).map(|number| BorrowedFd::borrow_raw(number)) }
}

/// How many operations of this process have not been handed out yet.
pub fn pending() -> usize {
    // SAFETY: it only counts.
    unsafe { laio_pending() }.unsigned_abs() as usize
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
