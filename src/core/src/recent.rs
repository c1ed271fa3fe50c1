//! The last requests of a thread, so that an operation can be matched with the one that caused it.
//!
//! Most servers open the file in the turn that read the request; a runtime may do it an iteration or two
//! later, and a server that is asked for many things at once by one client may do some of them at a time. While nothing has been cold for a while, only the bytes are kept here and nobody parses
//! them: the first stall does.

mod attribution;
mod bounds;
mod entry;
mod others;
mod reach;

pub use entry::{Attribution, Sealed, KEPT};

use crate::awaited::Awaited;
use crate::http2::{self, Event};
use crate::predictions::Predictions;
use crate::recognise::{Line, Recogniser, Request};
use crate::rules::Rules;
use crate::stream::OpenFile;
use crate::tls::{Piece, HEADER};
use arrayvec::ArrayVec;
use bounds::{Reach, REACH, REACH_OF_MANY, SOON};
use core::ops::Range;
use entry::{Entry, Expected, Known, Touched};
use std::collections::VecDeque;

/// How many requests are remembered, and how many where more of them are in reach.
const RECENT: usize = 16;
const MOST: usize = 128;

/// How many clients may be told of at once while all that they ask for is looked at: so many requests are remembered for as long as
/// they are in reach. What a server did for others nobody would learn, and they would be asked about again and again.
pub const AT_ONCE: usize = MOST / REACH as usize;

/// The last requests, newest last.
#[derive(Debug)]
pub struct Recent {
    entries: Vec<Entry>,
    /// Their places, the oldest first.
    order: VecDeque<usize>,
    turn: u64,
    /// Milliseconds when it began.
    turned_at: u64,
    /// Milliseconds now, as of the last wait.
    now: u64,
    /// Until when, in milliseconds, other threads' operations may be these requests'.
    others_until: u64,
    /// Where it is noted what such threads touch.
    awaited: Option<&'static Awaited>,
    /// Until which turn an operation may be a request's that was understood.
    learns_until: u64,
    /// The same for bytes that nobody has looked at yet.
    pending_until: u64,
    /// The same for requests for which nothing was predicted, since they were asked for a moment ago.
    repeated_until: u64,
    /// The last turn in which something was read that may be a request and was not understood.
    not_understood: u64,
    /// The same in milliseconds.
    not_understood_at: u64,
    /// The request that was served last, and the turn in which it was.
    served: (usize, u64),
    /// One that is being recognised: it is large, and the stack may be small.
    request: Option<Box<Request>>,
}

impl Default for Recent {
    fn default() -> Self {
        Recent {
            entries: Vec::with_capacity(MOST),
            order: VecDeque::with_capacity(MOST),
            turn: REACH + 1,
            turned_at: 0,
            now: 0,
            others_until: 0,
            awaited: None,
            learns_until: 0,
            pending_until: 0,
            repeated_until: 0,
            not_understood: 0,
            not_understood_at: 0,
            served: (0, 0),
            request: Some(Box::default()),
        }
    }
}

impl Recent {
    /// A new turn of the event loop begins.
    pub fn new_iteration(&mut self) {
        self.turn += 1;
        self.turned_at = self.now;
    }

    /// The loop goes on, and was told of nothing. Runtimes look for events between two steps of a handler: that is no turn of its own,
    /// unless the last one began a while ago.
    pub fn goes_on_without_events(&mut self) {
        if self.now > self.turned_at + SOON {
            self.new_iteration();
        }
    }

    /// The place for a new entry: the oldest one's, unless that is in reach still and there is room for another. It
    /// is of this turn, and nothing else of it is as it should be.
    fn begin(&mut self, reach: u64) -> &mut Entry {
        let turn = self.turn;
        let length = self.entries.len();
        let in_reach = |place: &usize| self.is_wanted(&self.entries[*place]);
        let has_room = length < RECENT || length < MOST && self.order.front().is_some_and(in_reach);
        let oldest = if has_room {
            None
        } else {
            self.order.pop_front()
        };
        let place = oldest.unwrap_or_else(|| {
            self.entries.push(Entry::default());
            length
        });
        self.order.push_back(place);
        let (now, awaited) = (self.now, self.awaited);
        let entry = &mut self.entries[place];
        entry.settle(awaited);
        (entry.turn, entry.until, entry.at, entry.name) = (turn, turn + reach, now, None);
        entry
    }

    /// Whether an operation of this turn can confirm or teach anything: it may be that of a request that was understood. Those of which
    /// only the bytes were kept are asked if it stalls.
    #[inline]
    pub fn learns(&self) -> bool {
        self.learns_until > self.turn
    }

    /// An operation has stalled: those that follow may teach as well.
    pub fn has_stalled(&mut self) {
        self.learns_until = self.learns_until.max(self.turn + REACH);
    }

    /// Keeps the first bytes that a client sent, to be parsed if something stalls. The entry that gives way is judged.
    pub fn keep_bytes(&mut self, bytes: &[u8], rules: &mut Rules) {
        self.pending_until = self.pending_until.max(self.turn + REACH);
        self.repeated_until = self.repeated_until.max(self.turn + REACH);
        let entry = self.begin(REACH);
        entry.judge(rules);
        entry.expects_nothing();
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

    /// The newest request is known by this elsewhere.
    pub fn newest_is(&mut self, name: u64) {
        if let Some(&place) = self.order.back() {
            self.entries[place].name = Some(name);
        }
    }

    /// What the requests are known by to which an operation of this turn may belong.
    pub fn names(&self) -> impl Iterator<Item = u64> + '_ {
        self.names_in(Reach::Turn(self.turn))
    }

    fn names_in(&self, reach: Reach) -> impl Iterator<Item = u64> + '_ {
        let in_reach = self.entries.iter().filter(move |it| reach.has(it));
        in_reach.filter_map(|entry| entry.name)
    }

    /// Keeps one of many requests that a client has sent, for which nothing was predicted.
    pub fn keep_request(&mut self, request: &Request) {
        self.learns_until = self.learns_until.max(self.turn + REACH_OF_MANY);
        let entry = self.begin(REACH_OF_MANY);
        entry.expects_nothing();
        entry.is_for(request);
    }

    /// The same with one that is asked for again and again: its operations teach nothing unless one stalls. The entry that gives way is
    /// judged.
    pub fn keep_repeated(&mut self, request: &Request, rules: &mut Rules) {
        self.repeated_until = self.repeated_until.max(self.turn + REACH_OF_MANY);
        let entry = self.begin(REACH_OF_MANY);
        entry.judge(rules);
        entry.expects_nothing();
        entry.is_for(request);
    }

    /// Keeps a part of a record that a client has sent by TLS. A request in one that is too long to be kept is not understood.
    /// `are_many` tells that there may be several in it.
    pub fn keep_sealed(&mut self, connection: OpenFile, piece: &Piece<'_>, are_many: bool) {
        let length = HEADER + piece.length;
        if length > KEPT {
            return self.has_not_understood();
        }
        if piece.at > 0 {
            let last = self
                .order
                .back()
                .map(|&place| &mut self.entries[place].known);
            match last {
                Some(Known::Sealed(sealed)) if sealed.is_of(connection, piece) => sealed.add(piece),
                _ => self.has_not_understood(),
            }
            return;
        }
        let reach = if are_many { REACH_OF_MANY } else { REACH };
        self.pending_until = self.pending_until.max(self.turn + reach);
        let entry = self.begin(reach);
        entry.expects_nothing();
        // In place where a record stood before, the usual case: a KiB is not moved about.
        if !matches!(entry.known, Known::Sealed(_)) {
            entry.known = Known::Sealed(Sealed::default());
        }
        if let Known::Sealed(sealed) = &mut entry.known {
            sealed.begin(connection, piece, length);
            sealed.are_many = are_many;
        }
    }

    /// Remembers a request and what was predicted for it; the entry that gives way is judged.
    pub fn remember(&mut self, request: &Request, predictions: &Predictions, rules: &mut Rules) {
        self.remember_until(REACH, request, predictions, rules);
    }

    /// The same with one of many requests of a client.
    pub fn remember_of_many(
        &mut self,
        request: &Request,
        predictions: &Predictions,
        rules: &mut Rules,
    ) {
        self.remember_until(REACH_OF_MANY, request, predictions, rules);
    }

    fn remember_until(
        &mut self,
        reach: u64,
        request: &Request,
        predictions: &Predictions,
        rules: &mut Rules,
    ) {
        if request.may_want_less() {
            rules.count_condition();
        }
        self.learns_until = self.learns_until.max(self.turn + reach);
        let awaited = self.awaits(predictions, rules);
        let entry = self.begin(reach);
        entry.judge(rules);
        entry.touched = Touched::No;
        entry.expected.clear();
        entry
            .expected
            .extend(predictions.paths().map(Expected::from));
        entry.is_for(request);
        entry.is_awaited_in(awaited);
    }

    /// Looks at the bytes that were kept and not parsed yet, newest turns only. `open` opens a record, and tells where in it the
    /// request begins and ends: nothing where it cannot, and no bytes where there is none.
    pub fn recognise(
        &mut self,
        recogniser: &impl Recogniser,
        open: impl FnMut(&mut Sealed) -> Option<Range<usize>>,
    ) {
        let turn = self.turn;
        if self.pending_until > turn {
            self.pending_until = turn;
            self.recognise_in(Reach::Turn(turn), recogniser, open);
        }
    }

    fn recognise_in(
        &mut self,
        reach: Reach,
        recogniser: &impl Recogniser,
        mut open: impl FnMut(&mut Sealed) -> Option<Range<usize>>,
    ) {
        let Some(mut request) = self.request.take() else {
            return;
        };
        // Those that a record of several brings are behind the last of these.
        let count = self.order.len();
        // The newest first: by it a connection's keys are found to be right, and what was of its handshake is seen.
        for age in 1..=count {
            let Some(&place) = self.order.get(count - age) else {
                continue;
            };
            let entry = &mut self.entries[place];
            if !reach.has(entry) {
                continue;
            }
            let (mut are_many, mut is_sealed) = (false, false);
            let bytes = match &mut entry.known {
                Known::Bytes(bytes) => bytes.as_slice(),
                Known::Sealed(sealed) => {
                    (are_many, is_sealed) = (sealed.are_many, true);
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
            if are_many {
                let bytes: ArrayVec<u8, KEPT> = bytes.iter().copied().collect();
                entry.known = Known::Nothing;
                let read = (entry.turn, entry.at);
                self.recognise_many(&bytes, read, &mut request);
                continue;
            }
            let recognised = recogniser.recognise(bytes, &mut request);
            request.is_secure = is_sealed;
            // Another request may follow it.
            let read = (entry.turn, entry.at);
            let is_all = recognised == Ok(bytes.len());
            match recognised {
                Ok(_) => entry.is_for(&request),
                // The bytes are none of TLS: it may be another protocol's line, and is not understood all the same.
                Err(_) if !is_sealed && Line.recognise(bytes, &mut request).is_ok() => {
                    entry.is_for(&request);
                }
                Err(_) => entry.known = Known::Nothing,
            }
            if !is_all {
                self.had_not_understood(read);
            }
        }
        self.request = Some(request);
    }

    /// Finds the requests in a record of HTTP/2 that was read in this turn, and at that time.
    fn recognise_many(&mut self, bytes: &[u8], read: (u64, u64), request: &mut Request) {
        let mut connection = http2::Connection::late();
        request.is_secure = true;
        let mut rest = bytes;
        while let Some(event) = connection.next(&mut rest, request) {
            match event {
                Event::Request { .. } => {
                    self.keep_request(request);
                    let newest = self.order.back().map(|&place| &mut self.entries[place]);
                    newest
                        .into_iter()
                        .for_each(|entry| (entry.turn, entry.at) = read);
                }
                Event::NotUnderstood { .. } => self.had_not_understood(read),
                Event::Reset { .. } => {}
            }
        }
        if !connection.is_in_step() {
            self.had_not_understood(read);
        }
    }
}

#[cfg(test)]
mod tests;
