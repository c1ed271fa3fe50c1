//! The wait of an event loop in `epoll_wait`.

use crate::event_loop::epoll_wait::{self, Call, Slice};
use crate::event_loop::time::{cancellable, to_milliseconds, to_timespec, Timeout};
use crate::event_loop::{self, LoopHandle};
use crate::gate::{numbers, table};
use crate::sys::{errno, handler, program};
use libc::{c_int, c_long, epoll_event, sigset_t, timespec};
use std::ptr::null;
use std::sync::atomic::Ordering::Relaxed;

/// `epoll_wait`.
#[inline]
pub fn waited(
    real: impl Fn() -> c_int,
    instance: c_int,
    events: *mut epoll_event,
    most: c_int,
    timeout: c_int,
) -> c_int {
    let call = Call {
        instance,
        events,
        most,
    };
    let asked = || Timeout::milliseconds(timeout);
    waited_by(real, call, asked, |offset, most, slice| {
        let timeout = milliseconds_of(slice, timeout);
        // SAFETY: the application's own arguments, with less room and another time.
        unsafe { super::epoll_wait::real(instance, events.add(offset), most, timeout) }
    })
}

/// `epoll_pwait`.
#[inline]
pub fn waited_masked(
    real: impl Fn() -> c_int,
    instance: c_int,
    events: *mut epoll_event,
    most: c_int,
    timeout: c_int,
    mask: *const sigset_t,
) -> c_int {
    let call = Call {
        instance,
        events,
        most,
    };
    let asked = || Timeout::milliseconds(timeout);
    waited_by(real, call, asked, |offset, most, slice| {
        let timeout = milliseconds_of(slice, timeout);
        // SAFETY: as in `waited`.
        unsafe { super::epoll_pwait::real(instance, events.add(offset), most, timeout, mask) }
    })
}

/// `epoll_pwait2`.
#[inline]
pub fn waited_precisely(
    real: impl Fn() -> c_int,
    instance: c_int,
    events: *mut epoll_event,
    most: c_int,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    let call = Call {
        instance,
        events,
        most,
    };
    let asked = || Timeout::kernels_nanoseconds(timeout);
    waited_by(real, call, asked, |offset, most, slice| {
        let time = match slice {
            Slice::Part(time) => time.map(to_timespec),
            Slice::Whole => None,
        };
        let timeout = match slice {
            Slice::Part(_) => time.as_ref().map_or(null(), |time| time),
            Slice::Whole => timeout,
        };
        // SAFETY: as in `waited`; the time outlives the call.
        unsafe { super::epoll_pwait2::real(instance, events.add(offset), most, timeout, mask) }
    })
}

/// `epoll_wait` and `epoll_pwait` by their numbers.
#[inline]
pub fn waited_by_number(real: impl Fn() -> c_int, number: c_long, arguments: [c_long; 6]) -> c_int {
    let [a, b, c, d, e, f] = arguments;
    let (events, timeout) = (b as *mut epoll_event, d as c_int);
    let call = Call {
        instance: a as c_int,
        events,
        most: c as c_int,
    };
    let asked = || Timeout::milliseconds(timeout);
    waited_by(real, call, asked, |offset, most, slice| {
        let timeout = milliseconds_of(slice, timeout);
        let events = events.wrapping_add(offset) as c_long;
        // SAFETY: as in `waited`.
        let count =
            unsafe { super::syscall::real(number, a, events, most.into(), timeout.into(), e, f) };
        count as c_int
    })
}

fn milliseconds_of(slice: Slice, asked: c_int) -> c_int {
    match slice {
        Slice::Whole => asked,
        Slice::Part(time) => to_milliseconds(time),
    }
}

#[inline]
fn waited_by(
    real: impl Fn() -> c_int,
    call: Call,
    timeout: impl Fn() -> Timeout,
    again: impl Fn(usize, c_int, Slice) -> c_int,
) -> c_int {
    let here: Option<LoopHandle> = event_loop::waits_here(|| true);
    match here {
        Some(here) => cancellable(|| epoll_wait::wait(here, call, &timeout, &real, &again)),
        None => {
            let count = real();
            waited_elsewhere(call.instance, call.events, count);
            count
        }
    }
}

/// A wait that is no event loop's has handed out so many events.
#[inline]
pub fn waited_elsewhere(instance: c_int, events: *const epoll_event, count: c_int) {
    if count > 0 && program::SERVES.load(Relaxed) {
        let section = handler::enter();
        if !section.is_inner() {
            table::handed_out(instance, events, count);
        }
    }
}

/// `epoll_create`, which tells how many connections the application expects.
#[inline]
pub fn created(real: impl FnOnce() -> c_int, size: c_int) -> c_int {
    let instance = real();
    // Less is a number that means nothing.
    const LEAST: c_int = 16;
    if instance >= 0 && size >= LEAST {
        let _errno = errno::Guard::new();
        numbers::made_for(instance, size.unsigned_abs());
    }
    instance
}
