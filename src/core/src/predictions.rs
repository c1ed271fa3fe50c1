//! The list of paths that a handler is expected to touch, and how they are told apart.

pub use crate::paths::MAX_PATH;
use crate::paths::{climbs, without_last_slash};
use arrayvec::ArrayVec;

/// Names a rule until it is evicted; afterwards votes in its name are dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleId {
    pub(crate) index: u16,
    pub(crate) serial: u32,
}

/// Most paths predicted at once.
pub const MAX_PREDICTIONS: usize = 8;

/// A shorter part of a file is brought in no shorter than this: many read more than they send.
const LEAST: u64 = 16 * 1024;

/// Bytes that the paths of one list may take together.
const MAX_TEXT: usize = 2048;

const _: () = assert!(MAX_PATH <= MAX_TEXT);

/// How deep an operation looks, and so how much must be in memory before it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// The name and the inode (`stat`).
    Name,
    /// The name, the inode and the data (`open`).
    Data,
    /// The names in a directory and their inodes (`opendir`).
    Listing,
}

/// A path that the handler of a request is expected to touch.
#[derive(Clone, Copy, Debug)]
pub struct Prediction<'a> {
    /// The whole path as the server will name it.
    pub path: &'a [u8],
    /// How many of its bytes are the learnt directory; what follows comes from the request, and
    /// must be resolved beneath it.
    pub root: usize,
    /// How much of it the handler will want.
    pub depth: Depth,
    /// Where it will begin to read, in bytes from the start of the file.
    pub offset: u64,
    /// How much it will read at the most, where that is known.
    pub length: Option<u64>,
    /// How often the window is doubled for it.
    pub doublings: u8,
    /// [`crate::hash`] of the path.
    pub hash: u64,
    /// The rule that said so.
    pub rule: RuleId,
}

impl<'a> Prediction<'a> {
    /// The learnt directory.
    pub fn directory(&self) -> &'a [u8] {
        self.path.get(..self.root).unwrap_or_default()
    }

    /// How many bytes are brought in for those who read on, where that is a `window` as a rule.
    pub fn width(&self, window: u64) -> u64 {
        window << self.doublings
    }

    /// How many are to be in memory for this one.
    pub fn wanted(&self, window: u64) -> u64 {
        let width = self.width(window);
        let length = self.length.unwrap_or(width);
        width.min(length.max(LEAST))
    }

    /// Under which it stands in the table of warm paths: the inode may be in memory without the
    /// data, one window of the data without another, and a part of a window without the whole.
    pub fn key(&self, window: u64) -> u64 {
        let key = self.window_key(window);
        if self.depth != Depth::Data || self.wanted(window) == self.width(window) {
            return key;
        }
        let mut part = [0; 24];
        for (place, word) in part
            .chunks_exact_mut(8)
            .zip([key, self.offset, self.wanted(window)])
        {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        crate::hash(&part)
    }

    /// The same for the whole window that it begins in.
    pub fn window_key(&self, window: u64) -> u64 {
        warm_key(
            self.hash,
            self.depth,
            self.offset.checked_div(window).unwrap_or(0),
        )
    }
}

/// The key of a path's hash, at this depth and in this window of its data.
pub fn warm_key(hash: u64, depth: Depth, window_number: u64) -> u64 {
    hash ^ (window_number * 4 + depth as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// A prediction but for its path, which stands in the text at this place.
#[derive(Clone, Copy, Debug)]
struct Item {
    start: usize,
    end: usize,
    root: usize,
    depth: Depth,
    offset: u64,
    length: Option<u64>,
    doublings: u8,
    hash: u64,
    rule: RuleId,
}

/// A bounded list of predictions in one piece of memory: it is large, so it is made once and kept.
#[derive(Clone, Debug, Default)]
pub struct Predictions {
    text: ArrayVec<u8, MAX_TEXT>,
    items: ArrayVec<Item, MAX_PREDICTIONS>,
}

impl Predictions {
    /// Forgets all.
    pub fn clear(&mut self) {
        self.text.clear();
        self.items.clear();
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Prediction<'_>> {
        self.items.iter().map(|item| {
            let Item {
                start,
                end,
                root,
                depth,
                offset,
                length,
                doublings,
                hash,
                rule,
            } = *item;
            let path = self.text.get(start..end).unwrap_or_default();
            Prediction {
                path,
                root,
                depth,
                offset,
                length,
                doublings,
                hash,
                rule,
            }
        })
    }

    /// Doubles windows as often as is said of the rules.
    pub fn widen(&mut self, doublings: impl Fn(RuleId) -> u8) {
        for item in &mut self.items {
            item.doublings = doublings(item.rule);
        }
    }

    /// Adds the path that these parts make up: the learnt directory, of `root` bytes, and what follows it. Nothing is
    /// added where there is no room, where it is there already, or where what follows would lead out of the directory.
    pub fn compose(
        &mut self,
        parts: &[&[u8]],
        root: usize,
        depth: Depth,
        (offset, length): (u64, Option<u64>),
        rule: RuleId,
    ) {
        let start = self.text.len();
        let fits = parts
            .iter()
            .all(|part| self.text.try_extend_from_slice(part).is_ok());
        let path = self.text.get(start..).unwrap_or_default();
        let behind = path.get(root..).unwrap_or_default();
        if !fits || path.len() > MAX_PATH || climbs(behind) || self.items.is_full() {
            self.text.truncate(start);
            return;
        }
        // `stat` and `opendir` name a directory with its last slash or without.
        let path = without_last_slash(path);
        let (end, hash) = (start + path.len(), crate::hash(path));
        // Two rules may lead to the same path: nothing is to be gained from the second.
        let twice = self.iter().any(|it| it.hash == hash && it.path == path);
        if twice {
            self.text.truncate(start);
            return;
        }
        self.text.truncate(end);
        self.items.push(Item {
            start,
            end,
            root: root.min(end - start),
            depth,
            offset,
            length,
            doublings: 0,
            hash,
            rule,
        });
    }

    /// Adds a copy of a prediction; false where there is no room.
    pub fn push(&mut self, prediction: Prediction<'_>) -> bool {
        let Prediction {
            path,
            root,
            depth,
            offset,
            length,
            doublings,
            hash,
            rule,
        } = prediction;
        let start = self.text.len();
        if self.items.is_full() || self.text.try_extend_from_slice(path).is_err() {
            return false;
        }
        let end = self.text.len();
        self.items.push(Item {
            start,
            end,
            root,
            depth,
            offset,
            length,
            doublings,
            hash,
            rule,
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: u64 = 256 * 1024;

    fn keys(part: (u64, Option<u64>)) -> (u64, u64, u64) {
        let mut predictions = Predictions::default();
        let rule = RuleId::default();
        predictions.compose(&[b"/srv/", b"x"], 5, Depth::Data, part, rule);
        let it = predictions.iter().next().unwrap();
        (it.wanted(WINDOW), it.key(WINDOW), it.window_key(WINDOW))
    }

    /// Without it, a request for one byte would have the whole window taken to be in memory, and the next one stall.
    #[test]
    fn a_part_of_a_window_is_no_proof_of_the_whole() {
        let (wanted, whole, window) = keys((0, None));
        assert_eq!((wanted, whole), (WINDOW, window));
        assert_eq!(keys((0, Some(WINDOW))), (WINDOW, whole, whole));
        assert_eq!(keys((0, Some(u64::MAX))), (WINDOW, whole, whole));
        let (wanted, part, window) = keys((0, Some(1)));
        assert_eq!((wanted, window), (LEAST, whole));
        assert_ne!(part, whole);
        // Nor of another part.
        assert_ne!(keys((4096, Some(1))).1, part);
        assert_ne!(keys((0, Some(LEAST + 1))).1, part);
        assert_eq!(keys((0, Some(2))).1, part);
    }
}
