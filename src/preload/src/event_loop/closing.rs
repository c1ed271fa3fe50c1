//! Closing the gate of a connection that is being written to, and what is done to one whose gate is closed.

use super::body::Transfer;
use super::state::EventLoop;
use crate::fetch::job::Job;
use crate::gate::slot::Slot;
use crate::gate::{inflight, may_be_refused, numbers};
use crate::sys::{kernel, process};
use laio_core::gate::{Reported, Side};
use laio_core::stats::Counter;

impl EventLoop {
    /// A job that may read so many bytes for a client, and a gate that it will open; nothing where either is not to be
    /// had, or the client has too much in flight.
    pub(super) fn job_behind_gate(
        &mut self,
        (to, slot): (i32, &Slot),
        bytes: u64,
        close: impl FnOnce(&mut Self) -> Option<(i32, u32)>,
    ) -> Option<Box<Job>> {
        let possible = self.pool.is_possible();
        let Some(mut job) = possible.then(|| self.pool.take()).flatten() else {
            self.counters.count(self.pool.refusal());
            return None;
        };
        if !self.is_charged(to, slot, bytes, &mut job) {
            self.pool.give_back(job);
            return None;
        }
        job.gate = close(self);
        if job.gate.is_none() {
            self.pool.give_back(job);
            return None;
        }
        job.owners = job.gate.map_or(0, |(fd, _)| numbers::owners(fd));
        Some(job)
    }

    /// Whether a client may be charged for what a job will read.
    pub(super) fn is_charged(&self, to: i32, slot: &Slot, bytes: u64, job: &mut Job) -> bool {
        if bytes == 0 {
            return true;
        }
        match inflight::charge(to, slot, bytes, self.config) {
            Ok(charge) => job.charge = Some(charge),
            Err(reason) => {
                self.counters.count(reason);
                return false;
            }
        }
        true
    }

    /// Defers a write of a body to the next iteration.
    pub(super) fn defer(&mut self, to: i32, slot: &Slot) -> bool {
        self.open_later((to, slot), |state| state.close_write_gate(to, slot))
    }

    /// Closes a gate that opens when the loop waits next.
    pub(super) fn open_later(
        &mut self,
        connection: (i32, &Slot),
        close: impl FnOnce(&mut Self) -> Option<(i32, u32)>,
    ) -> bool {
        let job = self.job_behind_gate(connection, 0, close);
        let closed = job.is_some();
        if let Some(job) = job {
            self.counters.count_alone(Counter::Deferred);
            self.pool.open_later(job);
        }
        closed
    }

    /// Closes the write gate in the middle of an iteration, and returns the connection and the gate's ticket; nothing where the
    /// kernel's own answer is due. That of a client that is gone is an error, and its body is not worth the disk's time.
    pub(super) fn close_write_gate(&mut self, to: i32, slot: &Slot) -> Option<(i32, u32)> {
        if !may_be_refused(to) {
            self.counters.count(Counter::Ungateable);
            None
        } else if kernel::has_ended(to) {
            self.counters.count(Counter::ClientGone);
            None
        } else {
            self.close_gate_of(to, slot, None)
        }
    }

    pub(super) fn close_gate_of(
        &mut self,
        to: i32,
        slot: &Slot,
        swallowed: Option<Reported>,
    ) -> Option<(i32, u32)> {
        let in_sets = self.sets.are_waited_for;
        let ticket = slot.close_gate(to, Side::Write, self.number, swallowed, in_sets);
        if ticket.is_none() {
            self.counters.count(Counter::Ungateable);
        }
        ticket.map(|ticket| (to, ticket))
    }

    pub(super) fn write_while_closed(&mut self, to: i32, slot: &Slot) -> Transfer {
        if !slot.told.may_cut_write() {
            return Transfer::PassThrough;
        }
        match self.stays_closed(to, slot, Counter::WriteWhileClosed) {
            true => Transfer::Later,
            false => Transfer::PassThrough,
        }
    }

    /// Something is done to a connection whose gate is closed: whether it stays so, and the answer is
    /// `EAGAIN`. A level-triggered loop must not spin on a client that is gone, a socket that has been
    /// made blocking meanwhile must not answer `EAGAIN`, a child that `fork` did not announce has nobody
    /// who would open the gate, a loop in `poll` would spin on what another one holds back, and what a wait that no hook
    /// sees has reported, or one in a child that has the connection as well, is to succeed.
    pub(super) fn stays_closed(&mut self, fd: i32, slot: &Slot, counter: Counter) -> bool {
        if !process::is_same_process() {
            return false;
        }
        let gone = kernel::has_ended(fd);
        let own = slot.keeper() == self.number && !self.iteration.was_unseen() && slot.is_alone();
        if !gone && own && may_be_refused(fd) {
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
