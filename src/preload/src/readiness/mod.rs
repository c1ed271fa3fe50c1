//! Which connections are held back, and how their readiness is given back.
//!
//! The library puts nothing into the application's epoll instances and keeps no descriptor in its
//! table: readiness is withheld and restored with `epoll_ctl` on the application's own registration,
//! so that all that a wait returns is the kernel's own truth. For `poll` and `select`, which register
//! nothing, the kernel is shown a copy of the set (`sets`) for the length of one wait.

pub mod bell;
pub mod sets;
pub mod table;

use laio_core::gate::{Controls, DEL};
use rustix::fd::BorrowedFd;
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
    let (instance, fd) = unsafe { (BorrowedFd::borrow_raw(instance), BorrowedFd::borrow_raw(fd)) };
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
