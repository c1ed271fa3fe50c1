//! The list of paths that a handler is expected to touch, and how they are told apart.

pub use crate::paths::MAX_PATH;
use crate::paths::{climbs, without_last_slash};
use crate::recognise::{Coding, Span};
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
    /// Which part of it.
    pub span: Span,
    /// How often the window is doubled for it.
    pub doublings: u8,
    /// [`crate::hash`] of the path.
    pub hash: u64,
    /// The same of the path beside it whose file this one is sent for, if it is there: it holds the same, coded. 0 for none.
    pub stands_for: u64,
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
        let length = self.span.length().unwrap_or(width);
        width.min(length.max(LEAST))
    }

    /// Under which it stands in the table of warm paths: the inode may be in memory without the
    /// data, one window of the data without another, and a part of a window without the whole.
    pub fn key(&self, window: u64) -> u64 {
        let key = self.window_key(window);
        let start = match self.span {
            Span::From(start) | Span::Part(start, _) => start,
            Span::Last(_) => return key,
        };
        if self.depth != Depth::Data || self.wanted(window) == self.width(window) {
            return key;
        }
        key_of_part([key, start, self.wanted(window)])
    }

    /// The same for the whole window that it begins in.
    pub fn window_key(&self, window: u64) -> u64 {
        let key = |number| warm_key(self.hash, self.depth, number);
        match self.span {
            Span::From(start) | Span::Part(start, _) => key(start.checked_div(window).unwrap_or(0)),
            // Where that is depends on the file's length.
            Span::Last(count) => key_of_part([key(0), !count, self.wanted(window)]),
        }
    }

    /// The same where only the name is wanted.
    pub fn of_name(self) -> Self {
        Prediction {
            depth: Depth::Name,
            span: Span::From(0),
            ..self
        }
    }

    /// Under which it stands in the same table that another file is sent in the place of this one, which may be coded: then its data is
    /// not read.
    pub fn stand_in_key(&self) -> u64 {
        stand_in_key(self.hash)
    }
}

fn key_of_part(words: [u64; 3]) -> u64 {
    let mut part = [0; 24];
    for (place, word) in part.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_ne_bytes());
    }
    crate::hash(&part)
}

/// The key for what is sent in the place of a file, by the hash of its path.
pub fn stand_in_key(hash: u64) -> u64 {
    hash ^ 3_u64.wrapping_mul(0x9e37_79b9_7f4a_7c15)
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
    span: Span,
    doublings: u8,
    hash: u64,
    stands_for: u64,
    rule: RuleId,
    /// The same path stands before it, for another part of the file.
    is_again: bool,
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

    fn prediction(&self, item: &Item) -> Prediction<'_> {
        Prediction {
            path: self.text.get(item.start..item.end).unwrap_or_default(),
            root: item.root,
            depth: item.depth,
            span: item.span,
            doublings: item.doublings,
            hash: item.hash,
            stands_for: item.stands_for,
            rule: item.rule,
        }
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Prediction<'_>> {
        self.items.iter().map(|item| self.prediction(item))
    }

    /// The same, first those that stand for others.
    pub fn coded_first(&self) -> impl Iterator<Item = Prediction<'_>> {
        let coded = self.iter().filter(|it| it.stands_for != 0);
        coded.chain(self.iter().filter(|it| it.stands_for == 0))
    }

    /// The same, each path once.
    pub fn paths(&self) -> impl Iterator<Item = Prediction<'_>> {
        let once = self.items.iter().filter(|item| !item.is_again);
        once.map(|item| self.prediction(item))
    }

    /// Whether another one stands for this one, where there is a file for it.
    pub fn has_stand_in(&self, prediction: &Prediction<'_>) -> bool {
        let hash = prediction.hash;
        prediction.depth == Depth::Data && self.items.iter().any(|it| it.stands_for == hash)
    }

    /// Brings in as much as is known to be read of a rule's files: how often a `window` is doubled, and how many bytes at their ends.
    pub fn widen(&mut self, window: u64, of_rule: impl Fn(RuleId) -> (u8, u64)) {
        for place in 0..self.items.len() {
            let Some(item) = self.items.get_mut(place) else {
                return;
            };
            let (doublings, count) = of_rule(item.rule);
            item.doublings = doublings;
            if count == 0 || item.depth != Depth::Data || item.span != Span::From(0) {
                continue;
            }
            let enough = (0..32).find(|doublings| window << doublings >= count);
            let tail = Item {
                span: Span::Last(count),
                doublings: enough.unwrap_or(0),
                is_again: true,
                ..*item
            };
            let _ = self.items.try_push(tail);
        }
    }

    /// Adds further parts of all files whose data is wanted so far, as long as there is room.
    pub fn add_parts(&mut self, parts: impl Iterator<Item = Span> + Clone) {
        for place in 0..self.items.len() {
            let Some(&item) = self.items.get(place) else {
                return;
            };
            let is_data = item.depth == Depth::Data;
            for span in parts.clone().take_while(|_| is_data) {
                let part = Item {
                    span,
                    is_again: true,
                    ..item
                };
                let _ = self.items.try_push(part);
            }
        }
    }

    /// Adds the path that these parts make up: the learnt directory, of `root` bytes, and what follows it. Nothing is
    /// added where there is no room, where it is there already, or where what follows would lead out of the directory. `coding` tells
    /// that it holds what the file of the path without that suffix does, and is sent in its place.
    pub fn compose(
        &mut self,
        parts: &[&[u8]],
        root: usize,
        (depth, span): (Depth, Span),
        coding: Option<Coding>,
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
        let plain = coding.and_then(|coding| path.strip_suffix(coding.suffix()));
        let item = Item {
            start,
            end,
            root: root.min(end - start),
            depth,
            // A name has no parts.
            span: match depth {
                Depth::Data => span,
                Depth::Name | Depth::Listing => Span::From(0),
            },
            doublings: 0,
            hash,
            stands_for: plain.map_or(0, crate::hash),
            rule,
            is_again: false,
        };
        self.text.truncate(end);
        self.items.push(item);
    }

    /// Adds a copy of a prediction; false where there is no room.
    pub fn push(&mut self, prediction: Prediction<'_>) -> bool {
        let Prediction {
            path,
            root,
            depth,
            span,
            doublings,
            hash,
            stands_for,
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
            span,
            doublings,
            hash,
            stands_for,
            rule,
            is_again: false,
        });
        true
    }
}

#[cfg(test)]
mod tests;
