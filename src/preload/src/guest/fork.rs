//! After `fork` the child has our memory but none of our threads.

use super::program;
use crate::readiness::bell;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Asks to be told of every `fork`.
///
/// Children made by `vfork`, `_Fork` or a raw `clone` are not announced to anybody; for them
/// [`program::is_same_process`] is asked wherever it matters.
pub fn watch() {
    static IS_WATCHED: AtomicBool = AtomicBool::new(false);
    if IS_WATCHED.swap(true, Relaxed) {
        return;
    }
    // SAFETY: the handlers live as long as the library, which is never unloaded, and the child's does nothing
    // that is not allowed in the child of a process with several threads.
    unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
}

extern "C" fn before() {
    crate::readiness::table::has_forked();
    bell::hold_still();
}

extern "C" fn in_parent() {
    bell::go_on();
}

/// Leaves everything of the parent's behind, without a lock (its owner may not exist here) and
/// without freeing memory (nor may the allocator's).
extern "C" fn in_child() {
    program::remember_pid();
    program::SERVES.store(false, Relaxed);
    program::STATS.clear();
    super::descriptors::abandon();
    super::stacks::abandon();
    bell::abandon();
    crate::readiness::table::abandon();
    crate::event_loop::abandon();
    crate::engine::crew::abandon();
    crate::native::abandon();
}
