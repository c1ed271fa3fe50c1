//! How much of a file is brought in before its request is let through: more where handlers were seen to wait for more.

use super::elsewhere::path_of;
use super::operation::{Asked, Operation, Subject};
use super::state::EventLoop;
use crate::fetch::file_system::status;
use crate::gate::numbers;
use crate::sys::descriptors;
use arrayvec::ArrayVec;
use laio_core::predictions::stand_in_key;
use laio_core::reports::Report;
use laio_core::stats::Call;
use laio_core::warmth::Warmth;
use laio_core::widths::End;
use std::ops::Range;

/// The part of a file that a read has asked for, and the file's size.
pub(super) fn part_of(fd: i32, asked: Asked) -> Option<(Range<u64>, u64)> {
    // SAFETY: the application has just passed this number to the same call.
    let file = unsafe { descriptors::borrow(fd) };
    let size = status(file).ok()?.size;
    let start = match asked.start {
        Some(start) => start,
        // Where the file ends before, this is a little early.
        None => rustix::fs::tell(file).ok()?.saturating_sub(asked.size),
    };
    Some((start..start.saturating_add(asked.size).min(size), size))
}

impl EventLoop {
    /// What is in a file has been waited for.
    pub(super) fn has_waited_for_data(&mut self, operation: Operation<'_>) {
        let Subject::Descriptor(fd) = operation.subject else {
            return;
        };
        let file = numbers::open_file(fd);
        let Some(hash) = file.and_then(|file| self.bodies.path_of(file)).or_else(|| {
            let mut path = ArrayVec::new();
            path_of(fd, &mut path).then(|| laio_core::hash(&path))
        }) else {
            return;
        };
        let key = stand_in_key(hash);
        if self.pool.warm.get(key, self.now(), self.ttl.get()) != Warmth::Unknown {
            self.rules.expect_plain_files();
        }
        let reads = matches!(operation.call, Call::Read | Call::Pread);
        if reads && !file.is_some_and(|file| self.bodies.streams(file)) {
            self.has_read_further(hash, fd, operation.asked);
        }
    }

    /// A read has stalled, not long after its request: where that was beyond what was brought in, more is from now on. What a server sends as
    /// it reads is looked at before each part, so this is for those that read on before they send.
    fn has_read_further(&mut self, hash: u64, fd: i32, asked: Asked) {
        let Some((part, size)) = part_of(fd, asked) else {
            return;
        };
        let window = self.pool.window();
        if part.end <= window {
            return;
        }
        if let Some(rule) = self.recent.rule_for(hash) {
            self.widths
                .has_waited_for(rule, part, (size, window), self.config.inflight);
        }
    }

    /// The same in another thread. One that streams a body would wait for all of it before its first byte, so it must have asked for more
    /// with one call than parts of bodies are.
    pub(super) fn has_read_whole(&mut self, report: &Report) {
        let window = self.pool.window();
        if report.asked <= window || report.until <= window {
            return;
        }
        if let Some(rule) = self.recent.rule_for(laio_core::hash(&report.path)) {
            let most = self.config.inflight;
            self.widths
                .falls_short(rule, End::Front, report.until, window, most);
        }
    }
}
