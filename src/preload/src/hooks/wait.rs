//! The wait of an event loop in `epoll_wait`, and what it waits for.

use crate::event_loop;
use crate::guest::address::is_readable;
use crate::guest::errno;
use crate::readiness::table::{self, Slot};
use crate::readiness::{carry_out, epoll_ctl};
use laio_core::gate::{Control, Descriptor, ADD, DEL, MOD};
use libc::{c_int, epoll_event};
use std::sync::MutexGuard;

/// `epoll_wait` and its kin: passed on untouched, for all that they return is the kernel's truth.
#[inline]
pub fn waited(real: impl FnOnce() -> c_int) -> c_int {
    let Some(here) = event_loop::waits_here(|| true) else {
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
    if !matches!(operation, ADD | DEL | MOD) {
        return real();
    }
    let wanted = || {
        let (events, data) = match operation {
            DEL => (0, 0),
            _ => {
                // SAFETY: asked only where the event can be read; the structure may be packed.
                let event = unsafe { std::ptr::read_unaligned(event) };
                (event.events, event.u64)
            }
        };
        Control {
            instance,
            operation,
            events,
            data,
        }
    };
    table::register_in(instance);
    let owner = table::open_file(fd);
    let kept = errno::Kept::new();
    let state = slot.lock();
    drop(kept);
    if state.is_closed() {
        let readable = operation == DEL || is_event(event);
        return match readable {
            true => registered_while_closed(real, slot, state, fd, wanted()),
            false => real(),
        };
    }
    // An open gate is closed by the thread that reads, and no lock is held over the call. Once it has
    // succeeded, the kernel has read the event.
    drop(state);
    let result = real();
    if result == 0 {
        let _kept = errno::Kept::new();
        let mut state = slot.lock();
        // Unless another thread has been told of the connection, and has closed it already.
        if table::open_file(fd) == owner {
            let wanted = wanted();
            let (passed, first, _) = state.control(wanted);
            slot.registered(fd, &state);
            carry_out(fd, first);
            // Or has read a request that is held back.
            if operation != DEL && passed != wanted.events {
                let _ = epoll_ctl(instance, MOD, fd, passed, wanted.data);
            }
        }
    }
    result
}

/// `epoll_ctl` on a connection whose gate is closed. It is opened by another thread, which must not come
/// in between.
#[cold]
fn registered_while_closed(
    real: impl FnOnce() -> c_int,
    slot: &Slot,
    mut state: MutexGuard<'_, Descriptor>,
    fd: c_int,
    wanted: Control,
) -> c_int {
    let (passed, first, undo) = state.control(wanted);
    slot.registered(fd, &state);
    carry_out(fd, first);
    let Control {
        instance,
        operation,
        data,
        ..
    } = wanted;
    let result = if passed == wanted.events {
        real()
    } else {
        pass(instance, operation, fd, passed, data)
    };
    if result != 0 {
        let _kept = errno::Kept::new();
        state.refused(undo);
    }
    result
}

/// Whether the kernel could read an event there.
fn is_event(event: *const epoll_event) -> bool {
    let last = event.wrapping_byte_add(size_of::<epoll_event>() - size_of::<u64>());
    is_readable(event.cast()) && is_readable(last.cast())
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
