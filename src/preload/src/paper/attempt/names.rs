//! Attempts at calls that look up names.

#![allow(non_upper_case_globals)] // These are the kernel's names of system calls.

use super::outcome::Attempt::{self, Done, Left};
use super::outcome::*;
use super::target::*;
use crate::fetch::resolver::File;
use crate::paper::calls::{Call, Path};
use crate::paper::operation::*;
use crate::sys::address::is_readable;
use libc::*;
use rustix::fd::{AsFd, FromRawFd, OwnedFd};
use rustix::io::Errno;

/// Opening a path that is there.
pub(super) fn open(call: &Call, path: Path) -> Attempt {
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
        // A sandbox may refuse the look, and not the call; an older kernel does not know how to look.
        Err(Errno::PERM | Errno::NOSYS | Errno::INVAL) => return left(call, QUICK),
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
pub(super) fn look_up(call: &Call, path: Path) -> Attempt {
    let flags = if path.follows { 0 } else { O_NOFOLLOW } as u64;
    match look(call, path, flags, 0) {
        Err(Errno::AGAIN) => left(call, SLOW),
        Err(_) => at_once(call),
        Ok(named) => match target_of(named.as_fd()) {
            Target::Opaque(is_known) => taught_by(call, (!is_known).then_some(named)),
            _ => at_once(call),
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
pub(super) fn ask(call: &Call) -> Attempt {
    match target(call.int(0)) {
        Target::Opaque(is_known) => taught(call, is_known),
        _ => at_once(call),
    }
}
