//! What is held back must not look idle: parts of requests that are held for long, and timers that are over.

use super::state::EventLoop;
use super::time::Timeout;
use crate::fetch::pool::MAX_JOBS;
use crate::gate::table;
use crate::sys::errno;
use laio_core::holds::{Hold, Step};
use laio_core::stats::Counter;
use std::time::Duration;

impl EventLoop {
    /// A request is held back from now on.
    pub(super) fn holds(&mut self, hold: Hold) {
        if self.holding.len() >= 2 * MAX_JOBS {
            self.advance(false);
        }
        self.holding
            .add(hold, hold.due(self.config.longest_hold_ms));
    }

    /// How long the kernel may be left to wait before something is to be done for a request that is held back.
    pub(super) fn time_of_holds(&self) -> Option<Duration> {
        let holds = self.holds_back() && !self.holding.is_empty();
        // The clock is a timer tick coarse.
        let rest = self.holding.due().saturating_sub(self.now()) + 1;
        holds.then(|| Duration::from_millis(rest))
    }

    /// The loop waits, for so long at most.
    pub fn waits_for(&mut self, time: Option<Duration>) {
        self.holding.waits_for(time, self.now());
    }

    /// A wait has ended by its time, while nothing is looked at.
    pub(super) fn has_expired(&mut self, time: Timeout) {
        if let Timeout::After(time) = time {
            self.holding.waits_for(Some(time), self.now());
            self.holding.wait_ended(Some(time), self.now());
        }
    }

    /// The loop has been woken: hands out what is due. `over` is how long it had asked to wait, where that time has
    /// run out. Tells whether there is more to report.
    pub(super) fn serve_holds(&mut self, over: Option<Duration>) -> bool {
        let over = self.holding.wait_ended(over, self.now());
        if self.holding.is_empty() {
            return false;
        }
        (over || self.now() >= self.holding.due()) && self.advance(over)
    }

    /// Lets all requests go.
    pub(super) fn let_holds_go(&mut self) {
        let _errno = errno::Guard::new();
        for hold in self.holding.take() {
            if let Some(slot) = table::accepted(hold.fd).filter(|s| s.is_held_by(hold.ticket)) {
                self.counters.count(Counter::LetThrough);
                slot.let_through(hold.fd);
            }
        }
    }

    fn advance(&mut self, over: bool) -> bool {
        let _errno = errno::Guard::new();
        let (now, longest) = (self.now(), self.config.longest_hold_ms);
        let has_timers = self.holding.has_timers();
        let mut list = self.holding.take();
        let (mut due, mut reports) = (u64::MAX, false);
        list.retain_mut(|hold| {
            let slot = table::accepted(hold.fd).filter(|slot| slot.is_held_by(hold.ticket));
            let Some(slot) = slot else {
                return false;
            };
            let over = over.then(|| hold.timer_is_over(now));
            let step = match over {
                None | Some(Step::Hold) => hold.step(now, has_timers, longest),
                Some(step) => step,
            };
            reports |= step != Step::Hold;
            match step {
                Step::Hold => {}
                Step::Part => {
                    self.counters.count(Counter::Parts);
                    slot.hand_out_part(hold.fd, hold.ticket);
                }
                Step::Through => {
                    self.counters.count(Counter::LetThrough);
                    slot.let_through(hold.fd);
                    return false;
                }
            }
            due = due.min(hold.due(longest));
            true
        });
        self.holding.put_back(list, due);
        reports
    }
}
