//! Files that helpers hold on to.

use super::beneath::File;
use super::pool::MAX_JOBS;
use crate::guest::lock::Lock;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Files held on to for a while, so that what a job brought in stays until the handler has used it:
/// whoever holds a file keeps its name and its inode in memory.
#[derive(Debug, Default)]
pub struct Pins {
    files: Lock<VecDeque<File>>,
    most: AtomicUsize,
}

impl Pins {
    /// From now on as many as jobs can wait, and half of what the process may have open: its limit binds
    /// the helpers' table too, and they need some for what they do.
    pub fn set_most(&self, limit: u32) {
        self.most.store(MAX_JOBS.min(limit as usize / 2), Relaxed);
    }

    /// Holds on to a file until so many newer ones have come, or all is idle.
    pub fn keep(&self, file: File) {
        let mut pins = self.files.lock();
        pins.push_back(file);
        let oldest = if pins.len() > self.most.load(Relaxed) {
            pins.pop_front()
        } else {
            None
        };
        drop(pins);
        drop(oldest);
    }

    /// Closes all of them. On a helper only: the numbers are of the helpers' descriptor table.
    pub fn release(&self) {
        let pins = std::mem::take(&mut *self.files.lock());
        drop(pins);
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        // Whoever drops the pool last may not be a helper. Their table closes what is left with them.
        std::mem::take(self.files.get_mut())
            .into_iter()
            .for_each(std::mem::forget);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rustix::fs::{open, Mode, OFlags};

    /// Without it, helpers of a server that may have 1,024 files open had all of them in hand after as many
    /// cold requests, and could open no more.
    #[test]
    fn pins_leave_room_for_work() {
        let null = || open("/dev/null", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        let pins = Pins::default();
        pins.set_most(64);
        (0..40).for_each(|_| pins.keep(null().unwrap().into()));
        assert_eq!(pins.files.lock().len(), 32);
        pins.release();
        pins.set_most(1 << 20);
        assert_eq!(pins.most.load(Relaxed), MAX_JOBS);
    }
}
