//! What is known of the bodies of one connection. Of those that are being sent: how far of their files is in memory, and how far
//! helpers have been asked to bring it in. Of the one that is received: where it ends.
//!
//! Most connections are sent one body after the other. By HTTP/2 several are sent at once, a piece of each in turn.

mod frames;
mod next_read;
mod sent;
mod source;

pub use frames::HEADER;
pub use next_read::{NextRead, Reads};
pub use source::{OpenFile, Read, Source, SOURCES};

use crate::recognise::Body;
use core::ops::{Range, RangeInclusive};
use sent::Sent;

/// Bytes of a body that are sent before it gives way again.
const TURN: u64 = 256 * 1024;

/// How many turns a client with room waits for others at the most.
const TURNS: u32 = 16;

/// A file that was not read while so much was sent to its connection is not waited for: its stream's window may be closed.
/// As much as servers read ahead for all streams together.
const LATELY: u64 = SOURCES as u64 * 64 * 1024;

/// The bodies on their way to a connection. Offsets are bytes from the start of a file, times are
/// milliseconds of any one clock.
#[derive(Debug, Default)]
pub struct Stream {
    /// The file that was read, sent or looked at last: what follows is about this one.
    current: Option<Sent>,
    /// The others, if there are any. Room for them is made when the first comes, and kept.
    others: Vec<Sent>,
    /// Bytes that were sent to this client.
    sent: u64,
    /// Bytes that can be sent before it gives way to others.
    credit: u64,
    /// It has given way once.
    gave_way: bool,
    /// For how many turns it has waited for others.
    waited: u32,
    /// The address up to which a job that was waited for has made a mapping resident.
    pub mapped_until: Option<usize>,
    /// The body that the client sends.
    pub received: Body,
}

impl Stream {
    /// The number names another connection from now on. Nothing is given back to the allocator: it may be a signal handler that
    /// accepts.
    pub fn reset(&mut self) {
        let mut others = core::mem::take(&mut self.others);
        others.clear();
        *self = Stream {
            others,
            ..Stream::default()
        };
    }

    /// A part that begins at `offset` of this file is about to be sent: up to where it is known to
    /// be in memory, not longer than `ttl` ago. At least `offset`.
    pub fn begin(&mut self, file: OpenFile, offset: u64, now: u64, ttl: u64) -> u64 {
        self.turn_to(file, offset..=offset);
        let is_only = self.others.is_empty();
        let Some(current) = &mut self.current else {
            return offset;
        };
        if !current.knows_of(offset) {
            current.begin(offset, now);
            if is_only {
                self.credit = TURN;
                self.gave_way = false;
                self.waited = 0;
                self.mapped_until = None;
            }
        }
        current.known_until(offset, now, ttl)
    }

    /// All up to `end` is in memory.
    pub fn knows(&mut self, end: u64, now: u64) {
        if let Some(current) = &mut self.current {
            current.knows(end, now);
        }
    }

    /// A job is waited for that brings in what is missing of this file.
    pub fn waits_for(&mut self, file: OpenFile, missing: Range<u64>) {
        self.turn_to(file, missing.start..=missing.start);
        if let Some(current) = &mut self.current {
            current.waits_for(missing.end);
        }
    }

    /// Whether a part of a file is known to be in memory, not longer than `ttl` ago.
    pub fn is_known(&self, source: &Source, now: u64, ttl: u64) -> bool {
        let is_it = |sent: &&Sent| sent.file == source.file && sent.is_near(source.range.start);
        let known = self.all().find(is_it);
        known.is_some_and(|sent| sent.is_known(&source.range, now, ttl))
    }

    /// What is missing begins at `missing`: the range to ask for ahead of need, where that has not
    /// been done. Each is larger than the last, up to a bound, and none ends more than `most` bytes ahead, or a file's share of
    /// that; a client that takes nothing asks for nothing, because nothing is sent to it.
    pub fn ask(&mut self, missing: u64, window: u64, most: u64) -> Option<Range<u64>> {
        let share = self.share(most);
        self.current.as_mut()?.ask(missing, window, share)
    }

    /// What one file may have of this, of which all have the same.
    pub fn share(&self, of: u64) -> u64 {
        of / (self.others.len() as u64 + 1)
    }

    /// A file was read or sent for this client just now.
    pub fn has_read(&mut self, read: &Read) {
        let Read { from, next } = read;
        // It may know of the first of these reads, or of all.
        self.turn_to(next.file, *from..=next.range.start);
        let sent = self.sent;
        if let Some(current) = &mut self.current {
            current.reads_next(next.range.clone(), sent);
        }
    }

    /// Whether a read of this file from here goes on with one of the bodies.
    pub fn goes_on(&self, file: OpenFile, from: u64) -> bool {
        self.all().any(|sent| sent.reads(file, from))
    }

    /// What is expected to be read next: first of the file that was read or looked at last. That one is read next however much
    /// was sent since: some read much at once.
    pub fn next_reads(&self) -> impl Iterator<Item = Source> + '_ {
        let since = self.sent.saturating_sub(LATELY);
        let others = self.others.iter();
        let lately = others.filter(move |sent| sent.was_read_since(since));
        let all = self.current.iter().chain(lately);
        all.filter_map(Sent::next)
    }

    /// What was read and sent until now tells nothing of what is read next.
    pub fn expects_nothing(&mut self) {
        self.others.clear();
        if let Some(current) = &mut self.current {
            current.expects_nothing();
        }
    }

    /// An open file is none any more.
    pub fn has_closed(&mut self, file: OpenFile) {
        self.others.retain(|sent| sent.file != file);
        if let Some(current) = self.current.as_mut().filter(|sent| sent.file == file) {
            current.expects_nothing();
        }
    }

    /// This client has room, and others are sent to in this iteration: whether it is told in a later one. One that has waited for
    /// long is not deferred, nor one whose bodies were in memory.
    pub fn waits_its_turn(&mut self) -> bool {
        self.waited = match self.waited {
            TURNS.. => 0,
            _ if !self.was_cold() => 0,
            waited => waited + 1,
        };
        self.waited > 0
    }

    /// Whether helpers were asked for any of it.
    pub fn was_cold(&self) -> bool {
        self.all().any(Sent::was_cold)
    }

    /// Bytes were sent to this client.
    pub fn has_sent(&mut self, count: u64) {
        self.sent += count;
        self.credit = self.credit.saturating_sub(count);
    }

    /// A part of a body is about to be sent: whether it gives way to other clients, if the iteration has become long.
    /// One that was in memory does not, nor does one that has sent little since it gave way: a body in many small
    /// pieces would never end.
    /// Where all of the part is sent `at_once`, the first may do so as well: many answers begin in one iteration.
    pub fn gives_way(&mut self, turn_is_long: bool, at_once: bool) -> bool {
        let may = self.credit == 0 || at_once && !self.gave_way;
        let gives_way = turn_is_long && self.was_cold() && may;
        if gives_way {
            self.credit = TURN;
            self.gave_way = true;
        }
        gives_way
    }

    fn all(&self) -> impl Iterator<Item = &Sent> {
        self.current.iter().chain(&self.others)
    }

    /// Makes this file the current one, as far as it is read on from the first of these offsets, or the last.
    fn turn_to(&mut self, file: OpenFile, from: RangeInclusive<u64>) {
        let is_near = |sent: &Sent| sent.is_near(*from.start()) || sent.is_near(*from.end());
        let is_it = |sent: &Sent| sent.file == file && is_near(sent);
        if self.current.as_ref().is_some_and(is_it) {
            return;
        }
        if let Some(known) = self.others.iter_mut().find(|sent| is_it(sent)) {
            if let Some(current) = &mut self.current {
                core::mem::swap(current, known);
            }
            return;
        }
        let fresh = Sent::new(file, self.sent);
        if let Some(last) = self.current.replace(fresh).filter(Sent::is_read_on) {
            self.keep(last);
        }
    }

    /// Keeps what is known of a file while another one is sent. Without memory for that, it is forgotten.
    fn keep(&mut self, sent: Sent) {
        const MOST: usize = SOURCES - 1;
        let since = self.sent.saturating_sub(LATELY);
        self.others.retain(|other| other.was_read_since(since));
        if self.others.len() >= MOST {
            let ages = self.others.iter().enumerate();
            if let Some((oldest, _)) = ages.min_by_key(|(_, other)| other.read_at) {
                self.others.swap_remove(oldest);
            }
        }
        if self.others.capacity() >= MOST || self.others.try_reserve_exact(MOST).is_ok() {
            self.others.push(sent);
        }
    }
}

#[cfg(test)]
mod interleaved;

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
        stream.waits_for(FILE, 0..4096);
        assert_eq!(stream.begin(FILE, 0, 20, 50), 4096);
    }

    /// Without it a server that takes 21 ms for a page of 48 KB took 21 s with short-lived knowledge.
    #[test]
    fn what_a_job_brought_in_is_known_until_it_was_sent() {
        let mut stream = Stream::default();
        stream.begin(FILE, 0, 0, 0);
        stream.waits_for(FILE, 0..4096);
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
