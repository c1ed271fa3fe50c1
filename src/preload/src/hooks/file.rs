//! Operations on files: performed as asked, timed, and learnt from.

use crate::event_loop::{self, Operation, Subject};
use crate::guest::{clock, errno};
use crate::readiness::table;
use laio_core::rules::Depth;
use laio_core::stats::Call;
use libc::{c_char, c_int, AT_FDCWD, O_ACCMODE, O_CREAT, O_DIRECTORY, O_PATH, O_RDONLY, PATH_MAX};

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
        Operation {
            call: Call::Open,
            subject: subject(at, path, reads.then_some(depth)),
        }
    });
    // The number may have been a connection's that was closed by ways that no hook sees.
    table::forget(fd);
    fd
}

/// A call that looks a path up.
#[inline]
pub fn looked_up<R>(real: impl FnOnce() -> R, path: *const c_char, call: Call, depth: Depth) -> R {
    timed(real, || Operation {
        call,
        subject: subject(AT_FDCWD, path, Some(depth)),
    })
}

/// `fstatat` and its kin.
#[inline]
pub fn looked_up_at<R>(real: impl FnOnce() -> R, at: c_int, path: *const c_char) -> R {
    timed(real, || Operation {
        call: Call::Stat,
        subject: subject(at, path, Some(Depth::Name)),
    })
}

/// `readdir`.
#[inline]
pub fn read_directory<R>(real: impl FnOnce() -> R) -> R {
    timed(real, || Operation {
        call: Call::Readdir,
        subject: Subject::Nameless,
    })
}

/// `read` of something that is no client connection.
#[inline]
pub fn read_file<R>(real: impl FnOnce() -> R, fd: c_int) -> R {
    timed(real, || Operation {
        call: Call::Read,
        subject: Subject::Descriptor(fd),
    })
}

/// `pread`.
#[inline]
pub fn read_at<R>(real: impl FnOnce() -> R, fd: c_int) -> R {
    timed(real, || Operation {
        call: Call::Pread,
        subject: Subject::Descriptor(fd),
    })
}

/// `sendfile` from a file.
#[inline]
pub fn sent_file<R>(real: impl FnOnce() -> R, fd: c_int) -> R {
    timed(real, || Operation {
        call: Call::Sendfile,
        subject: Subject::Descriptor(fd),
    })
}

/// Performs a call on an event loop's thread and tells the loop how long it took. What the call was
/// about is worked out only where it matters.
#[inline]
fn timed<'a, R>(real: impl FnOnce() -> R, operation: impl FnOnce() -> Operation<'a>) -> R {
    let Some(here) = event_loop::here() else {
        return real();
    };
    let begin = clock::ticks();
    let result = real();
    let end = clock::ticks();
    here.with(|state| {
        state.operated(end.saturating_sub(begin), || {
            // A path that the kernel could not read we cannot read either.
            (!errno::is(libc::EFAULT)).then(operation)
        });
    });
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
