//! A look at a request of the model: there is one where there are bytes, and its files are in memory or not.

use super::state::EventLoop;
use crate::fetch::job::{Files, Job};
use crate::fetch::pool::Urgency;
use crate::gate::slot::{Read, Slot};
use crate::gate::{inflight, numbers};
use crate::sys::kernel;
use laio_core::gate::Side;
use laio_core::holds::Hold;

/// How many bytes a request has, and how much there is to read for it.
const LENGTH: usize = 2;

pub(super) struct Cold(Box<Job>);

#[allow(clippy::large_enum_variant)]
pub(super) enum Look {
    Warm,
    Cold(Cold),
    Unstaffed,
    Empty,
}

impl EventLoop {
    pub(super) fn look(&mut self, fd: i32, slot: &Slot, _: bool) -> Look {
        // Its answer was sent, as far as anybody knows.
        inflight::is_used(slot);
        match kernel::socket(fd) {
            Some(socket) if socket.bytes == 0 && !socket.ended => Look::Empty,
            Some(socket) if socket.cold => match self.pool.take() {
                Some(mut job) => {
                    job.paths = Some(Files(fd));
                    Look::Cold(Cold(job))
                }
                None => Look::Unstaffed,
            },
            _ => Look::Warm,
        }
    }

    pub(super) fn hold_back(&mut self, fd: i32, slot: &Slot, cold: Cold, swallowed: bool) -> bool {
        let Cold(job) = cold;
        let Some(ticket) = self.close_gate(fd, slot, Side::Read, job, swallowed) else {
            return false;
        };
        let (heard, kept) = (slot.told.active(), slot.told.was_read());
        self.holds(Hold::begin(fd, ticket, LENGTH, self.now(), heard, kept));
        true
    }

    /// Charges its client, closes the gate and hands the job to the helpers.
    fn close_gate(
        &mut self,
        fd: i32,
        slot: &Slot,
        side: Side,
        mut job: Box<Job>,
        swallowed: bool,
    ) -> Option<u32> {
        // Each number has a client of its own, of whom nobody asks the kernel.
        slot.account.is_of(u64::from(fd.unsigned_abs()) + 1);
        let charge = inflight::charge(fd, slot, LENGTH as u64, self.config);
        let in_sets = self.sets.are_waited_for;
        let ticket = match self.pool.is_possible() && charge.is_ok() {
            true => slot.close_gate(fd, side, self.number, swallowed, in_sets),
            false => None,
        };
        job.charge = charge.ok();
        let Some(ticket) = ticket else {
            self.pool.give_back(job);
            return None;
        };
        job.gate = Some((fd, ticket));
        job.owners = numbers::owners(fd);
        self.submit(job, Urgency::Normal);
        Some(ticket)
    }

    pub(super) fn gates_bodies(&self) -> bool {
        true
    }

    pub(super) fn missing_part(&mut self, fd: i32, _: &Slot) -> Option<()> {
        kernel::socket(fd)?.cold_body.then_some(())
    }

    pub(super) fn hold_back_part(&mut self, fd: i32, slot: &Slot, (): (), swallowed: bool) -> bool {
        let Some(mut job) = self.pool.take() else {
            return false;
        };
        job.part = Some(fd);
        self.close_gate(fd, slot, Side::Write, job, swallowed)
            .is_some()
    }

    /// The application sends a body of which more is cold: the write gate closes before the transfer.
    pub fn sends(&mut self, fd: i32, slot: &Slot) {
        if !slot.write_waits() {
            self.hold_back_part(fd, slot, (), false);
        }
        inflight::is_used(slot);
        slot.told
            .has_written(self.iteration.number(), self.now(), true);
    }

    /// How much the application may read of a connection now; nothing where the answer is `EAGAIN`.
    pub fn before_read(&mut self, fd: i32, slot: &Slot) -> Option<u32> {
        match slot.read() {
            Read::Pass | Read::Look => Some(u32::MAX),
            Read::Part => match kernel::socket(fd)?.bytes {
                2.. => Some(1),
                _ => {
                    slot.abandon(fd);
                    Some(u32::MAX)
                }
            },
            Read::Wait => {
                let (since, now) = (self.iteration.trusted_since(), self.iteration.number());
                let stays = slot.told.is_clean(since, now) && slot.keeper() == self.number;
                if !stays {
                    slot.abandon(fd);
                }
                (!stays).then_some(u32::MAX)
            }
        }
    }

    /// It has read so much, with room for `most`.
    pub fn has_read(&mut self, fd: i32, slot: &Slot, most: u32, count: u32) {
        let (iteration, now) = (self.iteration.number(), self.now());
        let emptied = count < most;
        slot.told.has_read(iteration, now, count as usize, emptied);
        if most == 1 && count > 0 {
            slot.part_is_read(fd);
        }
    }
}
