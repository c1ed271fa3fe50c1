//! Would the handler block? Asked without blocking.

use super::beneath::{Beneath, Patience};
use super::file_system::{known, status, Kind};
use laio_core::rules::{Depth, Prediction};
use rustix::fd::AsFd;
use rustix::fs::FileType;
use rustix::io::{preadv2, Errno, ReadWriteFlags};
use std::io::IoSliceMut;

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Everything that the handler will want is in memory (or is not there, and that is known).
    Warm,
    /// The disk would be asked, or nobody can say.
    Cold,
}

/// How far apart a window is sampled. Eviction goes by folios and readahead by more than this.
const STRIDE: u64 = 64 * 1024;

/// Asks for one prediction; the handler is expected to read `window` bytes.
pub fn probe(prediction: Prediction<'_>, window: u64) -> Answer {
    match try_probe(prediction, window) {
        Ok(answer) => answer,
        Err(Errno::AGAIN | Errno::MFILE | Errno::NFILE | Errno::NOMEM) => Answer::Cold,
        // Not there, not allowed, not beneath the directory: known without the disk.
        Err(_) => Answer::Warm,
    }
}

fn try_probe(prediction: Prediction<'_>, window: u64) -> Result<Answer, Errno> {
    let beneath = Beneath::new(prediction, Patience::Cached)?;
    let named = beneath.look()?;
    let status = status(named.as_fd())?;
    match (FileType::from_raw_mode(status.mode), prediction.depth) {
        // Whether all its names' inodes are in memory nobody can say.
        (FileType::Directory, Depth::Listing) => return Ok(Answer::Cold),
        (FileType::RegularFile, Depth::Data) => {}
        _ => return Ok(Answer::Warm),
    }
    match known(status.device) {
        Some(Kind::Probing) => {}
        Some(Kind::Memory) => return Ok(Answer::Warm),
        // To open it would be to ask its server, which may hang.
        Some(Kind::Opaque | Kind::Forgetful) | None => return Ok(Answer::Cold),
    }
    let (offset, size) = (prediction.offset, status.size);
    let end = size.min(offset.saturating_add(window));
    if offset >= end {
        return Ok(Answer::Warm);
    }
    let file = beneath.open()?;
    let last = end - 1;
    let samples = (offset..last).step_by(STRIDE as usize).chain(Some(last));
    for sample in samples {
        let mut byte = [0];
        // A miss answers EAGAIN, and has set off the read that a helper will then wait for.
        preadv2(
            &file,
            &mut [IoSliceMut::new(&mut byte)],
            sample,
            ReadWriteFlags::NOWAIT,
        )?;
    }
    Ok(Answer::Warm)
}
