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

use crate::sys::descriptors;
use laio_core::gate::{Controls, DEL};
use rustix::io::Errno;

/// Carries out what the gate's state machine decided. A failure means that the application has
/// changed the registration by ways that no hook sees; it then has what it asked for.
pub fn carry_out(fd: i32, controls: Controls) {
    for control in controls {
        let _ = epoll_ctl(
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
    use rustix::event::{poll, PollFd, PollFlags, Timespec};
    let wanted = PollFlags::from_bits_retain(events as u16);
    // SAFETY: the numbers are the application's, and are used for this one call.
    let borrowed = candidates
        .iter()
        .map(|(fd, _)| unsafe { descriptors::borrow(*fd) });
    let borrowed: arrayvec::ArrayVec<_, { cookies::MOST }> = borrowed.collect();
    let mut set: arrayvec::ArrayVec<_, { cookies::MOST }> = borrowed
        .iter()
        .map(|socket| PollFd::new(socket, wanted))
        .collect();
    poll(&mut set, Some(&Timespec::default())).ok()?;
    let ready = set.iter().map(|entry| entry.revents().contains(wanted));
    let mut ready = candidates.iter().zip(ready).filter(|(_, ready)| *ready);
    match (ready.next(), ready.next()) {
        (Some((only, _)), None) => Some(only),
        _ => None,
    }
}

/// Whether a descriptor has `O_NONBLOCK`.
pub fn is_nonblocking(fd: i32) -> bool {
    // SAFETY: the application passes this number to a call right now.
    let descriptor = unsafe { descriptors::borrow(fd) };
    let flags = rustix::fs::fcntl_getfl(descriptor);
    flags.is_ok_and(|flags| flags.contains(rustix::fs::OFlags::NONBLOCK))
}

/// Whether a call on a descriptor may be answered with `EAGAIN`: it has `O_NONBLOCK`, and no signal tells of its readiness.
pub fn may_be_refused(fd: i32) -> bool {
    // SAFETY: the application passes this number to a call right now.
    let descriptor = unsafe { descriptors::borrow(fd) };
    let flags = rustix::fs::fcntl_getfl(descriptor).map_or(0, |flags| flags.bits() as i32);
    flags & (libc::O_NONBLOCK | libc::O_ASYNC) == libc::O_NONBLOCK
}

/// `epoll_ctl`, past all hooks.
pub fn epoll_ctl(
    instance: i32,
    operation: i32,
    fd: i32,
    events: u32,
    data: u64,
) -> Result<(), Errno> {
    use rustix::event::epoll;
    // SAFETY: both numbers are the application's; they are used for this one call, and the kernel
    // refuses what they do not name any more.
    let (instance, fd) = unsafe { (descriptors::borrow(instance), descriptors::borrow(fd)) };
    let (flags, data) = (
        epoll::EventFlags::from_bits_retain(events),
        epoll::EventData::new_u64(data),
    );
    match operation {
        laio_core::gate::ADD => epoll::add(instance, fd, data, flags),
        DEL => epoll::delete(instance, fd),
        _ => epoll::modify(instance, fd, data, flags),
    }
}
