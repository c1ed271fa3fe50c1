//! After `fork` the child has our memory but none of our threads.

use crate::gate::waker;
use crate::sys::forks::Handlers;
use crate::sys::{descriptors, handler, lock, memory, process, program};
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
    gate::slot::has_forked();
    waker::hold_still();
    // Whoever comes meanwhile is a signal handler, and takes no memory.
    if handler::begins_to_fork() {
        memory::hold_still();
    }
}

extern "C" fn in_parent() {
    waker::go_on();
    end();
}

/// Tells whether the fork was the application's, and not that of a signal handler that has interrupted the library.
fn end() -> bool {
    let holds = handler::ends_to_fork();
    if holds {
        memory::go_on();
        handler::has_forked();
    }
    holds
}

/// Leaves everything of the parent's behind, without a lock (its owner may not exist here) and
/// without freeing memory (nor may the allocator's).
extern "C" fn in_child() {
    lock::forget_thread();
    if end() {
        process::remember_pid();
    } else {
        // What was interrupted may be half done, and may go on here.
        program::lie_down();
    }
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
