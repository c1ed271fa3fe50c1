//! What a helper does: brings everything that a handler will want into memory.

use super::beneath::{Beneath, File, Patience};
use super::pool::Pins;
use laio_core::rules::{Depth, Prediction, Predictions};
use laio_core::stats::{Counter, Counters};
use rustix::fs::{
    fstat, makedev, open, sendfile, stat, statat, AtFlags, FileType, Mode, OFlags, RawDir,
};
use rustix::io::{pread, Errno};
use std::mem::MaybeUninit;

/// Names of a directory whose inodes are brought in at most.
const MAX_ENTRIES: usize = 4096;

/// How much is read at once.
const BUFFER: usize = 64 * 1024;

/// A request that waits, and what for.
#[derive(Debug, Default)]
pub struct Job {
    /// The connection.
    pub fd: i32,
    /// Its gate's ticket.
    pub ticket: u32,
    /// When it was submitted, in nanoseconds.
    pub submitted: u64,
    /// What it will touch.
    pub paths: Predictions,
}

/// A helper's means.
pub struct Worker<'p> {
    counters: &'static Counters,
    window: u64,
    pins: &'p Pins,
    /// `/dev/null`, where it is what it should be: what is sent there is read without being copied.
    sink: Option<File>,
    /// Where it is not, what is read lands here.
    buffer: Vec<u8>,
}

impl<'p> Worker<'p> {
    /// Means to bring in `window` bytes of each file and to keep it open among the `pins`.
    pub fn new(counters: &'static Counters, window: u64, pins: &'p Pins) -> Worker<'p> {
        Worker {
            counters,
            window,
            pins,
            sink: null_device(),
            buffer: Vec::new(),
        }
    }

    /// Brings in what one prediction names. Failures are the handler's to meet.
    pub fn warm(&mut self, prediction: Prediction<'_>) {
        match self.try_warm(prediction) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(_) => self.counters.count(Counter::PathsRefused),
        }
    }

    fn try_warm(&mut self, prediction: Prediction<'_>) -> Result<(), Errno> {
        let beneath = Beneath::new(prediction, Patience::Wait)?;
        let named = beneath.look()?;
        let kind = FileType::from_raw_mode(fstat(&named)?.st_mode);
        let pinned = match (kind, prediction.depth) {
            (FileType::RegularFile, Depth::Data) => {
                let file = beneath.open()?;
                self.read(&file, prediction.offset)?;
                file
            }
            (FileType::Directory, Depth::Listing) => {
                let directory = beneath.open_directory()?;
                list(&directory)?;
                directory
            }
            _ => named,
        };
        self.pins.keep(pinned);
        Ok(())
    }

    fn read(&mut self, file: &File, offset: u64) -> Result<(), Errno> {
        let end = offset.saturating_add(self.window);
        let mut at = offset;
        while at < end {
            let count = self.read_some(file, at, (end - at) as usize)?;
            self.counters.add(Counter::BytesWarmed, count);
            if count == 0 {
                break;
            }
            at += count;
        }
        Ok(())
    }

    /// Has the kernel bring in up to `most` bytes and returns how many it did; 0 at the end.
    fn read_some(&mut self, file: &File, at: u64, most: usize) -> Result<u64, Errno> {
        if let Some(sink) = &self.sink {
            match sendfile(sink, file, Some(&mut at.clone()), most) {
                // A file system that cannot send.
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => self.sink = None,
                sent => return sent.map(|count| count as u64),
            }
        }
        self.buffer.resize(BUFFER, 0);
        let part = self.buffer.get_mut(..most.min(BUFFER)).unwrap_or_default();
        pread(file, part, at).map(|count| count as u64)
    }
}

/// Opens the null device. In a changed root something else may go by its name, and is left alone.
fn null_device() -> Option<File> {
    let status = stat("/dev/null").ok()?;
    let is_device = FileType::from_raw_mode(status.st_mode) == FileType::CharacterDevice;
    if !is_device || status.st_rdev != makedev(1, 3) {
        return None;
    }
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
    open("/dev/null", flags, Mode::empty()).ok().map(File::from)
}

/// Reads a directory's names and their inodes, up to a bound.
fn list(directory: &File) -> Result<(), Errno> {
    let mut buffer = [MaybeUninit::<u8>::uninit(); 8192];
    let mut entries = RawDir::new(directory, &mut buffer);
    let mut count = 0;
    while let Some(entry) = entries.next().filter(|_| count < MAX_ENTRIES) {
        let entry = entry?;
        // The directory is open, and its parent may be outside of what was learnt.
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            let _ = statat(directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW);
        }
        count += 1;
    }
    Ok(())
}
