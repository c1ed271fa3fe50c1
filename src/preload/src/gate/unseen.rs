//! What a signal handler has done to a connection while its state was locked, perhaps by the thread that it has interrupted.
//!
//! The handler waits for no lock: it leaves notes, one for each epoll instance, and whoever locks the state next acts on them.
//! Of several calls for one instance the last counts. A note is one word: handlers may come on several threads, and in the
//! middle of each other. Where there are more instances than places, the last one's note takes the last place, and those
//! between are lost.

use crate::sys::sync::atomic::{AtomicU64, Ordering::*};
use arrayvec::ArrayVec;

/// So many instances.
const PLACES: usize = 3;

/// No note. Otherwise the instance is in the upper half, and the operation of `epoll_ctl`, which is never 0, in the lower one.
const NOTHING: u64 = 0;
/// The number was closed: of no instance, and in the first place.
const CLOSED: u64 = u64::MAX;

/// Calls of `epoll_ctl`: the instance and the operation of each.
pub type Calls = ArrayVec<(i32, i32), PLACES>;

/// What handlers have done.
#[derive(Debug, PartialEq, Eq)]
pub enum Done {
    /// The number was closed.
    Closed,
    /// These have succeeded.
    Called(Calls),
}

/// The notes.
#[derive(Debug, Default)]
pub struct Unseen([AtomicU64; PLACES]);

impl Unseen {
    /// The application's `epoll_ctl` has succeeded.
    pub fn called(&self, instance: i32, operation: i32) {
        let note = u64::from(instance.cast_unsigned()) << 32 | u64::from(operation.cast_unsigned());
        for (at, place) in self.0.iter().enumerate() {
            let is_last = at + 1 == PLACES;
            let fits = |old| old == NOTHING || old >> 32 == note >> 32 || is_last;
            // What was closed stays so until the number is accepted anew.
            let left = |old| (old != CLOSED && fits(old)).then_some(note);
            if place.fetch_update(Release, Relaxed, left).is_ok() {
                break;
            }
        }
    }

    /// The number is about to be closed.
    pub fn closed(&self) {
        let [first, ..] = &self.0;
        first.store(CLOSED, Release);
    }

    /// Whether there are any notes.
    #[inline]
    pub fn is_any(&self) -> bool {
        self.0.iter().any(|place| place.load(Relaxed) != NOTHING)
    }

    /// The notes, if there are any.
    #[inline]
    pub fn take(&self) -> Option<Done> {
        match self.is_any() {
            true => self.take_all(),
            false => None,
        }
    }

    #[cold]
    fn take_all(&self) -> Option<Done> {
        let notes = self.0.iter().map(|place| place.swap(NOTHING, Acquire));
        let notes: ArrayVec<u64, PLACES> = notes.filter(|note| *note != NOTHING).collect();
        if notes.contains(&CLOSED) {
            return Some(Done::Closed);
        }
        let call = |note: &u64| ((note >> 32) as i32, *note as i32);
        (!notes.is_empty()).then(|| Done::Called(notes.iter().map(call).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use laio_core::gate::{ADD, DEL, MOD};

    fn called(calls: &[(i32, i32)]) -> Option<Done> {
        Some(Done::Called(calls.iter().copied().collect()))
    }

    /// Without it, a completed job could change the registration of whoever has the number now.
    #[test]
    fn what_was_closed_stays_closed() {
        let unseen = Unseen::default();
        assert_eq!(unseen.take(), None);
        unseen.called(3, MOD);
        assert_eq!(unseen.take(), called(&[(3, MOD)]));
        unseen.closed();
        unseen.called(3, MOD);
        assert_eq!(unseen.take(), Some(Done::Closed));
        assert_eq!(unseen.take(), None);
    }

    /// Without it, what a handler has done in one instance could be undone because it has added the connection to another.
    #[test]
    fn each_instance_has_a_note() {
        let unseen = Unseen::default();
        unseen.called(3, MOD);
        unseen.called(0, ADD);
        unseen.called(3, DEL);
        assert_eq!(unseen.take(), called(&[(3, DEL), (0, ADD)]));
        assert_eq!(unseen.take(), None);
        // The first one and the last one are kept.
        for instance in 3..9 {
            unseen.called(instance, ADD);
        }
        assert_eq!(unseen.take(), called(&[(3, ADD), (4, ADD), (8, ADD)]));
    }
}
