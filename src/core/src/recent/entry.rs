//! What is remembered of one request, in whatever form it was read.

use crate::cache::Caches;
use crate::predictions::{Depth, Prediction, MAX_PREDICTIONS};
use crate::recognise::Request;
use crate::rules::{Outcome, Rules};
use crate::stream::OpenFile;
use crate::tls::{Piece, Place, HEADER};
use arrayvec::ArrayVec;

/// How much of a request is kept: enough for a request line and the `Host` of nearly all.
pub const KEPT: usize = 1024;

/// Whether an operation is explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribution {
    /// A request of this thread explains it.
    Explained,
    /// None does.
    Unexplained,
    /// The file is a cache's by its looks: what stands in it may tell.
    CacheFile,
}

/// What is known of one request.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there are few, and they are made once"
)]
pub(super) enum Known {
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
    pub(super) length: usize,
    /// There may be several requests in it.
    pub(super) are_many: bool,
}

/// A prediction without its path: enough to tell whether it came true.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    pub hash: u64,
    pub depth: Depth,
    pub outcome: Outcome,
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
pub(super) enum Touched {
    No,
    /// It may have been another request's, which was not understood.
    Perhaps,
    Yes,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub turn: u64,
    /// Until which turn an operation may be its.
    pub until: u64,
    /// Milliseconds when it was read.
    pub at: u64,
    /// What was predicted for it stands in the table of what other threads may touch.
    pub is_awaited: bool,
    pub known: Known,
    /// What it is known by elsewhere.
    pub name: Option<u64>,
    pub expected: ArrayVec<Expected, MAX_PREDICTIONS>,
    pub touched: Touched,
}

impl Default for Sealed {
    fn default() -> Sealed {
        Sealed {
            connection: OpenFile { fd: -1, owners: 0 },
            place: Place::default(),
            bytes: ArrayVec::new(),
            length: 0,
            are_many: false,
        }
    }
}

impl Sealed {
    pub(super) fn is_of(&self, connection: OpenFile, piece: &Piece<'_>) -> bool {
        self.connection == connection && self.place == piece.place
    }

    pub(super) fn begin(&mut self, connection: OpenFile, piece: &Piece<'_>, length: usize) {
        (self.connection, self.place, self.length) = (connection, piece.place, length);
        self.bytes.clear();
        let _ = self.bytes.try_extend_from_slice(&piece.header);
        self.add(piece);
    }

    pub(super) fn add(&mut self, piece: &Piece<'_>) {
        // What does not follow leaves it incomplete.
        if self.bytes.len() == HEADER + piece.at {
            let _ = self.bytes.try_extend_from_slice(piece.bytes);
        }
    }
}

impl Default for Entry {
    fn default() -> Entry {
        Entry {
            turn: 0,
            until: 0,
            at: 0,
            is_awaited: false,
            known: Known::Nothing,
            name: None,
            expected: ArrayVec::new(),
            touched: Touched::No,
        }
    }
}

impl Entry {
    /// Nothing was predicted for it.
    pub fn expects_nothing(&mut self) {
        self.touched = Touched::No;
        self.expected.clear();
    }

    pub fn is_for(&mut self, request: &Request) {
        if let Known::Request(old) = &mut self.known {
            old.clone_from(request);
        } else {
            self.known = Known::Request(request.clone());
        }
    }

    pub fn request(&self) -> Option<&Request> {
        match &self.known {
            Known::Request(request) => Some(request),
            _ => None,
        }
    }

    /// Whether all of a file is asked for, as far as is known.
    pub fn wants_all(&self) -> bool {
        let request = self.request();
        request.is_none_or(|request| request.ranges.are_all())
    }

    /// Whether a file was opened for it that was predicted to be a cache's.
    pub fn has_cache_file(&self) -> bool {
        let mut all = self.expected.iter().map(|expected| &expected.outcome);
        all.any(|outcome| outcome.came_true && Caches::is_one(outcome.rule))
    }

    /// Whether the path with this hash was predicted for it, and another one in its place has come true.
    pub fn is_served_without(&self, hash: u64, rules: &Rules) -> bool {
        let is_it = |expected: &&Expected| expected.hash == hash;
        let Some(it) = self.expected.iter().find(is_it) else {
            return false;
        };
        let mut others = self.expected.iter().filter(|other| other.hash != hash);
        others.any(|other| {
            other.outcome.came_true && rules.are_rivals(it.outcome.rule, other.outcome.rule)
        })
    }

    /// Counts for and against the rules that predicted for it.
    pub fn judge(&mut self, rules: &mut Rules) {
        if let (Touched::Yes, false, Known::Request(request)) =
            (self.touched, self.has_cache_file(), &self.known)
        {
            let mut all = self.expected.iter().map(|expected| expected.outcome.rule);
            if all.any(Caches::is_one) {
                rules.caches.was_answered_otherwise(request);
            }
        }
        self.confirm_depths(rules);
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
