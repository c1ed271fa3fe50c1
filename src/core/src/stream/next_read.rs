//! What the server will read next, and for which connection.

use super::source::{OpenFile, Read, Source, SOURCES};
use arrayvec::ArrayVec;
use core::ops::Range;

/// Parts of the application's memory that reads have filled, remembered at once.
const FILLED: usize = 32;

/// Files of which it is remembered for whom they were read last.
const READERS: usize = 32;

/// Reads of several files.
pub type Reads = ArrayVec<Read, SOURCES>;

/// What was read of a file in this iteration, and no connection was written to since that it could be for.
#[derive(Debug)]
struct Pending {
    read: Read,
    /// Whose it is, where that is known.
    reader: Option<i32>,
    /// The connection that was served when it was read.
    served: Option<i32>,
}

/// What the server will read next, by what it has read and written in this iteration. Files are read for a
/// connection that is not named: most often it is written to next. But a connection that takes no more
/// has its next part read all the same, and then another one is written to. And several files may be read for one that is
/// sent several bodies at once. What nobody was written to after, in its iteration, is for the connection that was served when it
/// was read: some send in a later iteration.
#[derive(Debug)]
pub struct NextRead {
    /// The oldest first.
    reads: Vec<Pending>,
    /// For which connections files were read in this iteration and those before, the last one first.
    readers: Vec<(OpenFile, i32)>,
    /// Where the reads of this iteration have put their bytes, the oldest first.
    filled: Vec<Range<usize>>,
    /// The connection that was read or written to last in this iteration.
    served: Option<i32>,
}

impl Default for NextRead {
    /// With room for all that it ever remembers.
    fn default() -> NextRead {
        NextRead {
            reads: Vec::with_capacity(SOURCES),
            readers: Vec::with_capacity(READERS),
            filled: Vec::with_capacity(FILLED),
            served: None,
        }
    }
}

impl NextRead {
    /// An iteration begins.
    pub fn forget(&mut self) {
        self.reads.clear();
        self.filled.clear();
        self.served = None;
    }

    /// A connection is read or written to.
    #[inline]
    pub fn serves(&mut self, connection: i32) {
        self.served = Some(connection);
    }

    /// What was read in this iteration and not written to anybody, each with the connection that was served.
    pub fn take_unsent(&mut self) -> impl Iterator<Item = (i32, Read)> + '_ {
        let unsent = self.reads.drain(..);
        unsent.filter_map(|it| Some((it.reader.or(it.served)?, it.read)))
    }

    /// All of a part of a file was read: the next read is expected behind it, if it goes on as it did since
    /// the last write. Twice as much, for many fill a second buffer while the first waits to be sent. Returns that, and the
    /// connection for which this file was read last: one that goes on there may not be written to in this iteration.
    pub fn has_read(&mut self, file: OpenFile, range: Range<u64>) -> (Read, Option<i32>) {
        let goes_on = |pending: &Pending| {
            let next = &pending.read.next;
            next.file == file && next.range.start == range.start
        };
        let before = self.reads.iter().position(goes_on);
        let before = before.map(|place| self.reads.remove(place));
        let (from, length, reader) = before.map_or((range.start, 0, None), |before| {
            let ahead = before.read.next.range;
            (before.read.from, ahead.end - ahead.start, before.reader)
        });
        if self.reads.len() == SOURCES {
            self.reads.remove(0);
        }
        let end = range.end + length + 2 * (range.end - range.start);
        let range = range.end..end;
        let next = Source { file, range };
        let read = Read { from, next };
        self.reads.push(Pending {
            read: read.clone(),
            reader,
            served: self.served,
        });
        let last = self.readers.iter().find(|(read, _)| *read == file);
        (read, last.map(|last| last.1))
    }

    /// The last read was for this connection.
    pub fn was_for(&mut self, connection: i32) {
        if let Some(last) = self.reads.last_mut() {
            last.reader = Some(connection);
        }
    }

    /// A read has put bytes of a file there.
    pub fn has_filled(&mut self, memory: Range<usize>) {
        if let Some(last) = self.filled.last_mut().filter(|l| l.end == memory.start) {
            last.end = memory.end;
            return;
        }
        if self.filled.len() == FILLED {
            self.filled.remove(0);
        }
        self.filled.push(memory);
    }

    /// The files that were read in this iteration, and not written to anybody yet.
    pub fn unsent_files(&self) -> impl Iterator<Item = OpenFile> + '_ {
        self.reads.iter().map(|pending| pending.read.next.file)
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

    /// Up to where reads of this iteration have put bytes of files, from here on. Nothing where they have not.
    pub fn filled_until(&self, start: usize) -> Option<usize> {
        let mut end = start;
        while let Some(filled) = self.filled.iter().find(|filled| filled.contains(&end)) {
            end = filled.end;
        }
        (end > start).then_some(end)
    }

    /// A connection is written to: all that was read for it, the oldest first. `goes_on` tells whether it was expected to read
    /// that file from there.
    pub fn take(&mut self, connection: i32, goes_on: impl Fn(OpenFile, u64) -> bool) -> Reads {
        let mut taken = Reads::new();
        self.reads.retain(|pending| {
            let read = &pending.read;
            let is_its = pending.reader.is_none_or(|reader| reader == connection)
                || goes_on(read.next.file, read.from);
            if is_its {
                taken.push(read.clone());
            }
            !is_its
        });
        for read in &taken {
            self.is_reader(connection, read.next.file);
        }
        taken
    }

    fn is_reader(&mut self, connection: i32, file: OpenFile) {
        if self.readers.first() == Some(&(file, connection)) {
            return;
        }
        let known = self.readers.iter().position(|(read, _)| *read == file);
        if let Some(place) = known {
            self.readers.remove(place);
        } else if self.readers.len() == READERS {
            self.readers.pop();
        }
        self.readers.insert(0, (file, connection));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: OpenFile = OpenFile { fd: 7, owners: 1 };
    const OTHER: OpenFile = OpenFile { fd: 8, owners: 1 };

    fn source(file: OpenFile, range: Range<u64>) -> Source {
        Source { file, range }
    }

    fn take(next: &mut NextRead, connection: i32) -> Vec<Source> {
        let taken = next.take(connection, |_, _| false);
        taken.into_iter().map(|read| read.next).collect()
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
        next.has_filled(3250..3300);
        assert!(next.is_filled(&(3210..3290)), "one buffer, in two reads");
        next.forget();
        assert!(!next.is_filled(&(100..150)));
    }

    #[test]
    fn two_buffers_are_read_ahead() {
        let mut next = NextRead::default();
        next.has_read(FILE, 0..10);
        next.has_read(FILE, 10..20);
        assert_eq!(take(&mut next, 4), [source(FILE, 20..60)]);
        assert_eq!(take(&mut next, 4), []);
    }

    /// A connection that takes no more has its second buffer filled; what was read for it must not be
    /// taken for the next of whoever is written to after it.
    #[test]
    fn what_was_read_for_one_is_not_anothers() {
        let mut next = NextRead::default();
        assert_eq!(next.has_read(FILE, 0..10).1, None);
        assert_eq!(take(&mut next, 4).len(), 1);
        next.forget();
        assert_eq!(next.has_read(FILE, 10..20).1, Some(4));
        next.was_for(4);
        next.has_read(OTHER, 0..10);
        assert_eq!(take(&mut next, 5), [source(OTHER, 10..30)]);
        assert_eq!(take(&mut next, 5), []);
        assert_eq!(take(&mut next, 4), [source(FILE, 20..40)]);
    }

    #[test]
    fn a_file_that_two_are_sent_is_for_the_one_that_goes_on_there() {
        let mut next = NextRead::default();
        next.has_read(FILE, 0..10);
        next.was_for(4);
        let from = |file, from| (file, from) == (FILE, 0);
        assert_eq!(next.take(5, from).len(), 1);
    }

    /// Without it, a server that sends in a later iteration than it reads (Twisted) waited for the disk at each part of a body.
    #[test]
    fn what_is_not_sent_at_once_is_for_the_one_that_was_served() {
        let mut next = NextRead::default();
        next.has_read(OTHER, 0..10);
        next.serves(4);
        next.has_read(FILE, 0..10);
        next.serves(5);
        next.has_read(FILE, 50..60);
        let unsent: Vec<_> = next
            .take_unsent()
            .map(|(whose, read)| (whose, read.next))
            .collect();
        assert_eq!(
            unsent,
            [(4, source(FILE, 10..30)), (5, source(FILE, 60..80))]
        );
        assert_eq!(next.take_unsent().count(), 0);
        next.serves(4);
        next.forget();
        next.has_read(FILE, 10..20);
        assert_eq!(next.take_unsent().count(), 0, "nobody was served");
    }

    #[test]
    fn several_files_are_read_in_turns() {
        let mut next = NextRead::default();
        next.has_read(FILE, 0..10);
        next.has_read(OTHER, 50..60);
        next.has_read(FILE, 10..20);
        let both = [source(OTHER, 60..80), source(FILE, 20..60)];
        assert_eq!(take(&mut next, 4), both);
        for number in 0..SOURCES as u32 + 1 {
            let file = OpenFile {
                fd: 9,
                owners: number,
            };
            next.has_read(file, 0..10);
        }
        assert_eq!(take(&mut next, 4).len(), SOURCES);
    }

    #[test]
    fn memory_is_followed_through_buffers_that_touch() {
        let mut next = NextRead::default();
        next.has_filled(10..20);
        next.has_filled(30..40);
        next.has_filled(20..30);
        assert_eq!(next.filled_until(15), Some(40));
        assert_eq!(next.filled_until(40), None);
    }
}
