//! The compression's dynamic table (RFC 7541, 2.3.2), as far as it is known and decides what is asked for.
//!
//! Entries are counted from the newest one, so those that the client has removed since need not be: no right client names
//! them. What was added before somebody looked, or is too long ago, is unknown.

use super::head::{is_of_path, Method, Name, Value};
use crate::recognise::{
    decode_target_of, hash_host, Codings, Ranges, Request, Span, MAX_HOST, MAX_SPANS,
};
use arrayvec::ArrayVec;
use std::collections::VecDeque;

/// Entries that are kept: all that fit in a table of the size that any server allows at first (RFC 7541, 4.1; RFC 9113, 6.5.2).
const MAX_ENTRIES: usize = 128;

/// Bytes that the values of entries take together: all of such a table.
const MAX_TEXT: usize = 4096;

/// Bytes that a part of a file takes.
const SPAN: usize = 17;

/// What is known of an entry.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Where its text begins, counted over all texts, and how long it is.
    at: u32,
    length: u16,
    name: Name,
    kind: Kind,
}

/// What the text of an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unknown,
    Other,
    Get,
    Head,
    OtherMethod,
    /// As it was sent, with its query.
    Path,
    /// Decoded, without it: the whole was too long.
    DecodedPath,
    RefusedPath,
    Host,
    /// Its hash.
    HashOfHost,
    /// Each as a word that tells its kind and two with its numbers.
    Range,
    /// One byte.
    Codings,
}

/// The table. It is made as large as it is needed.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// The newest is the last one.
    entries: VecDeque<Entry>,
    text: VecDeque<u8>,
    /// Bytes of all texts before those that are kept.
    before: u32,
}

impl Table {
    /// One that allocates nothing.
    pub(super) const fn new() -> Table {
        Table {
            entries: VecDeque::new(),
            text: VecDeque::new(),
            before: 0,
        }
    }

    /// All entries so far are unknown, or were removed.
    pub(super) fn forget(&mut self) {
        self.entries.clear();
        self.text.clear();
    }

    /// The name of an entry, counted from the newest one, which is 0.
    pub(super) fn name(&self, index: usize) -> Name {
        self.entry(index).map_or(Name::Unknown, |entry| entry.name)
    }

    fn entry(&self, index: usize) -> Option<&Entry> {
        let place = self.entries.len().checked_sub(index + 1)?;
        self.entries.get(place)
    }

    /// A whole entry; a path and a host are put into the request.
    pub(super) fn get(&self, index: usize, request: &mut Request) -> (Name, Value) {
        let Some(entry) = self.entry(index) else {
            return (Name::Unknown, Value::Unknown);
        };
        (entry.name, self.value(entry, request).unwrap_or_default())
    }

    fn value(&self, entry: &Entry, request: &mut Request) -> Option<Value> {
        let at = entry.at.wrapping_sub(self.before) as usize;
        let end = at.checked_add(usize::from(entry.length))?;
        // Its text is not kept any more.
        if entry.length > 0 && end > self.text.len() {
            return None;
        }
        Some(match entry.kind {
            Kind::Unknown => Value::Unknown,
            Kind::Other => Value::Other,
            Kind::Get => Value::Method(Method::Get),
            Kind::Head => Value::Method(Method::Head),
            Kind::OtherMethod => Value::Method(Method::Other),
            Kind::RefusedPath => Value::Path(false),
            Kind::Path => {
                let path = || self.text.range(at..end).copied();
                request.text.set_target(path());
                decode_target_of(path().take_while(is_of_path), &mut request.target).ok()?;
                Value::Path(true)
            }
            Kind::DecodedPath => {
                request.target.clear();
                for byte in self.text.range(at..end) {
                    request.target.try_push(*byte).ok()?;
                }
                Value::Path(true)
            }
            Kind::Host => {
                let mut host = ArrayVec::<u8, MAX_HOST>::new();
                for byte in self.text.range(at..end) {
                    host.try_push(*byte).ok()?;
                }
                request.text.set_host(&host);
                Value::Host(hash_host(&host))
            }
            Kind::HashOfHost => Value::Host(self.word(at)?),
            Kind::Range => {
                let spans = (at..end).step_by(SPAN).map_while(|at| self.span(at));
                Value::Range(Ranges::these(spans))
            }
            Kind::Codings => Value::Codings(Codings::from_bits(*self.text.get(at)?)),
        })
    }

    fn word(&self, at: usize) -> Option<u64> {
        let mut word = [0; 8];
        for (place, byte) in word.iter_mut().enumerate() {
            *byte = *self.text.get(at + place)?;
        }
        Some(u64::from_ne_bytes(word))
    }

    fn span(&self, at: usize) -> Option<Span> {
        let (start, length) = (self.word(at + 1)?, self.word(at + 9)?);
        Some(match self.text.get(at)? {
            0 => Span::From(start),
            1 => Span::Part(start, length),
            _ => Span::Last(length),
        })
    }

    /// The client adds an entry; its path or host stands in the request.
    pub(super) fn add(&mut self, name: Name, value: Value, request: &Request) {
        let text = &request.text;
        match value {
            Value::Unknown => self.push(name, Kind::Unknown, &[]),
            Value::Other => self.push(name, Kind::Other, &[]),
            Value::Method(Method::Get) => self.push(name, Kind::Get, &[]),
            Value::Method(Method::Head) => self.push(name, Kind::Head, &[]),
            Value::Method(Method::Other) => self.push(name, Kind::OtherMethod, &[]),
            Value::Path(false) => self.push(name, Kind::RefusedPath, &[]),
            Value::Path(true) => match text.target() {
                Some(target) => self.push(name, Kind::Path, target),
                None => self.push(name, Kind::DecodedPath, &request.target),
            },
            Value::Host(hash) => match text.host_and_port() {
                Some(host) if host.len() <= MAX_HOST => self.push(name, Kind::Host, host),
                _ => self.push(name, Kind::HashOfHost, &hash.to_ne_bytes()),
            },
            Value::Range(ranges) => {
                let mut text = ArrayVec::<u8, { MAX_SPANS * SPAN }>::new();
                let spans = ranges.iter().take_while(|_| !ranges.are_all());
                for (kind, start, length) in spans.map(numbers) {
                    text.push(kind);
                    text.extend(start.to_ne_bytes());
                    text.extend(length.to_ne_bytes());
                }
                self.push(name, Kind::Range, &text);
            }
            Value::Codings(codings) => self.push(name, Kind::Codings, &[codings.bits()]),
        }
    }

    fn push(&mut self, name: Name, mut kind: Kind, text: &[u8]) {
        if self.entries.len() == MAX_ENTRIES {
            self.entries.pop_front();
        }
        if self.entries.try_reserve(1).is_err() {
            // An entry that is not there must be counted: rather none is known.
            return self.forget();
        }
        let overflow = (self.text.len() + text.len()).saturating_sub(MAX_TEXT);
        let dropped = overflow.min(self.text.len());
        self.text.drain(..dropped);
        self.before = self.before.wrapping_add(dropped as u32);
        let at = self.before.wrapping_add(self.text.len() as u32);
        let mut length = 0;
        if text.len() <= MAX_TEXT && self.text.try_reserve(text.len()).is_ok() {
            self.text.extend(text);
            length = text.len() as u16;
        } else {
            kind = Kind::Unknown;
        }
        self.entries.push_back(Entry {
            at,
            length,
            name,
            kind,
        });
    }
}

impl Clone for Table {
    fn clone(&self) -> Table {
        let mut table = Table::new();
        table.clone_from(self);
        table
    }

    /// What there is no memory for is unknown in the copy.
    fn clone_from(&mut self, source: &Table) {
        self.forget();
        self.before = source.before;
        if !copy(&mut self.text, &source.text) {
            self.before = self.before.wrapping_add(source.text.len() as u32);
        }
        copy(&mut self.entries, &source.entries);
    }
}

/// A part of a file: its kind and two numbers.
fn numbers(span: Span) -> (u8, u64, u64) {
    match span {
        Span::From(start) => (0, start, 0),
        Span::Part(start, length) => (1, start, length),
        Span::Last(length) => (2, 0, length),
    }
}

/// Whether there was memory for a copy.
fn copy<T: Copy>(to: &mut VecDeque<T>, from: &VecDeque<T>) -> bool {
    let has_room = to.try_reserve(from.len()).is_ok();
    if has_room {
        let (first, second) = from.as_slices();
        to.extend(first);
        to.extend(second);
    }
    has_room
}
