//! Operations on files: performed as asked, timed, and learnt from.

use super::body::{gate, has_produced, refuse, repeats, wrote_pipe};
use super::parts::Parts;
use crate::event_loop::{self, reporting, Asked, Operation, Subject, Transfer};
use crate::gate::{numbers, table};
use crate::sys::address::is_readable;
use crate::sys::{clock, descriptors, errno, usage};
use laio_core::predictions::Depth;
use laio_core::stats::Call;
use laio_core::stream::Source;
use libc::{c_char, c_int, c_uint, c_void, iovec, off64_t, size_t, ssize_t};
use libc::{AT_FDCWD, O_ACCMODE, O_CREAT, O_DIRECTORY, O_PATH, O_RDONLY, PATH_MAX};
use rustix::fd::BorrowedFd;

/// A read of less than this is no part of a body.
const SMALL: usize = 4096;

/// `open` of a path.
#[inline]
pub fn opened(real: impl FnOnce() -> c_int, path: *const c_char, flags: c_int) -> c_int {
    opened_at(real, AT_FDCWD, path, flags)
}

/// `openat` of a path.
#[inline]
pub fn opened_at(
    real: impl FnOnce() -> c_int,
    at: c_int,
    path: *const c_char,
    flags: c_int,
) -> c_int {
    let fd = timed(real, || {
        let reads = flags & (O_ACCMODE | O_CREAT) == O_RDONLY;
        let depth = match flags & (O_DIRECTORY | O_PATH) {
            0 => Depth::Data,
            flags if flags & O_PATH != 0 => Depth::Name,
            _ => Depth::Listing,
        };
        Operation::new(Call::Open, subject(at, path, reads.then_some(depth)))
    });
    // The number may have been a connection's that was closed by ways that no hook sees.
    table::forget(fd);
    descriptors::seen(fd);
    if let Some(here) = event_loop::here() {
        here.with(|state| state.has_opened(fd));
    }
    fd
}

/// A call that looks a path up.
#[inline]
pub fn looked_up<R>(real: impl FnOnce() -> R, path: *const c_char, call: Call, depth: Depth) -> R {
    timed(real, || {
        Operation::new(call, subject(AT_FDCWD, path, Some(depth)))
    })
}

/// `fstatat` and its kin.
#[inline]
pub fn looked_up_at<R>(real: impl FnOnce() -> R, at: c_int, path: *const c_char) -> R {
    timed(real, || {
        Operation::new(Call::Stat, subject(at, path, Some(Depth::Name)))
    })
}

/// `fstat` and its kin: a file system of another machine, or of another process, is asked anew for attributes that
/// are old.
#[inline]
pub fn looked_at<R>(real: impl FnOnce() -> R, fd: c_int) -> R {
    timed(real, || Operation::new(Call::Stat, Subject::Descriptor(fd)))
}

/// `readdir`.
#[inline]
pub fn read_directory<R>(real: impl FnOnce() -> R) -> R {
    timed(real, || Operation::new(Call::Readdir, Subject::Nameless))
}

/// `read` of something that is no client connection.
#[inline]
pub fn read_file(
    real: impl FnOnce() -> ssize_t,
    fd: c_int,
    buffer: *mut c_void,
    size: size_t,
) -> ssize_t {
    let asked = || Asked::next(size);
    let count = timed_read(real, fd, Call::Read, asked);
    has_filled(buffer, count);
    if is_whole(count, size) {
        has_read(fd, count, |file| {
            let end = rustix::fs::tell(file).ok()?;
            Some(end.saturating_sub(size as u64))
        });
    }
    count
}

/// `pread`.
#[inline]
pub fn read_at(
    real: impl FnOnce() -> ssize_t,
    fd: c_int,
    buffer: *mut c_void,
    offset: off64_t,
    size: size_t,
) -> ssize_t {
    let count = timed_read(real, fd, Call::Pread, || Asked::at(offset, size));
    has_filled(buffer, count);
    if is_whole(count, size) {
        has_read(fd, count, |_| u64::try_from(offset).ok());
    }
    count
}

/// A read has put so many bytes of a file there.
#[inline]
fn has_filled(buffer: *mut c_void, count: ssize_t) {
    let (Some(here), Ok(count @ 1..)) = (event_loop::here(), usize::try_from(count)) else {
        return;
    };
    here.with(|state| {
        if state.follows_bodies() {
            state.has_filled(buffer.addr()..buffer.addr().saturating_add(count));
        }
    });
}

/// `readv` of something that is no client connection.
#[inline]
pub fn read_vector(
    real: impl FnOnce() -> ssize_t,
    fd: c_int,
    vector: *const iovec,
    count: c_int,
) -> ssize_t {
    timed_read(real, fd, Call::Read, || Asked::next(size_of(vector, count)))
}

/// `preadv` and its kin.
#[inline]
pub fn read_vector_at(
    real: impl FnOnce() -> ssize_t,
    fd: c_int,
    vector: *const iovec,
    count: c_int,
    offset: off64_t,
) -> ssize_t {
    let asked = || Asked::at(offset, size_of(vector, count));
    timed_read(real, fd, Call::Pread, asked)
}

/// How much a vector has room for; 0 where that is not to be said.
fn size_of(vector: *const iovec, count: c_int) -> size_t {
    let parts = usize::try_from(count).ok();
    let parts = parts.and_then(|count| Parts::of(vector, count));
    parts.map_or(0, |parts| parts.size())
}

#[inline]
fn timed_read(
    real: impl FnOnce() -> ssize_t,
    fd: c_int,
    call: Call,
    asked: impl FnOnce() -> Asked,
) -> ssize_t {
    timed(real, || Operation {
        asked: asked(),
        ..Operation::new(call, Subject::Descriptor(fd))
    })
}

/// `sendfile` from a file: the body gate, where it is to a client connection.
#[inline]
pub fn sent_file(
    real: impl FnOnce() -> ssize_t,
    to: c_int,
    from: c_int,
    offset: *mut off64_t,
    count: size_t,
) -> ssize_t {
    let operation = || Operation::new(Call::Sendfile, Subject::Descriptor(from));
    if let Some(slot) = repeats(to, count) {
        let sent = timed(real, operation);
        slot.has_sent_of_repeated(sent);
        return sent;
    }
    let mut source = None;
    let transfer = gate(to, |state, slot| {
        // The kernel refuses what looks negative to it.
        if !state.follows_bodies() || count > isize::MAX as usize {
            return Transfer::PassThrough;
        }
        let _errno = errno::Guard::new();
        let start = if offset.is_null() {
            // SAFETY: the application passes this number to a call right now.
            rustix::fs::tell(unsafe { descriptors::borrow(from) }).ok()
        } else if is_readable(offset.cast()) {
            // SAFETY: it can be read, which was asked just now.
            u64::try_from(unsafe { offset.read_unaligned() }).ok()
        } else {
            None
        };
        let (Some(start), Some(file)) = (start, numbers::open_file(from)) else {
            return Transfer::PassThrough;
        };
        let range = start..start.saturating_add(count as u64);
        let source = source.insert(Source { file, range });
        state.before_transfer(to, slot, source.clone())
    });
    let sent = match transfer {
        Transfer::PassThrough => timed(real, operation),
        // SAFETY: the application's own arguments, but for the count, which is smaller.
        Transfer::AtMost(most) => timed(
            || unsafe { super::sendfile64::real(to, from, offset, most as size_t) },
            operation,
        ),
        Transfer::Later => return refuse(),
    };
    if let Some(source) = source {
        has_produced(to, sent, |state, slot, count| {
            state.has_transferred(slot, &source, count as u64);
        });
    }
    sent
}

/// `splice`: a write where it is to a client connection. From a file into a pipe it is a read, which tells
/// what the next such write is for.
#[inline]
pub fn spliced(
    real: impl FnOnce() -> ssize_t,
    from: c_int,
    offset: *mut off64_t,
    to: c_int,
    into: *mut off64_t,
    size: size_t,
    flags: c_uint,
) -> ssize_t {
    if table::accepted(to).is_some() {
        let has_offset = !offset.is_null() || !into.is_null();
        return wrote_pipe(real, to, from, has_offset, size, flags);
    }
    let count = timed_read(real, from, Call::Splice, Asked::default);
    if count > 0 {
        has_read(from, count, |file| {
            let end = if offset.is_null() {
                rustix::fs::tell(file).ok()
            } else {
                // SAFETY: the kernel has just written it.
                u64::try_from(unsafe { offset.read_unaligned() }).ok()
            };
            Some(end?.saturating_sub(count.unsigned_abs() as u64))
        });
    }
    count
}

/// Whether a read brought all that was asked for, and so most likely is not the last.
#[inline]
fn is_whole(count: ssize_t, size: size_t) -> bool {
    size >= SMALL && usize::try_from(count) == Ok(size)
}

/// A file was read; `start` tells from where, and is asked only where it matters.
#[inline]
fn has_read(fd: c_int, count: ssize_t, start: impl FnOnce(BorrowedFd<'_>) -> Option<u64>) {
    let Some(here) = event_loop::here() else {
        return;
    };
    here.with(|state| {
        if !state.follows_bodies() {
            return;
        }
        // SAFETY: the application has just passed this number to the same call.
        let start = start(unsafe { descriptors::borrow(fd) });
        if let (Some(start), Some(file)) = (start, numbers::open_file(fd)) {
            state.has_read_file(
                file,
                start..start.saturating_add(count.unsigned_abs() as u64),
            );
        }
    });
}

/// Performs a call and tells the event loop whose thread this is, or those that there are, how long it took. What the call was
/// about is worked out only where it matters.
#[inline]
fn timed<'a, R>(real: impl FnOnce() -> R, operation: impl FnOnce() -> Operation<'a>) -> R {
    let here = event_loop::here();
    if here.is_none() && !reporting::is_of_interest() {
        return real();
    }
    let before = usage::sleeps_before();
    let begin = clock::ticks();
    let result = real();
    let ticks = clock::ticks().saturating_sub(begin);
    // A path that the kernel could not read we cannot read either.
    let what = || (!errno::is(libc::EFAULT)).then(operation);
    match here {
        Some(here) => drop(here.with(|state| state.operated(ticks, before, what))),
        None => reporting::operated(ticks, before, what),
    }
    result
}

/// The path of a call that has returned; `depth` where it is one to learn from.
fn subject<'a>(at: c_int, path: *const c_char, depth: Option<Depth>) -> Subject<'a> {
    if path.is_null() {
        return Subject::Nameless;
    }
    // SAFETY: the kernel has just read this path, to its NUL or for PATH_MAX bytes, and found no
    // fault; it lives until the hook returns, for the application passed it to the hook.
    let path = unsafe {
        let length = libc::strnlen(path, PATH_MAX as usize);
        std::slice::from_raw_parts(path.cast::<u8>(), length)
    };
    match depth {
        Some(depth) if at == AT_FDCWD || path.first() == Some(&b'/') => Subject::Path(path, depth),
        _ => Subject::Unlearnt(path),
    }
}
