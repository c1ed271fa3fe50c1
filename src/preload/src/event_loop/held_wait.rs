//! A wait in `poll` or `select` while requests are held back.
//!
//! The kernel is shown a copy of the set, without the readable interest of the connections that this
//! loop holds back, and with a bell beside it that rings when one of them may be read again. Counts,
//! results, errors, signals and the time that is left are the kernel's own.

use super::Here;
use crate::guest::{clock, errno};
use crate::readiness::sets::Room;
use crate::readiness::table;
use libc::{c_int, timespec};
use std::time::Duration;

/// How long the kernel is left to wait at a time. A bell may be closed by another thread of the
/// application (`closefrom`); its loop then hears of its readiness late, but does.
const AT_MOST: Duration = Duration::from_secs(1);

/// The same where no descriptor is to be had for a bell.
const WITHOUT_BELL: Duration = Duration::from_millis(1);

/// The time of one wait.
#[derive(Clone, Copy, Debug)]
pub struct Time {
    /// By the monotonic clock.
    end: Option<Duration>,
}

impl Time {
    /// Until something is ready.
    pub fn unlimited() -> Time {
        Time { end: None }
    }

    /// So long from now.
    pub fn limited(time: Duration) -> Time {
        Time {
            end: Some(now().saturating_add(time)),
        }
    }

    /// How much is left, where there is an end.
    pub fn left(self) -> Option<Duration> {
        self.end.map(|end| end.saturating_sub(now()))
    }
}

fn now() -> Duration {
    Duration::from_nanos(clock::nanoseconds())
}

/// What a `poll` or a `select` waits for: the application's set, and a copy to show to the kernel.
pub trait Set {
    /// Reads the set, once, as the kernel does, into memory from `room`. False where nothing in it is
    /// held back, or it cannot be read: then nothing is taken.
    fn take(&mut self, room: &mut Room, held: impl Fn(c_int) -> u32) -> bool;

    /// Whether a number is in the set.
    fn contains(&self, fd: c_int) -> bool;

    /// Whether anything of the set is still held back.
    fn is_held(&self, held: impl Fn(c_int) -> u32) -> bool;

    /// Makes the copy for one wait, without what is held back and with the bell, if there is one. Tells
    /// whether anything was left out.
    fn show(&mut self, held: impl Fn(c_int) -> u32, bell: Option<c_int>) -> bool;

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
    if !begin(here, &mut set, held) {
        return None;
    }
    let result = loop {
        let (bell, lacks) = prepare(here, &mut set, held);
        let most = match (bell, lacks) {
            (_, false) => Duration::MAX,
            (Some(_), true) => AT_MOST,
            (None, true) => WITHOUT_BELL,
        };
        let left = time.left();
        let slice = left.unwrap_or(Duration::MAX).min(most);
        let count = set.wait(&timespec {
            tv_sec: i64::try_from(slice.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: slice.subsec_nanos().into(),
        });
        // What follows may wait for a lock, which leaves an errno of its own.
        let _kept = errno::Kept::new();
        let rung = bell.is_some_and(|bell| count > 0 && set.has_rung(bell));
        if bell.is_some() {
            here.with(|state| state.take_bell_down());
        }
        let ready = count - c_int::from(rung);
        let over = !rung && left.is_some_and(|left| left <= most);
        if ready != 0 || over {
            set.report(bell, ready);
            here.with(|state| set.give_back(&mut state.room));
            break ready;
        }
        here.with(|state| state.wait_goes_on());
    };
    // The kernel may refuse the copy where it takes the original, which has one member less.
    (result >= 0 || errno::is(libc::EINTR)).then_some(result)
}

/// Reads the set, and tells whether it holds anything that is held back.
fn begin(here: Here, set: &mut impl Set, held: impl Fn(c_int) -> u32) -> bool {
    let _kept = errno::Kept::new();
    here.with(|state| set.take(&mut state.room, held)) == Some(true)
}

/// Makes what the kernel is shown; returns the bell, and whether anything is left out. The bell hangs
/// before the gates are looked at: one that opens in between rings.
fn prepare(
    here: Here,
    set: &mut impl Set,
    held: impl Fn(c_int) -> u32 + Copy,
) -> (Option<c_int>, bool) {
    let _kept = errno::Kept::new();
    let hang = || here.with(|state| state.hang_bell(|fd| set.contains(fd)));
    let bell = set.is_held(held).then(hang).flatten().flatten();
    let lacks = set.show(held, bell);
    (bell, lacks)
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
