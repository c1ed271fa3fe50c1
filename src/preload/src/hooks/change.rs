//! Calls that block by the server's own wish: changes of files, and look-ups of host names. They are
//! timed and nothing else, for holding them back would reorder them.

use crate::event_loop::{self, EventLoop, Operation, Subject};
use crate::sys::clock;
use laio_core::stats::Call;
use libc::{c_char, c_int, PATH_MAX};

/// A change of an open file.
#[inline]
pub fn changed<R: Copy>(real: impl FnOnce() -> R, fd: c_int, call: Call) -> R {
    let subject = Subject::Descriptor(fd);
    timed(real, |state, ticks, _| {
        state.changed(ticks, || Operation::new(call, subject));
    })
}

/// A change of what is found under a path, which is the path that is new where there are two.
#[inline]
pub fn changed_path(real: impl FnOnce() -> c_int, path: *const c_char, call: Call) -> c_int {
    timed(real, |state, ticks, result| {
        // Of a call that failed the kernel need not have read the path.
        let subject = || match result {
            // SAFETY: the kernel has just followed this path.
            0 => unsafe { named(path) },
            _ => Subject::Nameless,
        };
        state.changed(ticks, || Operation::new(call, subject()));
    })
}

/// `msync`, which names no file.
#[inline]
pub fn synced_memory(real: impl FnOnce() -> c_int) -> c_int {
    timed(real, |state, ticks, _| {
        state.changed(ticks, || Operation::new(Call::Fsync, Subject::Nameless));
    })
}

/// `getaddrinfo`.
#[inline]
pub fn resolved(real: impl FnOnce() -> c_int, name: *const c_char) -> c_int {
    timed(real, |state, ticks, _| {
        state.resolved(ticks, || {
            // SAFETY: the resolver has just read this name, whatever it made of it.
            Operation::new(Call::Resolve, unsafe { named(name) })
        });
    })
}

/// Performs a call, and on an event loop's thread tells the loop how long it took.
#[inline]
fn timed<R: Copy>(real: impl FnOnce() -> R, tell: impl FnOnce(&mut EventLoop, u64, R)) -> R {
    let Some(here) = event_loop::here() else {
        return real();
    };
    let begin = clock::ticks();
    let result = real();
    let ticks = clock::ticks().saturating_sub(begin);
    here.with(|state| tell(state, ticks, result));
    result
}

/// # Safety
///
/// It is null, or a string that lives until the hook returns.
unsafe fn named<'a>(name: *const c_char) -> Subject<'a> {
    if name.is_null() {
        return Subject::Nameless;
    }
    // SAFETY: the caller's promise; nothing behind the NUL is looked at.
    let name = unsafe {
        let length = libc::strnlen(name, PATH_MAX as usize);
        std::slice::from_raw_parts(name.cast::<u8>(), length)
    };
    Subject::Unlearnt(name)
}
