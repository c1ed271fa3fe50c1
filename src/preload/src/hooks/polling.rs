//! The wait of an event loop in `poll` or `select`.
//!
//! The call goes through as it is, unless a request is held back at this moment: then the kernel is
//! shown a copy of the set without that connection's readable interest (`event_loop::held_wait`).

use crate::event_loop::{self, held_wait, Here};
use crate::guest::program;
use crate::readiness::sets::{self, PollSet, SelectSet};
use libc::{c_int, fd_set, nfds_t, pollfd, sigset_t, size_t, timespec, timeval};
use std::ptr::{null, null_mut};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// How long a wait lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// Until something is ready.
    Never,
    /// At most so long.
    After(Duration),
    /// The kernel will refuse it.
    Invalid,
}

/// The timeout of `poll`.
pub fn milliseconds(timeout: c_int) -> Timeout {
    u64::try_from(timeout).map_or(Timeout::Never, |timeout| {
        Timeout::After(Duration::from_millis(timeout))
    })
}

/// The timeout of `ppoll` and `pselect`.
pub fn nanoseconds(timeout: *const timespec) -> Timeout {
    if timeout.is_null() {
        return Timeout::Never;
    }
    // SAFETY: the C library reads it as well, whatever it points to.
    let timespec { tv_sec, tv_nsec } = unsafe { *timeout };
    match (u64::try_from(tv_sec), u32::try_from(tv_nsec)) {
        (Ok(seconds), Ok(rest)) if rest < 1_000_000_000 => {
            Timeout::After(Duration::new(seconds, rest))
        }
        _ => Timeout::Invalid,
    }
}

/// The timeout of `select`: a second's worth of microseconds and more is carried over by the C library.
fn microseconds(timeout: &timeval) -> Timeout {
    match (
        u64::try_from(timeout.tv_sec),
        u64::try_from(timeout.tv_usec),
    ) {
        (Ok(seconds), Ok(rest)) => {
            let (seconds, rest) = (Duration::from_secs(seconds), Duration::from_micros(rest));
            Timeout::After(seconds.saturating_add(rest))
        }
        _ => Timeout::Invalid,
    }
}

/// The set of a fortified call: none where the room that the compiler saw is too small, so that the
/// call goes through to the C library's own check.
pub fn within(set: *mut pollfd, count: nfds_t, room: size_t) -> *mut pollfd {
    if room as u64 / size_of::<pollfd>() as u64 >= count {
        set
    } else {
        null_mut()
    }
}

/// `poll` and its kin.
#[inline]
pub fn polled(
    real: impl FnOnce() -> c_int,
    set: *mut pollfd,
    count: nfds_t,
    timeout: Timeout,
    mask: *const sigset_t,
) -> c_int {
    let several = || count > 1;
    waited(real, several, |here| {
        // SAFETY: the arguments are the application's or stand for them: a set of our own with room
        // for what it says, and a timeout that outlives the call.
        let wait = |set, count, timeout| unsafe { super::ppoll::real(set, count, timeout, mask) };
        held_wait::wait(here, PollSet::new(set, count, wait)?, timeout.into_time()?)
    })
}

/// `pselect`.
#[inline]
pub fn selected_masked(
    real: impl FnOnce() -> c_int,
    count: c_int,
    sets: [*mut fd_set; 3],
    timeout: Timeout,
    mask: *const sigset_t,
) -> c_int {
    let several = || are_several(count, sets);
    waited(real, several, |here| {
        // SAFETY: as in `polled`.
        let wait = |count, [readable, writable, exceptional]: [_; 3], timeout| unsafe {
            super::pselect::real(count, readable, writable, exceptional, timeout, mask)
        };
        held_wait::wait(
            here,
            SelectSet::new(count, sets, wait)?,
            timeout.into_time()?,
        )
    })
}

/// `select`, which tells how much of its time is left.
#[inline]
pub fn selected(
    real: impl FnOnce() -> c_int,
    count: c_int,
    sets: [*mut fd_set; 3],
    timeout: *mut timeval,
) -> c_int {
    let several = || are_several(count, sets);
    waited(real, several, |here| {
        // SAFETY: the C library reads and writes it as well; null is none.
        let given = unsafe { timeout.as_mut() };
        let whole = given.as_deref().map_or(Timeout::Never, microseconds);
        // SAFETY: as in `polled`.
        let wait = |count, [readable, writable, exceptional]: [_; 3], timeout| unsafe {
            super::pselect::real(count, readable, writable, exceptional, timeout, null())
        };
        let time = whole.into_time()?;
        let result = held_wait::wait(here, SelectSet::new(count, sets, wait)?, time);
        if let (Some(_), Some(given), Some(left)) = (result, given, time.left()) {
            given.tv_sec = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
            given.tv_usec = left.subsec_micros().into();
        }
        result
    })
}

/// Whether a `select` waits for several descriptors. To read its sets takes system calls: not before the process has a
/// client.
fn are_several(count: c_int, sets: [*mut fd_set; 3]) -> bool {
    program::SERVES.load(Relaxed) && sets::readable(count, sets) > 1
}

impl Timeout {
    fn into_time(self) -> Option<held_wait::Time> {
        match self {
            Timeout::Never => Some(held_wait::Time::unlimited()),
            Timeout::After(time) => Some(held_wait::Time::limited(time)),
            Timeout::Invalid => None,
        }
    }
}

/// One turn of the loop. A thread becomes an event loop when it waits for `several` descriptors: one
/// that serves a single connection has nobody to keep waiting.
#[inline]
fn waited(
    real: impl FnOnce() -> c_int,
    several: impl FnOnce() -> bool,
    held: impl FnOnce(Here) -> Option<c_int>,
) -> c_int {
    let Some(here) = event_loop::waits_here(several) else {
        return real();
    };
    let holds = here.with(|state| {
        state.turn_ends();
        state.holds_back()
    });
    let count = match holds {
        Some(true) => held(here).unwrap_or_else(real),
        _ => real(),
    };
    here.with(|state| state.turn_begins());
    count
}
