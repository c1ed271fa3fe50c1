//! Which connections are held back, and how their readiness is given back.
//!
//! The library puts nothing into the application's epoll instances and keeps no descriptor in its
//! table: readiness is withheld and restored with `epoll_ctl` on the application's own registration,
//! so that every wait, also one that no hook sees, finds nothing that is not the application's. For `poll` and
//! `select`, which register nothing, the kernel is shown a copy of the set (`sets`) for the length of one wait.

mod cookies;
pub mod inflight;
pub mod numbers;
pub mod sets;
pub mod table;
pub mod told;
mod unseen;
pub mod waker;

use crate::sys::kernel;
use laio_core::gate::Controls;

/// Carries out what the gate's state machine decided. A failure means that the application has
/// changed the registration by ways that no hook sees; it then has what it asked for.
pub fn carry_out(fd: i32, controls: Controls) {
    for control in controls {
        let _ = kernel::epoll_ctl(
            control.instance,
            control.operation,
            fd,
            control.events,
            control.data,
        );
    }
}

/// The connection that an event of an epoll instance is about, and whether it was registered for one event only. Nothing
/// where the application has registered it by ways that no hook sees.
pub fn connection_of(
    instance: i32,
    data: u64,
    events: u32,
) -> Option<(i32, &'static table::Slot, bool)> {
    let candidates = cookies::find(cookies::hash(instance, data));
    let &(fd, slot) = match candidates.as_slice() {
        [] => return None,
        [only] => only,
        several => only_ready(several, events)?,
    };
    table::accepted(fd)?;
    let one_shot = slot.is_meant(instance, data, events)?;
    Some((fd, slot, one_shot))
}

/// The one of several connections that is ready for these events; nothing where none is, or more than one.
#[cold]
fn only_ready<'c>(
    candidates: &'c [(i32, &'static table::Slot)],
    events: u32,
) -> Option<&'c (i32, &'static table::Slot)> {
    let numbers = candidates.iter().map(|(fd, _)| *fd);
    let ready = kernel::are_ready::<{ cookies::MOST }>(numbers, events)?;
    let mut ready = candidates.iter().zip(ready).filter(|(_, ready)| *ready);
    match (ready.next(), ready.next()) {
        (Some((only, _)), None) => Some(only),
        _ => None,
    }
}

/// Whether a descriptor has `O_NONBLOCK`.
pub fn is_nonblocking(fd: i32) -> bool {
    kernel::flags(fd).is_ok_and(|flags| flags & libc::O_NONBLOCK != 0)
}

/// Whether a call on a descriptor may be answered with `EAGAIN`: it has `O_NONBLOCK`, and no signal tells of its readiness.
pub fn may_be_refused(fd: i32) -> bool {
    let flags = kernel::flags(fd).unwrap_or(0);
    flags & (libc::O_NONBLOCK | libc::O_ASYNC) == libc::O_NONBLOCK
}
