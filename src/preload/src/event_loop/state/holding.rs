//! The requests that a loop holds back.

use laio_core::holds::{Hold, Timers};
use std::time::Duration;

/// What is known of them.
#[derive(Debug, Default)]
pub struct Holding {
    /// Some of them may have been let go since.
    list: Vec<Hold>,
    /// When something is to be done for one of them, in milliseconds.
    due: u64,
    timers: Timers,
}

impl Holding {
    /// One more, of which something is to be done at `due`. Left out where there is no memory.
    pub fn add(&mut self, hold: Hold, due: u64) {
        let first = self.list.is_empty();
        if self.list.try_reserve(1).is_ok() {
            self.list.push(hold);
            self.due = if first { due } else { self.due.min(due) };
        }
    }

    /// How many, with those that were let go since.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// When something is to be done for one of them, in milliseconds.
    pub fn due(&self) -> u64 {
        self.due
    }

    /// Whether the loop has timers.
    pub fn has_timers(&self) -> bool {
        self.timers.are_there()
    }

    /// The loop waits, for so long at most; it had come back from the wait before `since` then, in milliseconds.
    pub fn waits_for(&mut self, time: Option<Duration>, since: u64) {
        self.timers.waits(time.map(in_milliseconds), since);
    }

    /// A wait has ended `now`, by its time if it is told. Tells whether a timer of the application's may be over.
    pub fn wait_ended(&mut self, over: Option<Duration>, now: u64) -> bool {
        self.timers.ended(over.map(in_milliseconds), now)
    }

    /// Takes the list, which is put back by [`Holding::put_back`].
    pub fn take(&mut self) -> Vec<Hold> {
        std::mem::take(&mut self.list)
    }

    /// What is left of them, of which something is to be done at `due`.
    pub fn put_back(&mut self, list: Vec<Hold>, due: u64) {
        self.list = list;
        self.due = due;
    }
}

fn in_milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
