//! The body gate: a look at what a server is about to send, before it waits for it.
//!
//! Where a client has room, and the next window of its body is not in memory, the room is not reported until a helper
//! has brought it in. Between two reports a server sends on: a part that is in memory is sent, and a short transfer is
//! legal; where nothing is, the write answers `EAGAIN`. Neither is done to the first write of an answer, nor to
//! bytes that are not known to come from the file. The window after the next one is asked for ahead of need, so that
//! a steady stream waits for nothing.

use super::state::EventLoop;
use crate::fetch::file_system::{known, status, Kind, Status};
use crate::fetch::pool::Urgency;
use crate::fetch::residency::{by_strides, first_missing, STRIDE};
use crate::gate::slot::Slot;
use crate::gate::table;
use crate::gate::{inflight, numbers};
use crate::sys::{descriptors, errno};
use laio_core::config::Mode;
use laio_core::gate::Reported;
use laio_core::stats::Counter;
use laio_core::stream::{NextRead, OpenFile, Source, Stream};
use laio_core::warmth::Warmth;
use libc::iovec;
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;
use std::ops::Range;

/// How far one transfer is looked at: more than a socket takes at once.
const FAR: u64 = 8 << 20;

/// Less than this is not worth a transfer of its own.
const LEAST: u64 = 16 * 1024;

/// Bodies that were cold and of which one iteration is told at once: more would make it long.
const BODIES: usize = 4;

/// Why the next part of a body is not sent now.
pub(super) enum Missing {
    /// It is not in memory from here on.
    Part(OpenFile, u64),
    /// Others are sent in this iteration.
    Turn,
}

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

/// How much of a source is in memory.
pub(super) enum Residency {
    /// All that was looked at.
    All,
    /// What is missing begins here.
    Until(u64),
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
                let held = self.hold_back_body(to, slot, source.file, missing);
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
        slot.stream.lock().next_read = Some(Source {
            file: source.file,
            range: start..start.saturating_add(LEAST),
        });
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
        if !self.gates_bodies() {
            return Transfer::PassThrough;
        }
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
        // What was sent in part goes on in later iterations, without another read before it.
        let next = self.bodies.next_read.take(to);
        let Some(next) = next.or_else(|| slot.stream.lock().next_read.take()) else {
            return Transfer::PassThrough;
        };
        if numbers::open_file(next.file.fd) != Some(next.file) {
            return Transfer::PassThrough;
        }
        self.bodies.next_read.goes_on(to, &next);
        if self.was_looked_at(&next) {
            slot.stream.lock().next_read = Some(next);
            return Transfer::PassThrough;
        }
        let residency = self.look_ahead(to, slot, &next);
        slot.stream.lock().next_read = Some(next.clone());
        if !self.may_refuse_write(slot) {
            return Transfer::PassThrough;
        }
        let refused = match residency {
            Residency::Until(missing) if missing < next.range.end => {
                is_file(&self.bodies.next_read) && self.hold_back_body(to, slot, next.file, missing)
            }
            _ => {
                self.gives_way(slot, false)
                    && is_file(&self.bodies.next_read)
                    && self.defer(to, slot)
            }
        };
        match refused {
            true => Transfer::Later,
            false => Transfer::PassThrough,
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
        slot.stream.lock().next_read = None;
    }

    /// A client has room: whether the next part of its body is not to be sent now.
    pub(super) fn missing_part(&mut self, to: i32, slot: &Slot) -> Option<Missing> {
        let next = slot.stream.lock().next_read.clone()?;
        if numbers::open_file(next.file.fd) != Some(next.file) {
            return None;
        }
        match self.look_ahead(to, slot, &next) {
            Residency::Until(missing) if missing < next.range.end => {
                return Some(Missing::Part(next.file, missing));
            }
            _ => {}
        }
        let mut stream = slot.stream.lock();
        self.bodies.told += usize::from(stream.was_cold());
        (self.bodies.told > BODIES && stream.waits_its_turn()).then_some(Missing::Turn)
    }

    /// Does not report that a client has room until the next part of its body is there; false where that cannot be.
    pub(super) fn hold_back_part(
        &mut self,
        to: i32,
        slot: &Slot,
        missing: Missing,
        swallowed: Option<Reported>,
    ) -> bool {
        let close = |state: &mut EventLoop| state.close_gate_of(to, slot, swallowed);
        match missing {
            Missing::Part(file, at) => self.hold_back_until((to, slot), file, at, close),
            Missing::Turn => self.open_later((to, slot), close),
        }
    }

    /// The application has read all of a part of a file.
    pub fn has_read_file(&mut self, file: OpenFile, range: Range<u64>) {
        if let Some((connection, next)) = self.bodies.next_read.has_read(file, range) {
            if let Some(slot) = table::accepted(connection) {
                slot.stream.lock().next_read = Some(next.clone());
            }
        }
    }

    /// A read has put bytes of a file there.
    pub fn has_filled(&mut self, memory: Range<usize>) {
        self.bodies.next_read.has_filled(memory);
    }

    /// The application has opened a file.
    #[inline]
    pub fn has_opened(&mut self, fd: i32) {
        if std::mem::take(&mut self.bodies.opens_warm) {
            self.bodies.looked_at = numbers::open_file(fd);
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

    /// How much of a source, and of the window behind it, is in memory. What is missing is asked for.
    fn look_ahead(&mut self, to: i32, slot: &Slot, source: &Source) -> Residency {
        let Range { start, end } = source.range;
        let mut stream = std::mem::take(&mut *slot.stream.lock());
        let known = stream.begin(source.file, start, self.now(), self.config.warm_ms);
        let ahead = end.saturating_add(self.config.window);
        let residency = self.resident(source.file.fd, known, ahead);
        let there = match residency {
            Residency::All => ahead,
            Residency::Until(missing) => missing,
        };
        stream.knows(there, self.now());
        if let Residency::Until(missing) = residency {
            if missing >= end {
                self.ask_ahead((to, slot), &mut stream, source.file, missing);
            }
        }
        *slot.stream.lock() = stream;
        residency
    }

    /// Whether a file is in memory from `start` to `end`, or to its own end.
    pub(super) fn resident(&self, file: i32, start: u64, end: u64) -> Residency {
        if start >= end {
            return Residency::All;
        }
        // SAFETY: the application has passed this number to a call, just now or in this iteration.
        let file = unsafe { descriptors::borrow(file) };
        // What is no file, or is at its end already, is the call's own answer to meet.
        let is_file = |s: &Status| FileType::from_raw_mode(s.mode) == FileType::RegularFile;
        let Some(status) = status(file).ok().filter(is_file) else {
            return Residency::All;
        };
        let last = match end.min(status.size).checked_sub(1) {
            Some(last) if last >= start => last,
            _ => return Residency::All,
        };
        let is_known = |at| self.was_brought_in(&status, at);
        match first_missing(file, by_strides(start, last + 1), is_known) {
            // The file has become shorter.
            Some((at, None)) => Residency::Until(at + 1),
            Some((at, Some(Errno::AGAIN | Errno::OPNOTSUPP))) => {
                Residency::Until((at / STRIDE * STRIDE).max(start))
            }
            None | Some(_) => Residency::All,
        }
    }

    /// Whether the part of a file that holds `at` is in memory, where the kernel cannot say.
    fn was_brought_in(&self, status: &Status, at: u64) -> bool {
        let (now, ttl) = (self.now(), self.config.warm_ms);
        known(status.device) == Some(Kind::Memory)
            || self.pool.warm.get(status.key(at), now, ttl) == Warmth::Warm
    }

    /// Asks for what comes behind `missing`, unless that was done.
    fn ask_ahead(
        &mut self,
        (to, slot): (i32, &Slot),
        stream: &mut Stream,
        file: OpenFile,
        missing: u64,
    ) {
        let (window, inflight) = (self.config.window, self.config.inflight);
        let Some(range) = stream.ask(missing, window, inflight) else {
            return;
        };
        if let Some(mut job) = self.pool.take().filter(|_| self.pool.is_possible()) {
            if !self.is_charged(to, slot, range.end - range.start, &mut job) {
                return self.pool.give_back(job);
            }
            job.part = Some(Source { file, range });
            self.counters.count_alone(Counter::JobsAhead);
            self.submit(job, Urgency::Normal);
        }
    }

    /// Closes the write gate until the window that begins at `missing` is there; false where this
    /// connection's readiness cannot be held back.
    fn hold_back_body(&mut self, to: i32, slot: &Slot, file: OpenFile, missing: u64) -> bool {
        self.hold_back_until((to, slot), file, missing, |state| {
            state.close_write_gate(to, slot)
        })
    }

    fn hold_back_until(
        &mut self,
        (to, slot): (i32, &Slot),
        file: OpenFile,
        missing: u64,
        close: impl FnOnce(&mut Self) -> Option<(i32, u32)>,
    ) -> bool {
        self.arm();
        let window = self.config.window.min(self.config.inflight);
        let Some(mut job) = self.job_behind_gate((to, slot), window, close) else {
            return false;
        };
        let end = missing.saturating_add(window);
        job.part = Some(Source {
            file,
            range: missing..end,
        });
        self.counters.count_alone(Counter::BodyGate);
        self.counters.count_alone(Counter::Jobs);
        self.submit(job, Urgency::Normal);
        let mut stream = std::mem::take(&mut *slot.stream.lock());
        stream.waits_for(end);
        self.ask_ahead((to, slot), &mut stream, file, end);
        *slot.stream.lock() = stream;
        true
    }

    /// Whether a body that was cold gives way to others. What was waited for together arrives together: sent in one
    /// turn, it would keep all others waiting for as long as the library has saved them.
    fn gives_way(&self, slot: &Slot, at_once: bool) -> bool {
        let turn_is_long = self.suspicion.iteration_is_long();
        slot.stream.lock().gives_way(turn_is_long, at_once)
    }
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
