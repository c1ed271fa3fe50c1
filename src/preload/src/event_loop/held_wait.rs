//! A wait in `poll` or `select`, while requests are looked at.
//!
//! What is ready is looked at before the application is told of it, and what is cold is left out. As long as anything is
//! held back the kernel is shown a copy of the set, without the readable interest of those connections,
//! and with a waker beside it that becomes ready when one of them may be read again. Counts,
//! results, errors, signals and the time that is left are the kernel's own.

use super::current::LoopHandle;
use super::state::EventLoop;
use super::time::{cancellable, to_timespec, Time};
use crate::gate::sets::Set;
use crate::gate::{loops, table};
use crate::sys::errno;
use laio_core::config::Mode;
use laio_core::gate::{Side, ERR, HUP};
use libc::c_int;
use std::time::Duration;

/// How long the kernel is left to wait at a time. A waker may be closed by another thread of the
/// application (`closefrom`); its loop then hears of its readiness late, but does.
const AT_MOST: Duration = Duration::from_secs(1);

/// The same where no descriptor is to be had for a waker.
const WITHOUT_BELL: Duration = Duration::from_millis(1);

/// A timer of the application's is taken to be over so much before the time for which it waits: its clock is another.
const MARGIN: Duration = Duration::from_millis(2);

/// Waits, and reports what is ready but for what this loop holds back. Nothing where the set cannot be copied, or holds
/// nothing of that kind and is not to be looked at either (`all`): then the application's own call is as good.
/// `begun` tells that the iteration has: something was ready, and is held back.
pub fn wait(
    here: LoopHandle,
    mut set: impl Set,
    all: bool,
    mut begun: bool,
    time: Time,
) -> Option<c_int> {
    let number = here.with(|state| state.number())?;
    let before = errno::get();
    let held = |fd| held_by(fd, number);
    if !begin(here, &mut set, all, held) {
        return None;
    }
    let (mut waits_no_more, mut was_over) = (false, false);
    let result = loop {
        let (waker, lacks) = prepare(here, &mut set, held);
        let most = match (waker, lacks) {
            (_, false) => Duration::MAX,
            (Some(_), true) => AT_MOST,
            (None, true) => WITHOUT_BELL,
        };
        let holds = here.with(|state| state.time_of_holds()).flatten();
        let most = most.min(holds.unwrap_or(Duration::MAX));
        let left = match waits_no_more {
            true => Some(Duration::ZERO),
            false => time.left(),
        };
        let slice = left.unwrap_or(Duration::MAX).min(most);
        let slice = to_timespec(slice);
        let count = cancellable(|| set.wait(&slice));
        // What follows may wait for a lock, which leaves an errno of its own.
        let _errno = errno::Guard::new();
        let woken = waker.is_some_and(|waker| count > 0 && set.has_woken(waker));
        if waker.is_some() {
            here.with(|state| state.sets.close_waker(number));
        }
        here.with(|state| match std::mem::replace(&mut begun, true) {
            true => state.wakes(),
            false => state.begin_iteration(count != 0),
        });
        let mut ready = count - c_int::from(woken);
        if ready > 0 {
            ready = here
                .with(|state| set.admit(waker, |fd, events| state.admit_member(fd, events)))
                .unwrap_or(ready);
        }
        if count >= 0 && !waits_no_more {
            let over = time.left().is_some_and(|left| left <= MARGIN) && !was_over;
            was_over |= over;
            let asked = time.asked.filter(|_| over);
            if here.with(|state| state.serve_holds(asked)) == Some(true) {
                // What was let go is ready now, and before the application looks at its timers.
                waits_no_more = over || ready > 0;
                here.with(|state| state.wait_goes_on());
                continue;
            }
        }
        let over =
            !woken && left.is_some_and(|left| left <= most) && (count <= 0 || time.is_over());
        if ready != 0 || over || waits_no_more {
            set.report(waker, ready);
            here.with(|state| set.give_back(&mut state.sets.room));
            break ready;
        }
        here.with(|state| state.wait_goes_on());
    };
    // The kernel may refuse the copy where it takes the original, which has one member less.
    let result = (result >= 0 || errno::is(libc::EINTR)).then_some(result);
    if result != Some(-1) {
        errno::set(before);
    }
    result
}

/// Reads the set, and tells whether it is to be waited for here.
fn begin(here: LoopHandle, set: &mut impl Set, all: bool, held: impl Fn(c_int) -> u32) -> bool {
    let _errno = errno::Guard::new();
    here.with(|state| set.take(&mut state.sets.room, all, held)) == Some(true)
}

/// Makes what the kernel is shown; returns the waker, and whether anything is left out. The waker is made
/// before the gates are looked at: one that opens in between makes it ready.
fn prepare(
    here: LoopHandle,
    set: &mut impl Set,
    held: impl Fn(c_int) -> u32 + Copy,
) -> (Option<c_int>, bool) {
    let _errno = errno::Guard::new();
    let hang = || here.with(|state| state.sets.make_waker(state.number, |fd| set.contains(fd)));
    let waker = set.is_held(held).then(hang).flatten().flatten();
    let lacks = set.show(held, waker);
    (waker, lacks)
}

/// The events of a connection that this loop holds back. What another one holds back (the connection
/// has come here meanwhile) is let go: its completion would not wake this wait.
fn held_by(fd: c_int, number: usize) -> u32 {
    let Some(slot) = table::accepted(fd) else {
        return 0;
    };
    let held = slot.held();
    if held != 0 && slot.keeper() != number {
        slot.abandon(fd);
        return 0;
    }
    held
}

/// A wait that looks at nothing hands out these events of a member: another thread's loop may be the one that reads it.
pub fn told_elsewhere(fd: c_int, events: u32) -> u32 {
    if let Some(slot) = table::accepted(fd) {
        slot.told.told_elsewhere(events);
    }
    events
}

impl EventLoop {
    /// The loop is about to wait in `poll` or `select`: whether what is ready is looked at.
    /// It tells of errors (`poll`), or does not.
    pub fn begins_to_wait_in_sets(&mut self, knows_errors: bool) -> bool {
        self.end_iteration();
        self.sets.are_waited_for = true;
        self.sets.know_errors = knows_errors;
        self.is_full = false;
        self.admits()
    }

    /// What is handed out of the readiness of a member of a set.
    pub fn admit_member(&mut self, fd: c_int, events: u32) -> u32 {
        match table::accepted(fd) {
            Some(slot) => self.admit(fd, slot, events, None),
            None => events,
        }
    }

    /// The application's own call has come back with so many ready members, and none is looked at. Where they are too
    /// many, some are told of the next time.
    pub fn has_waited_in_sets(
        &mut self,
        count: c_int,
        admit: impl Fn(c_int, &mut dyn FnMut(c_int, u32) -> u32) -> c_int,
    ) -> c_int {
        self.begin_iteration(count != 0);
        let ready = usize::try_from(count).unwrap_or(0);
        let most = self.told_at_once.most();
        let mut told = count;
        if ready > 0 && loops::are_several() {
            admit(count, &mut told_elsewhere);
        }
        if ready > most && self.config.mode == Mode::On {
            let mut connections = 0;
            told = admit(count, &mut |fd, events| {
                let reads = events & Side::Read.events() != 0 && events & (ERR | HUP) == 0;
                if !reads || table::accepted(fd).is_none() {
                    return events;
                }
                connections += 1;
                match connections > most {
                    true => events & !Side::Read.events(),
                    false => events,
                }
            });
        }
        self.were_ready(None, ready);
        self.is_told(count > 0);
        told
    }

    /// The application goes on with what it is told, if it is anything.
    pub fn is_told(&mut self, anything: bool) {
        self.iteration.tells(anything);
        self.hand_over();
    }
}
