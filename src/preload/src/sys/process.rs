//! Whether this is still the process that the library knows.

use super::local::{place, Local};
use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

static PID: AtomicU32 = AtomicU32::new(0);

/// Whether this thread has called `vfork`, as far as its parent has not noticed that it is back.
static VFORKED: Local<Cell<bool>> = Local::at(place::VFORKED);

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

/// Whether this is the child of a `vfork`: it has its parent's memory, and what it does is not the parent's doing.
#[inline]
pub fn is_vfork_child() -> bool {
    VFORKED.get() && ask_whether_vfork_child()
}

/// The thread is known to have called `vfork`; the parent forgets it.
#[cold]
fn ask_whether_vfork_child() -> bool {
    let _kept = super::errno::Kept::new();
    let is_child = !is_same_process();
    VFORKED.set(is_child);
    is_child
}
