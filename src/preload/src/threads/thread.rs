//! Threads of our own, which leave no traces in their host.
//!
//! They are made by `pthread_create`, not by the standard library: its threads register a destructor, for
//! which the C library allocates memory. With it comes an arena of 64 MiB of address space for each
//! thread, or the end of a process that is short of memory.

use super::stacks::{self, Stack};
use crate::sys::process;
use rustix::io::Errno;
use std::ffi::{c_void, CStr};
use std::mem::MaybeUninit;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr::null_mut;

type Run = Box<dyn FnOnce() + Send>;

struct Start {
    name: &'static CStr,
    run: Run,
    /// Where it is not of the C library's making.
    stack: Option<Stack>,
}

/// Whose stack a new thread has.
enum On {
    /// Ours, from its lowest address.
    Ours(*mut c_void),
    /// The C library's, of our size.
    Small,
    /// What the program's own threads have.
    Usual,
}

/// Starts a thread that nobody waits for. Signals are the application's: it gets none but those by which
/// the C library changes the credentials of all threads.
pub fn spawn(name: &'static CStr, run: impl FnOnce() + Send + 'static) -> Result<(), Errno> {
    let run: Run = Box::new(run);
    let stack = Stack::take();
    let on = stack
        .as_ref()
        .map_or(On::Small, |stack| On::Ours(stack.lowest()));
    let start = Box::new(Start { name, run, stack });
    // A thread inherits the mask of its maker.
    let unblocked = block_signals();
    let mut made = create(start, on);
    // The thread-local variables of a program may need more: then it has what its own threads have.
    if let Err((Errno::INVAL, mut start)) = made {
        start.stack = None;
        made = create(start, On::Usual);
    }
    restore_signals(&unblocked);
    made.map_err(|(error, _)| error)
}

/// Gives back what was to be started where it cannot be.
fn create(start: Box<Start>, on: On) -> Result<(), (Errno, Box<Start>)> {
    let start = Box::into_raw(start);
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::zeroed();
    let attributes = attributes.as_mut_ptr();
    let mut thread = MaybeUninit::<libc::pthread_t>::zeroed();
    // SAFETY: the attributes are made before they are used and removed afterwards; the stack belongs to
    // `start`, and that is the new thread's from the moment it is made.
    let error = unsafe {
        libc::pthread_attr_init(attributes);
        libc::pthread_attr_setdetachstate(attributes, libc::PTHREAD_CREATE_DETACHED);
        match on {
            On::Ours(lowest) => libc::pthread_attr_setstack(attributes, lowest, stacks::size()),
            On::Small => libc::pthread_attr_setstacksize(attributes, stacks::size()),
            On::Usual => 0,
        };
        let error = libc::pthread_create(thread.as_mut_ptr(), attributes, main, start.cast());
        libc::pthread_attr_destroy(attributes);
        error
    };
    if error == 0 {
        return Ok(());
    }
    // SAFETY: no thread was made that could have taken it.
    Err((Errno::from_raw_os_error(error), unsafe {
        Box::from_raw(start)
    }))
}

extern "C" fn main(start: *mut c_void) -> *mut c_void {
    // SAFETY: made by `spawn`, which gave it to this thread alone.
    let Start { name, run, stack } = *unsafe { Box::from_raw(start.cast::<Start>()) };
    process::is_ours();
    let _ = rustix::thread::set_name(name);
    // Nothing panics; if it did, that were the end of this thread and not of the process.
    let _ = catch_unwind(AssertUnwindSafe(run));
    if let Some(stack) = stack {
        stack.leave();
    }
    null_mut()
}

pub fn block_signals() -> libc::sigset_t {
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

pub fn restore_signals(before: &libc::sigset_t) {
    // SAFETY: the set comes from `block_signals`.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, null_mut()) };
}
