//! A body of the model: its next part is in memory, or not.

use super::state::EventLoop;
use crate::fetch::pool::Urgency;
use crate::gate::inflight;
use crate::gate::slot::Slot;
use crate::sys::kernel;
use laio_core::gate::Reported;

/// How much is read of it.
const LENGTH: u64 = 2;

/// What a write is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    PassThrough,
    Later,
}

impl EventLoop {
    pub(super) fn gates_bodies(&self) -> bool {
        true
    }

    pub(super) fn missing_part(&mut self, fd: i32, _: &Slot) -> Option<()> {
        kernel::socket(fd)?.cold_body.then_some(())
    }

    pub(super) fn hold_back_part(
        &mut self,
        fd: i32,
        slot: &Slot,
        (): (),
        swallowed: Option<Reported>,
    ) -> bool {
        self.hold_back_until(fd, slot, |state| state.close_gate_of(fd, slot, swallowed))
    }

    fn hold_back_until(
        &mut self,
        fd: i32,
        slot: &Slot,
        close: impl FnOnce(&mut Self) -> Option<(i32, u32)>,
    ) -> bool {
        let Some(mut job) = self.job_behind_gate((fd, slot), LENGTH, close) else {
            return false;
        };
        job.part = Some(fd);
        self.submit(job, Urgency::Normal);
        true
    }

    /// The application sends a part of a body. Where more is cold, or others have their turn first, the write gate closes
    /// before the transfer.
    pub fn sends(&mut self, fd: i32, slot: &Slot) {
        if slot.write_waits() {
            if self.write_while_closed(fd, slot) == Transfer::Later {
                return;
            }
        } else if self.missing_part(fd, slot).is_some() {
            self.hold_back_until(fd, slot, |state| state.close_write_gate(fd, slot));
        } else {
            self.defer(fd, slot);
        }
        inflight::is_used(slot);
        let (iteration, now) = (self.iteration.number(), self.now());
        slot.told.has_written(iteration, now, true);
    }
}
