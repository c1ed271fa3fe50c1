//! Reads of client connections: the request gate.

use super::file::{read_file, read_vector};
use crate::event_loop::{self, Verdict};
use crate::guest::errno;
use crate::readiness::table;
use libc::{c_int, c_void, iovec, msghdr, size_t, ssize_t, MSG_DONTWAIT, MSG_NOSIGNAL};

/// `read`: of a connection, or of a file.
#[inline]
pub fn consumed(
    real: impl FnOnce() -> ssize_t,
    fd: c_int,
    buffer: *mut c_void,
    size: size_t,
) -> ssize_t {
    if table::accepted(fd).is_none() || size == 0 {
        return read_file(real, fd, size);
    }
    gated(real, fd, || (buffer, size))
}

/// `readv`: of a connection, or of a file.
#[inline]
pub fn consumed_vector(
    real: impl FnOnce() -> ssize_t,
    fd: c_int,
    vector: *const iovec,
    count: c_int,
) -> ssize_t {
    if table::accepted(fd).is_none() {
        return read_vector(real, fd);
    }
    gated(real, fd, || first_of(vector, count.unsigned_abs() as usize))
}

/// `recv` and `recvfrom`.
#[inline]
pub fn received(
    real: impl FnOnce() -> ssize_t,
    fd: c_int,
    buffer: *mut c_void,
    size: size_t,
    flags: c_int,
) -> ssize_t {
    if !is_plain(flags) || size == 0 {
        return real();
    }
    gated(real, fd, || (buffer, size))
}

/// `recvmsg`.
#[inline]
pub fn received_message(
    real: impl FnOnce() -> ssize_t,
    fd: c_int,
    message: *mut msghdr,
    flags: c_int,
) -> ssize_t {
    if !is_plain(flags) {
        return real();
    }
    gated(real, fd, || {
        // SAFETY: asked only after the kernel has filled this very message.
        let message = unsafe { &*message };
        first_of(message.msg_iov, message.msg_iovlen)
    })
}

/// Whether a receive takes bytes off the stream in the ordinary way.
fn is_plain(flags: c_int) -> bool {
    flags & !(MSG_DONTWAIT | MSG_NOSIGNAL) == 0
}

/// Reads a connection through the gate. `buffer` tells where the kernel has put the first bytes; it
/// is asked only after a read that brought some.
#[inline]
fn gated(
    real: impl FnOnce() -> ssize_t,
    fd: c_int,
    buffer: impl FnOnce() -> (*mut c_void, size_t),
) -> ssize_t {
    let (Some(here), Some(slot)) = (event_loop::here(), table::accepted(fd)) else {
        return real();
    };
    let verdict = here.with(|state| state.before_read(fd, slot));
    let verdict = verdict.unwrap_or(Verdict::Straight);
    if let Verdict::Fail(error) = verdict {
        errno::set(error.raw_os_error());
        return -1;
    }
    let count = real();
    if count > 0 && verdict != Verdict::Straight {
        let (start, size) = buffer();
        let length = size.min(count.unsigned_abs());
        // SAFETY: the kernel has just written at least this many bytes there.
        let bytes = unsafe { std::slice::from_raw_parts(start.cast::<u8>(), length) };
        here.with(|state| match verdict {
            Verdict::Quiet => state.read_quietly(bytes),
            _ => state.read_warmed(bytes),
        });
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
