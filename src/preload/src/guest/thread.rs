//! Threads of our own, which leave no traces in their host.
//!
//! They are made by `pthread_create`, not by the standard library: its threads register a destructor, for
//! which the C library allocates memory. With it comes an arena of 64 MiB of address space for each
//! thread, or the end of a process that is short of memory.

use rustix::io::Errno;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr::null_mut;

const STACK: usize = 64 * 1024;

type Run = Box<dyn FnOnce() + Send>;

struct Start {
    name: &'static CStr,
    run: Run,
}

/// Starts a thread that nobody waits for. Signals are the application's: it gets none but those by which
/// the C library changes the credentials of all threads.
pub fn spawn(name: &'static CStr, run: impl FnOnce() + Send + 'static) -> Result<(), Errno> {
    let run: Run = Box::new(run);
    let start = Box::into_raw(Box::new(Start { name, run }));
    // A thread inherits the mask of its maker.
    let unblocked = block_signals();
    let made = create(start, STACK).or_else(|error| match error {
        // The thread-local variables of a program may need more: then it has what its own threads have.
        Errno::INVAL => create(start, 0),
        error => Err(error),
    });
    restore_signals(&unblocked);
    if made.is_err() {
        // SAFETY: no thread was made that could have taken it.
        drop(unsafe { Box::from_raw(start) });
    }
    made
}

fn create(start: *mut Start, stack: usize) -> Result<(), Errno> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::zeroed();
    let mut thread = MaybeUninit::<libc::pthread_t>::zeroed();
    // SAFETY: the attributes are made before they are used and removed afterwards; `start` is the new
    // thread's from the moment it is made.
    let error = unsafe {
        libc::pthread_attr_init(attributes.as_mut_ptr());
        libc::pthread_attr_setdetachstate(attributes.as_mut_ptr(), libc::PTHREAD_CREATE_DETACHED);
        if stack > 0 {
            libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), stack);
        }
        let error =
            libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), main, start.cast());
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        error
    };
    if error == 0 {
        Ok(())
    } else {
        Err(Errno::from_raw_os_error(error))
    }
}

extern "C" fn main(start: *mut libc::c_void) -> *mut libc::c_void {
    // SAFETY: made by `spawn`, which gave it to this thread alone.
    let Start { name, run } = *unsafe { Box::from_raw(start.cast::<Start>()) };
    let _ = rustix::thread::set_name(name);
    // Nothing panics; if it did, that were the end of this thread and not of the process.
    let _ = catch_unwind(AssertUnwindSafe(run));
    null_mut()
}

fn block_signals() -> libc::sigset_t {
    let mut all = MaybeUninit::<libc::sigset_t>::zeroed();
    let mut before = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: both sets are owned here and zero is a valid one. The C library leaves the signals
    // unblocked that it needs to change credentials in all threads.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr());
        before.assume_init()
    }
}

fn restore_signals(before: &libc::sigset_t) {
    // SAFETY: the set comes from `block_signals`.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, null_mut()) };
}
