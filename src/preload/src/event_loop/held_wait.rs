//! A wait in `poll` or `select` while requests are held back.
//!
//! The kernel is shown a copy of the set, without the readable interest of the connections that this
//! loop holds back, and with a bell beside it that rings when one of them may be read again. Counts,
//! results, errors, signals and the time that is left are the kernel's own.

use super::Here;
use crate::guest::{clock, errno};
use crate::readiness::sets::Room;
use crate::readiness::{bell, table};
use libc::{c_int, timespec};

const SECOND: u64 = 1_000_000_000;

/// How long the kernel is left to wait at a time. A bell may be closed by another thread of the
/// application (`closefrom`); its loop then hears of its readiness late, but does.
const AT_MOST: u64 = SECOND;

/// The same where no descriptor is to be had for a bell.
const WITHOUT_BELL: u64 = 1_000_000;

/// The time of one wait, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Time {
    deadline: Option<u64>,
}

impl Time {
    /// Until something is ready.
    pub fn unlimited() -> Time {
        Time { deadline: None }
    }

    /// So many nanoseconds from now.
    pub fn limited(nanoseconds: u64) -> Time {
        Time {
            deadline: Some(clock::nanoseconds().saturating_add(nanoseconds)),
        }
    }

    /// How many are left, where there is an end.
    pub fn left(self) -> Option<u64> {
        let left = |deadline: u64| deadline.saturating_sub(clock::nanoseconds());
        self.deadline.map(left)
    }
}

/// What a `poll` or a `select` waits for: the application's set, and a copy to show to the kernel.
pub trait Set {
    /// Whether any event of the set is among those that `held` says are held back; and the highest
    /// number in the set, held back or not.
    fn look(&self, held: impl Fn(c_int) -> u32) -> (bool, c_int);

    /// Takes memory for the copy; false where there is not enough.
    fn take_room(&mut self, room: &mut Room) -> bool;

    /// Makes the copy, without what `held` says is held back and with the bell, if there is one.
    fn copy(&mut self, held: impl Fn(c_int) -> u32, bell: Option<c_int>);

    /// Waits for the copy. A thread that is cancelled ends here, and its stack is unwound: nothing
    /// that has to be dropped may be alive in the callers.
    fn wait(&mut self, timeout: &timespec) -> c_int;

    /// Whether the bell has rung.
    fn has_rung(&self, bell: c_int) -> bool;

    /// Hands what the kernel said of the copy to the application, but for the bell: `ready` are, or
    /// the call has failed.
    fn report(&mut self, bell: Option<c_int>, ready: c_int);

    /// Gives the memory back.
    fn give_back(&mut self, room: &mut Room);
}

/// Waits, and reports what is ready but for what this loop holds back. Nothing where the set holds
/// nothing of that kind, or cannot be copied: then the application's own call is as good.
pub fn wait(here: Here, mut set: impl Set, time: Time) -> Option<c_int> {
    let number = here.with(|state| state.number)?;
    let held = |fd| held_by(fd, number);
    let (mut holds, highest) = set.look(held);
    if !holds || here.with(|state| set.take_room(&mut state.room)) != Some(true) {
        return None;
    }
    let result = loop {
        // The bell hangs before the gates are looked at: one that opens in between rings.
        let bell = holds.then(|| bell::hang(here, highest)).flatten();
        set.copy(held, bell);
        let most = match (holds, bell) {
            (true, None) => WITHOUT_BELL,
            _ => AT_MOST,
        };
        let left = time.left();
        let now = left.unwrap_or(u64::MAX).min(most);
        let count = set.wait(&timespec {
            tv_sec: (now / SECOND) as i64,
            tv_nsec: (now % SECOND) as i64,
        });
        let rung = bell.is_some_and(|bell| count > 0 && set.has_rung(bell));
        if let Some(bell) = bell {
            bell::take_down(here, bell);
        }
        let ready = count - c_int::from(rung);
        let over = !rung && left.is_some_and(|left| left <= most);
        if ready != 0 || over {
            set.report(bell, ready);
            break ready;
        }
        here.with(|state| state.wait_goes_on());
        (holds, _) = set.look(held);
    };
    here.with(|state| set.give_back(&mut state.room));
    // The kernel may refuse the copy where it takes the original, which has one member less.
    (result >= 0 || errno::is(libc::EINTR)).then_some(result)
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
