//! Attempts at calls that move data: files, sockets, pipes.

#![allow(non_upper_case_globals)] // These are the kernel's names of system calls.

use super::outcome::Attempt::{self, Done, Left};
use super::outcome::*;
use super::target::*;
use crate::gate::is_nonblocking;
use crate::paper::calls::Call;
use crate::paper::operation::*;
use crate::sys::address::is_readable;
use crate::sys::descriptors;
use laio_core::gate::Side;
use libc::*;
use rustix::net::sockopt::{socket_acceptconn, socket_timeout, Timeout};

/// Reads and writes.
pub(super) fn transfer(call: &Call, side: Side) -> Attempt {
    let answer = attempt_transfer(call);
    let is_single = matches!(
        call.number,
        SYS_read | SYS_pread64 | SYS_write | SYS_pwrite64
    );
    if is_single && answer == Ok(call.word(2)) {
        return Done(answer);
    }
    partly_transferred(call, side, answer)
}

/// A transfer was tried, and most likely not all of it was there.
#[cold]
pub fn partly_transferred(call: &Call, side: Side, answer: Answer) -> Attempt {
    let count = match answer {
        Ok(count) => count,
        Err(EAGAIN) => return would_block(call, side),
        // The last may be the answer of a sandbox to the attempt, and not to the call.
        Err(EOPNOTSUPP | ENOSYS | EPERM) => return cannot_say(call),
        // A vector is refused for other reasons than a buffer.
        Err(EINVAL) => return at_once(call),
        Err(_) => return Done(answer),
    };
    let mut operation = Operation::new(*call, SLOW);
    if count == 0 || count >= operation.wanted() {
        return Done(answer);
    }
    if side == Side::Read && !is_seekable(call.int(0)) {
        // A stream has no end to be read up to: what has come is the whole.
        return Done(answer);
    }
    match (target(call.int(0)), side) {
        // Either this was the end of the file, or the rest is not in memory.
        (Target::Local(_) | Target::Opaque(_), Side::Read) => {
            if !operation.has_done(count) {
                return Done(answer);
            }
            operation.advance().map_or(Left(operation), Done)
        }
        (Target::Stream | Target::Other, Side::Write) if !is_nonblocking(call.int(0)) => {
            if !operation.has_done(count) {
                return Done(answer);
            }
            operation.route = when_ready(call.int(0), side);
            Left(operation)
        }
        (Target::Local(_) | Target::Opaque(_), Side::Write) if operation.has_done(count) => {
            Left(operation)
        }
        _ => Done(answer),
    }
}

/// The kernel has said `EAGAIN`.
#[cold]
fn would_block(call: &Call, side: Side) -> Attempt {
    let fd = call.int(0);
    if let Some(route) = when_socket_ready(fd, side) {
        return if is_nonblocking(fd) {
            Done(Err(EAGAIN))
        } else {
            left(call, route)
        };
    }
    match target(fd) {
        Target::Local(_) | Target::Memory | Target::Opaque(_) => left(
            call,
            match side {
                Side::Read => SLOW,
                Side::Write => QUICK,
            },
        ),
        Target::Stream | Target::Other if is_nonblocking(fd) => Done(Err(EAGAIN)),
        Target::Stream => left(call, Route::Ready(fd, side)),
        Target::Other => left(call, ENDLESS),
    }
}

/// Who waits for a stream.
fn when_ready(fd: c_int, side: Side) -> Route {
    when_socket_ready(fd, side).unwrap_or(Route::Ready(fd, side))
}

/// Who waits for a socket; nothing where it is none. One with a time limit of its own is left to the kernel.
fn when_socket_ready(fd: c_int, side: Side) -> Option<Route> {
    let timeout = match side {
        Side::Read => Timeout::Recv,
        Side::Write => Timeout::Send,
    };
    // SAFETY: the application passes this number to a call right now.
    let socket = unsafe { descriptors::borrow(fd) };
    let limit = socket_timeout(socket, timeout).ok()?;
    Some(limit.map_or(Route::Ready(fd, side), |_| SLEEP))
}

/// Receiving and sending.
pub(super) fn message(call: &Call, side: Side, flags: usize) -> Attempt {
    let asked = call.int(flags);
    if asked & MSG_DONTWAIT != 0 {
        return at_once(call);
    }
    if side == Side::Read && asked & MSG_WAITALL != 0 {
        // What has come cannot be taken before all has.
        return left(call, ENDLESS);
    }
    let without_waiting = call.with(flags, c_long::from(asked | MSG_DONTWAIT));
    match (perform(&without_waiting), side) {
        (Err(EAGAIN), _) => would_block(call, side),
        (answer @ Ok(_), Side::Write) => partly_transferred(call, side, answer),
        (answer, _) => Done(answer),
    }
}

/// Accepting a connection.
pub(super) fn accept(call: &Call) -> Attempt {
    let fd = call.int(0);
    // SAFETY: the application passes this number to a call right now.
    let listens = || socket_acceptconn(unsafe { descriptors::borrow(fd) }) == Ok(true);
    if is_ready(fd, Side::Read) || is_nonblocking(fd) || !listens() {
        return at_once(call);
    }
    left(call, when_ready(fd, Side::Read))
}

/// As much as `sendfile` is asked to send that is looked for in memory, at the most.
const LOOKED_AT: u64 = 1 << 20;

pub(super) fn send_file(call: &Call) -> Attempt {
    let (to, from) = (call.int(0), call.int(1));
    if !is_nonblocking(to) {
        // It may wait for the reader.
        return left(call, ENDLESS);
    }
    match target(from) {
        Target::Memory => at_once(call),
        Target::Local(status) => {
            let offset = call.word(2) as *const u64;
            let start = if offset.is_null() {
                // SAFETY: the application passes this number to a call right now.
                rustix::fs::tell(unsafe { descriptors::borrow(from) }).ok()
            } else {
                // SAFETY: it can be read, which is asked before.
                is_readable(offset).then(|| unsafe { offset.read_unaligned() })
            };
            let Some(start) = start else {
                return at_once(call);
            };
            let length = (call.word(3) as u64).min(LOOKED_AT);
            let end = start.saturating_add(length).min(status.size);
            if is_resident(from, start, end) {
                at_once(call)
            } else {
                left(call, SLOW)
            }
        }
        Target::Opaque(is_known) => taught(call, is_known),
        Target::Stream | Target::Other => left(call, ENDLESS),
    }
}
