//! Would the handler block? Asked without blocking.

use super::file_system::{known, status, Kind};
use super::resolver::{Beneath, Patience};
use laio_core::predictions::{Depth, Prediction};
use rustix::fd::AsFd;
use rustix::fs::FileType;
use rustix::io::{preadv2, Errno, ReadWriteFlags};
use std::io::IoSliceMut;

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

/// The smallest page of any machine.
const PAGE: u64 = 4096;

/// How much of a window is looked at page by page. Small files come in by single pages, and one of them may be
/// taken away again, from the middle too.
const CLOSELY: u64 = 64 * 1024;

/// How far apart the rest is sampled: there it would cost more than it saves.
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
    let mut beneath = Beneath::new(prediction, Patience::Cached)?;
    let named = beneath.look()?;
    let status = status(named.as_fd())?;
    match (FileType::from_raw_mode(status.mode), prediction.depth) {
        // Whether all its names' inodes are in memory nobody can say.
        (FileType::Directory, Depth::Listing) => return Ok(Answer::Unknown),
        (FileType::RegularFile, Depth::Data) => {}
        _ => return Ok(Answer::Warm),
    }
    match known(status.device) {
        Some(Kind::Probing) => {}
        Some(Kind::Memory) => return Ok(Answer::Warm),
        // To open it would be to ask its server, which may hang.
        Some(Kind::Opaque | Kind::Forgetful) | None => return Ok(Answer::Unknown),
    }
    let (offset, size) = (prediction.offset, status.size);
    let end = size.min(offset.saturating_add(window));
    if offset >= end {
        return Ok(Answer::Warm);
    }
    let file = beneath.open()?;
    for (at, length) in samples(offset, end) {
        let mut bytes = [0; 2];
        let (asked, _) = bytes.split_at_mut(length);
        let buffers = &mut [IoSliceMut::new(asked)];
        // A miss answers EAGAIN, or less than asked, and has set off the read that a helper will then wait for.
        if preadv2(&file, buffers, at, ReadWriteFlags::NOWAIT)? < length {
            return Ok(Answer::Cold);
        }
    }
    Ok(Answer::Warm)
}

/// Where to read, and how many bytes, to know of what lies between `offset` and `end`, which is beyond it. Two
/// bytes ask for the two pages that meet there.
fn samples(offset: u64, end: u64) -> impl Iterator<Item = (u64, usize)> {
    let last = end - 1;
    let far = offset.saturating_add(CLOSELY);
    let seam = offset / PAGE * PAGE + PAGE - 1;
    let seams = (seam..far.min(last)).step_by(2 * PAGE as usize);
    let rest = (far..last).step_by(STRIDE as usize);
    seams
        .map(|at| (at, 2))
        .chain(rest.chain(Some(last)).map(|at| (at, 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Without it, a page taken from the middle of a small file was taken to be there, and stalled.
    #[test]
    fn no_page_of_a_small_file_is_left_out() {
        let pages = |from: u64, end: u64| from / PAGE..=(end - 1) / PAGE;
        for offset in [0, 1, 4095, 4096, 5000, 12_287] {
            for length in (1..CLOSELY - PAGE)
                .step_by(511)
                .chain([2, 4096, 4097, 16_384])
            {
                let end = offset + length;
                let asked: BTreeSet<u64> = samples(offset, end)
                    .inspect(|(at, count)| assert!(*at >= offset && at + *count as u64 <= end))
                    .flat_map(|(at, count)| pages(at, at + count as u64))
                    .collect();
                assert!(pages(offset, end).eq(asked), "{offset} to {end}");
            }
        }
        assert!(samples(0, 256 * 1024).count() < 16);
    }
}
