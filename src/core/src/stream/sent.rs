//! What is known of one of the files that are sent to a connection.

use super::source::{OpenFile, Source};
use core::ops::Range;

/// How many windows are asked for ahead of need at most, for a client that drains them.
const MOST_WINDOWS: u64 = 4;

/// A file that is on its way to a connection.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub file: OpenFile,
    /// Bytes that were sent to the connection when it was read last.
    pub read_at: u64,
    /// In memory when it was last looked at. Nothing before the first look.
    known: Option<Range<u64>>,
    seen: u64,
    /// Asked of helpers, up to here.
    asked: u64,
    /// How much is asked for at once.
    window: u64,
    /// What a job that was waited for has brought in, up to here. It is known until it was sent.
    waited_for: Option<u64>,
    /// What the server will read when it has sent what it read last.
    next: Option<Range<u64>>,
}

impl Sent {
    pub fn new(file: OpenFile, read_at: u64) -> Sent {
        Sent {
            file,
            read_at,
            known: None,
            seen: 0,
            asked: 0,
            window: 0,
            waited_for: None,
            next: None,
        }
    }

    /// Its body begins here, or goes on where nothing is known of it.
    pub fn begin(&mut self, offset: u64, now: u64) {
        *self = Sent {
            known: Some(offset..offset),
            seen: now,
            next: self.next.take(),
            ..Sent::new(self.file, self.read_at)
        };
    }

    /// Whether what is known of it is of use for a part that begins at `offset`.
    pub fn knows_of(&self, offset: u64) -> bool {
        let known = self.known.as_ref();
        known.is_some_and(|known| known.contains(&offset) || known.end == offset)
    }

    /// Whether a part that begins at `offset` goes on with it.
    pub fn is_near(&self, offset: u64) -> bool {
        self.knows_of(offset)
            || self
                .next
                .as_ref()
                .is_some_and(|next| next.contains(&offset))
    }

    pub fn reads(&self, file: OpenFile, from: u64) -> bool {
        self.file == file && self.next.as_ref().is_some_and(|next| next.contains(&from))
    }

    /// Up to where it is known to be in memory, not longer than `ttl` ago. At least `offset`.
    pub fn known_until(&mut self, offset: u64, now: u64, ttl: u64) -> u64 {
        if now.saturating_sub(self.seen) > ttl {
            self.known = Some(offset..offset);
        }
        self.waited_for = self.waited_for.filter(|&end| end > offset);
        if let Some(end) = self.waited_for {
            self.knows(end, now);
        }
        self.known.as_ref().map_or(offset, |known| known.end)
    }

    pub fn is_known(&self, range: &Range<u64>, now: u64, ttl: u64) -> bool {
        let known = self.known.as_ref();
        let is_fresh = now.saturating_sub(self.seen) <= ttl;
        let known = known.filter(|known| is_fresh && known.contains(&range.start));
        let until = known.map(|known| known.end).max(self.waited_for);
        until.is_some_and(|until| until >= range.end)
    }

    pub fn knows(&mut self, end: u64, now: u64) {
        if let Some(known) = &mut self.known {
            if known.is_empty() {
                self.seen = now;
            }
            known.end = known.end.max(end);
        }
    }

    pub fn waits_for(&mut self, end: u64) {
        self.waited_for = Some(end);
        self.asked = self.asked.max(end);
    }

    pub fn ask(&mut self, missing: u64, window: u64, most: u64) -> Option<Range<u64>> {
        let size = self.window.clamp(window, MOST_WINDOWS * window);
        let start = self.asked.max(missing);
        let end = (start + size).min(missing.saturating_add(most));
        if start >= missing + size || start >= end {
            return None;
        }
        self.asked = end;
        self.window = 2 * size;
        Some(start..self.asked)
    }

    pub fn reads_next(&mut self, range: Range<u64>, sent: u64) {
        self.next = Some(range);
        self.read_at = sent;
    }

    pub fn next(&self) -> Option<Source> {
        let range = self.next.clone()?;
        Some(Source {
            file: self.file,
            range,
        })
    }

    pub fn was_read_since(&self, sent: u64) -> bool {
        self.read_at >= sent
    }

    pub fn expects_nothing(&mut self) {
        self.next = None;
    }

    /// Whether it is expected to be read on.
    pub fn is_read_on(&self) -> bool {
        self.next.is_some()
    }

    pub fn was_cold(&self) -> bool {
        self.asked > 0
    }
}
