//! The state of one event loop: the library's, less what it learns and what it knows of bodies.

library!(
    attention,
    "../../../../src/preload/src/event_loop/state/attention.rs"
);
library!(
    holding,
    "../../../../src/preload/src/event_loop/state/holding.rs"
);
library!(
    iteration,
    "../../../../src/preload/src/event_loop/state/iteration.rs"
);
library!(sets, "../../../../src/preload/src/event_loop/state/sets.rs");

use crate::fetch::completion::Jobs;
use crate::fetch::job::Job;
use crate::fetch::pool::{Pool, Urgency, MAX_JOBS};
use crate::gate::slot::Slot;
use crate::sys::program::STATS;
use attention::Attention;
use holding::Holding;
use iteration::Iteration;
use laio_core::batch::Batch;
use laio_core::config::{Config, Mode};
use laio_core::stats::Counters;
use sets::Sets;
use std::sync::{Arc, LazyLock};

static CONFIG: LazyLock<Config> = LazyLock::new(|| Config {
    threads: 2,
    mode: Mode::On,
    // What one execution leaves charged is nothing to the next one.
    inflight_address: u64::MAX,
    ..Config::default()
});

pub struct EventLoop {
    pub(super) number: usize,
    pub(super) config: &'static Config,
    pub(super) counters: &'static Counters,
    pub(super) pool: Arc<Pool>,
    pub(super) iteration: Iteration,
    attention: Attention,
    pub(super) told_at_once: Batch,
    pub(super) holding: Holding,
    pub(super) sets: Sets,
    pub(super) is_full: bool,
    submitted: bool,
    batch: Jobs,
}

impl EventLoop {
    pub fn new(number: usize) -> EventLoop {
        let counters = STATS.counters(number);
        EventLoop {
            number,
            config: &CONFIG,
            counters,
            pool: Arc::new(Pool::new(counters, CONFIG.threads, CONFIG.window)),
            iteration: Iteration::first(number),
            attention: Attention::until(u64::MAX),
            told_at_once: Batch::default(),
            holding: Holding::default(),
            sets: Sets::default(),
            is_full: false,
            submitted: false,
            batch: Vec::with_capacity(MAX_JOBS),
        }
    }

    pub fn number(&self) -> usize {
        self.number
    }

    pub(super) fn now(&self) -> u64 {
        self.iteration.now()
    }

    pub(super) fn is_armed(&self) -> bool {
        self.attention.is_paid(self.now())
    }

    pub(super) fn submit(&mut self, job: Box<Job>, urgency: Urgency) {
        self.submitted = true;
        self.pool.submit(job, urgency);
    }

    pub(super) fn end_iteration(&mut self) {
        self.sets.close_left_over(self.number);
        if self.pool.is_staffed() {
            let submitted = std::mem::take(&mut self.submitted);
            self.pool.before_wait(&mut self.batch, submitted);
        } else {
            self.pool.start();
        }
    }

    pub fn holds_back(&self) -> bool {
        self.pool.is_outstanding()
    }

    pub(super) fn wait_goes_on(&mut self) {
        self.pool.before_wait(&mut self.batch, false);
    }

    pub(super) fn wakes(&mut self) {
        self.iteration.wakes();
        self.pool.after_wait();
    }

    pub fn begin_iteration(&mut self, _was_told: bool) {
        self.wakes();
        self.iteration.begin();
    }

    pub(super) fn hand_over(&mut self) {}

    pub(super) fn were_ready(&mut self, _: Option<i32>, events: usize) {
        self.told_at_once.was(events);
    }

    pub(super) fn accepted(&mut self, slot: &Slot) {
        if self.iteration.saw_events() {
            slot.told.accepted(self.iteration.number());
        }
    }

    /// Its thread ends.
    pub(super) fn stop(&self) {
        self.pool.stop();
    }
}
