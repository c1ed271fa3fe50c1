//! Clients that speak TLS: looks at a copy that is opened with the keys which the TLS library has told.
//!
//! What the application reads is what the client has sent. Records are followed in it; while the loop is disarmed that is all. A look
//! opens what waits in the socket, and judges the requests in it.

use super::cold::Cold;
use super::request::{peek, Look};
use super::state::{EventLoop, Seen, SEALED};
use crate::gate::numbers;
use crate::gate::sessions::{self, Entry};
use crate::gate::slot::Slot;
use laio_core::holds::Parts;
use laio_core::recent::Sealed;
use laio_core::stats::Counter;
use laio_core::tls::{self, Content, Opened, Reason, Session};
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
    /// What is in the socket of a client that speaks TLS.
    pub(super) fn look_sealed(&mut self, fd: i32, slot: &Slot, entry: &Entry) -> Look {
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
            entry.lose_frames();
            return Look::Warm;
        }
        let room = self.looks.sealed.get_mut(within..).unwrap_or_default();
        let total = match peek(fd, slot, room) {
            Ok(length) => within + length.min(SEALED - within),
            Err(look) => return look,
        };
        let has_frames = entry.has_frames();
        let Some(walk) = entry.with(|session| self.walk(session, total, has_frames)) else {
            return Look::Warm;
        };
        let mut end = walk.too_early.unwrap_or(walk.end);
        let mut length = walk.length;
        let mut asks = false;
        let look = if length == 0 {
            Look::Warm
        } else if has_frames {
            let judged = self.judge_frames(entry, length);
            if judged.length < length {
                (length, end) = self.looks.ends.before(judged.length);
            }
            asks = judged.asks;
            judged.look
        } else {
            self.judge(fd, slot, length)
        };
        self.looks.seen = Seen {
            length,
            unseen: walk.unseen,
            judged: end.saturating_sub(within),
            asks,
            is_cut: end < total,
            is_all: end == total && total < SEALED,
        };
        match look {
            // Parts of a request are parts of its record.
            Look::Cold(cold) => Look::Cold(Cold {
                length: walk.first.saturating_sub(within),
                parts: Parts::OfFrame,
                ..cold
            }),
            other => other,
        }
    }

    /// Opens the records that are before the loop's eyes. What they hold of HTTP/2 is moved together where it stands.
    fn walk(&mut self, session: &mut Session, total: usize, has_frames: bool) -> Walk {
        let mut walk = Walk::default();
        self.looks.ends.clear();
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
                Opened::Data(range) if has_frames => {
                    let range = walk.end + range.start..walk.end + range.end;
                    let length = range.len();
                    self.looks.sealed.copy_within(range, walk.length);
                    walk.length += length;
                    self.looks.ends.push(walk.length, end);
                    self.counters.count_alone(Counter::TlsOpened);
                    if walk.first == 0 {
                        walk.first = end;
                    }
                }
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

    /// The application has read a client that speaks TLS, of which so much was looked at.
    pub(super) fn has_read_sealed(
        &mut self,
        fd: i32,
        slot: &Slot,
        entry: &Entry,
        (bytes, count): (&[u8], usize),
        judged: usize,
    ) {
        let Some(read) = self.follow(fd, slot, entry, (bytes, count), false) else {
            return;
        };
        if judged < count {
            self.has_read_unjudged(slot, entry, &read);
            if read.reason == Reason::None && !slot.is_in_body() {
                self.looks.keep_record(fd, bytes, read.within);
            }
        }
    }

    /// The same, while nobody looks.
    pub(super) fn read_sealed_disarmed(
        &mut self,
        fd: i32,
        slot: &Slot,
        entry: &Entry,
        (bytes, count): (&[u8], usize),
        judged: usize,
    ) {
        slot.partial.store(false, Relaxed);
        let read = self.follow(fd, slot, entry, (bytes, count), !slot.is_in_body());
        if let Some(read) = read.filter(|_| judged < count) {
            self.has_read_unjudged(slot, entry, &read);
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
            let (mut plain, mut has_ended) = (0, false);
            session.read(bytes, count, |piece| {
                if piece.content != Content::Application {
                    return;
                }
                if piece.at == 0 {
                    plain += piece.length.saturating_sub(overhead);
                }
                has_ended |= piece.at + piece.bytes.len() == piece.length;
                if let Some(connection) = connection {
                    recent.keep_sealed(connection, &piece, entry.has_frames());
                }
            });
            let read = ReadRecords {
                plain,
                has_ended,
                within: session.reading().within(),
                reason: session.reason(),
            };
            // It may be the library that has told so, since the last read.
            (read, session.reason_to_count())
        })?;
        self.count_refused(refused);
        if read.plain > 0 {
            self.counters.count_alone(Counter::TlsReads);
            self.count_frames(entry);
        }
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
    fn has_read_unjudged(&mut self, slot: &Slot, entry: &Entry, read: &ReadRecords) {
        // One that has only begun is kept, and looked at when it is whole.
        if read.has_ended {
            entry.lose_frames();
            entry.asks.store(true, Relaxed);
        }
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
    /// One of them has ended.
    has_ended: bool,
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
