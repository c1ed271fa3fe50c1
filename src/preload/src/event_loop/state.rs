//! The state of one event loop: what it is made of, and where it stands between two waits.

mod attention;
mod bodies;
mod ends;
mod holding;
mod iteration;
mod looks;
mod observer;
mod sets;
mod studies;
mod suspicion;

pub use looks::{Seen, LOOK, SEALED};
pub use observer::{Observer, LONG_SLEEP, SHORT};
pub use suspicion::SUSPICIOUS;

use super::elsewhere;
use crate::fetch::completion::Jobs;
use crate::fetch::job::Job;
use crate::fetch::pool::{Pool, Urgency, MAX_JOBS};
use crate::gate::loops::MOST_LOOPS;
use crate::gate::slot::Slot;
use crate::sys::program::STATS;
use crate::sys::{errno, handler, process};
use attention::Attention;
use bodies::Bodies;
use holding::Holding;
use iteration::Iteration;
use laio_core::batch::Batch;
use laio_core::config::{Config, Mode};
use laio_core::recent::Recent;
use laio_core::rules::Rules;
use laio_core::stats::Counters;
use laio_core::warmth::Ttl;
use laio_core::widths::Widths;
use looks::Looks;
use sets::Sets;
use std::sync::Arc;
use studies::Studies;
use suspicion::Suspicion;

/// The state of one event loop.
pub struct EventLoop {
    /// No two of a process have the same.
    pub(super) number: usize,
    pub(super) config: &'static Config,
    pub(super) counters: &'static Counters,
    pub(super) pool: Arc<Pool>,
    /// Which files a request's handler touches.
    pub(super) rules: Rules,
    /// The last requests, from which that is learnt.
    pub(super) recent: Recent,
    /// How far it has heard what other threads report.
    pub(super) heard: u64,
    /// Files of caches, from which that is learnt, too.
    pub(super) studies: Studies,
    pub(super) looks: Looks,
    pub(super) iteration: Iteration,
    pub(super) attention: Attention,
    pub(super) suspicion: Suspicion,
    pub(super) observer: Observer,
    /// For how long what was in memory is taken to be there still.
    pub(super) ttl: Ttl,
    /// How much of a file is brought in, where that is more than a window.
    pub(super) widths: Widths,
    /// How much it is told of at once.
    pub(super) told_at_once: Batch,
    /// Requests that are held back.
    pub(super) holding: Holding,
    pub(super) bodies: Bodies,
    pub(super) sets: Sets,
    /// As many connections are open as the application has made room for.
    pub(super) is_full: bool,
    /// Cold requests on devices not worth a gate.
    pub(super) below_break_even: u64,
    /// Jobs were submitted in this iteration.
    submitted: bool,
    /// Room for finished jobs.
    batch: Jobs,
}

impl EventLoop {
    /// The state of the loop with this number.
    pub fn new(config: &'static Config, number: usize) -> EventLoop {
        let counters = STATS.counters(number % MOST_LOOPS);
        let mut rules = Rules::default();
        for (prefix, directory) in &config.map {
            if !rules.pin(prefix.as_bytes(), directory.as_bytes()) {
                log::warn!("LAIO_MAP: {prefix}={directory} is too long; it is left out");
            }
        }
        let iteration = Iteration::first(number);
        let now = iteration.now();
        // Pinned rules speak before the first stall, so there is something to look for at once.
        let armed_until = if rules.is_empty() {
            0
        } else {
            now + config.armed_ms
        };
        counters.begin(armed_until, rules.len());
        EventLoop {
            number,
            config,
            counters,
            pool: Arc::new(Pool::new(counters, config.threads, config.window)),
            rules,
            recent: Recent::beside(&elsewhere::AWAITED),
            heard: elsewhere::begins(SUSPICIOUS),
            studies: Studies::default(),
            looks: Looks::default(),
            iteration,
            attention: Attention::until(armed_until),
            suspicion: Suspicion::new(now),
            observer: Observer::new(config.mode == Mode::Observe),
            ttl: Ttl::new(config.warm_ms),
            widths: Widths::default(),
            told_at_once: Batch::default(),
            holding: Holding::default(),
            bodies: Bodies::default(),
            sets: Sets::default(),
            is_full: false,
            below_break_even: 0,
            submitted: false,
            batch: Vec::with_capacity(MAX_JOBS),
        }
    }

    /// No two loops of a process have the same.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Milliseconds when this iteration began.
    pub(super) fn now(&self) -> u64 {
        self.iteration.now()
    }

    /// Whether requests are looked at before they are read.
    pub(super) fn is_armed(&self) -> bool {
        self.attention.is_paid(self.now())
    }

    /// Something was cold: from now on requests are looked at.
    pub(super) fn arm(&mut self) {
        if !self.is_armed() {
            self.iteration.trust_from_now();
        }
        let until = self.now() + self.config.armed_ms;
        self.attention.stays(until);
        self.counters.is_armed_until(until, self.rules.len());
    }

    /// Whether a read has stalled lately although this loop looks at what it is asked for.
    pub(super) fn has_short_ttl(&self) -> bool {
        self.attention.doubts(self.now())
    }

    /// Hands a job to the helpers.
    pub(super) fn submit(&mut self, job: Box<Job>, urgency: Urgency) {
        self.submitted = true;
        self.pool.submit(job, urgency);
    }

    /// The loop is about to wait.
    pub(super) fn end_iteration(&mut self) {
        if self.observer.is_on {
            self.observe_end();
        }
        self.suspicion.waits();
        self.sets.close_left_over(self.number);
        if self.pool.is_staffed() {
            let _errno = errno::Guard::new();
            self.ask_for_key();
            let submitted = std::mem::take(&mut self.submitted);
            self.pool.before_wait(&mut self.batch, submitted);
        } else if self.is_armed() && self.config.mode == Mode::On && !handler::may_be_running() {
            let _errno = errno::Guard::new();
            self.pool.start();
            self.ask_for_key();
        }
    }

    /// Whether any request is held back whose readiness this loop will be given.
    pub fn holds_back(&self) -> bool {
        self.pool.is_outstanding() && process::is_same_process()
    }

    /// A wait has ended without anything to tell, and another one follows.
    pub(super) fn wait_goes_on(&mut self) {
        self.suspicion.waits();
        self.pool.before_wait(&mut self.batch, false);
    }

    /// The kernel has come back from a wait.
    pub(super) fn wakes(&mut self) {
        self.iteration.wakes();
        self.pool.after_wait();
    }

    /// An iteration begins, with what the kernel has told: something, unless `was_told` denies it.
    pub fn begin_iteration(&mut self, was_told: bool) {
        self.wakes();
        self.iteration.begin();
        self.recent.is_at(self.now());
        match was_told {
            true => self.recent.new_iteration(),
            false => self.recent.goes_on_without_events(),
        }
        self.expect_unsent();
        self.bodies.begin_iteration();
        self.suspicion.begin_iteration(self.now());
        self.look_at_key();
        self.hear();
    }

    /// The application goes on with what it is told.
    pub(super) fn hand_over(&mut self) {
        let now = self.now();
        if self.observer.is_on {
            self.suspicion.hand_over(now, true);
            self.observe_iteration();
        } else if self.is_armed() {
            let matters = self.recent.learns() || self.has_short_ttl();
            self.suspicion.hand_over(now, matters);
        } else if self.suspicion.is_close(now) {
            self.suspicion.hand_over(now, true);
        }
    }

    /// So many events were ready in a wait whose results are not looked at, by this epoll instance or by none.
    pub(super) fn were_ready(&mut self, instance: Option<i32>, events: usize) {
        self.told_at_once.was(events);
        self.observer.instance = instance;
        self.observer.ready = events as u64;
    }

    /// This loop has accepted a connection: it may read it at once, without having been told that it can.
    pub(super) fn accepted(&mut self, slot: &Slot) {
        if self.iteration.saw_events() {
            slot.told.accepted(self.iteration.number());
        }
    }
}
