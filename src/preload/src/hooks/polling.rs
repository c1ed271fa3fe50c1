//! The wait of an event loop in `poll` or `select`.
//!
//! What is ready is looked at before the application is told of it. The call itself goes through as it is, unless a
//! request is held back at this moment, or the kernel would overwrite the set: then it is
//! shown a copy (`event_loop::held_wait`).

use crate::event_loop::time::{cancellable, Time, Timeout};
use crate::event_loop::{self, held_wait, LoopHandle};
use crate::gate::sets::{self, PollSet, SelectSet};
use crate::sys::{descriptors, errno, program};
use libc::{c_int, fd_set, nfds_t, pollfd, sigset_t, size_t, timespec, timeval, EBADF};
use std::ptr::{null, null_mut};
use std::sync::atomic::Ordering::Relaxed;

/// The timeout of `poll`.
pub fn milliseconds(timeout: c_int) -> Timeout {
    Timeout::milliseconds(timeout)
}

/// The timeout of `ppoll` and `pselect`.
pub fn nanoseconds(timeout: *const timespec) -> Timeout {
    Timeout::nanoseconds(timeout)
}

/// What an event is to be handed out of, by descriptor and events.
type Admit<'a> = &'a mut dyn FnMut(c_int, u32) -> u32;

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
    real: impl Fn() -> c_int,
    set: *mut pollfd,
    count: nfds_t,
    timeout: Timeout,
    mask: *const sigset_t,
) -> c_int {
    let several = || count > 1;
    let held = |here, time, begun| {
        // SAFETY: the arguments are the application's or stand for them: a set of our own with room
        // for what it says, and a timeout that outlives the call.
        let wait = |set, count, timeout| unsafe { super::ppoll::real(set, count, timeout, mask) };
        held_wait::wait(here, PollSet::new(set, count, wait)?, false, begun, time)
    };
    // SAFETY: asked only after the kernel has written the results.
    let admit = |_, admit: Admit<'_>| unsafe { sets::admit_in_place(set, count, admit) };
    waited(real, several, || timeout, false, held, admit)
}

/// `pselect`.
#[inline]
pub fn selected_masked(
    real: impl Fn() -> c_int,
    count: c_int,
    sets: [*mut fd_set; 3],
    given: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    let timeout = nanoseconds(given);
    let fewer = |count| {
        let [readable, writable, exceptional] = sets;
        // SAFETY: the application's own arguments, but for the count, which is smaller.
        unsafe { super::pselect::real(count, readable, writable, exceptional, given, mask) }
    };
    let real = || within_stock(&real, count, fewer);
    let several = || are_several(count, sets);
    let held = |here, time, begun| {
        // SAFETY: as in `polled`.
        let wait = |count, [readable, writable, exceptional]: [_; 3], timeout| unsafe {
            super::pselect::real(count, readable, writable, exceptional, timeout, mask)
        };
        let set = SelectSet::new(count, sets, descriptors::within_stock, wait)?;
        held_wait::wait(here, set, true, begun, time)
    };
    let admit = |ready, admit: Admit<'_>| admit_selected(ready, count, sets, admit);
    waited(real, several, || timeout, true, held, admit)
}

/// `select`, which tells how much of its time is left.
#[inline]
pub fn selected(
    real: impl Fn() -> c_int,
    count: c_int,
    sets: [*mut fd_set; 3],
    timeout: *mut timeval,
) -> c_int {
    let fewer = |count| {
        let [readable, writable, exceptional] = sets;
        // SAFETY: the application's own arguments, but for the count, which is smaller.
        unsafe { super::select::real(count, readable, writable, exceptional, timeout) }
    };
    let real = || within_stock(&real, count, fewer);
    let several = || are_several(count, sets);
    let whole = || {
        // SAFETY: the C library reads it as well; null is none.
        let given = unsafe { timeout.as_ref() };
        given.map_or(Timeout::Never, Timeout::microseconds)
    };
    let held = |here, time: Time, begun| {
        // SAFETY: as in `polled`.
        let wait = |count, [readable, writable, exceptional]: [_; 3], timeout| unsafe {
            super::pselect::real(count, readable, writable, exceptional, timeout, null())
        };
        let set = SelectSet::new(count, sets, descriptors::within_stock, wait)?;
        let result = held_wait::wait(here, set, true, begun, time);
        // SAFETY: the C library writes it as well.
        let given = unsafe { timeout.as_mut() };
        if let (Some(_), Some(given), Some(left)) = (result, given, time.left()) {
            given.tv_sec = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
            given.tv_usec = left.subsec_micros().into();
        }
        result
    };
    let admit = |ready, admit: Admit<'_>| admit_selected(ready, count, sets, admit);
    waited(real, several, whole, true, held, admit)
}

/// What a `select` answers where the library has not enlarged the table: one that is refused for a number that names nothing
/// is made again for as many numbers as the table would have room for.
#[inline]
pub fn within_stock<R: From<i8> + PartialEq>(
    real: impl FnOnce() -> R,
    count: c_int,
    fewer: impl FnOnce(c_int) -> R,
) -> R {
    let before = errno::get();
    let result = real();
    if result != R::from(-1) || !errno::is(EBADF) || !descriptors::is_beyond_stock(count) {
        return result;
    }
    match descriptors::within_stock(count, count) {
        within if within == count => result,
        within => {
            errno::set(before);
            fewer(within)
        }
    }
}

/// After a `select` that has found so many `ready`: what is handed out of its results.
fn admit_selected(ready: c_int, count: c_int, sets: [*mut fd_set; 3], admit: Admit<'_>) -> c_int {
    // What lies beyond the table is no connection, and need not be memory.
    let count = descriptors::in_stock(count);
    // SAFETY: asked only after the kernel has written the results.
    ready - unsafe { sets::leave_out(count, sets, admit) }
}

/// Whether a `select` waits for several descriptors. To read its sets takes system calls: not before the process has a
/// client.
fn are_several(count: c_int, sets: [*mut fd_set; 3]) -> bool {
    program::SERVES.load(Relaxed) && sets::readable(count, sets) > 1
}

/// One iteration of the loop. A thread becomes an event loop when it waits for `several` descriptors: one
/// that serves a single connection has nobody to keep waiting. `held` waits for a copy of the set; where the kernel
/// `overwrites` what it is asked for, all waits that look at what is ready do. `admit` goes through the results of the
/// application's own call.
#[inline]
fn waited(
    real: impl Fn() -> c_int,
    several: impl FnOnce() -> bool,
    timeout: impl FnOnce() -> Timeout,
    overwrites: bool,
    held: impl Fn(LoopHandle, Time, bool) -> Option<c_int>,
    admit: impl Fn(c_int, Admit<'_>) -> c_int,
) -> c_int {
    let Some(here) = event_loop::waits_here(several) else {
        let count = real();
        if count > 0 && program::SERVES.load(Relaxed) {
            // A loop may read what this thread was told of.
            admit(count, &mut held_wait::told_elsewhere);
        }
        return count;
    };
    let admits = here.with(|state| state.begins_to_wait_in_sets(!overwrites));
    let time = admits
        .filter(|admits| *admits)
        .and_then(|_| Time::begin(timeout()));
    let Some(time) = time else {
        let count = cancellable(&real);
        return here
            .with(|state| state.has_waited_in_sets(count, admit))
            .unwrap_or(count);
    };
    let holds = here.with(|state| {
        state.waits_for(time.asked);
        state.holds_back()
    });
    let held = |begun| {
        let mut count = None;
        cancellable(|| {
            count = held(here, time, begun);
            0
        });
        count
    };
    if overwrites || holds == Some(true) {
        if let Some(count) = held(false) {
            here.with(|state| state.is_told(count > 0));
            return count;
        }
    }
    let count = cancellable(&real);
    if count <= 0 || overwrites {
        here.with(|state| {
            state.begin_iteration(count != 0);
            state.is_told(count > 0);
        });
        return count;
    }
    let told = here.with(|state| {
        state.begin_iteration(true);
        admit(count, &mut |fd, events| state.admit_member(fd, events))
    });
    let count = match told {
        // All that was ready is held back.
        Some(0) => held(true).unwrap_or_else(|| cancellable(&real)),
        told => told.unwrap_or(count),
    };
    here.with(|state| state.is_told(count > 0));
    count
}
