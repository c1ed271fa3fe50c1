//! Reads of client connections: what they have asked for.

use super::body::each_passed;
use super::file::{read_file, read_vector};
use crate::event_loop::{self, Verdict};
use crate::gate::{behind, numbers, passed, table};
use crate::sys::address::{are_readable, are_theirs, is_readable};
use crate::sys::{descriptors, errno, program};
use libc::{c_int, c_void, iovec, msghdr, size_t, sockaddr, socklen_t, ssize_t};
use libc::{EAGAIN, MSG_DONTWAIT, MSG_NOSIGNAL};
use std::sync::atomic::Ordering::Relaxed;

/// `read`: of a connection, or of a file.
#[inline]
pub fn consumed(
    real: impl FnOnce() -> ssize_t,
    fd: c_int,
    buffer: *mut c_void,
    size: size_t,
) -> ssize_t {
    if size == 0 || behind::read_connection(fd).is_none() {
        return read_file(real, fd, buffer, size);
    }
    // SAFETY: the application's own arguments, but for the size, which is not larger.
    let part = |most: usize| unsafe { super::read::real(fd, buffer, size.min(most)) };
    let has_room = |is_there| is_room(buffer, size, is_there);
    gated(real, fd, part, has_room, || (buffer, size))
}

/// `readv`: of a connection, or of a file.
#[inline]
pub fn consumed_vector(
    real: impl FnOnce() -> ssize_t,
    fd: c_int,
    vector: *const iovec,
    count: c_int,
) -> ssize_t {
    if behind::read_connection(fd).is_none() {
        return read_vector(real, fd, vector, count);
    }
    let Some(first) = count.checked_sub(1).filter(|rest| *rest >= 0) else {
        return real();
    };
    let part = |most| {
        let last = vector.wrapping_add(first as usize);
        match is_readable(vector.cast()) && is_readable(last.cast()) {
            // SAFETY: the first entry can be read, and is the application's; the call reads no more than it has room for.
            true => unsafe { super::readv::real(fd, &beginning_of(&*vector, most), 1) },
            // SAFETY: the application's own arguments: the kernel refuses them.
            false => unsafe { super::readv::real(fd, vector, count) },
        }
    };
    let has_room = |_| has_room(vector, count.unsigned_abs() as usize);
    let buffer = || first_of(vector, count.unsigned_abs() as usize);
    gated(real, fd, part, has_room, buffer)
}

/// `recv` and `recvfrom`.
#[inline]
pub fn received(
    real: impl FnOnce() -> ssize_t,
    fd: c_int,
    buffer: *mut c_void,
    size: size_t,
    flags: c_int,
    address: *mut sockaddr,
    length: *mut socklen_t,
) -> ssize_t {
    if !is_plain(flags) || size == 0 {
        return real();
    }
    // SAFETY: as in `consumed`.
    let part = |most: usize| unsafe {
        super::recvfrom::real(fd, buffer, size.min(most), flags, address, length)
    };
    let has_room = |is_there| is_room(buffer, size, is_there);
    gated(real, fd, part, has_room, || (buffer, size))
}

/// `recvmsg`.
#[inline]
pub fn received_message(
    real: impl FnOnce() -> ssize_t,
    fd: c_int,
    message: *mut msghdr,
    flags: c_int,
) -> ssize_t {
    let count = received_parts(real, fd, message, flags);
    // SAFETY: the kernel has just filled this message in, and what control data there is.
    if let Some(message) = (count >= 0).then(|| unsafe { &*message }) {
        if message.msg_controllen > 0 {
            // Whoever has sent a number has what it names as well.
            each_passed(message, brought);
        }
    }
    count
}

/// A message has brought this number, perhaps that of a connection.
fn brought(new: c_int) {
    let _errno = errno::Guard::new();
    table::forget(new);
    if numbers::is_duplicated_now(new) || !passed::is_received(new) {
        return;
    }
    program::SERVES.store(true, Relaxed);
    descriptors::seen(new);
}

#[inline]
fn received_parts(
    real: impl FnOnce() -> ssize_t,
    fd: c_int,
    message: *mut msghdr,
    flags: c_int,
) -> ssize_t {
    if !is_plain(flags) {
        return real();
    }
    let part = |most| {
        // A message is seven words.
        let readable = are_readable(message.cast(), size_of::<msghdr>() / size_of::<u64>());
        // SAFETY: it can be read, and is the application's.
        let given = readable.then(|| unsafe { &mut *message });
        let has_room =
            |given: &&mut msghdr| given.msg_iovlen > 0 && is_readable(given.msg_iov.cast());
        let Some(given) = given.filter(has_room) else {
            // SAFETY: the application's own arguments: the kernel refuses them, or has nowhere to put anything.
            return unsafe { super::recvmsg::real(fd, message, flags) };
        };
        // SAFETY: the first entry can be read.
        let mut first = beginning_of(unsafe { &*given.msg_iov }, most);
        let whole = (given.msg_iov, given.msg_iovlen);
        (given.msg_iov, given.msg_iovlen) = (&raw mut first, 1);
        // SAFETY: the application's message with a vector of our own, which has less room.
        let count = unsafe { super::recvmsg::real(fd, message, flags) };
        (given.msg_iov, given.msg_iovlen) = whole;
        count
    };
    let has_room = |_| {
        // A message is seven words.
        let readable = are_readable(message.cast(), size_of::<msghdr>() / size_of::<u64>());
        // SAFETY: it can be read.
        readable && unsafe { has_room((*message).msg_iov, (*message).msg_iovlen) }
    };
    gated(real, fd, part, has_room, || {
        // SAFETY: asked only after the kernel has filled this very message.
        let message = unsafe { &*message };
        first_of(message.msg_iov, message.msg_iovlen)
    })
}

/// Whether a receive takes bytes off the stream in the ordinary way.
fn is_plain(flags: c_int) -> bool {
    flags & !(MSG_DONTWAIT | MSG_NOSIGNAL) == 0
}

/// Whether the kernel does not refuse this memory. It touches none where nothing `is_there`, and then takes any that could be the
/// application's.
fn is_room(buffer: *const c_void, size: size_t, is_there: bool) -> bool {
    are_theirs(buffer, size) && (!is_there || is_readable(buffer.cast()))
}

/// Whether a vector is one that the kernel can fill.
fn has_room(vector: *const iovec, count: usize) -> bool {
    const MOST: usize = 1024;
    let words = count.min(MOST) * (size_of::<iovec>() / size_of::<u64>());
    if !(1..=MOST).contains(&count) || !are_readable(vector.cast(), words) {
        return false;
    }
    // SAFETY: so many entries can be read.
    let parts = unsafe { std::slice::from_raw_parts(vector, count) };
    let is_sound = |part: &iovec| part.iov_len <= isize::MAX as usize;
    let first = parts.iter().find(|part| part.iov_len > 0);
    parts.iter().all(is_sound) && first.is_some_and(|part| is_readable(part.iov_base.cast()))
}

/// Room for so many bytes at the most.
fn beginning_of(first: &iovec, most: usize) -> iovec {
    iovec {
        iov_base: first.iov_base,
        iov_len: first.iov_len.min(most),
    }
}

/// Reads a connection. `part` reads so many bytes of it at the most; `has_room` tells whether the call is one that the kernel does not
/// refuse for its arguments, where there are bytes or where there are none, and is asked before it is refused for us; `buffer` tells where the kernel has put the first bytes, and is
/// asked only after a read that brought some.
#[inline]
fn gated(
    real: impl FnOnce() -> ssize_t,
    fd: c_int,
    part: impl FnOnce(usize) -> ssize_t,
    has_room: impl Fn(bool) -> bool,
    buffer: impl FnOnce() -> (*mut c_void, size_t),
) -> ssize_t {
    let (Some(here), Some(slot)) = (event_loop::here(), behind::read_connection(fd)) else {
        return real();
    };
    let verdict = here.with(|state| state.before_read(fd, slot));
    let verdict = verdict.unwrap_or(Verdict::PassThrough);
    let count = match verdict {
        Verdict::PassThrough => return real(),
        Verdict::Fail(_) if !has_room(true) => return real(),
        Verdict::Nothing if !has_room(false) => return real(),
        Verdict::Nothing => {
            errno::set(EAGAIN);
            return -1;
        }
        Verdict::Fail(error) => {
            errno::set(error.raw_os_error());
            return -1;
        }
        Verdict::Part => part(1),
        Verdict::AtMost(most) => part(most),
        Verdict::Disarmed | Verdict::Seen | Verdict::Unseen => real(),
    };
    if count > 0 {
        let (start, size) = buffer();
        let length = size.min(count.unsigned_abs());
        // SAFETY: the kernel has just written at least this many bytes there.
        let bytes = unsafe { std::slice::from_raw_parts(start.cast::<u8>(), length) };
        here.with(|state| match verdict {
            Verdict::Disarmed => state.read_disarmed(fd, slot, bytes, count.unsigned_abs()),
            _ => state.has_read(fd, slot, verdict, (bytes, count.unsigned_abs()), size),
        });
    } else if count < 0 && verdict != Verdict::Disarmed && errno::is(EAGAIN) {
        here.with(|state| state.has_found_nothing(slot));
    }
    count
}

/// The first part of a vector that the kernel has just filled.
fn first_of(vector: *const iovec, count: usize) -> (*mut c_void, size_t) {
    if vector.is_null() || count == 0 {
        return (std::ptr::NonNull::dangling().as_ptr(), 0);
    }
    // SAFETY: the kernel has read this vector, which has at least one entry.
    let first = unsafe { &*vector };
    if first.iov_base.is_null() {
        return (std::ptr::NonNull::dangling().as_ptr(), 0);
    }
    (first.iov_base, first.iov_len)
}
