//! The last requests of a thread, so that an operation can be matched with the one that caused it.
//!
//! Most servers open the file in the turn that read the request; a runtime may do it an iteration or two
//! later. While nothing has been cold for a while, only the bytes are kept here and nobody parses
//! them: the first stall does.

use crate::predictions::{Depth, Prediction, Predictions, MAX_PREDICTIONS};
use crate::recognise::{Recogniser, Request};
use crate::rules::{Lesson, Outcome, Rules};
use crate::stream::OpenFile;
use crate::tls::{Piece, Place, HEADER};
use arrayvec::ArrayVec;
use core::ops::Range;

/// How many requests are remembered.
const RECENT: usize = 16;

/// How many iterations of the event loop an operation may come after its request.
const REACH: u64 = 3;

/// How much of a request is kept: enough for a request line and the `Host` of nearly all.
const KEPT: usize = 1024;

/// What is known of one request.
#[derive(Clone, Debug)]
enum Known {
    Nothing,
    /// The first bytes, not looked at yet.
    Bytes(ArrayVec<u8, KEPT>),
    /// A record of TLS, header and all, as far as it was read.
    Sealed(Sealed),
    Request(Request),
}

/// A record that a client has sent by TLS, to be opened if something stalls.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The connection.
    pub connection: OpenFile,
    /// The record's place among those of its client.
    pub place: Place,
    /// The record, with its header.
    pub bytes: ArrayVec<u8, KEPT>,
    length: usize,
}

/// A prediction without its path: enough to tell whether it came true.
#[derive(Clone, Copy, Debug)]
struct Expected {
    hash: u64,
    depth: Depth,
    outcome: Outcome,
}

impl From<Prediction<'_>> for Expected {
    fn from(prediction: Prediction<'_>) -> Self {
        let Prediction {
            hash, depth, rule, ..
        } = prediction;
        let outcome = Outcome {
            rule,
            came_true: false,
            is_new: false,
        };
        Expected {
            hash,
            depth,
            outcome,
        }
    }
}

/// Whether any operation was matched with a request: only then do silent rules lose a vote, for a server may answer
/// from a cache of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Touched {
    No,
    /// It may have been another request's, which was not understood.
    Perhaps,
    Yes,
}

#[derive(Clone, Debug)]
struct Entry {
    turn: u64,
    known: Known,
    expected: ArrayVec<Expected, MAX_PREDICTIONS>,
    touched: Touched,
}

/// A ring of recent requests, newest last.
#[derive(Debug)]
pub struct Recent {
    entries: Vec<Entry>,
    next: usize,
    turn: u64,
    /// The last turn in which something was read that may be a request and was not understood.
    not_understood: u64,
}

impl Default for Recent {
    fn default() -> Self {
        let entry = Entry {
            turn: 0,
            known: Known::Nothing,
            expected: ArrayVec::new(),
            touched: Touched::No,
        };
        Recent {
            entries: vec![entry; RECENT],
            next: 0,
            turn: REACH + 1,
            not_understood: 0,
        }
    }
}

impl Recent {
    /// A new turn of the event loop begins.
    pub fn new_iteration(&mut self) {
        self.turn += 1;
    }

    /// A client has sent what is no request that can be predicted for: its operations must not be taken for
    /// another one's.
    pub fn has_not_understood(&mut self) {
        self.not_understood = self.turn;
    }

    /// Keeps the first bytes that a client sent, to be parsed if something stalls.
    pub fn keep_bytes(&mut self, bytes: &[u8]) {
        let turn = self.turn;
        let entry = &mut self.entries[self.next];
        self.next = (self.next + 1) % RECENT;
        entry.turn = turn;
        entry.touched = Touched::No;
        entry.expected.clear();
        let kept = &bytes[..bytes.len().min(KEPT)];
        // In place where bytes stood before, the usual case: a KiB is not moved about.
        if let Known::Bytes(old) = &mut entry.known {
            old.clear();
            let _ = old.try_extend_from_slice(kept);
        } else {
            let mut fresh = ArrayVec::new();
            let _ = fresh.try_extend_from_slice(kept);
            entry.known = Known::Bytes(fresh);
        }
    }

    /// Keeps a part of a record that a client has sent by TLS. A request in one that is too long to be kept is not understood.
    pub fn keep_sealed(&mut self, connection: OpenFile, piece: &Piece<'_>) {
        let length = HEADER + piece.length;
        if length > KEPT {
            return self.has_not_understood();
        }
        let is_its = |it: &Sealed| it.connection == connection && it.place == piece.place;
        let last = (self.next + RECENT - 1) % RECENT;
        match &mut self.entries[last].known {
            Known::Sealed(sealed) if piece.at > 0 && is_its(sealed) => sealed.add(piece),
            _ if piece.at > 0 => self.has_not_understood(),
            _ => {
                let entry = &mut self.entries[self.next];
                self.next = (self.next + 1) % RECENT;
                entry.turn = self.turn;
                entry.touched = Touched::No;
                entry.expected.clear();
                // In place where a record stood before, the usual case: a KiB is not moved about.
                if !matches!(entry.known, Known::Sealed(_)) {
                    entry.known = Known::Sealed(Sealed::default());
                }
                if let Known::Sealed(sealed) = &mut entry.known {
                    sealed.begin(connection, piece, length);
                }
            }
        }
    }

    /// Remembers a request and what was predicted for it; the entry that gives way is judged.
    pub fn remember(&mut self, request: &Request, predictions: &Predictions, rules: &mut Rules) {
        if request.may_want_less() {
            rules.count_condition();
        }
        let entry = &mut self.entries[self.next];
        self.next = (self.next + 1) % RECENT;
        entry.judge(rules);
        entry.turn = self.turn;
        entry.touched = Touched::No;
        entry.expected = predictions.iter().map(Expected::from).collect();
        if let Known::Request(old) = &mut entry.known {
            old.clone_from(request);
        } else {
            entry.known = Known::Request(request.clone());
        }
    }

    /// Looks at the bytes that were kept and not parsed yet, newest turns only. `open` opens a record, and tells where in it the
    /// request begins and ends: nothing where it cannot, and no bytes where there is none.
    pub fn recognise(
        &mut self,
        recogniser: &impl Recogniser,
        mut open: impl FnMut(&mut Sealed) -> Option<Range<usize>>,
    ) {
        let turn = self.turn;
        // The newest first: by it a connection's keys are found to be right, and what was of its handshake is seen.
        for age in 0..RECENT {
            let entry = &mut self.entries[(self.next + RECENT - 1 - age) % RECENT];
            if entry.turn + REACH <= turn {
                continue;
            }
            let bytes = match &mut entry.known {
                Known::Bytes(bytes) => bytes.as_slice(),
                Known::Sealed(sealed) => {
                    let is_whole = sealed.bytes.len() == sealed.length;
                    match is_whole.then(|| open(sealed)).flatten() {
                        // Of a handshake.
                        Some(range) if range.is_empty() => {
                            entry.known = Known::Nothing;
                            continue;
                        }
                        plain => plain.map_or(&[][..], |range| &sealed.bytes[range]),
                    }
                }
                Known::Nothing | Known::Request(_) => continue,
            };
            let mut request = Request::default();
            let recognised = recogniser.recognise(bytes, &mut request);
            // Another request may follow it.
            if recognised != Ok(bytes.len()) {
                self.not_understood = self.not_understood.max(entry.turn);
            }
            entry.known = match recognised {
                Ok(_) => Known::Request(request),
                Err(_) => Known::Nothing,
            };
        }
    }

    /// A handler has waited for the data of a file: was it that of a request for less than all of it?
    pub fn waited_for_data(&self, rules: &mut Rules) {
        let is_conditional =
            |entry: &Entry| matches!(&entry.known, Known::Request(it) if it.may_want_less());
        let mut in_reach = self
            .entries
            .iter()
            .filter(|entry| entry.turn + REACH > self.turn);
        if in_reach.any(is_conditional) {
            rules.expect_data_for_conditions();
        }
    }

    /// An operation on `path` took place: confirms the rule that predicted it, or learns one.
    ///
    /// Returns whether a request of this thread was found that explains it.
    pub fn attribute(&mut self, path: &[u8], hash: u64, depth: Depth, rules: &mut Rules) -> bool {
        let turn = self.turn;
        let newest_first = |age: usize| (self.next + RECENT - 1 - age) % RECENT;
        let order: [usize; RECENT] = core::array::from_fn(newest_first);
        let in_reach = |entry: &Entry| entry.turn + REACH > turn;

        for index in order {
            let entry = &mut self.entries[index];
            if !in_reach(entry) {
                continue;
            }
            if let Some(expected) = entry.expected.iter_mut().find(|e| e.hash == hash) {
                entry.touched = Touched::Yes;
                if !expected.outcome.came_true || depth > expected.depth {
                    expected.outcome.came_true = true;
                    expected.depth = expected.depth.max(depth);
                    rules.confirm(expected.outcome.rule, depth);
                }
                return true;
            }
        }
        // The request that explains it best, and of several the newest: in one iteration many are handled.
        let mut best: Option<(usize, Lesson<'_>)> = None;
        let mut doubtful = self.not_understood + REACH > turn;
        for index in order {
            let entry = &self.entries[index];
            if !in_reach(entry) {
                continue;
            }
            let request = match &entry.known {
                Known::Request(request) => request,
                Known::Bytes(_) | Known::Sealed(_) => {
                    doubtful = true;
                    continue;
                }
                Known::Nothing => continue,
            };
            if let Some(lesson) = rules.lesson(request, path, depth) {
                if best
                    .as_ref()
                    .is_none_or(|(_, best)| lesson.is_better_than(best))
                {
                    best = Some((index, lesson));
                }
            }
        }
        let Some((index, lesson)) = best else {
            return false;
        };
        let entry = &mut self.entries[index];
        // It may have been for what was not understood. Then it teaches only what is most convincing, and only
        // where nothing is known: a server whose every iteration has such clients learns all the same.
        if let (true, Known::Request(request)) = (doubtful, &entry.known) {
            if !lesson.is_of_whole_target() || rules.is_spoken_for(request, &lesson) {
                if entry.touched == Touched::No {
                    entry.touched = Touched::Perhaps;
                }
                return true;
            }
        }
        let Some(outcome) = rules.learn(lesson) else {
            return false;
        };
        entry.touched = Touched::Yes;
        let expected = Expected {
            hash,
            depth,
            outcome,
        };
        let _ = entry.expected.try_push(expected);
        true
    }
}

impl Default for Sealed {
    fn default() -> Sealed {
        Sealed {
            connection: OpenFile { fd: -1, owners: 0 },
            place: Place::default(),
            bytes: ArrayVec::new(),
            length: 0,
        }
    }
}

impl Sealed {
    fn begin(&mut self, connection: OpenFile, piece: &Piece<'_>, length: usize) {
        (self.connection, self.place, self.length) = (connection, piece.place, length);
        self.bytes.clear();
        let _ = self.bytes.try_extend_from_slice(&piece.header);
        self.add(piece);
    }

    fn add(&mut self, piece: &Piece<'_>) {
        // What does not follow leaves it incomplete.
        if self.bytes.len() == HEADER + piece.at {
            let _ = self.bytes.try_extend_from_slice(piece.bytes);
        }
    }
}

impl Entry {
    /// Counts for and against the rules that predicted for it.
    fn judge(&self, rules: &mut Rules) {
        if self.touched != Touched::No {
            let outcomes: ArrayVec<Outcome, MAX_PREDICTIONS> = self
                .expected
                .iter()
                .map(|expected| expected.outcome)
                .collect();
            rules.judge(&outcomes, self.touched == Touched::Yes);
        }
    }
}

#[cfg(test)]
mod tests;
