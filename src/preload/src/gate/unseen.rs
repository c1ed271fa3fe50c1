//! What a signal handler has done to a connection while its state was locked, perhaps by the thread that it has interrupted.
//!
//! The handler waits for no lock: it leaves a note, and whoever locks the state next acts on it. The last note counts.

use crate::sys::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering::*};
use laio_core::gate::Control;

/// No note.
const NOTHING: i32 = 0;
/// The number was closed. No operation of `epoll_ctl` is negative.
const CLOSED: i32 = -1;

/// The note.
#[derive(Debug, Default)]
pub struct Unseen {
    /// The operation of an `epoll_ctl`. Written last.
    operation: AtomicI32,
    instance: AtomicI32,
    events: AtomicU32,
    data: AtomicU64,
}

impl Unseen {
    /// The application's `epoll_ctl` has succeeded.
    pub fn called(&self, called: Control) {
        self.instance.store(called.instance, Relaxed);
        self.events.store(called.events, Relaxed);
        self.data.store(called.data, Relaxed);
        // What was closed stays so until the number is accepted anew.
        let left = |old| (old != CLOSED).then_some(called.operation);
        let _ = self.operation.fetch_update(Release, Relaxed, left);
    }

    /// The number is about to be closed.
    pub fn closed(&self) {
        self.operation.store(CLOSED, Release);
    }

    /// The note, if there is one: what was called, or nothing where the number was closed.
    #[inline]
    pub fn take(&self) -> Option<Option<Control>> {
        if self.operation.load(Relaxed) == NOTHING {
            return None;
        }
        match self.operation.swap(NOTHING, Acquire) {
            NOTHING => None,
            CLOSED => Some(None),
            operation => Some(Some(Control {
                instance: self.instance.load(Relaxed),
                operation,
                events: self.events.load(Relaxed),
                data: self.data.load(Relaxed),
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use laio_core::gate::MOD;

    /// Without it, a completed job could change the registration of whoever has the number now.
    #[test]
    fn what_was_closed_stays_closed() {
        let unseen = Unseen::default();
        let called = Control {
            instance: 3,
            operation: MOD,
            events: 1,
            data: 7,
        };
        assert_eq!(unseen.take(), None);
        unseen.called(called);
        assert_eq!(unseen.take(), Some(Some(called)));
        unseen.closed();
        unseen.called(called);
        assert_eq!(unseen.take(), Some(None));
        assert_eq!(unseen.take(), None);
    }
}
