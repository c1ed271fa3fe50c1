//! What is known of the bodies of one connection. Of the one that is being sent: how far of its file is in memory, and how far
//! helpers have been asked to bring it in. Of the one that is received: where it ends.

use crate::recognise::Body;
use arrayvec::ArrayVec;
use core::ops::Range;

/// Parts of the application's memory that reads have filled, remembered at once.
const FILLED: usize = 8;

/// Bytes of a body that are sent before it gives way again.
const TURN: u64 = 256 * 1024;

/// How many turns a client with room waits for others at the most.
const TURNS: u32 = 16;

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

/// What the server will read next, by what it has read and written in this iteration. Files are read for a
/// connection that is not named: most often it is written to next. But a connection that takes no more
/// has its next part read all the same, and then another one is written to.
#[derive(Debug, Default)]
pub struct NextRead {
    next: Option<Source>,
    /// Whose it is, where that is known.
    reader: Option<i32>,
    /// The connection that was written to last, and what is read for it next.
    last: Option<(i32, Source)>,
    /// Where the reads of this iteration have put their bytes, the oldest first.
    filled: ArrayVec<Range<usize>, FILLED>,
}

impl NextRead {
    /// An iteration begins.
    pub fn forget(&mut self) {
        *self = NextRead::default();
    }

    /// All of a part of a file was read: the next read is expected behind it, if it goes on as it did since
    /// the last write. Twice as much, for many fill a second buffer while the first waits to be sent. Where
    /// it is known for which connection that is, it is returned: that one may not be written to in this iteration.
    pub fn has_read(&mut self, file: OpenFile, range: Range<u64>) -> Option<(i32, &Source)> {
        let before = self.next.take();
        let before = before.filter(|next| next.file == file && next.range.start == range.start);
        let before = before.map_or(0, |next| next.range.end - next.range.start);
        let last = self.last.as_ref();
        let goes_on = last.filter(|(_, s)| s.file == file && s.range.contains(&range.start));
        self.reader = goes_on.map(|last| last.0);
        let range = range.end..range.end + before + 2 * (range.end - range.start);
        let next = self.next.insert(Source { file, range });
        self.reader.map(|reader| (reader, &*next))
    }

    /// A read has put bytes of a file there.
    pub fn has_filled(&mut self, memory: Range<usize>) {
        if let Some(last) = self.filled.last_mut().filter(|l| l.end == memory.start) {
            last.end = memory.end;
            return;
        }
        if self.filled.is_full() {
            self.filled.remove(0);
        }
        self.filled.push(memory);
    }

    /// Whether any read of this iteration has put bytes of a file anywhere.
    pub fn has_filled_any(&self) -> bool {
        !self.filled.is_empty()
    }

    /// Whether all of this memory is where a read of this iteration has put bytes of a file.
    pub fn is_filled(&self, memory: &Range<usize>) -> bool {
        let within =
            |filled: &Range<usize>| filled.start <= memory.start && memory.end <= filled.end;
        memory.is_empty() || self.filled.iter().any(within)
    }

    /// A connection is written to: what was read for it.
    pub fn take(&mut self, connection: i32) -> Option<Source> {
        let next = self.next.take();
        next.filter(|_| self.reader.is_none_or(|reader| reader == connection))
    }

    /// And this is what is read for it next.
    pub fn goes_on(&mut self, connection: i32, next: &Source) {
        self.last = Some((connection, next.clone()));
    }
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
    /// Bytes that can be sent before it gives way to others.
    credit: u64,
    /// It has given way once.
    gave_way: bool,
    /// For how many turns it has waited for others.
    waited: u32,
    /// What a job that was waited for has brought in, up to here. It is known until it was sent.
    waited_for: Option<u64>,
    /// The address up to which a job that was waited for has made a mapping resident.
    pub mapped_until: Option<usize>,
    /// What the server will read when it has sent what it read last.
    pub next_read: Option<Source>,
    /// The body that the client sends.
    pub received: Body,
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
                credit: TURN,
                ..Stream::default()
            };
        }
        if now.saturating_sub(self.seen) > ttl {
            self.known = offset..offset;
        }
        self.waited_for = self.waited_for.filter(|&end| end > offset);
        if let Some(end) = self.waited_for {
            self.knows(end, now);
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
    /// been done. Each is larger than the last, up to a bound, and none ends more than `most` bytes ahead; a client that
    /// takes nothing asks for nothing, because nothing is sent to it.
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

    /// This client has room, and others are sent to in this iteration: whether it is told in a later one. One that has waited for
    /// long is not deferred, nor one whose body was in memory.
    pub fn waits_its_turn(&mut self) -> bool {
        self.waited = match self.waited {
            TURNS.. => 0,
            _ if self.asked == 0 => 0,
            waited => waited + 1,
        };
        self.waited > 0
    }

    /// Whether helpers were asked for any of it.
    pub fn was_cold(&self) -> bool {
        self.asked > 0
    }

    /// Bytes were sent to this client.
    pub fn has_sent(&mut self, count: u64) {
        self.credit = self.credit.saturating_sub(count);
    }

    /// A part of this body is about to be sent: whether it gives way to others, if the iteration has become long.
    /// One that was in memory does not, nor does one that has sent little since it gave way: a body in many small
    /// pieces would never end.
    /// Where all of the part is sent `at_once`, the first may do so as well: many answers begin in one iteration.
    pub fn gives_way(&mut self, turn_is_long: bool, at_once: bool) -> bool {
        let may = self.credit == 0 || at_once && !self.gave_way;
        let gives_way = turn_is_long && self.asked > 0 && may;
        if gives_way {
            self.credit = TURN;
            self.gave_way = true;
        }
        gives_way
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

    /// Without it a server that takes 21 ms for a page of 48 KB took 21 s with short-lived knowledge.
    #[test]
    fn what_a_job_brought_in_is_known_until_it_was_sent() {
        let mut stream = Stream::default();
        stream.begin(FILE, 0, 0, 0);
        stream.waits_for(4096);
        for offset in 0..4096 {
            assert_eq!(stream.begin(FILE, offset, offset, 0), 4096);
        }
        assert_eq!(stream.begin(FILE, 4096, 5000, 0), 4096);
    }

    #[test]
    fn what_was_cold_gives_way_and_then_sends() {
        let mut stream = Stream::default();
        stream.begin(FILE, 0, 0, 50);
        stream.has_sent(TURN);
        assert!(!stream.gives_way(true, false), "it was in memory");
        stream.ask(0, 10, 1000);
        assert!(!stream.gives_way(false, false));
        assert!(stream.gives_way(true, false));
        assert!(!stream.gives_way(true, false), "it would never be sent");
        stream.has_sent(TURN - 1);
        assert!(!stream.gives_way(true, false), "it has sent little");
        stream.has_sent(1);
        assert!(stream.gives_way(true, false));
        let other = OpenFile { owners: 2, ..FILE };
        stream.begin(other, 0, 0, 50);
        assert!(
            !stream.gives_way(true, false),
            "nothing was cold in this one"
        );
        stream.ask(0, 10, 1000);
        assert!(!stream.gives_way(true, false) && stream.gives_way(true, true));
        assert!(!stream.gives_way(true, true), "it would never be sent");
    }

    #[test]
    fn a_client_that_waits_for_others_is_told_in_the_end() {
        let mut stream = Stream::default();
        stream.begin(FILE, 0, 0, 50);
        assert!(!stream.waits_its_turn(), "it was in memory");
        stream.ask(0, 10, 1000);
        let waits = (0..100).take_while(|_| stream.waits_its_turn()).count();
        assert_eq!(waits, TURNS as usize);
        assert!(stream.waits_its_turn());
    }

    #[test]
    fn memory_is_a_files_where_a_read_of_this_turn_has_filled_it() {
        let mut next = NextRead::default();
        assert!(!next.is_filled(&(0..1)) && next.is_filled(&(5..5)));
        for number in 0..FILLED + 1 {
            next.has_filled(100 * number..100 * number + 50);
        }
        assert!(next.is_filled(&(100..150)) && next.is_filled(&(120..121)));
        assert!(!next.is_filled(&(100..151)) && !next.is_filled(&(0..50)));
        next.has_filled(850..900);
        assert!(next.is_filled(&(810..890)), "one buffer, in two reads");
        next.forget();
        assert!(!next.is_filled(&(100..150)));
    }

    #[test]
    fn two_buffers_are_read_ahead() {
        let mut next = NextRead::default();
        next.has_read(FILE, 0..10);
        next.has_read(FILE, 10..20);
        let range = 20..60;
        assert_eq!(next.take(4), Some(Source { file: FILE, range }));
        assert_eq!(next.take(4), None);
    }

    /// A connection that takes no more has its second buffer filled; what was read for it must not be
    /// taken for the next of whoever is written to after it.
    #[test]
    fn what_was_read_for_one_is_not_anothers() {
        let mut next = NextRead::default();
        next.has_read(FILE, 0..10);
        let first = next.take(4).unwrap();
        next.goes_on(4, &first);
        let range = 20..40;
        assert_eq!(
            next.has_read(FILE, 10..20),
            Some((4, &Source { file: FILE, range }))
        );
        assert_eq!(next.take(5), None);
        next.has_read(FILE, 20..30);
        next.has_read(FILE, 30..40);
        assert_eq!(next.take(4).unwrap().range, 40..80);
        let other = OpenFile { fd: 8, owners: 1 };
        next.has_read(other, 0..10);
        assert_eq!(next.take(5).unwrap().file, other);
    }

    #[test]
    fn windows_grow_and_are_not_asked_for_twice() {
        let mut stream = Stream::default();
        stream.begin(FILE, 0, 0, 50);
        assert_eq!(stream.ask(0, 10, 1000), Some(0..10));
        assert_eq!(stream.ask(0, 10, 1000), Some(10..30));
        assert_eq!(stream.ask(0, 10, 1000), Some(30..70));
        assert_eq!(stream.ask(0, 10, 1000), None);
        assert_eq!(stream.ask(40, 10, 1000), Some(70..110));
        // Never more than may be in flight.
        assert_eq!(stream.ask(110, 10, 5), Some(110..115));
        assert_eq!(stream.ask(110, 10, 5), None);
        assert_eq!(stream.ask(112, 10, 5), Some(115..117));
    }
}
