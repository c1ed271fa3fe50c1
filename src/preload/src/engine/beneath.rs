//! Opening a predicted path without following a stranger out of the learnt directory.
//!
//! Targets come from strangers. A predicted path is resolved beneath the directory that the server
//! itself was seen to use, never through a magic link, first with `O_PATH`, which touches neither a
//! FIFO's writer nor a device. Only what turns out to be a regular file or a directory is opened.

use laio_core::predictions::Prediction;
use rustix::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd};
use rustix::fs::{openat2, Mode, OFlags, ResolveFlags, CWD};
use rustix::io::Errno;
use rustix::path::Arg;
use std::mem::ManuallyDrop;

/// A descriptor that is closed by a raw system call. An `OwnedFd` would call the C library's
/// `close`, which is our own hook: on a helper thread it would take the number for one of the
/// application's.
#[derive(Debug)]
pub struct File(ManuallyDrop<OwnedFd>);

impl From<OwnedFd> for File {
    fn from(fd: OwnedFd) -> File {
        File(ManuallyDrop::new(fd))
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: the descriptor is owned, is taken out here only, and is used no more.
        unsafe { rustix::io::close(ManuallyDrop::take(&mut self.0).into_raw_fd()) };
    }
}

/// Whether a look at the disk is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Only what is in memory: `EAGAIN` where the disk would be asked.
    Cached,
    /// As long as it takes.
    Wait,
}

impl Patience {
    fn flags(self) -> ResolveFlags {
        match self {
            Patience::Cached => ResolveFlags::CACHED,
            Patience::Wait => ResolveFlags::empty(),
        }
    }
}

/// The learnt directory of a prediction and the path beneath it.
pub struct Beneath<'p> {
    directory: Option<File>,
    rest: &'p [u8],
    patience: Patience,
}

impl<'p> Beneath<'p> {
    /// Opens the learnt directory.
    pub fn new(prediction: Prediction<'p>, patience: Patience) -> Result<Beneath<'p>, Errno> {
        let (directory, rest) = prediction
            .path
            .split_at_checked(prediction.root)
            .ok_or(Errno::INVAL)?;
        // A target such as `//etc` leaves an absolute rest; beneath the directory it is relative.
        let start = rest
            .iter()
            .position(|&byte| byte != b'/')
            .unwrap_or(rest.len());
        let rest = rest
            .get(start..)
            .filter(|rest| !rest.is_empty())
            .unwrap_or(b".");
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = match directory {
            b"" => None,
            path => Some(openat2(CWD, path, flags, Mode::empty(), patience.flags())?.into()),
        };
        Ok(Beneath {
            directory,
            rest,
            patience,
        })
    }

    /// Names the file without opening it.
    pub fn look(&self) -> Result<File, Errno> {
        self.resolve(OFlags::PATH)
    }

    /// Opens it for reading; the caller has seen that it is a regular file.
    pub fn open(&self) -> Result<File, Errno> {
        self.resolve(OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)
    }

    /// Opens it for listing.
    pub fn open_directory(&self) -> Result<File, Errno> {
        self.resolve(OFlags::RDONLY | OFlags::DIRECTORY)
    }

    fn resolve(&self, flags: OFlags) -> Result<File, Errno> {
        let directory = self.directory.as_ref().map_or(CWD, AsFd::as_fd);
        let how = self.patience.flags() | ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        self.rest.into_with_c_str(|path| {
            openat2(directory, path, flags | OFlags::CLOEXEC, Mode::empty(), how).map(File::from)
        })
    }
}
