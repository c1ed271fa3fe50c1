//! After `fork` the child has our memory but none of our threads.

use crate::gate::waker;
use crate::sys::forks::Handlers;
use crate::sys::{descriptors, process, program};
use crate::threads::{registry, stacks};
use crate::{event_loop, gate, paper};
use std::sync::atomic::Ordering::Relaxed;

/// What every room does at a `fork`.
pub const HANDLERS: Handlers = Handlers {
    before,
    in_parent,
    in_child,
};

extern "C" fn before() {
    gate::table::has_forked();
    waker::hold_still();
}

extern "C" fn in_parent() {
    waker::go_on();
}

/// Leaves everything of the parent's behind, without a lock (its owner may not exist here) and
/// without freeing memory (nor may the allocator's).
extern "C" fn in_child() {
    process::remember_pid();
    program::SERVES.store(false, Relaxed);
    program::STATS.clear();
    descriptors::abandon();
    stacks::abandon();
    waker::abandon();
    gate::table::abandon();
    event_loop::abandon();
    registry::abandon();
    paper::abandon();
}
