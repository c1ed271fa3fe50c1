//! Clients that speak TLS: the same looks and the same gates, at a copy that is opened with the keys which the TLS library has told.
//!
//! What the application reads is what the client has sent. Records are followed in it; while the loop is disarmed that is all. A look
//! opens what waits in the socket, and judges the requests in it. From then on so many bytes may be read, and no more: behind them
//! may be requests that nobody has looked at. So all that is known of a request is noted when it is judged, and what is
//! read then is only counted.

use super::reading::{taken_error, Verdict};
use super::request::{peek, Cold, Look};
use super::state::{EventLoop, Seen, SEALED};
use crate::gate::sessions::{self, Entry};
use crate::gate::slot::{Read, Slot};
use crate::gate::told::NEVER;
use crate::gate::{may_be_refused, numbers};
use laio_core::recent::Sealed;
use laio_core::stats::Counter;
use laio_core::tls::{self, Content, Opened, Reason, Session};
use rustix::io::Errno;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;

/// What the walk over the records in a socket has found.
#[derive(Default)]
struct Walk {
    /// Bytes of requests, and those for which there was no room.
    length: usize,
    unseen: usize,
    /// Bytes of records, from the beginning of the first, that are known.
    end: usize,
    /// The end of the first record with bytes of requests.
    first: usize,
    /// The end of a record whose keys have not come yet, and behind which they may.
    too_early: Option<usize>,
}

impl EventLoop {
    /// A client that speaks TLS is about to be read.
    pub(super) fn before_sealed_read(&mut self, fd: i32, slot: &Slot, entry: &Entry) -> Verdict {
        let mut may_hold = !self.is_full;
        match slot.read() {
            Read::Pass => may_hold = false,
            Read::Part => return self.part_of(fd, slot),
            Read::Wait => return self.read_while_closed(fd, slot),
            Read::Look => {}
        }
        if let Some(error) = taken_error(slot) {
            return Verdict::Fail(error);
        }
        if let judged @ 1.. = entry.judged.load(Relaxed) {
            return Verdict::AtMost(judged);
        }
        let iteration = self.iteration.number();
        let refusable = || may_hold && slot.is_alone() && slot.is_stream(fd) && may_be_refused(fd);
        // What was reported has been read: what is there may have come since.
        let has_read = entry.read_in.load(Relaxed) == iteration;
        let goes_on = || has_read && slot.told.may_refuse_again() && refusable();
        if entry.seen_in.load(Relaxed) == iteration {
            // All bytes that were there are read. What has come since, or behind them, will be reported, and looked at.
            let ended = entry.open_in.load(Relaxed) != iteration;
            if slot.reports_rest(fd, ended) && goes_on() {
                let _ = self.refuse_read(slot);
                return Verdict::Nothing;
            }
        }
        match self.look(fd, slot, true) {
            Look::Warm | Look::Empty => {}
            Look::Cold(cold) if goes_on() => {
                if self.hold_back(fd, slot, cold, None) {
                    slot.told.has_read(iteration, self.now(), 0, true);
                    return Verdict::Fail(Errno::AGAIN);
                }
                self.accept_seen(fd, slot, entry, true);
            }
            Look::Cold(cold) => {
                self.pool.give_back(cold.job);
                let in_sets = self.sets.are_waited_for;
                if refusable() && slot.told.may_refuse_read(iteration, in_sets) {
                    return self.refuse_read(slot);
                }
                self.accept_seen(fd, slot, entry, true);
            }
            // Helpers start where the loop waits next.
            Look::Unstaffed if goes_on() => {
                slot.report_again(fd);
                return self.refuse_read(slot);
            }
            Look::Unstaffed => self.accept_seen(fd, slot, entry, false),
        }
        if let Some(error) = taken_error(slot) {
            return Verdict::Fail(error);
        }
        match entry.judged.load(Relaxed) {
            0 => Verdict::Unseen,
            judged => Verdict::AtMost(judged),
        }
    }

    /// What is in the socket of a client that speaks TLS.
    pub(super) fn look_sealed(&mut self, fd: i32, slot: &Slot, entry: &Entry) -> Look {
        self.looks.seen = Seen::default();
        if entry.judged.load(Relaxed) > 0 {
            return Look::Warm;
        }
        let state = entry.with(|session| {
            let reading = session.reading();
            (session.reason(), reading.within(), reading.rest())
        });
        let Some((Reason::None, within, rest)) = state else {
            return Look::Warm;
        };
        if within > 0 && !self.looks.begin_record(fd, within) {
            // Nobody knows the beginning of this record. What follows it is looked at.
            entry.judged.store(rest.unwrap_or(0), Relaxed);
            return Look::Warm;
        }
        let room = self.looks.sealed.get_mut(within..).unwrap_or_default();
        let total = match peek(fd, slot, room) {
            Ok(length) => within + length.min(SEALED - within),
            Err(look) => return look,
        };
        let Some(walk) = entry.with(|session| self.walk(session, total)) else {
            return Look::Warm;
        };
        let end = walk.too_early.unwrap_or(walk.end);
        self.looks.seen = Seen {
            length: walk.length,
            unseen: walk.unseen,
            judged: end.saturating_sub(within),
            is_cut: end < total,
            is_all: end == total && total < SEALED,
        };
        let look = match walk.length {
            0 => Look::Warm,
            length => self.judge(fd, slot, length),
        };
        match look {
            Look::Warm => self.accept_seen(fd, slot, entry, false),
            Look::Cold(cold) => {
                slot.cut.store(false, Relaxed);
                // Parts of a request are parts of its record.
                return Look::Cold(Cold {
                    length: walk.first.saturating_sub(within),
                    is_sealed: true,
                    ..cold
                });
            }
            Look::Unstaffed | Look::Empty => slot.cut.store(false, Relaxed),
        }
        look
    }

    /// Opens the records that are before the loop's eyes.
    fn walk(&mut self, session: &mut Session, total: usize) -> Walk {
        let mut walk = Walk::default();
        let mut place = session.reading().place();
        loop {
            let rest = self
                .looks
                .sealed
                .get_mut(walk.end..total)
                .unwrap_or_default();
            let length = rest
                .first_chunk()
                .and_then(tls::header)
                .map(|(_, length)| length);
            let record = length.and_then(|length| rest.get_mut(..tls::HEADER + length));
            let Some(record) = record else {
                return walk;
            };
            let end = walk.end + record.len();
            match session.open(&mut place, record) {
                Opened::Data(range) => {
                    let plain = record.get(range).unwrap_or_default();
                    let plain_length = plain.len();
                    let room = self.looks.bytes.get_mut(walk.length..).unwrap_or_default();
                    let taken = room.len().min(plain.len());
                    if let (Some(room), Some(plain)) = (room.get_mut(..taken), plain.get(..taken)) {
                        room.copy_from_slice(plain);
                    }
                    walk.length += taken;
                    walk.unseen += plain_length - taken;
                    self.counters.count_alone(Counter::TlsOpened);
                    if walk.first == 0 {
                        walk.first = end;
                    }
                }
                Opened::Other => {}
                Opened::TooEarly => {
                    walk.too_early = Some(end);
                    return walk;
                }
                Opened::Never(_) => {
                    self.count_refused(session.reason_to_count());
                    return Walk::default();
                }
            }
            walk.end = end;
        }
    }

    /// What was seen by the last look may be read: notes what is known of it. `remembers` tells whether its requests are not yet.
    fn accept_seen(&mut self, fd: i32, slot: &Slot, entry: &Entry, remembers: bool) {
        let seen = std::mem::take(&mut self.looks.seen);
        entry.judged.store(seen.judged, Relaxed);
        entry.owes.store(seen.is_cut, Relaxed);
        let seen_in = if seen.is_all {
            self.iteration.number()
        } else {
            NEVER
        };
        entry.seen_in.store(seen_in, Relaxed);
        let cut = slot.cut.swap(false, Relaxed);
        if seen.length == 0 {
            return;
        }
        let mut length = seen.length;
        if slot.partial.swap(false, Relaxed) {
            // It was joined when it was judged.
            length = self.looks.joined(fd, length);
            self.looks.drop_part(fd);
        }
        if cut || remembers {
            self.recognise_shown(fd, slot, (length, seen.unseen), remembers);
        }
    }

    /// The application has read a client that speaks TLS, while requests are looked at.
    pub(super) fn has_read_sealed(
        &mut self,
        fd: i32,
        slot: &Slot,
        entry: &Entry,
        (bytes, count): (&[u8], usize),
    ) {
        let judged = entry.judged.load(Relaxed);
        entry.judged.store(judged.saturating_sub(count), Relaxed);
        entry.read_in.store(self.iteration.number(), Relaxed);
        let Some(read) = self.follow(fd, slot, entry, (bytes, count), false) else {
            return;
        };
        if judged < count {
            self.has_read_unjudged(slot, &read);
            if read.reason == Reason::None && !slot.is_in_body() {
                self.looks.keep_record(fd, bytes, read.within);
            }
        } else if judged == count && entry.owes.swap(false, Relaxed) {
            slot.report_again(fd);
        }
    }

    /// The same, while nobody looks.
    pub(super) fn read_sealed_disarmed(
        &mut self,
        fd: i32,
        slot: &Slot,
        entry: &Entry,
        (bytes, count): (&[u8], usize),
    ) {
        entry.judged.store(0, Relaxed);
        slot.partial.store(false, Relaxed);
        if let Some(read) = self.follow(fd, slot, entry, (bytes, count), !slot.is_in_body()) {
            self.has_read_unjudged(slot, &read);
        }
    }

    /// Follows the records in what was read, and keeps those for the first stall if it is asked to.
    fn follow(
        &mut self,
        fd: i32,
        slot: &Slot,
        entry: &Entry,
        (bytes, count): (&[u8], usize),
        keeps: bool,
    ) -> Option<ReadRecords> {
        self.looks.last_sealed = fd;
        let connection = numbers::open_file(fd);
        let recent = &mut self.recent;
        let (read, refused) = entry.with(|session| {
            let is_understood = session.reason() == Reason::None;
            let connection = connection.filter(|_| keeps && is_understood);
            let overhead = session.overhead();
            let mut plain = 0;
            session.read(bytes, count, |piece| {
                if piece.content != Content::Application {
                    return;
                }
                if piece.at == 0 {
                    plain += piece.length.saturating_sub(overhead);
                }
                if let Some(connection) = connection {
                    recent.keep_sealed(connection, &piece);
                }
            });
            let read = ReadRecords {
                plain,
                within: session.reading().within(),
                reason: session.reason(),
            };
            // It may be the library that has told so, since the last read.
            (read, session.reason_to_count())
        })?;
        self.count_refused(refused);
        if read.plain > 0 && !sessions::are_told() {
            // Its handshake goes on, so it is no stranger's mistake.
            sessions::say_that_none_are_told();
            slot.leave_tls_alone(fd);
        }
        Some(read)
    }

    /// A client cannot be understood.
    fn count_refused(&self, reason: Option<Reason>) {
        if let Some(reason) = reason {
            self.counters.count(counter(reason));
        }
    }

    /// Something was read that nobody has looked at.
    fn has_read_unjudged(&mut self, slot: &Slot, read: &ReadRecords) {
        let in_body = slot.is_in_body();
        if in_body {
            slot.receives(|body| body.read(&[], read.plain));
        }
        if (in_body || read.reason != Reason::None) && read.plain > 0 {
            self.recent.has_not_understood();
        }
    }
}

/// What was read of a client's records.
struct ReadRecords {
    /// Bytes of the application's in the records that have begun.
    plain: usize,
    /// Bytes of a record that is not whole yet.
    within: usize,
    reason: Reason,
}

/// Opens a record that was kept while nobody looked.
pub(super) fn open_kept(sealed: &mut Sealed) -> Option<Range<usize>> {
    let connection = sealed.connection;
    let entry = sessions::of(connection.fd)
        .filter(|_| numbers::open_file(connection.fd) == Some(connection))?;
    entry.with(|session| session.open_past(sealed.place, &mut sealed.bytes))?
}

/// What counts the connections that cannot be understood for this reason.
fn counter(reason: Reason) -> Counter {
    match reason {
        Reason::NoKeys | Reason::None => Counter::TlsNoKeys,
        Reason::Suite => Counter::TlsSuite,
        Reason::Protocol => Counter::TlsProtocol,
        Reason::Lost => Counter::TlsLost,
        Reason::Tag => Counter::TlsTag,
    }
}
