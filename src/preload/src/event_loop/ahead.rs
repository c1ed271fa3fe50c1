//! What is sent next: how much of it is in memory, and the helpers that bring in the rest.

use super::state::EventLoop;
use crate::fetch::file_system::{known, status, Kind, Status};
use crate::fetch::job::Job;
use crate::fetch::pool::Urgency;
use crate::fetch::residency::{by_strides, first_missing, STRIDE};
use crate::gate::slot::Slot;
use crate::sys::descriptors;
use arrayvec::ArrayVec;
use laio_core::stats::Counter;
use laio_core::stream::{OpenFile, Source, Stream, SOURCES};
use laio_core::warmth::Warmth;
use rustix::fs::FileType;
use rustix::io::Errno;
use std::ops::Range;

/// How much of a source is in memory.
pub(super) enum Residency {
    /// All that was looked at.
    All,
    /// What is missing begins here.
    Until(u64),
}

/// A file that is not in memory from this offset on.
pub(super) type Missing = (OpenFile, u64);

/// What is missing of all bodies of a connection.
pub(super) type AllMissing = ArrayVec<Missing, SOURCES>;

impl EventLoop {
    /// How much of a source, and of the window behind it, is in memory. What is missing is asked for.
    pub(super) fn look_ahead(&mut self, to: i32, slot: &Slot, source: &Source) -> Residency {
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

    /// Whether a part of a file that is sent is known to be in memory, without a question to the kernel.
    pub(super) fn is_known(&self, slot: &Slot, source: &Source) -> bool {
        let (now, ttl) = (self.now(), self.config.warm_ms);
        slot.stream.lock().is_known(source, now, ttl)
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

    /// Closes a gate of a connection until the windows that begin there are in memory; false where this connection's readiness
    /// cannot be held back. What finds no helper is looked at again when the gate is open.
    pub(super) fn hold_back_until(
        &mut self,
        (to, slot): (i32, &Slot),
        missing: &[Missing],
        close: impl FnOnce(&mut Self) -> Option<(i32, u32)>,
    ) -> bool {
        self.arm();
        let share = self.config.inflight / missing.len().max(1) as u64;
        let window = self.config.window.min(share);
        let Some(first) = self.job_behind_gate((to, slot), window, close) else {
            return false;
        };
        let (gate, owners) = (first.gate, first.owners);
        let mut jobs: ArrayVec<Box<Job>, SOURCES> = ArrayVec::new();
        jobs.push(first);
        while jobs.len() < missing.len().min(SOURCES) {
            let Some(mut job) = self.pool.take() else {
                break;
            };
            if !self.is_charged(to, slot, window, &mut job) {
                self.pool.give_back(job);
                break;
            }
            (job.gate, job.owners) = (gate, owners);
            jobs.push(job);
        }
        if let Some((_, ticket)) = gate.filter(|_| jobs.len() > 1) {
            slot.awaits(ticket, jobs.len() as u32);
        }
        self.counters.count_alone(Counter::BodyGate);
        let waited_for = jobs.len();
        for (mut job, &(file, start)) in jobs.into_iter().zip(missing) {
            let range = start..start.saturating_add(window);
            job.part = Some(Source { file, range });
            self.counters.count_alone(Counter::Jobs);
            self.submit(job, Urgency::Normal);
        }
        for &(file, start) in missing.iter().take(waited_for) {
            let end = start.saturating_add(window);
            let mut stream = std::mem::take(&mut *slot.stream.lock());
            stream.waits_for(file, start..end);
            self.ask_ahead((to, slot), &mut stream, file, end);
            *slot.stream.lock() = stream;
        }
        true
    }
}
