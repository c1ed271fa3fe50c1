//! The helpers: what they do with a job, and how many of them a loop wants.

use super::{Pool, MAX_JOBS};
use crate::fetch::job::{Job, Worker};
use crate::fetch::pins::HELD;
use crate::gate::table;
use crate::sys::sync::atomic::Ordering::*;
use crate::sys::{clock, descriptors, usage};
use crate::threads::executor::{Host, Left, Shift};
use crate::threads::registry::spawn;
use laio_core::gate::Side;
use laio_core::stats::Counter;
use rustix::io::Errno;
use std::sync::Arc;
use std::time::Duration;

/// What a cold request costs the loop's own thread at the least, in nanoseconds. More helpers than
/// fit into a job's time at this rate the loop cannot keep busy; they would only be woken more often,
/// which on a fast device is most of what a request costs.
const PACE: u64 = 30_000;

/// Helpers that are always worth having.
const FEW: u64 = 8;

impl Pool {
    /// How many busy helpers keep up with the loop.
    pub(super) fn enough(&self) -> u64 {
        (self.job_time.load(Relaxed) / PACE).clamp(FEW.min(self.most), self.most)
    }

    pub(super) fn spawn_helper(self: &Arc<Self>, shift: Shift, first: bool) -> Result<(), Errno> {
        let pool = Arc::clone(self);
        let spawned = spawn(c"laio-helper", move || pool.helper(shift, first));
        match spawned {
            Ok(()) => self.counters.count(Counter::Helpers),
            Err(_) => drop(self.executor.cannot_start()),
        }
        spawned
    }

    fn helper(self: Arc<Self>, mut shift: Shift, first: bool) {
        self.executor.arrive();
        if first {
            // With room for all that helpers hold on to, before they share it.
            let alone = descriptors::leave_table(2 * MAX_JOBS as u32);
            self.has_parted();
            if !alone {
                log::warn!(
                    "close_range(CLOSE_RANGE_UNSHARE) is not to be had: requests pass through"
                );
                self.give_up();
                return self.has_left(self.executor.leave());
            }
        }
        let mut worker = Worker::new(self.counters, &self.pins, &self.warm, &self.links);
        let left = loop {
            match self.executor.next(&mut shift, &self) {
                Ok(mut job) => {
                    self.work_on(&mut worker, &mut job);
                    self.finish(job);
                    // LoopHandle as well: there may be no end to the jobs.
                    self.pins.expire();
                }
                Err(left) => break left,
            }
        };
        self.has_left(left);
    }

    fn has_left(&self, left: Left) {
        if left.is_last {
            self.pins.release();
            // Whoever waits for what nobody will do.
            while let Some(job) = self.executor.take_back() {
                self.finish(job);
            }
            self.finished.is_over();
        }
    }

    fn work_on(&self, worker: &mut Worker<'_>, job: &mut Job) {
        let before = usage::usage().sleeps;
        let begin = clock::nanoseconds();
        job.read = self.bring_in(worker, job);
        let took = clock::nanoseconds() - begin;
        self.counters.add(Counter::JobTime, took);
        if usage::usage().sleeps == before {
            self.counters.count(Counter::JobsWarm);
            return;
        }
        let old = self.job_time.load(Relaxed).min(took.saturating_mul(64));
        self.job_time.store(old - old / 16 + took / 16, Relaxed);
        if let Some(prediction) = job.paths.iter().next() {
            let directory = laio_core::hash(prediction.directory());
            self.places.sample(directory, took);
        }
    }

    /// Brings in what a job names, as long as somebody waits for it. One window is all that is read for a connection
    /// before its server has answered: else a few bytes of pipelined requests would have any number of files read. Returns
    /// how many bytes were.
    fn bring_in(&self, worker: &mut Worker<'_>, job: &Job) -> u64 {
        if let Some(key) = &job.key {
            worker.read_key(key);
        }
        let window = self.window();
        let all = job.charge.as_ref().map_or(0, |charge| charge.bytes);
        let mut left = all;
        let began = clock::milliseconds();
        let mut paths = job.paths.iter();
        while let Some(prediction) = paths.next() {
            if !is_waited_for(job, Side::Read) {
                let rest = 1 + paths.count() as u64;
                self.counters.add(Counter::PathsAbandoned, rest);
                return all - left;
            }
            let prediction = worker.unless_replaced(prediction, &job.paths, began);
            if worker.warm(prediction, window, &mut left) {
                let now = clock::milliseconds();
                self.warm.insert(prediction.key(window), now);
            } else {
                self.counters.count(Counter::PathsLeftOut);
            }
        }
        let is_body = job.part.is_some() || job.memory.is_some();
        if is_body && !is_waited_for(job, Side::Write) {
            self.counters.count(Counter::PathsAbandoned);
            return all - left;
        }
        let part = job.part.as_ref().map_or(0, |part| worker.fetch(part));
        let memory = job.memory.clone();
        all - left + part + memory.map_or(0, |memory| worker.populate(memory))
    }
}

impl Host for Arc<Pool> {
    fn enough(&self) -> u64 {
        self.as_ref().enough()
    }

    fn start_another(&self, shift: &Shift) {
        if let Some(shift) = self.executor.hire_beside(shift, self.most) {
            let _ = self.spawn_helper(shift, false);
        }
    }

    fn rest(&self) -> Option<Duration> {
        self.pins.is_any().then_some(HELD)
    }

    fn rested(&self, shift: &Shift, alone: bool) {
        if alone && self.pins.may_wait() {
            // Without another one jobs would wait for this one.
            self.start_another(shift);
        }
        self.pins.expire();
    }

    /// It keeps the descriptor table, and a loop that begins to wait need not start others.
    fn keeps_last(&self) -> bool {
        true
    }
}

/// Whether the gate that a job opens is still closed. It is opened before where the client is gone, the connection is
/// closed, or the server waits for the disk itself. What nobody waits for is asked for ahead of need.
fn is_waited_for(job: &Job, side: Side) -> bool {
    job.gate
        .is_none_or(|(fd, _)| table::is_held(fd, job.owners, side))
}
