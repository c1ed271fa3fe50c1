//! The body gate: a look at what a server is about to send, before it waits for it.
//!
//! Where a client has room, and the next window of its body is not in memory, the room is not reported until a helper
//! has brought it in. Between two reports a server sends on: a part that is in memory is sent, and a short transfer is
//! legal; where nothing is, the write answers `EAGAIN`. Neither is done to the first write of an answer, nor to
//! bytes that are not known to come from the file. The window after the next one is asked for ahead of need, so that
//! a steady stream waits for nothing.

use super::ahead::{AllMissing, Missing, Residency};
use super::state::EventLoop;
use crate::fetch::file_system::{status, Status};
use crate::gate::slot::Slot;
use crate::gate::table;
use crate::gate::{inflight, numbers};
use crate::sys::{descriptors, errno};
use arrayvec::ArrayVec;
use laio_core::config::Mode;
use laio_core::gate::Reported;
use laio_core::stream::{NextRead, OpenFile, Read, Source, SOURCES};
use libc::iovec;
use rustix::fs::{FileType, OFlags};
use std::ops::Range;

/// How far one transfer is looked at: more than a socket takes at once.
const FAR: u64 = 8 << 20;

/// Less than this is not worth a transfer of its own.
const LEAST: u64 = 16 * 1024;

/// Bodies that were cold and of which one iteration is told at once: more would make it long.
const BODIES: usize = 4;

/// Why what comes next of a client's bodies is not sent now: these parts are not in memory. Where there are none, others are sent
/// in this iteration.
pub(super) struct NotNow(AllMissing);

/// What a write to a client connection is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// As the application asked.
    PassThrough,
    /// At most so many bytes: the rest is on its way into memory.
    AtMost(u64),
    /// Answer `EAGAIN`.
    Later,
}

impl EventLoop {
    /// A part of a file is about to be sent to a client connection, by the kernel.
    pub fn before_transfer(&mut self, to: i32, slot: &Slot, source: Source) -> Transfer {
        if !self.gates_bodies() || source.range.is_empty() {
            return Transfer::PassThrough;
        }
        let _errno = errno::Guard::new();
        if slot.write_waits() {
            return match is_something(&source) {
                true => self.write_while_closed(to, slot),
                false => Transfer::PassThrough,
            };
        }
        if self.was_looked_at(&source) {
            return Transfer::PassThrough;
        }
        let start = source.range.start;
        let end = source.range.end.min(start.saturating_add(FAR));
        let source = Source {
            range: start..end,
            ..source
        };
        let may_refuse = self.may_refuse_write(slot);
        match self.look_ahead(to, slot, &source) {
            Residency::Until(missing) if missing < end => {
                let there = missing - start;
                let refuses = there < LEAST && may_refuse;
                if !slot.told.may_cut_write() || there == 0 && !refuses {
                    return Transfer::PassThrough;
                }
                let held = self.hold_back_bodies(to, slot, &[(source.file, missing)]);
                match (held, refuses) {
                    (false, _) => Transfer::PassThrough,
                    (true, true) => Transfer::Later,
                    (true, false) => Transfer::AtMost(there),
                }
            }
            _ if may_refuse
                && self.gives_way(slot, true)
                && is_something(&source)
                && self.defer(to, slot) =>
            {
                Transfer::Later
            }
            _ => Transfer::PassThrough,
        }
    }

    /// So much of a part of a file was sent to a client connection, by the kernel.
    pub fn has_transferred(&mut self, slot: &Slot, source: &Source, count: u64) {
        let start = source.range.start.saturating_add(count);
        // Some send a file by many calls. What is behind its end is not missing.
        let next = Source {
            file: source.file,
            range: start..start.saturating_add(LEAST),
        };
        let from = source.range.start;
        slot.stream.lock().has_read(&Read { from, next });
    }

    /// Bytes are about to be sent to a client connection from the application's own memory. If the
    /// last thing that it did was to read them from a file, it will read the next ones there: now is
    /// the time to hold it back, for a file read cannot be. `is_file` tells whether all bytes are such.
    pub fn before_write(
        &mut self,
        to: i32,
        slot: &Slot,
        parts: &[iovec],
        may_be_cut: bool,
        is_file: impl Fn(&NextRead) -> bool,
    ) -> Transfer {
        self.bodies.writes(&is_file);
        if !self.gates_bodies() {
            return Transfer::PassThrough;
        }
        self.bodies.next_read.serves(to);
        let _errno = errno::Guard::new();
        if let Some(transfer) = self.before_mapped_write(to, slot, parts, may_be_cut) {
            return transfer;
        }
        if slot.write_waits() {
            return match is_file(&self.bodies.next_read) {
                true => self.write_while_closed(to, slot),
                false => Transfer::PassThrough,
            };
        }
        let may_refuse = self.may_refuse_write(slot);
        let may_be_refused = |reads: &NextRead| may_refuse && is_file(reads);
        let Some(missing) = self.missing_behind(to, slot, may_be_refused) else {
            return Transfer::PassThrough;
        };
        if !may_refuse {
            return Transfer::PassThrough;
        }
        let refused = if missing.is_empty() {
            self.gives_way(slot, false) && is_file(&self.bodies.next_read) && self.defer(to, slot)
        } else {
            is_file(&self.bodies.next_read) && self.hold_back_bodies(to, slot, &missing)
        };
        match refused {
            true => Transfer::Later,
            false => Transfer::PassThrough,
        }
    }

    /// What is missing of the files that will be read behind a write to this connection; nothing where none is looked at.
    /// What was read just now is looked at in any case, other bodies of the same connection if the write `may_be_refused`.
    fn missing_behind(
        &mut self,
        to: i32,
        slot: &Slot,
        may_be_refused: impl Fn(&NextRead) -> bool,
    ) -> Option<AllMissing> {
        let reads = {
            let mut stream = slot.stream.lock();
            let goes_on = |file, from| stream.goes_on(file, from);
            let reads = self.bodies.next_read.take(to, goes_on);
            reads.iter().for_each(|read| stream.has_read(read));
            reads
        };
        let was_read = |next: &Source| reads.iter().any(|read| read.next == *next);
        let mut missing = AllMissing::new();
        let mut looks = false;
        for (next, is_last) in next_reads(slot) {
            // What was sent in part goes on in later iterations, without another read before it.
            let is_due = was_read(&next) || reads.is_empty() && is_last;
            let is_asked = || !self.is_known(slot, &next) && may_be_refused(&self.bodies.next_read);
            if !self.was_looked_at(&next) && (is_due || is_asked()) {
                looks = true;
                self.look_for_missing(to, slot, &next, &mut missing);
            }
        }
        looks.then_some(missing)
    }

    fn look_for_missing(&mut self, to: i32, slot: &Slot, next: &Source, missing: &mut AllMissing) {
        match self.look_ahead(to, slot, next) {
            Residency::Until(at) if at < next.range.end => {
                let _ = missing.try_push((next.file, at));
            }
            _ => {}
        }
    }

    fn may_refuse_write(&self, slot: &Slot) -> bool {
        let told = &slot.told;
        // A child that has it as well may have been told of room.
        slot.is_alone()
            && told.may_refuse_write(self.iteration.trusted_since(), self.iteration.number())
    }

    /// The kernel has taken so many bytes for a client connection, or none.
    pub fn has_written(&mut self, slot: &Slot, count: usize) {
        slot.told
            .has_written(self.iteration.number(), self.now(), count > 0);
        slot.stream.lock().has_sent(count as u64);
        if count > 0 {
            inflight::is_used(slot);
        }
    }

    /// A write was of nothing, or refused by the kernel: it tells nothing of what is sent next, and what has room has it still.
    pub fn has_written_nothing(&mut self, slot: &Slot) {
        slot.stream.lock().expects_nothing();
    }

    /// A client has room: whether the next parts of its bodies are not to be sent now.
    pub(super) fn missing_part(&mut self, to: i32, slot: &Slot) -> Option<NotNow> {
        let next_reads = next_reads(slot);
        if next_reads.is_empty() {
            return None;
        }
        let mut missing = AllMissing::new();
        for (next, _) in next_reads {
            self.look_for_missing(to, slot, &next, &mut missing);
        }
        if !missing.is_empty() {
            return Some(NotNow(missing));
        }
        let mut stream = slot.stream.lock();
        self.bodies.told += usize::from(stream.was_cold());
        (self.bodies.told > BODIES && stream.waits_its_turn()).then_some(NotNow(missing))
    }

    /// Does not report that a client has room until the next parts of its bodies are there; false where that cannot be.
    pub(super) fn hold_back_part(
        &mut self,
        to: i32,
        slot: &Slot,
        not_now: NotNow,
        swallowed: Option<Reported>,
    ) -> bool {
        let close = |state: &mut EventLoop| state.close_gate_of(to, slot, swallowed);
        match not_now.0.as_slice() {
            [] => self.open_later((to, slot), close),
            parts => self.hold_back_until((to, slot), parts, close),
        }
    }

    /// Closes the write gate until the windows that begin there are in memory; false where this connection's readiness cannot be
    /// held back.
    fn hold_back_bodies(&mut self, to: i32, slot: &Slot, missing: &[Missing]) -> bool {
        self.hold_back_until((to, slot), missing, |state| {
            state.close_write_gate(to, slot)
        })
    }

    /// The application has read all of a part of a file.
    pub fn has_read_file(&mut self, file: OpenFile, range: Range<u64>) {
        let from = range.start;
        let (read, last) = self.bodies.next_read.has_read(file, range);
        let Some((connection, slot)) = last.and_then(|fd| Some((fd, table::accepted(fd)?))) else {
            return;
        };
        let mut stream = slot.stream.lock();
        if stream.goes_on(file, from) {
            stream.has_read(&read);
            self.bodies.next_read.was_for(connection);
        }
    }

    /// An iteration is over: what was read in it and not sent is sent in a later one, and then what follows it is read. That is so of large
    /// parts, and of what goes on: a page of a database is not a part of a body, and nobody will read the next one.
    pub(super) fn expect_unsent(&mut self) {
        let mut streamed = ArrayVec::<OpenFile, SOURCES>::new();
        for (connection, read) in self.bodies.next_read.take_unsent() {
            let Some(slot) = table::accepted(connection) else {
                continue;
            };
            let mut stream = slot.stream.lock();
            let is_large = read.next.range.start - read.from >= LEAST;
            if is_large || stream.goes_on(read.next.file, read.from) {
                let _ = streamed.try_push(read.next.file);
                stream.has_read(&read);
            }
        }
        for file in streamed {
            self.bodies.is_streamed(file);
        }
    }

    /// A read has put bytes of a file there.
    pub fn has_filled(&mut self, memory: Range<usize>) {
        self.bodies.next_read.has_filled(memory);
    }

    /// The application has opened a file.
    #[inline]
    pub fn has_opened(&mut self, fd: i32) {
        if let Some(hash) = self.bodies.opens_linked.take() {
            // It goes there itself.
            if fd >= 0 {
                self.pool.links.is_opened(hash);
            }
        }
        if let Some(hash) = self.bodies.opens.take() {
            let file = numbers::open_file(fd).filter(|_| fd >= 0);
            file.inspect(|file| self.bodies.has_opened(*file, hash));
            if std::mem::take(&mut self.bodies.opens_warm) {
                self.bodies.looked_at = file;
            }
        }
    }

    /// Whether the look at the request has seen to this part, and to some of what follows: it is the beginning
    /// of a file that was opened in this iteration.
    fn was_looked_at(&self, source: &Source) -> bool {
        !self.has_short_ttl()
            && self.bodies.looked_at == Some(source.file)
            && source.range.end <= self.config.window / 2
    }

    /// Whether it is known what is sent, so that it can be looked at.
    pub fn follows_bodies(&self) -> bool {
        self.is_armed() && self.config.mode == Mode::On
    }

    /// Whether there is anything to look at: a loop in which nothing has been cold for a while does
    /// not ask, nor does one that has no helpers yet, or has to be done with a connection before it can have another.
    pub fn gates_bodies(&self) -> bool {
        self.follows_bodies() && self.pool.is_staffed() && !self.is_full
    }

    /// Whether a body that was cold gives way to others. What was waited for together arrives together: sent in one
    /// turn, it would keep all others waiting for as long as the library has saved them.
    fn gives_way(&self, slot: &Slot, at_once: bool) -> bool {
        let turn_is_long = self.suspicion.iteration_is_long();
        slot.stream.lock().gives_way(turn_is_long, at_once)
    }
}

/// What is expected to be read next for a connection. The last one, which is marked, is of the file that was read last.
fn next_reads(slot: &Slot) -> ArrayVec<(Source, bool), SOURCES> {
    let mut stream = slot.stream.lock();
    let mut next: ArrayVec<_, SOURCES> = stream.next_reads().map(|next| (next, false)).collect();
    next.retain(|(next, _)| {
        let is_open = numbers::open_file(next.file.fd) == Some(next.file);
        if !is_open {
            stream.has_closed(next.file);
        }
        is_open
    });
    if let Some((_, is_last)) = next.first_mut() {
        *is_last = true;
    }
    next.reverse();
    next
}

/// Whether the kernel finds anything to send there: bytes of a file that can be read.
fn is_something(source: &Source) -> bool {
    // SAFETY: the application passes this number to a call right now.
    let file = unsafe { descriptors::borrow(source.file.fd) };
    let is_file = |s: &Status| FileType::from_raw_mode(s.mode) == FileType::RegularFile;
    let goes_on = |s: Status| is_file(&s) && s.size > source.range.start;
    let reads =
        |flags: OFlags| !flags.contains(OFlags::PATH) && flags & OFlags::ACCMODE != OFlags::WRONLY;
    status(file).is_ok_and(goes_on) && rustix::fs::fcntl_getfl(file).is_ok_and(reads)
}
