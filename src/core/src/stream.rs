//! What is known of a body that is being sent to one connection: how far of its file is in memory,
//! and how far helpers have been asked to bring it in.

use core::ops::Range;

/// How many windows are asked for ahead of need at most, for a client that drains them.
const MOST_WINDOWS: u64 = 4;

/// An open file, for as long as its number is not given to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFile {
    /// Its number.
    pub fd: i32,
    /// How often the number had changed hands.
    pub owners: u32,
}

/// A part of an open file that is sent, or read to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The file.
    pub file: OpenFile,
    /// Bytes from its start.
    pub range: Range<u64>,
}

/// A body on its way to a connection. Offsets are bytes from the start of the file, times are
/// milliseconds of any one clock.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    file: Option<OpenFile>,
    /// In memory when it was last looked at.
    known: Range<u64>,
    seen: u64,
    /// Asked of helpers, up to here.
    asked: u64,
    /// How much is asked for at once.
    window: u64,
    /// What a job that was waited for has brought in, up to here.
    waited_for: Option<u64>,
    /// The address up to which a job that was waited for has made a mapping resident.
    pub mapped_until: Option<usize>,
    /// What the server will read when it has sent what it read last.
    pub next_read: Option<Source>,
}

impl Stream {
    /// A part that begins at `offset` of this file is about to be sent: up to where it is known to
    /// be in memory, not longer than `ttl` ago. At least `offset`.
    pub fn begin(&mut self, file: OpenFile, offset: u64, now: u64, ttl: u64) -> u64 {
        let goes_on =
            self.file == Some(file) && (self.known.contains(&offset) || self.known.end == offset);
        if !goes_on {
            *self = Stream {
                file: Some(file),
                known: offset..offset,
                seen: now,
                ..Stream::default()
            };
        }
        if let Some(end) = self.waited_for.take() {
            self.knows(end, now);
        }
        if now.saturating_sub(self.seen) > ttl {
            self.known = offset..offset;
        }
        self.known.end
    }

    /// All up to `end` is in memory.
    pub fn knows(&mut self, end: u64, now: u64) {
        if self.known.is_empty() {
            self.seen = now;
        }
        self.known.end = self.known.end.max(end);
    }

    /// A job is waited for that brings in what is missing, up to `end`.
    pub fn waits_for(&mut self, end: u64) {
        self.waited_for = Some(end);
        self.asked = self.asked.max(end);
    }

    /// What is missing begins at `missing`: the range to ask for ahead of need, where that has not
    /// been done. Each is larger than the last, up to a bound; a client that takes nothing asks for
    /// nothing, because nothing is sent to it.
    pub fn ask(&mut self, missing: u64, window: u64) -> Option<Range<u64>> {
        let size = self.window.clamp(window, MOST_WINDOWS * window);
        let start = self.asked.max(missing);
        if start >= missing + size {
            return None;
        }
        self.asked = start + size;
        self.window = 2 * size;
        Some(start..self.asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: OpenFile = OpenFile { fd: 7, owners: 1 };

    #[test]
    fn what_was_seen_is_not_looked_at_again_until_it_is_old() {
        let mut stream = Stream::default();
        assert_eq!(stream.begin(FILE, 0, 100, 50), 0);
        stream.knows(1000, 100);
        assert_eq!(stream.begin(FILE, 400, 120, 50), 1000);
        assert_eq!(stream.begin(FILE, 400, 151, 50), 400);
    }

    #[test]
    fn another_file_under_the_same_number_is_not_known() {
        let mut stream = Stream::default();
        stream.begin(FILE, 0, 0, 50);
        stream.knows(1000, 0);
        let other = OpenFile { owners: 2, ..FILE };
        assert_eq!(stream.begin(other, 0, 0, 50), 0);
        assert_eq!(stream.begin(other, 5000, 0, 50), 5000);
    }

    #[test]
    fn what_a_job_brought_in_is_known_without_a_look() {
        let mut stream = Stream::default();
        stream.begin(FILE, 0, 0, 50);
        stream.waits_for(4096);
        assert_eq!(stream.begin(FILE, 0, 20, 50), 4096);
    }

    #[test]
    fn windows_grow_and_are_not_asked_for_twice() {
        let mut stream = Stream::default();
        stream.begin(FILE, 0, 0, 50);
        assert_eq!(stream.ask(0, 10), Some(0..10));
        assert_eq!(stream.ask(0, 10), Some(10..30));
        assert_eq!(stream.ask(0, 10), Some(30..70));
        assert_eq!(stream.ask(0, 10), None);
        assert_eq!(stream.ask(40, 10), Some(70..110));
    }
}
