//! Would the handler block? Asked without blocking.

use super::file_system::{known, status, Kind};
use super::residency::{closely, first_missing};
use super::resolver::{Patience, Resolver};
use laio_core::links::Links;
use laio_core::predictions::{Depth, Prediction};
use rustix::fd::AsFd;
use rustix::fs::FileType;
use rustix::io::Errno;

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Everything that the handler will want is in memory (or is not there, and that is known).
    Warm,
    /// The disk would be asked.
    Cold,
    /// Nobody can say.
    Unknown,
}

/// Asks for one prediction; the handler is expected to read `window` bytes, or what its request asks for. `stands_in` is told where the file is
/// there that is sent in the place of another one.
pub fn probe(
    prediction: Prediction<'_>,
    window: u64,
    links: &Links,
    stands_in: impl FnOnce(),
) -> Answer {
    match try_probe(prediction, window, links, stands_in) {
        Ok(answer) => answer,
        Err(Errno::AGAIN | Errno::MFILE | Errno::NFILE | Errno::NOMEM) => Answer::Cold,
        // Not there, not allowed, not beneath the directory: known without the disk.
        Err(_) => Answer::Warm,
    }
}

fn try_probe(
    prediction: Prediction<'_>,
    window: u64,
    links: &Links,
    stands_in: impl FnOnce(),
) -> Result<Answer, Errno> {
    let mut beneath = Resolver::new(prediction, Patience::Cached)?.with(links);
    let named = beneath.look()?;
    let status = status(named.as_fd())?;
    match (FileType::from_raw_mode(status.mode), prediction.depth) {
        // Whether all its names' inodes are in memory nobody can say.
        (FileType::Directory, Depth::Listing) => return Ok(Answer::Unknown),
        (FileType::RegularFile, Depth::Data) => {}
        _ => return Ok(Answer::Warm),
    }
    if prediction.stands_for != 0 {
        stands_in();
    }
    match known(status.device) {
        Some(Kind::Probing) => {}
        Some(Kind::Memory) => return Ok(Answer::Warm),
        // To open it would be to ask its server, which may hang.
        Some(Kind::Opaque | Kind::Remote | Kind::Forgetful) | None => return Ok(Answer::Unknown),
    }
    let size = status.size;
    let offset = prediction.span.start(size);
    let end = size.min(offset.saturating_add(prediction.wanted(window)));
    if offset >= end {
        return Ok(Answer::Warm);
    }
    let file = beneath.open()?;
    let missing = first_missing(file.as_fd(), closely(offset, end), |_| false);
    match missing {
        None => Ok(Answer::Warm),
        // A helper will wait for the read that the question has set off.
        Some((_, None)) => Ok(Answer::Cold),
        Some((_, Some(error))) => Err(error),
    }
}
