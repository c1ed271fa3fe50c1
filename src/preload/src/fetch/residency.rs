//! Is a part of an open file in memory? The kernel is asked for a byte or two of it, without waiting.

use rustix::fd::BorrowedFd;
use rustix::io::{preadv2, Errno, ReadWriteFlags};
use std::io::IoSliceMut;

/// Parts of a file that are looked at, or remembered, as one.
pub const STRIDE: u64 = 128 * 1024;

/// The smallest page of any machine.
const PAGE: u64 = 4096;

/// How much of a file that is about to be opened is looked at page by page. Small files come in by single pages, and one
/// of them may be taken away again, from the middle too.
const CLOSELY: u64 = 64 * 1024;

/// How far apart the rest of it is sampled: there it would cost more than it saves.
const SAMPLED: u64 = 64 * 1024;

/// One or two bytes at a place of a file, which speak for what lies around them.
type Sample = (u64, usize);

/// The first of these samples that is not in memory, and why: `AGAIN` where the disk would be asked (the question has set
/// off a read of its own), `OPNOTSUPP` where the file system cannot say, and nothing where the file is shorter.
pub fn first_missing(
    file: BorrowedFd<'_>,
    samples: impl Iterator<Item = Sample>,
    mut is_known: impl FnMut(u64) -> bool,
) -> Option<(u64, Option<Errno>)> {
    for (at, length) in samples {
        let mut bytes = [0; 2];
        let (asked, _) = bytes.split_at_mut(length);
        match preadv2(
            file,
            &mut [IoSliceMut::new(asked)],
            at,
            ReadWriteFlags::NOWAIT,
        ) {
            Ok(count) if count < length => return Some((at, None)),
            Ok(_) => {}
            Err(Errno::OPNOTSUPP) if is_known(at) => {}
            Err(error) => return Some((at, Some(error))),
        }
    }
    None
}

/// The samples for what a handler reads of a file that it opens: each page of the beginning, two by the bytes where they
/// meet, and some of the rest. `end` is beyond `start`.
pub fn closely(start: u64, end: u64) -> impl Iterator<Item = Sample> {
    let last = end - 1;
    let far = start.saturating_add(CLOSELY);
    let seam = start / PAGE * PAGE + PAGE - 1;
    let seams = (seam..far.min(last)).step_by(2 * PAGE as usize);
    let rest = (far..last).step_by(SAMPLED as usize);
    seams
        .map(|at| (at, 2))
        .chain(rest.chain(Some(last)).map(|at| (at, 1)))
}

/// The samples for a part of a body. A stride comes in one piece, or in two that arrive in any order: its first byte and its
/// last speak for all of it. One read asks for the last of a stride and the first of the next. `end` is beyond `start`.
pub fn by_strides(start: u64, end: u64) -> impl Iterator<Item = Sample> {
    let last = end - 1;
    let seams = (start / STRIDE..last / STRIDE).map(|number| ((number + 1) * STRIDE - 1, 2));
    [(start, 1)].into_iter().chain(seams).chain([(last, 1)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn places(samples: impl Iterator<Item = Sample>, unit: u64) -> BTreeSet<u64> {
        let units = |(at, count): Sample| at / unit..=(at + count as u64 - 1) / unit;
        samples.flat_map(units).collect()
    }

    /// Without it, a page taken from the middle of a small file was taken to be there, and stalled.
    #[test]
    fn no_page_of_a_small_file_is_left_out() {
        for start in [0, 1, 4095, 4096, 5000, 12_287] {
            let lengths = (1..CLOSELY - PAGE).step_by(511);
            for length in lengths.chain([2, 4096, 4097, 16_384]) {
                let end = start + length;
                let inside = |(at, count): &Sample| *at >= start && at + *count as u64 <= end;
                assert!(closely(start, end).all(|sample| inside(&sample)));
                let all: BTreeSet<u64> = (start / PAGE..=(end - 1) / PAGE).collect();
                assert_eq!(places(closely(start, end), PAGE), all, "{start} to {end}");
            }
        }
        assert!(closely(0, 256 * 1024).count() < 16);
    }

    #[test]
    fn no_stride_of_a_body_is_left_out() {
        for start in [0, 1, STRIDE - 1, STRIDE, 3 * STRIDE + 7] {
            for length in [1, 2, STRIDE - 1, STRIDE, STRIDE + 1, 5 * STRIDE] {
                let end = start + length;
                let all: BTreeSet<u64> = (start / STRIDE..=(end - 1) / STRIDE).collect();
                assert_eq!(
                    places(by_strides(start, end), STRIDE),
                    all,
                    "{start} to {end}"
                );
            }
        }
    }
}
