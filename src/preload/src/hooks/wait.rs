//! The wait of an event loop in `epoll_wait`, and what it waits for.

use crate::event_loop;
use crate::guest::{errno, program};
use crate::readiness::{carry_out, epoll_ctl, table};
use laio_core::gate::{Control, ADD, DEL, MOD};
use libc::{c_int, epoll_event};
use std::sync::atomic::Ordering::Relaxed;

/// `epoll_wait` and its kin: passed on untouched, for all that they return is the kernel's truth.
#[inline]
pub fn waited(real: impl FnOnce() -> c_int) -> c_int {
    let Some(here) = event_loop::here() else {
        if program::SERVES.load(Relaxed) {
            let _kept = errno::Kept::new();
            event_loop::begin();
        }
        return real();
    };
    here.with(|state| state.turn_ends());
    let count = real();
    here.with(|state| state.turn_begins());
    count
}

/// `epoll_ctl`.
#[inline]
pub fn registered(
    real: impl FnOnce() -> c_int,
    instance: c_int,
    operation: c_int,
    fd: c_int,
    event: *mut epoll_event,
) -> c_int {
    let Some(slot) = table::accepted(fd) else {
        return real();
    };
    if !matches!(operation, ADD | DEL | MOD) || (operation != DEL && event.is_null()) {
        return real();
    }
    let (events, data) = if operation == DEL {
        (0, 0)
    } else {
        // SAFETY: the application passes this as a valid event; the structure may be packed.
        let event = unsafe { std::ptr::read_unaligned(event) };
        (event.events, event.u64)
    };
    table::register_in(instance);
    let mut state = slot.lock();
    let closed = state.is_closed();
    let (passed, first, undo) = state.control(Control {
        instance,
        operation,
        events,
        data,
    });
    slot.registered(fd, &state);
    carry_out(fd, first);
    // A gate that is closed is opened by another thread: it must not come in between. An open one
    // is closed by this thread only, and no lock is held over the call.
    let held = if closed {
        Some(state)
    } else {
        drop(state);
        None
    };
    let result = if passed == events {
        real()
    } else {
        pass(instance, operation, fd, passed, data)
    };
    if result != 0 {
        let _kept = errno::Kept::new();
        match held {
            Some(mut state) => state.refused(undo),
            None => slot.lock().refused(undo),
        }
    }
    result
}

/// The application's own call with part of its interest held back: its event is not written to.
fn pass(instance: c_int, operation: c_int, fd: c_int, events: u32, data: u64) -> c_int {
    match epoll_ctl(instance, operation, fd, events, data) {
        Ok(()) => 0,
        Err(error) => {
            errno::set(error.raw_os_error());
            -1
        }
    }
}
