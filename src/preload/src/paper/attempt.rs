//! The first attempt: a system call without blocking the caller, by the best means that the kernel has for it.

#![allow(non_upper_case_globals)] // These are the kernel's names of system calls.

use super::calls::{Call, Path, Way};
use super::operation::{attempt_transfer, is_ready, perform, Answer, Operation, Route, Teacher};
use crate::fetch::file_system::{known, status, Kind, Status};
use crate::fetch::residency::{by_strides, first_missing};
use crate::fetch::resolver::File;
use crate::gate::is_nonblocking;
use crate::sys::address::is_readable;
use crate::sys::descriptors;
use laio_core::gate::Side;
use libc::*;
use rustix::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::net::sockopt::{socket_acceptconn, socket_timeout, Timeout};

/// What has come of it.
pub enum Attempt {
    /// This is what the kernel has answered.
    Done(Answer),
    /// It would block.
    Left(Operation),
}

use Attempt::{Done, Left};

/// A helper makes the call; it blocks for sure.
const SLOW: Route = Route::Helper {
    is_patient: false,
    is_endless: false,
};

/// A helper makes the call, and most likely returns at once.
const QUICK: Route = Route::Helper {
    is_patient: true,
    is_endless: false,
};

/// A helper makes the call, which may return at once or never.
const ENDLESS: Route = Route::Helper {
    is_patient: true,
    is_endless: true,
};

/// A helper makes the call, which blocks for sure and may do so for ever.
const SLEEP: Route = Route::Helper {
    is_patient: false,
    is_endless: true,
};

/// What is open under a number, as far as it matters here.
enum Target {
    /// A file or a directory of a file system that answers from memory what it has there.
    Local(Status),
    /// One without a disk.
    Memory,
    /// One that may have to ask somebody, or of which that is not known (`false`).
    Opaque(bool),
    /// A pipe or a socket: it has readiness, and can be tried without waiting.
    Stream,
    /// A terminal, a device, a timer: it can only be asked whether it is ready.
    Other,
}

/// Tries a call. The caller has seen that it is not to be refused.
pub fn attempt(call: &Call, way: Way) -> Attempt {
    let left = |route| Left(Operation::new(*call, route));
    match way {
        Way::Transfer(side) => transfer(call, side),
        Way::Straight | Way::Refused => straight(call),
        Way::Message(side, flags) => message(call, side, flags),
        Way::Accept => accept(call),
        Way::Open(path) => open(call, path),
        Way::LookUp(path) => look_up(call, path),
        Way::Ask | Way::Close => ask(call),
        Way::Sendfile => send_file(call),
        Way::Helper => left(QUICK),
        Way::Endless if !may_wait(call) => straight(call),
        Way::Endless => left(ENDLESS),
        Way::Slow => left(SLOW),
        Way::Sleep => left(SLEEP),
    }
}

fn straight(call: &Call) -> Attempt {
    Done(perform(call))
}

fn left(call: &Call, route: Route) -> Attempt {
    Left(Operation::new(*call, route))
}

/// Whether a call that waits for somebody was not told to wait no time.
fn may_wait(call: &Call) -> bool {
    match call.number {
        #[cfg(target_arch = "x86_64")]
        SYS_poll => call.int(2) != 0,
        #[cfg(target_arch = "x86_64")]
        SYS_epoll_wait => call.int(3) != 0,
        SYS_epoll_pwait => call.int(3) != 0,
        SYS_flock => call.int(1) & LOCK_NB == 0,
        SYS_wait4 => call.int(2) & WNOHANG == 0,
        SYS_waitid => call.int(3) & WNOHANG == 0,
        SYS_connect => !is_nonblocking(call.int(0)),
        _ => true,
    }
}

/// Reads and writes.
fn transfer(call: &Call, side: Side) -> Attempt {
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
        Err(EINVAL) => return straight(call),
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

/// The kernel cannot try this transfer without waiting.
#[cold]
fn cannot_say(call: &Call) -> Attempt {
    let fd = call.int(0);
    match target(fd) {
        Target::Memory => straight(call),
        Target::Local(_) => left(call, QUICK),
        Target::Opaque(is_known) => taught(call, is_known),
        Target::Stream | Target::Other if is_nonblocking(fd) => straight(call),
        Target::Stream | Target::Other => left(call, ENDLESS),
    }
}

/// A call about an opaque file system. One that is not known yet becomes so.
fn taught(call: &Call, is_known: bool) -> Attempt {
    let mut operation = Operation::new(*call, QUICK);
    operation.teacher = (!is_known).then_some(Teacher::Descriptor);
    Left(operation)
}

/// Receiving and sending.
fn message(call: &Call, side: Side, flags: usize) -> Attempt {
    let asked = call.int(flags);
    if asked & MSG_DONTWAIT != 0 {
        return straight(call);
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
fn accept(call: &Call) -> Attempt {
    let fd = call.int(0);
    // SAFETY: the application passes this number to a call right now.
    let listens = || socket_acceptconn(unsafe { descriptors::borrow(fd) }) == Ok(true);
    if is_ready(fd, Side::Read) || is_nonblocking(fd) || !listens() {
        return straight(call);
    }
    left(call, when_ready(fd, Side::Read))
}

/// Opening a path that is there.
fn open(call: &Call, path: Path) -> Attempt {
    let (flags, resolve) = match call.number {
        SYS_openat2 => {
            let how = call.word(2) as *const u64;
            if call.word(3) as usize != size_of::<open_how>() || !is_whole_readable(how) {
                return left(call, QUICK);
            }
            // SAFETY: it can be read, which was asked just now.
            let how = unsafe { &*how.cast::<open_how>() };
            (how.flags, how.resolve)
        }
        #[cfg(target_arch = "x86_64")]
        SYS_open => (call.int(1) as u64, 0),
        _ => (call.int(2) as u64, 0),
    };
    if flags & (O_CREAT | O_TRUNC | (O_TMPFILE & !O_DIRECTORY)) as u64 != 0 {
        return left(call, QUICK);
    }
    let looks_as = flags & (O_NOFOLLOW | O_DIRECTORY) as u64;
    let named = match look(call, path, looks_as, resolve) {
        Ok(named) => named,
        Err(Errno::AGAIN) => return left(call, SLOW),
        // A sandbox may refuse the look, and not the call.
        Err(Errno::PERM | Errno::NOSYS) => return left(call, QUICK),
        // It is known without the disk, and the same for the call itself.
        Err(error) => return Done(Err(error.raw_os_error())),
    };
    match target_of(named.as_fd()) {
        Target::Local(_) | Target::Memory => {}
        // Its server is asked.
        Target::Opaque(is_known) => return taught_by(call, (!is_known).then_some(named)),
        Target::Stream | Target::Other => return left(call, ENDLESS),
    }
    drop(named);
    // Flags that `open` ignores `openat2` refuses.
    let how = How {
        flags: if call.number == SYS_openat2 {
            flags
        } else {
            flags & KNOWN_FLAGS
        },
        mode: 0,
        resolve: resolve | RESOLVE_CACHED,
    };
    match open_by(call, path, &how) {
        Err(EAGAIN) => left(call, SLOW),
        answer => Done(answer),
    }
}

/// What the kernel calls `struct open_how`.
#[repr(C)]
struct How {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// All flags that opening something that is there can have.
const KNOWN_FLAGS: u64 = (O_ACCMODE
    | O_APPEND
    | O_ASYNC
    | O_CLOEXEC
    | O_DIRECT
    | O_DIRECTORY
    | O_DSYNC
    | O_EXCL
    | O_LARGEFILE
    | O_NOATIME
    | O_NOCTTY
    | O_NOFOLLOW
    | O_NONBLOCK
    | O_PATH
    | O_SYNC) as u64
    // The C library has none for it where files are always large.
    | 0o100_000;

fn open_by(call: &Call, path: Path, how: &How) -> Answer {
    let at = path
        .at
        .map_or(c_long::from(AT_FDCWD), |argument| call.word(argument));
    let size = size_of::<How>() as c_long;
    let arguments = [
        at,
        call.word(path.path),
        &raw const *how as c_long,
        size,
        0,
        0,
    ];
    perform(&Call {
        number: SYS_openat2,
        arguments,
    })
}

/// Names what is at a path, if that is in memory; touches neither a pipe's other end nor a device.
fn look(call: &Call, path: Path, flags: u64, resolve: u64) -> Result<File, Errno> {
    let how = How {
        flags: flags | (O_PATH | O_CLOEXEC) as u64,
        mode: 0,
        resolve: resolve | RESOLVE_CACHED,
    };
    let fd = open_by(call, path, &how).map_err(Errno::from_raw_os_error)?;
    // SAFETY: the kernel has just given us this descriptor.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd as c_int) }))
}

fn is_whole_readable(how: *const u64) -> bool {
    const WORDS: usize = size_of::<open_how>() / size_of::<u64>();
    (0..WORDS).all(|word| is_readable(how.wrapping_add(word)))
}

/// Calls that look a path up and ask no more than what is in memory then.
fn look_up(call: &Call, path: Path) -> Attempt {
    let flags = if path.follows { 0 } else { O_NOFOLLOW } as u64;
    match look(call, path, flags, 0) {
        Err(Errno::AGAIN) => left(call, SLOW),
        Err(_) => straight(call),
        Ok(named) => match target_of(named.as_fd()) {
            Target::Opaque(is_known) => taught_by(call, (!is_known).then_some(named)),
            _ => straight(call),
        },
    }
}

/// A call about a path of an opaque file system, which becomes known by what is `named`.
fn taught_by(call: &Call, named: Option<File>) -> Attempt {
    let mut operation = Operation::new(*call, QUICK);
    operation.teacher = named.map(Teacher::Named);
    Left(operation)
}

/// Calls about an open file that ask its file system no more than what is in memory.
fn ask(call: &Call) -> Attempt {
    match target(call.int(0)) {
        Target::Opaque(is_known) => taught(call, is_known),
        _ => straight(call),
    }
}

/// As much as `sendfile` is asked to send that is looked for in memory, at the most.
const LOOKED_AT: u64 = 1 << 20;

fn send_file(call: &Call) -> Attempt {
    let (to, from) = (call.int(0), call.int(1));
    if !is_nonblocking(to) {
        // It may wait for the reader.
        return left(call, ENDLESS);
    }
    match target(from) {
        Target::Memory => straight(call),
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
                return straight(call);
            };
            let length = (call.word(3) as u64).min(LOOKED_AT);
            let end = start.saturating_add(length).min(status.size);
            if is_resident(from, start, end) {
                straight(call)
            } else {
                left(call, SLOW)
            }
        }
        Target::Opaque(is_known) => taught(call, is_known),
        Target::Stream | Target::Other => left(call, ENDLESS),
    }
}

/// Whether a part of a file is in memory.
fn is_resident(file: c_int, start: u64, end: u64) -> bool {
    // SAFETY: the application passes this number to a call right now.
    let file = unsafe { descriptors::borrow(file) };
    let missing = (start < end).then(|| first_missing(file, by_strides(start, end), |_| false));
    // Where it is shorter by now the call will say so.
    !matches!(missing.flatten(), Some((_, Some(_))))
}

/// Whether it is a file with positions: asked by the cheapest call that tells.
fn is_seekable(fd: c_int) -> bool {
    // SAFETY: the application passes this number to a call right now.
    rustix::fs::tell(unsafe { descriptors::borrow(fd) }) != Err(Errno::SPIPE)
}

fn target(fd: c_int) -> Target {
    // SAFETY: the application passes this number to a call right now.
    target_of(unsafe { descriptors::borrow(fd) })
}

fn target_of(fd: BorrowedFd<'_>) -> Target {
    let Ok(status) = status(fd) else {
        // The call answers for itself.
        return Target::Memory;
    };
    match FileType::from_raw_mode(status.mode) {
        FileType::RegularFile | FileType::Directory | FileType::Symlink => {
            match known(status.device) {
                Some(Kind::Probing) => Target::Local(status),
                Some(Kind::Memory) => Target::Memory,
                Some(Kind::Opaque | Kind::Forgetful) => Target::Opaque(true),
                None => Target::Opaque(false),
            }
        }
        FileType::BlockDevice => Target::Local(status),
        FileType::Fifo | FileType::Socket => Target::Stream,
        _ => Target::Other,
    }
}
