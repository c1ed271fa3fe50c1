//! Where a loop is in its iterations, and what it knows of what it was told in them.

use crate::gate::told::UNSEEN;
use crate::sys::clock;

/// The iterations of one loop are numbered by so many bits, and the loop by the others.
const NUMBER_BITS: u32 = 40;

/// The iteration of a loop, from one wait to the next.
#[derive(Debug)]
pub struct Iteration {
    /// Milliseconds when it began.
    now: u64,
    /// Its number, which no other loop's has.
    number: u64,
    /// Since which iteration all is known of what was reported of connections.
    trusted_since: u64,
    /// The wait before it has told of something.
    saw_events: bool,
    /// There was another wait since, of which nobody knows what it told.
    waited_unseen: bool,
}

impl Iteration {
    /// The first of the loop with this number.
    pub fn first(of: usize) -> Iteration {
        let number = ((of as u64) << NUMBER_BITS) + 1;
        Iteration {
            now: clock::milliseconds(),
            number,
            trusted_since: number,
            saw_events: false,
            waited_unseen: false,
        }
    }

    /// Milliseconds when it began, or when its wait came back last.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Its number, which no other loop's has.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Since which iteration all is known of what was reported of connections.
    pub fn trusted_since(&self) -> u64 {
        self.trusted_since
    }

    /// Before now, something was reported of which nothing is known.
    pub fn trust_from_now(&mut self) {
        self.trusted_since = self.number;
    }

    /// The kernel has come back from a wait.
    pub fn wakes(&mut self) {
        self.now = clock::milliseconds();
    }

    /// The next one begins.
    pub fn begin(&mut self) {
        self.number += 1;
        self.saw_events = false;
        self.waited_unseen = false;
    }

    /// The application is told of something by the wait, or of nothing.
    pub fn tells(&mut self, anything: bool) {
        self.saw_events = anything;
    }

    /// Whether it is.
    pub fn saw_events(&self) -> bool {
        self.saw_events
    }

    /// The application has waited by a system call that no hook sees.
    pub fn has_waited_unseen(&mut self) {
        self.number += UNSEEN;
        self.trust_from_now();
        self.saw_events = false;
        self.waited_unseen = true;
    }

    /// Whether it has in this iteration.
    pub fn was_unseen(&self) -> bool {
        self.waited_unseen
    }
}
