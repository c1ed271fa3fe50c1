//! What a loop that observes notes of its iterations, beyond the calls that are timed: how long they take, page faults and
//! other sleeps in them, and how many events wait for them.

use crate::sys::descriptors;
use crate::sys::usage::Usage;
use laio_core::stats::FRAMES;
use rustix::event::{poll, PollFd, PollFlags, Timespec};

/// An iteration of fewer nanoseconds is not asked about.
pub const SHORT: u64 = 100_000;

/// A sleep in no call that is timed counts from so many nanoseconds on.
pub const LONG_SLEEP: u64 = 500_000;

/// Files that are remembered as explained by a request: bodies are read long after it.
const EXPLAINED: usize = 64;

/// What is noted of iterations. Nothing but `explained` is kept unless the loop observes.
#[derive(Debug)]
pub struct Observer {
    /// Whether it does.
    pub is_on: bool,
    /// The tick at which this iteration began, and what the kernel had counted; none before the first, and where the
    /// application has waited unseen.
    pub began: Option<(u64, Usage)>,
    /// Nanoseconds of this iteration in calls that blocked, and what the kernel counted in them.
    pub blocked: u64,
    pub claimed: Usage,
    /// Nanoseconds for which the iteration was blocked that is over, if it was, and how often the thread had slept then.
    pub was_blocked: Option<(u64, i64)>,
    /// How many events the wait behind it has told of, and by which epoll instance.
    pub ready: u64,
    pub instance: Option<i32>,
    /// Whether an event was ready there when a call had blocked.
    pub others_wait: bool,
    /// Hashes of paths that a request has explained. Elsewhere: a loop's state is made on its thread's stack, which may be small.
    explained: Vec<u64>,
    next: usize,
    /// Room for a stack.
    pub stack: Vec<u64>,
}

impl Observer {
    /// Nothing is noted yet.
    pub fn new(is_on: bool) -> Observer {
        Observer {
            is_on,
            began: None,
            blocked: 0,
            claimed: Usage::default(),
            was_blocked: None,
            ready: 0,
            instance: None,
            others_wait: false,
            explained: vec![0; EXPLAINED],
            next: 0,
            stack: vec![0; FRAMES],
        }
    }

    /// A call has blocked for so long.
    pub fn has_blocked(&mut self, nanoseconds: u64, counted: Usage) {
        if self.is_on {
            self.looks_for_others();
        }
        self.blocked = self.blocked.saturating_add(nanoseconds);
        self.claimed.sleeps += counted.sleeps;
        self.claimed.faults += counted.faults;
    }

    /// Whether an event is ready in the loop's epoll instance. That it is asked takes none of them.
    pub fn looks_for_others(&mut self) {
        let Some(instance) = self.instance.filter(|_| !self.others_wait) else {
            return;
        };
        // SAFETY: the number was the application's instance a moment ago. If it is something else by now, the answer is of no use.
        let instance = unsafe { descriptors::borrow(instance) };
        let mut one = [PollFd::new(&instance, PollFlags::IN)];
        self.others_wait = poll(&mut one, Some(&Timespec::default())) == Ok(1);
    }

    /// Whether a request has explained the path with this hash lately.
    pub fn is_explained(&self, hash: u64) -> bool {
        self.explained.contains(&hash)
    }

    /// A request explains it.
    pub fn explains(&mut self, hash: u64) {
        if self.is_explained(hash) {
            return;
        }
        if let Some(place) = self.explained.get_mut(self.next % EXPLAINED) {
            *place = hash;
        }
        self.next = self.next.wrapping_add(1);
    }
}
