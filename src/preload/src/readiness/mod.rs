//! Which connections are held back, and how their readiness is given back.
//!
//! The library puts nothing into the application's epoll instances and keeps no descriptor in its
//! table: readiness is withheld and restored with `epoll_ctl` on the application's own registration,
//! so that all that a wait returns is the kernel's own truth. For `poll` and `select`, which register
//! nothing, the kernel is shown a copy of the set (`sets`) for the length of one wait.

pub mod bell;
pub mod sets;
pub mod table;

use crate::guest::descriptors;
use laio_core::gate::{Controls, Descriptor, Side, DEL};
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

/// Reports readiness of these sides as the gate's state machine decided; where it knows of no
/// registration, to whoever waits by ways that no hook sees (a signal, a poll of `io_uring`, a
/// registration made by it).
pub fn give_back(fd: i32, state: &Descriptor, owed: Controls, sides: &[Side]) {
    if state.is_registered() {
        carry_out(fd, owed);
    } else {
        sides.iter().for_each(|&side| nudge(fd, side));
    }
}

/// Has TCP look again whether somebody is to be woken, which it does when one of a socket's low-water
/// marks is set: here, to what it is.
fn nudge(fd: i32, side: Side) {
    let (level, name) = match side {
        Side::Read => (libc::SOL_SOCKET, libc::SO_RCVLOWAT),
        Side::Write => (libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT),
    };
    if let Some(mark) = option(fd, level, name) {
        // SAFETY: the value lives until the call returns; the number is the application's.
        unsafe {
            libc::setsockopt(
                fd,
                level,
                name,
                (&raw const mark).cast(),
                size_of_val(&mark) as libc::socklen_t,
            )
        };
    }
}

/// Whether a descriptor has `O_NONBLOCK`.
pub fn is_nonblocking(fd: i32) -> bool {
    // SAFETY: the application passes this number to a call right now.
    let descriptor = unsafe { descriptors::borrow(fd) };
    let flags = rustix::fs::fcntl_getfl(descriptor);
    flags.is_ok_and(|flags| flags.contains(rustix::fs::OFlags::NONBLOCK))
}

/// Whether a [`nudge`] reaches whoever waits for it.
fn can_be_nudged(fd: i32) -> bool {
    option(fd, libc::SOL_SOCKET, libc::SO_PROTOCOL) == Some(libc::IPPROTO_TCP)
}

/// A socket's option.
fn option(fd: i32, level: libc::c_int, name: libc::c_int) -> Option<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut length = size_of_val(&value) as libc::socklen_t;
    // SAFETY: both live until the call returns; the number is the application's.
    let result =
        unsafe { libc::getsockopt(fd, level, name, (&raw mut value).cast(), &raw mut length) };
    (result == 0).then_some(value)
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
