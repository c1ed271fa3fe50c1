//! The life of a descriptor number.

use super::restriction::restricted;
use crate::event_loop;
use crate::gate::{behind, numbers, table};
use crate::sys::{descriptors, errno, program};
use libc::{c_int, c_uint, CLOSE_RANGE_CLOEXEC, CLOSE_RANGE_UNSHARE, F_DUPFD, F_DUPFD_CLOEXEC};
use std::sync::atomic::Ordering::Relaxed;

/// `accept`.
#[inline]
pub fn accepted(real: impl FnOnce() -> c_int) -> c_int {
    let fd = real();
    if fd >= 0 {
        let _errno = errno::Guard::new();
        program::SERVES.store(true, Relaxed);
        table::accept(fd);
        descriptors::seen(fd);
        event_loop::accepts_here(table::accepted(fd));
    }
    fd
}

/// `connect`: an application behind a server may be there.
#[inline]
pub fn connected(real: impl FnOnce() -> c_int, fd: c_int) -> c_int {
    let result = real();
    if program::SERVES.load(Relaxed) && (result == 0 || errno::is(libc::EINPROGRESS)) {
        let _errno = errno::Guard::new();
        behind::connects(fd);
    }
    result
}

/// `close`. Before the call: afterwards the number may be somebody else's at once.
#[inline]
pub fn closed(real: impl FnOnce() -> c_int, fd: c_int) -> c_int {
    table::forget(fd);
    real()
}

/// `close_range`.
#[inline]
pub fn closed_range(
    real: impl FnOnce() -> c_int,
    first: c_uint,
    last: c_uint,
    flags: c_int,
) -> c_int {
    if flags & CLOSE_RANGE_CLOEXEC as c_int == 0 && first <= last {
        table::forget_range(first, last);
    }
    // Threads of ours would keep the table that this one leaves, and so what it closes from now on.
    if flags as c_uint & CLOSE_RANGE_UNSHARE != 0 {
        restricted(real)
    } else {
        real()
    }
}

/// `closefrom`.
#[inline]
pub fn closed_from(real: impl FnOnce(), first: c_int) {
    table::forget_range(first.max(0).unsigned_abs(), c_uint::MAX);
    real();
}

/// `dup`: the new number may have been a connection's, closed by ways that no hook sees.
#[inline]
pub fn duplicated(real: impl FnOnce() -> c_int, fd: c_int) -> c_int {
    let new = real();
    table::forget(new);
    if new >= 0 {
        shared(fd);
        let _ = numbers::is_duplicated_now(new);
    }
    new
}

/// This number is not the only one of what it names from now on.
#[inline]
pub fn shared(fd: c_int) {
    if let Some(slot) = table::accepted(fd) {
        let _errno = errno::Guard::new();
        slot.share(fd);
    }
    if numbers::is_duplicated_now(fd) {
        table::share_instance(fd);
    }
}

/// `dup2` and `dup3` close the number that they take over.
#[inline]
pub fn replaced(real: impl FnOnce() -> c_int, fd: c_int, onto: c_int) -> c_int {
    if fd != onto {
        table::forget(onto);
    }
    let new = real();
    if new >= 0 && fd != onto {
        shared(fd);
        let _ = numbers::is_duplicated_now(new);
    }
    new
}

/// `fcntl`: of interest only where it makes a new number.
#[inline]
pub fn controlled(real: impl FnOnce() -> c_int, fd: c_int, command: c_int) -> c_int {
    if matches!(command, F_DUPFD | F_DUPFD_CLOEXEC) {
        duplicated(real, fd)
    } else {
        real()
    }
}
