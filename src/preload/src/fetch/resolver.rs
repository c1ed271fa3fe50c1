//! Opening a predicted path without following a stranger out of the learnt directory.
//!
//! Targets come from strangers. A predicted path is resolved beneath the directory that the server
//! itself was seen to use, never through a magic link, first with `O_PATH`, which touches neither a
//! FIFO's writer nor a device. Only what turns out to be a regular file or a directory is opened.
//! A prediction never climbs (`..`), so where there is no symbolic link its whole name will do. A link that leads out of the directory,
//! or says its whole name, is followed only to where the server itself was seen to go (`links`).

mod links;

use laio_core::links::Links;
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

/// How what a client has named is resolved.
const WITHIN: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);

/// How a path is kept beneath its learnt directory.
enum Way {
    /// By its whole name: where no symbolic link stands in it and nothing climbs, it leads nowhere else.
    Whole,
    /// From that directory, which may be reached by symbolic links; none where it is the working directory.
    From(Option<File>),
    /// From that directory, by that name: links were followed.
    Linked(File, Box<[u8]>),
}

/// The learnt directory of a prediction and the path beneath it.
pub struct Resolver<'p> {
    path: &'p [u8],
    directory: &'p [u8],
    rest: &'p [u8],
    patience: Patience,
    way: Way,
    links: Option<&'p Links>,
    hash: u64,
}

impl<'p> Resolver<'p> {
    /// Opens nothing yet.
    pub fn new(prediction: Prediction<'p>, patience: Patience) -> Result<Resolver<'p>, Errno> {
        let path = prediction.path;
        let (directory, rest) = path.split_at_checked(prediction.root).ok_or(Errno::INVAL)?;
        let is_one_name = directory.ends_with(b"/") || rest.starts_with(b"/") || rest.is_empty();
        let way = match directory {
            b"" => Way::From(None),
            _ if is_one_name => Way::Whole,
            _ => Way::From(Some(open_directory(directory, patience)?)),
        };
        // A target such as `//etc` leaves an absolute rest; beneath the directory it is relative.
        let start = rest
            .iter()
            .position(|&byte| byte != b'/')
            .unwrap_or(rest.len());
        let rest = rest
            .get(start..)
            .filter(|rest| !rest.is_empty())
            .unwrap_or(b".");
        Ok(Resolver {
            path,
            directory,
            rest,
            patience,
            way,
            links: None,
            hash: prediction.hash,
        })
    }

    /// The same, where links may be followed to what is known.
    pub fn with(self, links: &'p Links) -> Resolver<'p> {
        let links = Some(links);
        Resolver { links, ..self }
    }

    /// Names the file without opening it.
    pub fn look(&mut self) -> Result<File, Errno> {
        self.resolve(OFlags::PATH)
    }

    /// Opens it for reading; the caller has seen that it is a regular file.
    pub fn open(&mut self) -> Result<File, Errno> {
        self.resolve(OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)
    }

    /// Opens it for listing.
    pub fn open_directory(&mut self) -> Result<File, Errno> {
        self.resolve(OFlags::RDONLY | OFlags::DIRECTORY)
    }

    fn resolve(&mut self, flags: OFlags) -> Result<File, Errno> {
        if let Way::Whole = self.way {
            match self.openat2(CWD, self.path, flags, ResolveFlags::NO_SYMLINKS) {
                Err(Errno::LOOP) => {
                    self.way = Way::From(Some(open_directory(self.directory, self.patience)?));
                }
                result => return result,
            }
        }
        let (directory, rest) = match &self.way {
            Way::From(Some(directory)) => (directory.as_fd(), self.rest),
            Way::Linked(directory, rest) => (directory.as_fd(), &**rest),
            _ => (CWD, self.rest),
        };
        match self.openat2(directory, rest, flags, WITHIN) {
            // A link that climbs out of the directory, or begins at the root.
            Err(Errno::XDEV) if !matches!(self.way, Way::Linked(..)) => self.follow(flags),
            result => result,
        }
    }

    fn openat2(
        &self,
        directory: BorrowedFd<'_>,
        path: &[u8],
        flags: OFlags,
        within: ResolveFlags,
    ) -> Result<File, Errno> {
        let (flags, how) = (flags | OFlags::CLOEXEC, within | self.patience.flags());
        path.into_with_c_str(|path| {
            openat2(directory, path, flags, Mode::empty(), how).map(File::from)
        })
    }
}

fn open_directory(path: &[u8], patience: Patience) -> Result<File, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat2(CWD, path, flags, Mode::empty(), patience.flags()).map(File::from)
}
