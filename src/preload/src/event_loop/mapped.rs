//! The body gate of servers that map a file and write from the mapping: a page fault is no call.
//!
//! A vector is cut where the mapping is not known to be in memory; a short transfer is legal. The write
//! gate is closed before, as for `sendfile`. A plain `write` is neither cut nor answered with `EAGAIN`,
//! which such servers take badly: they write on until all is sent. What comes next is known when it
//! returns: the writable readiness is held back then, until a helper has made it resident.

use super::ahead::Residency;
use super::body::Transfer;
use super::state::EventLoop;
use crate::fetch::pool::Urgency;
use crate::gate::slot::Slot;
use crate::sys::errno;
use laio_core::stats::Counter;
use libc::iovec;
use std::ops::Range;

/// Files shorter than this are in memory when they are mapped: the request gate has seen to it.
const SMALL: usize = 64 * 1024;

/// What is sent at least: a write has to transfer something.
const LEAST: usize = 16 * 1024;

/// How many windows are made resident at once. A plain `write` sends all that is left, and some
/// servers read all of a mapping for themselves (merecat sums it up).
const WINDOWS: u64 = 16;

impl EventLoop {
    /// The application has mapped a part of a file.
    pub fn has_mapped(&mut self, at: usize, length: usize, file: i32, offset: u64) {
        if length < SMALL {
            return;
        }
        let _errno = errno::Guard::new();
        let window = WINDOWS * self.config.window;
        // For the requests to come.
        self.pool.widen_window(window);
        let look = if self.gates_bodies() {
            window.min(length as u64)
        } else {
            0
        };
        let known = match self.resident(file, offset, offset.saturating_add(look)) {
            Residency::All => look,
            Residency::Until(missing) => missing.saturating_sub(offset),
        };
        let range = at..at.saturating_add(length);
        self.bodies
            .mappings
            .insert(range, at + known as usize, self.now());
    }

    /// Whether the application has mapped any file of some length.
    pub fn has_mappings(&self) -> bool {
        !self.bodies.mappings.is_empty()
    }

    /// What was mapped there is there no more.
    pub fn has_unmapped(&mut self, gone: Range<usize>) {
        self.sets.room.forget(gone.clone());
        if !self.bodies.mappings.is_empty() {
            self.bodies.mappings.remove(gone);
        }
    }

    /// How much of a vector may be written to a client connection: what is known to be in memory, if
    /// it `may_be_cut`. Nothing where no part of it is mapped.
    pub(super) fn before_mapped_write(
        &mut self,
        to: i32,
        slot: &Slot,
        parts: &[iovec],
        may_be_cut: bool,
    ) -> Option<Transfer> {
        if self.bodies.mappings.is_empty() {
            return None;
        }
        // The job that brought it in is done when the gate is open.
        let until = match slot.write_waits() {
            true => None,
            false => slot.stream.lock().mapped_until.take(),
        };
        let now = self.now();
        if let Some(end) = until {
            if let Some(mapping) = self.bodies.mappings.find(end - 1) {
                mapping.knows(end, now);
            }
        }
        let mut before = 0;
        let mut is_mapped = false;
        for part in parts.iter().filter(|part| part.iov_len > 0) {
            let start = part.iov_base as usize;
            if let Some(mapping) = self.bodies.mappings.find(start) {
                is_mapped = true;
                let may_be_cut = may_be_cut && slot.told.may_cut_write();
                if may_be_cut && slot.write_waits() {
                    return Some(self.write_while_closed(to, slot));
                }
                let (known, end) = (mapping.known().max(start), mapping.range.end);
                if known - start < part.iov_len && may_be_cut {
                    let at_least = if before == 0 { LEAST } else { 0 };
                    let next = known.max(start + at_least.min(part.iov_len));
                    if !self.hold_back_mapped(to, slot, next..end) {
                        return Some(Transfer::PassThrough);
                    }
                    self.counters.count_alone(Counter::BodyGate);
                    return Some(Transfer::AtMost((before + next - start) as u64));
                }
            }
            before += part.iov_len;
        }
        is_mapped.then_some(Transfer::PassThrough)
    }

    /// So much of a vector was written to a client connection: holds its readiness back, if what
    /// comes next is mapped and not known to be in memory.
    pub fn after_mapped_write(&mut self, to: i32, slot: &Slot, parts: &[iovec], written: usize) {
        if self.bodies.mappings.is_empty() || !self.gates_bodies() {
            return;
        }
        let _errno = errno::Guard::new();
        let Some(next) = first_unwritten(parts, written) else {
            return;
        };
        let window = (WINDOWS * self.config.window) as usize;
        let now = self.now();
        let Some(mapping) = self.bodies.mappings.find(next) else {
            return;
        };
        let end = next.saturating_add(window).min(mapping.range.end);
        // What was in memory long ago is looked after once more.
        if mapping.known() < end || !mapping.is_fresh(now, self.config.warm_ms) {
            let _ = self.hold_back_mapped(to, slot, next..end);
        }
    }

    /// Closes the write gate until the beginning of this memory is resident; false where this connection's
    /// readiness cannot be held back.
    fn hold_back_mapped(&mut self, to: i32, slot: &Slot, range: Range<usize>) -> bool {
        self.arm();
        if slot.write_waits() {
            return false;
        }
        let close = |state: &mut EventLoop| state.close_write_gate(to, slot);
        let window = (WINDOWS * self.config.window).min(self.config.inflight);
        let end = range.end.min(range.start.saturating_add(window as usize));
        let bytes = (end - range.start) as u64;
        let Some(mut job) = self.job_behind_gate((to, slot), bytes, close) else {
            return false;
        };
        slot.stream.lock().mapped_until = Some(end);
        job.memory = Some(range.start..end);
        self.counters.count_alone(Counter::Jobs);
        self.submit(job, Urgency::Normal);
        true
    }
}

/// The address of the first byte that was not written.
fn first_unwritten(parts: &[iovec], mut written: usize) -> Option<usize> {
    for part in parts {
        if written < part.iov_len {
            return Some(part.iov_base as usize + written);
        }
        written -= part.iov_len;
    }
    None
}
