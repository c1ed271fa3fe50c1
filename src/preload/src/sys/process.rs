//! Whether this is still the process that the library knows.

use super::local::{place, Local};
use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

static PID: AtomicU32 = AtomicU32::new(0);

/// Why what this thread calls may be of no interest: [`VFORKED`], [`OURS`].
static ASIDE: Local<Cell<u8>> = Local::at(place::ASIDE);

/// The thread has called `vfork`, as far as its parent has not noticed that it is back.
pub const VFORKED: u8 = 1;

/// It is one of the library's own. Others call hooks there: an allocator, a sanitizer, a profiler. Descriptors of a helper
/// are numbers in a table of its own, and no connections of the application's.
const OURS: u8 = 2;

/// Notes that this process is the one whose threads and descriptors are known.
pub fn remember_pid() {
    PID.store(pid(), Relaxed);
}

/// Whether this is still the process that [`remember_pid`] noted: a child made by `vfork`, `_Fork`
/// or a raw `clone` shares or copies our memory, but has none of our threads.
pub fn is_same_process() -> bool {
    PID.load(Relaxed) == pid()
}

/// This process's number.
pub fn pid() -> u32 {
    rustix::process::getpid()
        .as_raw_nonzero()
        .get()
        .unsigned_abs()
}

/// Whether what this thread calls is of no interest.
#[inline]
pub fn is_aside() -> bool {
    ASIDE.get() != 0 && (ASIDE.get() & OURS != 0 || is_vfork_child())
}

/// The thread is the library's own, from here to its end.
pub fn is_ours() {
    ASIDE.set(OURS);
}

/// Whether this is the child of a `vfork`: it has its parent's memory, and what it does is not the parent's doing. Asked
/// where the thread is known to have called `vfork`; the parent forgets it.
#[cold]
fn is_vfork_child() -> bool {
    let _errno = super::errno::Guard::new();
    let is_child = !is_same_process();
    if !is_child {
        ASIDE.set(ASIDE.get() & !VFORKED);
    }
    is_child
}
