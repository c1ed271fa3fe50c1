//! The wait of an event loop in `epoll_wait`, and what it waits for.

use crate::event_loop::epoll_wait::{self, Call, Slice};
use crate::event_loop::time::{cancellable, to_milliseconds, to_timespec, Timeout};
use crate::event_loop::{self, Here};
use crate::gate::table::{self, Slot};
use crate::gate::{carry_out, epoll_ctl};
use crate::sys::address::is_readable;
use crate::sys::lock::Guard;
use crate::sys::{errno, handler};
use laio_core::gate::{Control, Descriptor, ADD, DEL, MOD};
use libc::{c_int, epoll_event, sigset_t, timespec};
use std::ptr::null;

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
    let here: Option<Here> = event_loop::waits_here(|| true);
    match here {
        Some(here) => cancellable(|| epoll_wait::wait(here, call, &timeout, &real, &again)),
        None => real(),
    }
}

/// `epoll_create`, which tells how many connections the application expects.
#[inline]
pub fn created(real: impl FnOnce() -> c_int, size: c_int) -> c_int {
    let instance = real();
    // Less is a number that means nothing.
    const LEAST: c_int = 16;
    if instance >= 0 && size >= LEAST {
        let _kept = errno::Kept::new();
        table::made_for(instance, size.unsigned_abs());
    }
    instance
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
    if !matches!(operation, ADD | DEL | MOD) {
        return real();
    }
    let Some(slot) = table::accepted(fd) else {
        let result = real();
        if result == 0 {
            let cookie = (operation != DEL).then(|| {
                // SAFETY: the kernel has just read it; the structure may be packed.
                let event = unsafe { std::ptr::read_unaligned(event) };
                (instance, event.u64)
            });
            table::register_other(fd, cookie);
        }
        return result;
    };
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
    let kept = errno::Kept::new();
    let section = handler::enter();
    let locked = slot.lock(fd, &section);
    drop(kept);
    let Some(mut state) = locked else {
        let result = real();
        if result == 0 {
            slot.called_unseen(wanted());
        }
        return result;
    };
    if state.is_closed() {
        let readable = operation == DEL || is_event(event);
        return match readable {
            true => registered_while_closed(real, slot, state, fd, wanted()),
            false => real(),
        };
    }
    // The lock is held over the call: what two threads ask for is noted in the order in which the kernel does it, and
    // the call waits for nothing. Once it has succeeded, the kernel has read the event.
    let result = real();
    if result == 0 {
        let _kept = errno::Kept::new();
        let (_, first, _) = state.control(wanted());
        slot.registered(fd, &state);
        carry_out(fd, first);
    }
    result
}

/// `epoll_ctl` on a connection whose gate is closed. It is opened by another thread, which must not come
/// in between.
#[cold]
fn registered_while_closed(
    real: impl FnOnce() -> c_int,
    slot: &Slot,
    mut state: Guard<'_, Descriptor>,
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
        slot.registered(fd, &state);
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
