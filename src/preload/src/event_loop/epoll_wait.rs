//! A wait in `epoll_wait`: what is ready is looked at before the application is told of it.
//!
//! Where all that was ready is held back, the wait goes on with what is left of its time. Counts, errors and signals
//! are the kernel's own, and so is each event.

use super::current::LoopHandle;
use super::state::EventLoop;
use super::time::{cancellable, Time, Timeout};
use crate::gate::table;
use laio_core::config::Mode;
use laio_core::recent::AT_ONCE;
use libc::{c_int, epoll_event};
use std::time::Duration;

/// A timer of the application's is taken to be over so much before the time for which it waits: its clock is another.
const MARGIN: Duration = Duration::from_millis(2);

/// The kernel's `EP_MAX_EVENTS`.
const MOST_EVENTS: c_int = c_int::MAX / size_of::<epoll_event>() as c_int;

/// The application's call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// The epoll instance.
    pub instance: c_int,
    /// Where events go.
    pub events: *mut epoll_event,
    /// How many there is room for.
    pub most: c_int,
}

/// How one wait is made.
struct Plan {
    /// How many events are taken at most.
    most: c_int,
    /// Whether they are looked at.
    admits: bool,
    /// Its time, where that matters.
    time: Option<Time>,
    /// The iteration has begun: something was ready, and is held back.
    begun: bool,
    /// Its time has been seen to run out.
    over: bool,
}

/// How long the kernel is left to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slice {
    /// As long as the application asks.
    Whole,
    /// So long, or until something is ready.
    Part(Option<Duration>),
}

/// Waits. `real` is the application's own call, `again` one for so many events and so long, at an offset from the
/// first event.
pub fn wait(
    here: LoopHandle,
    call: Call,
    timeout: impl Fn() -> Timeout,
    real: impl Fn() -> c_int,
    again: impl Fn(usize, c_int, Slice) -> c_int,
) -> c_int {
    let Some(mut plan) = here.with(|state| state.plan(call, &timeout)) else {
        return real();
    };
    loop {
        let slice = here.with(|state| state.slice(&plan));
        let slice = slice.unwrap_or(Slice::Whole);
        let count = match slice == Slice::Whole && plan.most == call.most {
            true => cancellable(&real),
            false => cancellable(|| again(0, plan.most, slice)),
        };
        if count == 0 && !plan.admits {
            here.with(|state| state.has_expired(timeout()));
        }
        let more = |offset, most| again(offset, most, Slice::Part(Some(Duration::ZERO)));
        match here.with(|state| state.collect(call, &mut plan, count, more)) {
            Some(Some(count)) => return count,
            Some(None) => {}
            None => return count,
        }
    }
}

impl EventLoop {
    fn plan(&mut self, call: Call, timeout: impl Fn() -> Timeout) -> Plan {
        self.end_iteration();
        self.sets.are_waited_for = false;
        self.sets.know_errors = true;
        // More than the kernel takes, or nothing, is refused.
        let is_valid = (1..=MOST_EVENTS).contains(&call.most);
        let admits = is_valid && self.admits();
        let mut plan = Plan {
            most: call.most,
            admits,
            time: None,
            begun: false,
            over: false,
        };
        if self.config.mode == Mode::On && is_valid {
            let most = match admits {
                true => AT_ONCE,
                false => self.told_at_once.most(),
            };
            plan.most = call.most.min(c_int::try_from(most).unwrap_or(c_int::MAX));
        }
        if admits {
            match Time::begin(timeout()) {
                Some(time) => plan.time = Some(time),
                // The kernel's own error is due.
                None => (plan.admits, plan.most) = (false, call.most),
            }
        }
        if admits {
            self.is_full = table::is_full(call.instance);
            if self.is_full {
                self.let_holds_go();
            }
            self.waits_for(plan.time.and_then(|time| time.asked));
        }
        plan
    }

    /// How long the kernel is left to wait, where that is limited.
    fn slice(&mut self, plan: &Plan) -> Slice {
        let holds = self.time_of_holds().filter(|_| plan.admits);
        if holds.is_none() && !plan.begun {
            return Slice::Whole;
        }
        let left = plan.time.and_then(Time::left);
        Slice::Part(match (holds, left) {
            (Some(holds), Some(left)) => Some(holds.min(left)),
            (holds, left) => holds.or(left),
        })
    }

    /// The kernel has come back: how many events the application is told of, or nothing where the wait goes on.
    fn collect(
        &mut self,
        call: Call,
        plan: &mut Plan,
        count: c_int,
        more: impl Fn(usize, c_int) -> c_int,
    ) -> Option<c_int> {
        if !std::mem::replace(&mut plan.begun, true) {
            self.begin_iteration(count != 0);
        } else {
            self.wakes();
        }
        if !plan.admits {
            // Another loop may hold back what is registered in this instance.
            table::handed_out(call.instance, call.events, count);
            self.iteration.tells(count > 0);
            self.were_ready(Some(call.instance), count.max(0).unsigned_abs() as usize);
            self.hand_over();
            return Some(count);
        }
        let ready = usize::try_from(count).unwrap_or(0);
        let mut told = self.admit_at(call, 0, ready);
        if told > 0 && self.holding.is_empty() {
            // Usual, and the clock is not asked.
            self.iteration.tells(true);
            self.hand_over();
            return Some(told as c_int);
        }
        let left = plan.time.and_then(Time::left);
        let over = left.is_some_and(|left| left <= MARGIN) && !plan.over;
        plan.over |= over;
        let asked = plan.time.and_then(|time| time.asked).filter(|_| over);
        if count >= 0 && self.serve_holds(asked) {
            // What was let go is ready now, and before the application looks at its timers.
            let room = usize::try_from(call.most).unwrap_or(0).saturating_sub(told);
            let more = if room > 0 {
                more(told, room as c_int)
            } else {
                0
            };
            told += self.admit_at(call, told, usize::try_from(more).unwrap_or(0));
        }
        if told > 0 {
            self.iteration.tells(true);
        }
        let is_over = left == Some(Duration::ZERO);
        if told == 0 && count >= 0 && !is_over {
            self.wait_goes_on();
            return None;
        }
        self.hand_over();
        Some(if count < 0 { count } else { told as c_int })
    }

    fn admit_at(&mut self, call: Call, offset: usize, count: usize) -> usize {
        if count == 0 {
            return 0;
        }
        // SAFETY: the kernel has just written so many events there, and the structure is packed: any address will do.
        let events = unsafe { std::slice::from_raw_parts_mut(call.events.add(offset), count) };
        self.admit_events(call.instance, events)
    }
}
