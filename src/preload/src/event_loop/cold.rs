//! Cold requests: held back until helpers have brought their files in, or let go where that cannot be.

use super::state::EventLoop;
use crate::fetch::job::Job;
use crate::fetch::pool::Urgency;
use crate::gate::slot::Slot;
use crate::gate::{inflight, numbers};
use laio_core::gate::{Reported, Side};
use laio_core::holds::{Hold, Parts};
use laio_core::predictions::{Depth, Predictions};
use laio_core::stats::Counter;

/// Requests whose files are not in memory: their jobs are in [`Looks`](super::state).
pub(super) struct Cold {
    pub(super) urgency: Urgency,
    /// Bytes of the first request's head that are in the socket.
    pub(super) length: usize,
    /// What a part of them is to the server.
    pub(super) parts: Parts,
}

impl EventLoop {
    /// Holds cold requests back until their files are in memory; false where that cannot be. `swallowed` is what was
    /// reported of the connection, if nothing of that is handed out.
    pub(super) fn hold_back(
        &mut self,
        fd: i32,
        slot: &Slot,
        cold: Cold,
        swallowed: Option<Reported>,
    ) -> bool {
        let Cold {
            urgency,
            length,
            parts,
        } = cold;
        self.arm();
        let ticket = if self.pool.is_possible() {
            self.charge_for_paths(fd, slot).and_then(|()| {
                let in_sets = self.sets.are_waited_for;
                slot.close_gate(fd, Side::Read, self.number, swallowed, in_sets)
                    .ok_or(Counter::Ungateable)
            })
        } else {
            Err(self.pool.refusal())
        };
        let ticket = match ticket {
            Ok(ticket) => ticket,
            Err(reason) => {
                self.counters.count(reason);
                self.put_back();
                return false;
            }
        };
        let count = self.looks.cold.len() as u32;
        if count > 1 {
            slot.awaits(ticket, count);
        }
        let owners = numbers::owners(fd);
        while let Some((_, mut job)) = self.looks.cold.pop_front() {
            job.gate = Some((fd, ticket));
            job.owners = owners;
            self.counters.count_alone(Counter::RequestGate);
            self.counters.count_alone(Counter::Jobs);
            if urgency == Urgency::Urgent {
                self.counters.count_alone(Counter::JobsUrgent);
            }
            self.submit(job, urgency);
        }
        let told = &slot.told;
        let (heard, kept) = (told.active(), told.was_read());
        let hold = Hold::begin(fd, ticket, length, self.now(), heard, kept);
        self.holds(hold.in_parts(parts));
        true
    }

    /// The requests that a look has found to be cold are not held back.
    pub(super) fn put_back(&mut self) {
        while let Some((_, job)) = self.looks.cold.pop_front() {
            self.pool.give_back(job);
        }
    }

    /// Charges the client for the windows that its jobs will read, where they read. Several have all that may be in flight
    /// together; those that are beyond it are put back.
    fn charge_for_paths(&mut self, fd: i32, slot: &Slot) -> Result<(), Counter> {
        let reads = |job: &Job| job.paths.iter().any(|it| it.depth == Depth::Data);
        let all = &mut self.looks.cold;
        let count = all.iter().filter(|(_, job)| reads(job)).count() as u64;
        let share = self.config.inflight / count.max(1);
        let window = self.pool.window();
        let mut at = 0;
        while let Some((_, job)) = all.get_mut(at) {
            let bytes = most_of(&job.paths, window).min(share);
            let charged = reads(job).then(|| inflight::charge(fd, slot, bytes, self.config));
            match charged.transpose() {
                Ok(charge) => {
                    job.charge = charge;
                    at += 1;
                }
                Err(reason) if all.len() == 1 => return Err(reason),
                Err(reason) => {
                    self.counters.count(reason);
                    all.remove(at)
                        .into_iter()
                        .for_each(|(_, job)| self.pool.give_back(job));
                }
            }
        }
        Ok(())
    }
}

/// How many bytes are brought in for a client at the most: the widest of all windows, or all parts of one file.
fn most_of(paths: &Predictions, window: u64) -> u64 {
    let parts_of = |hash| {
        let parts = paths.iter().filter(move |it| it.hash == hash);
        parts.fold(0_u64, |sum, it| sum.saturating_add(it.wanted(window)))
    };
    let widest = paths
        .iter()
        .map(|it| it.width(window).max(parts_of(it.hash)));
    widest.max().unwrap_or(window)
}
