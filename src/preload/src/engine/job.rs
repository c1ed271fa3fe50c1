//! What a helper does: brings everything that a handler will want into memory.

use super::beneath::{Beneath, File, Patience};
use super::pool::Pins;
use laio_core::rules::{Depth, Prediction, Predictions};
use laio_core::stats::{Counter, Counters};
use rustix::fs::{fstat, statat, AtFlags, FileType, RawDir};
use rustix::io::{pread, Errno};
use std::mem::MaybeUninit;

/// Names of a directory whose inodes are brought in at most.
const MAX_ENTRIES: usize = 4096;

/// How much is read at once.
pub const BUFFER: usize = 64 * 1024;

/// A request that waits, and what for.
#[derive(Debug, Default)]
pub struct Job {
    /// The connection.
    pub fd: i32,
    /// Its gate's ticket.
    pub ticket: u32,
    /// What it will touch.
    pub paths: Predictions,
}

/// A helper's means.
pub struct Worker<'p> {
    /// Where the counts go.
    pub counters: &'static Counters,
    /// Bytes of a file that are brought in.
    pub window: u64,
    /// Where descriptors are kept open until the handler's turn is over.
    pub pins: &'p Pins,
    /// What is read is not looked at.
    pub buffer: Box<[u8]>,
}

impl Worker<'_> {
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
            let most = BUFFER.min((end - at) as usize);
            let part = self.buffer.get_mut(..most).unwrap_or_default();
            let count = pread(file, part, at)?;
            self.counters.add(Counter::BytesWarmed, count as u64);
            if count < most {
                break;
            }
            at += count as u64;
        }
        Ok(())
    }
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
