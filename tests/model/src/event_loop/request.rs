//! A look at a request of the model: there is one where there are bytes, and its files are in memory or not.

use super::state::EventLoop;
use crate::fetch::job::{Files, Job};
use crate::fetch::pool::Urgency;
use crate::gate::slot::{Read, Slot};
use crate::gate::{inflight, numbers};
use crate::sys::kernel;
use laio_core::gate::{Reported, Side};
use laio_core::holds::Hold;
use laio_core::stats::Counter;

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

    pub(super) fn hold_back(
        &mut self,
        fd: i32,
        slot: &Slot,
        cold: Cold,
        swallowed: Option<Reported>,
    ) -> bool {
        let Cold(mut job) = cold;
        let may = self.pool.is_possible() && self.is_charged(fd, slot, LENGTH as u64, &mut job);
        let in_sets = self.sets.are_waited_for;
        let ticket = match may {
            true => slot.close_gate(fd, Side::Read, self.number, swallowed, in_sets),
            false => None,
        };
        let Some(ticket) = ticket else {
            self.pool.give_back(job);
            return false;
        };
        job.gate = Some((fd, ticket));
        job.owners = numbers::owners(fd);
        self.submit(job, Urgency::Normal);
        let (heard, kept) = (slot.told.active(), slot.told.was_read());
        self.holds(Hold::begin(fd, ticket, LENGTH, self.now(), heard, kept));
        true
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
                if !slot.told.is_clean(since, now) {
                    slot.abandon(fd);
                    return Some(u32::MAX);
                }
                let stays = self.stays_closed(fd, slot, Counter::ReadWhileClosed);
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
