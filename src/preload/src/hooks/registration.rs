//! What an event loop waits for: registrations in epoll instances.

use crate::gate::slot::Slot;
use crate::gate::{numbers, table};
use crate::sys::address::is_readable;
use crate::sys::lock::Guard;
use crate::sys::{errno, handler, kernel, mask};
use laio_core::gate::{Control, Descriptor, ADD, DEL, MOD};
use libc::{c_int, epoll_event};

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
    let Some(slot) = table::accepted(fd) else {
        let result = real();
        if result == 0 {
            match table::accepted(fd) {
                // Another thread has accepted a connection under this number, and the call was for that.
                Some(slot) => slot.called_unseen(fd, instance, operation),
                None => {
                    table::register_other(fd, (operation != DEL).then(wanted));
                }
            }
        }
        return result;
    };
    numbers::register_in(instance);
    let kept = errno::Guard::new();
    let section = handler::enter();
    let locked = slot.lock(fd, &section);
    drop(kept);
    let Some(mut state) = locked else {
        let result = real();
        if result == 0 {
            slot.called_unseen(fd, instance, operation);
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
        let _errno = errno::Guard::new();
        // No gate is closed: nothing is to be done before.
        let _ = state.control(wanted());
        slot.registered(fd, &state);
        if numbers::is_duplicated(instance) {
            slot.leave_one_shot(fd, &mut state, instance);
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
    mut state: Guard<'_, Descriptor>,
    fd: c_int,
    wanted: Control,
) -> c_int {
    // What a signal handler asks for comes before or after it.
    let _shield = mask::shield();
    slot.settle_notes(fd, &mut state);
    let (passed, first, undo) = state.control(wanted);
    slot.registered(fd, &state);
    slot.carry_out(fd, &mut state, first);
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
        let _errno = errno::Guard::new();
        state.refused(undo);
        slot.registered(fd, &state);
    } else if numbers::is_duplicated(instance) {
        let _errno = errno::Guard::new();
        slot.leave_one_shot(fd, &mut state, instance);
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
    match kernel::epoll_ctl(instance, operation, fd, events, data) {
        Ok(()) => 0,
        Err(error) => {
            errno::set(error.raw_os_error());
            -1
        }
    }
}
