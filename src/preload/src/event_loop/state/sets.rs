//! What a loop that waits in `poll` or `select` keeps from one wait to the next.

use crate::gate::sets::Room;
use crate::gate::waker;

/// How a loop waits.
#[derive(Debug)]
pub struct Sets {
    /// It waits in `poll` or `select`.
    pub are_waited_for: bool,
    /// Its waits tell of errors, which `select` does not.
    pub know_errors: bool,
    /// For copies of the sets.
    pub room: Room,
    /// A wait has a waker in its set, and has not taken it out.
    has_waker: bool,
}

impl Default for Sets {
    fn default() -> Sets {
        Sets {
            are_waited_for: false,
            know_errors: true,
            room: Room::default(),
            has_waker: false,
        }
    }
}

impl Sets {
    /// Makes what wakes the loop of this number from a wait, under a number that is not `taken`.
    pub fn make_waker(&mut self, number: usize, taken: impl Fn(i32) -> bool) -> Option<i32> {
        let waker = waker::make(number, taken);
        self.has_waker |= waker.is_some();
        waker
    }

    /// Closes it.
    pub fn close_waker(&mut self, number: usize) {
        self.has_waker = !waker::close(number);
    }

    /// Closes one that is left over: a signal handler has jumped out of the wait, or comes in the middle of it; or a fork
    /// took long.
    #[inline]
    pub fn close_left_over(&mut self, number: usize) {
        if self.has_waker {
            let _errno = crate::sys::errno::Guard::new();
            self.has_waker = !waker::try_to_close(number);
        }
    }
}
