//! How much of a file is brought in before its request is let through: more where handlers were seen to wait for more.

use super::elsewhere::path_of;
use super::operation::{Operation, Subject};
use super::state::EventLoop;
use crate::sys::descriptors;
use arrayvec::ArrayVec;
use laio_core::stats::Call;

impl EventLoop {
    /// A read has stalled, and not long after its request: where that was beyond what was brought in, more is from now on. What a server sends as
    /// it reads is looked at before each part, so this is for those that read on before they send.
    pub(super) fn has_read_further(&mut self, operation: Operation<'_>) {
        let (Call::Read, Subject::Descriptor(fd)) = (operation.call, operation.subject) else {
            return;
        };
        // SAFETY: the application has just passed this number to the same call.
        let Ok(end) = rustix::fs::tell(unsafe { descriptors::borrow(fd) }) else {
            return;
        };
        let window = self.pool.window();
        let mut path = ArrayVec::new();
        if end <= window || !path_of(fd, &mut path) {
            return;
        }
        if let Some(rule) = self.recent.rule_for(laio_core::hash(&path)) {
            self.widths
                .falls_short(rule, end, window, self.config.inflight);
        }
    }
}
