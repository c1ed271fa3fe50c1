//! What a descriptor of a call is, as far as that decides whether the call may block.

use crate::fetch::file_system::{known, status, Kind, Status};
use crate::fetch::residency::{by_strides, first_missing};
use crate::sys::descriptors;
use libc::c_int;
use rustix::fd::BorrowedFd;
use rustix::fs::FileType;
use rustix::io::Errno;

/// What is open under a number, as far as it matters here.
pub(super) enum Target {
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

/// Whether a part of a file is in memory.
pub(super) fn is_resident(file: c_int, start: u64, end: u64) -> bool {
    // SAFETY: the application passes this number to a call right now.
    let file = unsafe { descriptors::borrow(file) };
    let missing = (start < end).then(|| first_missing(file, by_strides(start, end), |_| false));
    // Where it is shorter by now the call will say so.
    !matches!(missing.flatten(), Some((_, Some(_))))
}

/// Whether it is a file with positions: asked by the cheapest call that tells.
pub(super) fn is_seekable(fd: c_int) -> bool {
    // SAFETY: the application passes this number to a call right now.
    rustix::fs::tell(unsafe { descriptors::borrow(fd) }) != Err(Errno::SPIPE)
}

pub(super) fn target(fd: c_int) -> Target {
    // SAFETY: the application passes this number to a call right now.
    target_of(unsafe { descriptors::borrow(fd) })
}

pub(super) fn target_of(fd: BorrowedFd<'_>) -> Target {
    let Ok(status) = status(fd) else {
        // The call answers for itself.
        return Target::Memory;
    };
    match FileType::from_raw_mode(status.mode) {
        FileType::RegularFile | FileType::Directory | FileType::Symlink => {
            match known(status.device) {
                Some(Kind::Probing) => Target::Local(status),
                Some(Kind::Memory) => Target::Memory,
                Some(Kind::Opaque | Kind::Remote | Kind::Forgetful) => Target::Opaque(true),
                None => Target::Opaque(false),
            }
        }
        FileType::BlockDevice => Target::Local(status),
        FileType::Fifo | FileType::Socket => Target::Stream,
        _ => Target::Other,
    }
}
