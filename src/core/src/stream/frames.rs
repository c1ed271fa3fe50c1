//! Writes of HTTP/2 in the clear: frames' headers beside bytes of files.

use super::next_read::NextRead;
use core::ops::Range;

/// Bytes of a frame's header (RFC 9113, section 4.1).
pub const HEADER: usize = 9;

impl NextRead {
    /// Whether what is written from this memory is DATA frames whose bytes reads of this iteration have put there, all of them. It
    /// may begin in the middle of a frame, but not of a header, and end anywhere. `header` reads the memory at an address.
    pub fn are_frames(
        &self,
        parts: impl IntoIterator<Item = Range<usize>>,
        header: impl Fn(usize) -> Option<[u8; HEADER]>,
    ) -> bool {
        // Of the frame that the write begins in, nobody knows how long it is.
        let mut left = None;
        let mut is_file = false;
        for part in parts {
            let mut at = part.start;
            while at < part.end {
                let filled = match left {
                    Some(0) => None,
                    _ => self.filled_until(at),
                };
                if let Some(filled) = filled {
                    let most = left.unwrap_or(usize::MAX);
                    let count = (filled.min(part.end) - at).min(most);
                    left = left.map(|left| left - count);
                    at += count;
                    is_file = true;
                } else if left.is_some_and(|left| left > 0) || part.end - at < HEADER {
                    return false;
                } else if let Some(length) = header(at).and_then(data) {
                    left = Some(length);
                    at += HEADER;
                } else {
                    return false;
                }
            }
        }
        is_file
    }
}

/// How long a DATA frame is that has no padding; nothing for any other one (RFC 9113, section 6.1).
fn data(header: [u8; HEADER]) -> Option<usize> {
    const DATA: u8 = 0;
    const PADDED: u8 = 8;
    let [high, middle, low, kind, flags, ..] = header;
    let length = u32::from_be_bytes([0, high, middle, low]);
    (kind == DATA && flags & PADDED == 0).then_some(length as usize)
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)]
mod tests {
    use super::*;

    const KIND: u8 = 0;

    /// Memory with frames of 10 bytes of this kind at these addresses.
    fn frames(at: &[usize], kind: u8) -> impl Fn(usize) -> Option<[u8; HEADER]> + '_ {
        move |address| {
            let frame = [0, 0, 10, kind, 0, 0, 0, 0, 1];
            at.contains(&address).then_some(frame)
        }
    }

    fn filled(ranges: &[Range<usize>]) -> NextRead {
        let mut reads = NextRead::default();
        ranges.iter().for_each(|it| reads.has_filled(it.clone()));
        reads
    }

    #[test]
    fn frames_with_headers_of_their_own_memory() {
        let reads = filled(&[100..120]);
        let header = frames(&[10, 30], KIND);
        let parts = [10..19, 100..110, 30..39, 110..115];
        assert!(reads.are_frames(parts.clone(), &header));
        assert!(
            reads.are_frames(parts[1..].to_vec(), &header),
            "from the middle"
        );
        assert!(
            !reads.are_frames([12..19, 100..110], &header),
            "from a header's middle"
        );
        assert!(!reads.are_frames([10..19, 100..110, 200..209], &header));
        assert!(!reads.are_frames([10..19, 50..60], &header), "other bytes");
        assert!(!reads.are_frames([10..19], &header), "no bytes of a file");
        assert!(!reads.are_frames(parts, frames(&[10, 30], 1)));
    }

    #[test]
    fn frames_in_one_buffer() {
        let reads = filled(&[109..119, 128..138]);
        let header = frames(&[100, 119], KIND);
        let all = 100..138;
        assert!(reads.are_frames([all], &header) && reads.are_frames([112..130], &header));
        let all = 100..139;
        assert!(
            !reads.are_frames([all], &header),
            "the next frame is not one of a file"
        );
    }

    /// Where the file's bytes end, a header is expected, though old bytes of a file lie there.
    #[test]
    fn what_follows_a_frame_is_a_header() {
        let reads = filled(&[100..200]);
        assert!(!reads.are_frames([10..19, 100..130], frames(&[10], KIND)));
    }

    #[test]
    fn padding_is_no_files() {
        let reads = filled(&[100..110]);
        let header = |_| Some([0, 0, 10, KIND, 8, 0, 0, 0, 1]);
        assert!(!reads.are_frames([10..19, 100..110], header));
    }
}
