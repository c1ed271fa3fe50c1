//! What the library itself asks the kernel of descriptors, past all hooks.
//!
//! The numbers are the application's, or were: the kernel refuses those that name nothing. The model test (`tests/model`)
//! has a model of the kernel in the place of this file.

use super::descriptors::borrow;
use arrayvec::ArrayVec;
use laio_core::gate::{ADD, DEL};
use rustix::event::{epoll, poll, PollFd, PollFlags, Timespec};
use rustix::fd::IntoRawFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SocketAddr};
use std::net::IpAddr;

/// `epoll_ctl`.
pub fn epoll_ctl(
    instance: i32,
    operation: i32,
    fd: i32,
    events: u32,
    data: u64,
) -> Result<(), Errno> {
    // SAFETY: used for this one call.
    let (instance, fd) = unsafe { (borrow(instance), borrow(fd)) };
    let (flags, data) = (
        epoll::EventFlags::from_bits_retain(events),
        epoll::EventData::new_u64(data),
    );
    match operation {
        ADD => epoll::add(instance, fd, data, flags),
        DEL => epoll::delete(instance, fd),
        _ => epoll::modify(instance, fd, data, flags),
    }
}

/// A new epoll instance, which is the library's.
pub fn epoll_create() -> Result<i32, Errno> {
    epoll::create(epoll::CreateFlags::CLOEXEC).map(IntoRawFd::into_raw_fd)
}

/// Another number for it, not below `least`.
pub fn duplicate(fd: i32, least: i32) -> Result<i32, Errno> {
    // SAFETY: used for this one call.
    let fd = unsafe { borrow(fd) };
    rustix::io::fcntl_dupfd_cloexec(fd, least).map(IntoRawFd::into_raw_fd)
}

/// `close`.
///
/// # Safety
/// The number is the library's, and it uses it no more.
pub unsafe fn close(fd: i32) {
    // SAFETY: the caller's promise.
    unsafe { rustix::io::close(fd) };
}

/// Which of these descriptors are ready for all of the events; nothing where the kernel does not say.
pub fn are_ready<const MOST: usize>(
    descriptors: impl Iterator<Item = i32>,
    events: u32,
) -> Option<ArrayVec<bool, MOST>> {
    let wanted = PollFlags::from_bits_retain(events as u16);
    // SAFETY: used for this one call.
    let borrowed = descriptors.map(|fd| unsafe { borrow(fd) });
    let borrowed: ArrayVec<_, MOST> = borrowed.collect();
    let entries = borrowed.iter().map(|fd| PollFd::new(fd, wanted));
    let mut set: ArrayVec<_, MOST> = entries.collect();
    poll(&mut set, Some(&Timespec::default())).ok()?;
    let ready = set.iter().map(|entry| entry.revents().contains(wanted));
    Some(ready.collect())
}

/// The flags of its open file: `O_NONBLOCK` and others.
pub fn flags(fd: i32) -> Result<i32, Errno> {
    // SAFETY: used for this one call.
    let fd = unsafe { borrow(fd) };
    rustix::fs::fcntl_getfl(fd).map(|flags| flags.bits() as i32)
}

/// Whether it is a socket that transfers a stream of bytes.
pub fn is_stream(fd: i32) -> bool {
    // SAFETY: used for this one call.
    let socket = unsafe { borrow(fd) };
    rustix::net::sockopt::socket_type(socket) == Ok(rustix::net::SocketType::STREAM)
}

/// The address of its other end, where it has one that is a host's.
pub fn peer(fd: i32) -> Result<Option<IpAddr>, Errno> {
    // SAFETY: used for this one call.
    let peer = rustix::net::getpeername(unsafe { borrow(fd) })?;
    let address = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
    Ok(address.map(|address| address.ip()))
}

/// Whether a connection has ended in both directions, or with an error.
pub fn has_ended(fd: i32) -> bool {
    // SAFETY: used for this one call.
    let socket = unsafe { borrow(fd) };
    let mut set = [PollFd::new(&socket, PollFlags::empty())];
    poll(&mut set, Some(&Timespec::default())) != Ok(0)
}

/// Takes bytes out of a socket, without waiting; tells how many.
pub fn receive(fd: i32, bytes: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: used for this one call.
    let socket = unsafe { borrow(fd) };
    rustix::net::recv(socket, bytes, RecvFlags::DONTWAIT).map(|(_, length)| length)
}
