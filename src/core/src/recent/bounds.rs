//! How far an operation may be from its request.

use super::entry::Entry;

/// How many iterations of the event loop an operation may come after its request.
pub(super) const REACH: u64 = 3;

/// The same where a client may ask for many things at once: lighttpd handles eight of them at a time.
pub(super) const REACH_OF_MANY: u64 = 64;

/// For so many milliseconds what a loop does without having been told of anything is of the turn before.
pub(super) const SOON: u64 = 4;

/// Most milliseconds after its request that an operation of another thread begins: a pool of threads may have much to do.
pub(super) const REACH_OF_OTHERS: u64 = 2000;

/// How it is told which requests an operation may be for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reach {
    /// It takes place in this turn: those that reach so far.
    Turn(u64),
    /// Another thread has begun it at this time: those that were read before, and not long ago.
    Others(u64),
}

impl Reach {
    pub fn has(self, entry: &Entry) -> bool {
        match self {
            Reach::Turn(turn) => entry.until > turn,
            Reach::Others(began) => (entry.at..=entry.at + REACH_OF_OTHERS).contains(&began),
        }
    }
}
