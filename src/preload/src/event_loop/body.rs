//! The body gate: a look at what a server is about to send, before it waits for it.
//!
//! A part that is in memory is sent; a short transfer is legal. Where nothing is, the write answers
//! `EAGAIN`. In both cases the writable readiness is held back, which is a debt to the server, until
//! a job has brought in the next window. The window after it is asked for ahead of need, so that a
//! steady stream meets no `EAGAIN`.

use super::EventLoop;
use crate::engine::file_system::{known, status, Kind, Status, STRIDE};
use crate::engine::pool::Urgency;
use crate::guest::{descriptors, errno, program};
use crate::readiness::is_nonblocking;
use crate::readiness::table::{self, Slot};
use laio_core::config::Mode;
use laio_core::gate::Side;
use laio_core::stats::Counter;
use laio_core::stream::{OpenFile, Source, Stream};
use laio_core::warmth::Warmth;
use libc::iovec;
use rustix::fs::FileType;
use rustix::io::{preadv2, Errno, ReadWriteFlags};
use std::io::IoSliceMut;
use std::ops::Range;

/// How far one transfer is looked at: more than a socket takes at once.
const FAR: u64 = 8 << 20;

/// Less than this is not worth a transfer of its own.
const LEAST: u64 = 16 * 1024;

/// What a write to a client connection is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// As the application asked.
    Straight,
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
            return Transfer::Straight;
        }
        let _kept = errno::Kept::new();
        if slot.write_waits() {
            return self.write_while_closed(to, slot);
        }
        if self.was_looked_at(&source) {
            return Transfer::Straight;
        }
        let start = source.range.start;
        let end = source.range.end.min(start.saturating_add(FAR));
        let source = Source {
            range: start..end,
            ..source
        };
        match self.look_ahead(slot, &source) {
            Residency::Until(missing) if missing < end => {
                let held = self.hold_back_body(to, slot, source.file, missing);
                match (held, missing - start) {
                    (false, _) => Transfer::Straight,
                    (true, ..LEAST) => Transfer::Later,
                    (true, there) => Transfer::AtMost(there),
                }
            }
            _ if self.put_off(to, slot) => Transfer::Later,
            _ => Transfer::Straight,
        }
    }

    /// Bytes are about to be sent to a client connection from the application's own memory. If the
    /// last thing that it did was to read them from a file, it will read the next ones there: now is
    /// the time to hold it back, for a file read cannot be.
    pub fn before_write(
        &mut self,
        to: i32,
        slot: &Slot,
        parts: &[iovec],
        may_be_cut: bool,
    ) -> Transfer {
        if !self.gates_bodies() {
            return Transfer::Straight;
        }
        let _kept = errno::Kept::new();
        if let Some(transfer) = self.before_mapped_write(to, slot, parts, may_be_cut) {
            return transfer;
        }
        if slot.write_waits() {
            return self.write_while_closed(to, slot);
        }
        // What was sent in part goes on in later turns, without another read before it.
        let next = self.next_read.take(to);
        let Some(next) = next.or_else(|| slot.stream.lock().next_read.take()) else {
            return Transfer::Straight;
        };
        if table::open_file(next.file.fd) != Some(next.file) {
            return Transfer::Straight;
        }
        self.next_read.goes_on(to, &next);
        let residency = self.look_ahead(slot, &next);
        slot.stream.lock().next_read = Some(next.clone());
        match residency {
            Residency::Until(missing) if missing < next.range.end => {
                match self.hold_back_body(to, slot, next.file, missing) {
                    true => Transfer::Later,
                    false => Transfer::Straight,
                }
            }
            _ if self.put_off(to, slot) => Transfer::Later,
            _ => Transfer::Straight,
        }
    }

    /// The application has read all of a part of a file.
    pub fn has_read(&mut self, file: OpenFile, range: Range<u64>) {
        if let Some((connection, next)) = self.next_read.has_read(file, range) {
            if let Some(slot) = table::accepted(connection) {
                slot.stream.lock().next_read = Some(next.clone());
            }
        }
    }

    /// The application has opened a file.
    #[inline]
    pub fn has_opened(&mut self, fd: i32) {
        if std::mem::take(&mut self.opens_warm) {
            self.looked_at = table::open_file(fd);
        }
    }

    /// Whether the look at the request has seen to this part, and to some of what follows: it is the beginning
    /// of a file that was opened in this turn.
    fn was_looked_at(&self, source: &Source) -> bool {
        !self.doubts()
            && self.looked_at == Some(source.file)
            && source.range.end <= self.config.window / 2
    }

    /// Whether there is anything to look at: a loop in which nothing has been cold for a while does
    /// not ask.
    pub fn gates_bodies(&self) -> bool {
        self.attentive() && self.config.mode == Mode::On
    }

    /// How much of a source, and of the window behind it, is in memory. What is missing is asked for.
    fn look_ahead(&mut self, slot: &Slot, source: &Source) -> Residency {
        let Range { start, end } = source.range;
        let mut stream = std::mem::take(&mut *slot.stream.lock());
        let known = stream.begin(source.file, start, self.now, self.config.warm_ms);
        let ahead = end.saturating_add(self.config.window);
        let residency = self.resident(source.file.fd, known, ahead);
        let there = match residency {
            Residency::All => ahead,
            Residency::Until(missing) => missing,
        };
        stream.knows(there, self.now);
        if let Residency::Until(missing) = residency {
            if missing >= end {
                self.ask_ahead(&mut stream, source.file, missing);
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
        // SAFETY: the application has passed this number to a call, just now or in this turn.
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
        // A stride comes in one piece, or in two that arrive in any order: its first byte and its last speak
        // for all of it. One read asks for the last of a stride and the first of the next.
        let seams = (start / STRIDE..last / STRIDE).map(|number| ((number + 1) * STRIDE - 1, 2));
        for (at, length) in [(start, 1)].into_iter().chain(seams).chain([(last, 1)]) {
            let missing = (at / STRIDE * STRIDE).max(start);
            let mut bytes = [0; 2];
            let (asked, _) = bytes.split_at_mut(length);
            let buffers = &mut [IoSliceMut::new(asked)];
            match preadv2(file, buffers, at, ReadWriteFlags::NOWAIT) {
                Ok(count) if count < length => return Residency::Until(at + 1),
                Ok(_) => {}
                // A miss has set off a read of its own.
                Err(Errno::AGAIN) => return Residency::Until(missing),
                Err(Errno::OPNOTSUPP) if !self.was_brought_in(&status, at) => {
                    return Residency::Until(missing)
                }
                Err(Errno::OPNOTSUPP) => {}
                Err(_) => return Residency::All,
            }
        }
        Residency::All
    }

    /// Whether the part of a file that holds `at` is in memory, where the kernel cannot say.
    fn was_brought_in(&self, status: &Status, at: u64) -> bool {
        known(status.device) == Some(Kind::Memory)
            || self
                .pool
                .warm
                .get(status.key(at), self.now, self.config.warm_ms)
                == Warmth::Warm
    }

    /// Asks for what comes behind `missing`, unless that was done.
    fn ask_ahead(&mut self, stream: &mut Stream, file: OpenFile, missing: u64) {
        let Some(range) = stream.ask(missing, self.config.window) else {
            return;
        };
        if let Some(mut job) = self.pool.take().filter(|_| self.pool.is_possible()) {
            job.part = Some(Source { file, range });
            self.counters.count_alone(Counter::JobsAhead);
            self.submitted = true;
            self.pool.submit(job, Urgency::Normal);
        }
    }

    /// Closes the write gate until the window that begins at `missing` is there; false where this
    /// connection's readiness cannot be held back.
    fn hold_back_body(&mut self, to: i32, slot: &Slot, file: OpenFile, missing: u64) -> bool {
        self.stays_attentive();
        let possible = self.pool.is_possible();
        let Some(mut job) = possible.then(|| self.pool.take()).flatten() else {
            self.counters.count(self.pool.refusal());
            return false;
        };
        let Some(ticket) = self.close_write_gate(to, slot) else {
            self.pool.give_back(job);
            return false;
        };
        let end = missing.saturating_add(self.config.window);
        job.gate = Some((to, ticket));
        job.part = Some(Source {
            file,
            range: missing..end,
        });
        self.counters.count_alone(Counter::BodyGate);
        self.counters.count_alone(Counter::Jobs);
        self.submitted = true;
        self.pool.submit(job, Urgency::Normal);
        let mut stream = std::mem::take(&mut *slot.stream.lock());
        stream.waits_for(end);
        self.ask_ahead(&mut stream, file, end);
        *slot.stream.lock() = stream;
        true
    }

    /// Whether a write of a body is put off to the next turn. What was waited for together arrives together:
    /// sent in one turn, it would keep all others waiting for as long as the library has saved them.
    fn put_off(&mut self, to: i32, slot: &Slot) -> bool {
        let turn_is_long = self.turn_is_long();
        if !slot.stream.lock().gives_way(turn_is_long) {
            return false;
        }
        let possible = self.pool.is_possible();
        let Some(mut job) = possible.then(|| self.pool.take()).flatten() else {
            return false;
        };
        let Some(ticket) = self.close_write_gate(to, slot) else {
            self.pool.give_back(job);
            return false;
        };
        job.gate = Some((to, ticket));
        self.counters.count_alone(Counter::PutOff);
        self.pool.open_later(job);
        true
    }

    /// Closes the write gate and returns its ticket; nothing where the kernel's own answer is due. That
    /// of a client that is gone is an error, and its body is not worth the disk's time.
    pub(super) fn close_write_gate(&mut self, to: i32, slot: &Slot) -> Option<u32> {
        let (reason, ticket) = if !is_nonblocking(to) {
            (Counter::Ungateable, None)
        } else if is_gone(to) {
            (Counter::ClientGone, None)
        } else {
            let ticket = slot.close_gate(to, Side::Write, self.number);
            (Counter::Ungateable, ticket)
        };
        if ticket.is_none() {
            self.counters.count(reason);
        }
        ticket
    }

    pub(super) fn write_while_closed(&mut self, to: i32, slot: &Slot) -> Transfer {
        match self.stays_closed(to, slot, Counter::WriteWhileClosed) {
            true => Transfer::Later,
            false => Transfer::Straight,
        }
    }

    /// Something is done to a connection whose gate is closed: whether it stays so, and the answer is
    /// `EAGAIN`. A level-triggered loop must not spin on a client that is gone, a socket that has been
    /// made blocking meanwhile must not answer `EAGAIN`, a child that `fork` did not announce has nobody
    /// who would open the gate, and a loop in `poll` would spin on what another one holds back.
    pub(super) fn stays_closed(&mut self, fd: i32, slot: &Slot, counter: Counter) -> bool {
        if !program::is_same_process() {
            return false;
        }
        let gone = is_gone(fd);
        if !gone && is_nonblocking(fd) && !slot.wakes_another(self.number) {
            self.counters.count(counter);
            return true;
        }
        self.counters.count(if gone {
            Counter::ClientGone
        } else {
            Counter::Ungateable
        });
        slot.abandon(fd);
        false
    }
}

/// Whether a connection has ended in both directions, or with an error.
fn is_gone(fd: i32) -> bool {
    use rustix::event::{poll, PollFd, PollFlags, Timespec};
    // SAFETY: the application passes this number to a call right now.
    let socket = unsafe { descriptors::borrow(fd) };
    let mut set = [PollFd::new(&socket, PollFlags::empty())];
    poll(&mut set, Some(&Timespec::default())) != Ok(0)
}
