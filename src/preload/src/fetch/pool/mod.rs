//! The helper threads of one event loop.
//!
//! There are two kinds. *Helpers* wait for the disk. They have a descriptor table of their own, so
//! that a file that they hold open takes no number from the application, counts against none of its
//! limits, is inherited by none of its children and cannot be closed from under them. The *completion
//! thread* shares the application's table and does nothing but give readiness back with `epoll_ctl`.
//!
//! The completion thread is started after the first stall, and starts the first helper; helpers start further
//! ones while there is more to do than hands. All but one leave when idle; all leave before the process
//! restricts itself ([`registry`]), and are started anew when they are next needed.

mod helpers;

use super::completion::{Finished, Jobs};
use super::job::Job;
use super::pins::Pins;
use crate::gate::{numbers, table};
use crate::sys::lock::{Lock, Order, Signal};
use crate::sys::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*};
use crate::sys::{clock, descriptors, handler, memory, process, refusals};
use crate::threads::executor::{Executor, Shift};
use crate::threads::registry::{self, spawn, Employer};
use laio_core::links::Links;
use laio_core::places::Places;
pub use laio_core::queue::Urgency;
use laio_core::stats::{Counter, Counters};
use laio_core::warmth::WarmTable;
use std::sync::Arc;
use std::time::Duration;

/// Most requests that wait for helpers at once; beyond, a request passes through.
pub const MAX_JOBS: usize = 1024;

/// What the jobs and the first threads take of memory, at the most.
const ROOM: usize = MAX_JOBS * (size_of::<Job>() + 64) + (1 << 20);

/// How long the loop waits at most until its helpers have a descriptor table of their own.
const PARTING: Duration = Duration::from_secs(1);

/// One event loop's helpers and their queue.
#[derive(Debug)]
pub struct Pool {
    executor: Executor<Box<Job>>,
    finished: Finished,
    free: Lock<Jobs>,
    /// Whether the first helper has left the application's descriptor table, or will never be there.
    parted: Lock<bool>,
    parting: Signal,
    /// Threads were started, and not dismissed since.
    staffed: AtomicBool,
    /// Threads cannot run here: requests pass through.
    impossible: AtomicBool,
    /// Jobs submitted and not completed.
    outstanding: AtomicUsize,
    /// Moving average of what a job takes, in nanoseconds.
    job_time: AtomicU64,
    pins: Pins,
    /// What is known to be in memory.
    pub warm: WarmTable,
    /// Where links were followed to.
    pub links: Links,
    /// What cold requests cost, by directory.
    pub places: Places,
    counters: &'static Counters,
    most: u64,
    window: AtomicU64,
}

impl Pool {
    /// A pool without threads, with room for all its jobs.
    pub fn new(counters: &'static Counters, most: u64, window: u64) -> Pool {
        Pool {
            executor: Executor::with_capacity(MAX_JOBS),
            finished: Finished::with_capacity(MAX_JOBS),
            free: Lock::new(Order::Queue, Vec::with_capacity(MAX_JOBS)),
            parted: Lock::new(Order::Queue, false),
            parting: Signal::default(),
            staffed: AtomicBool::new(false),
            impossible: AtomicBool::new(false),
            outstanding: AtomicUsize::new(0),
            job_time: AtomicU64::new(u64::MAX / 8),
            pins: Pins::default(),
            warm: WarmTable::default(),
            links: Links::default(),
            places: Places::default(),
            counters,
            most,
            window: AtomicU64::new(window),
        }
    }

    /// An empty job, or nothing where too many wait already, or no helpers have started.
    pub fn take(&self) -> Option<Box<Job>> {
        self.free.lock().pop()
    }

    /// Gives back a job that was done, or not submitted.
    pub fn give_back(&self, mut job: Box<Job>) {
        self.settle(&mut job);
        job.clear();
        self.free.lock().push(job);
    }

    /// Takes off what a job did not read. What it did is not used yet where a gate is about to open; what was asked
    /// for ahead of need may have been sent already.
    fn settle(&self, job: &mut Job) {
        if let Some(charge) = job.charge.take() {
            let unused = job.gate.map_or(0, |_| job.read);
            if !charge.settle(unused) {
                self.counters.add(Counter::BytesAbandoned, job.read);
            }
        }
    }

    /// How many bytes of a file are brought in before its request is let through.
    pub fn window(&self) -> u64 {
        self.window.load(Relaxed)
    }

    /// From now on so many are.
    pub fn widen_window(&self, window: u64) {
        self.window.store(window, Relaxed);
    }

    /// Whether any job is not completed.
    pub fn is_outstanding(&self) -> bool {
        self.outstanding.load(Relaxed) > 0
    }

    /// Whether there are helpers in this process, as far as is known.
    pub fn is_possible(&self) -> bool {
        self.is_staffed() && !self.impossible.load(Relaxed) && process::is_same_process()
    }

    /// Why a job is not to be had, or could not be submitted.
    pub fn refusal(&self) -> Counter {
        if !self.is_staffed() {
            Counter::Unstaffed
        } else if !self.is_possible() {
            Counter::NoHelpers
        } else {
            Counter::QueueFull
        }
    }

    /// Whether [`Pool::start`] has been called, and need not be called again.
    pub fn is_staffed(&self) -> bool {
        self.staffed.load(Relaxed)
    }

    /// Hands a job to the helpers. The first of several wakes one, who will do them all if need be;
    /// [`Pool::before_wait`] sees to it that they are done at once.
    pub fn submit(&self, mut job: Box<Job>, urgency: Urgency) {
        if job.gate.is_some() {
            job.held = Some(self.counters.held.begins(clock::milliseconds()));
        }
        self.outstanding.fetch_add(1, SeqCst);
        self.executor.submit(job, urgency);
        self.look_after_gates();
    }

    /// The last helper may have given up in between, or have been dismissed by another thread.
    fn look_after_gates(&self) {
        if self.impossible.load(SeqCst) || !self.staffed.load(SeqCst) {
            self.open_gates();
        }
    }

    /// Makes room for jobs and starts the threads. Called where the loop begins to wait: memory and
    /// threads cannot be had just anywhere.
    pub fn start(self: &Arc<Self>) {
        if !process::is_same_process() {
            return;
        }
        let _nobody_is_sent_away = registry::admit(self);
        self.staffed.store(true, Relaxed);
        if !memory::is_to_be_had(ROOM) {
            log::warn!("there is no memory for helpers: requests pass through");
            return self.give_up();
        }
        refusals::look();
        *self.parted.lock() = false;
        self.pins.set_most(MAX_JOBS, descriptors::limit());
        self.free.lock().resize_with(MAX_JOBS, Box::default);
        memory::set_cushion_aside();
        if numbers::is_registered_in_any() {
            // Not beside `select`, which refuses stale numbers only where the table has room for them.
            descriptors::make_room(0);
        }
        let Some(shift) = self.executor.hire(self.most) else {
            return;
        };
        let pool = Arc::clone(self);
        if let Err(error) = spawn(c"laio-complete", move || pool.complete_all(shift)) {
            self.executor.cannot_start();
            log::warn!("no thread can be started ({error}): requests pass through");
            refusals::CLONE.failed(error);
            self.give_up();
            return;
        }
        self.wait_for_parting();
    }

    /// Waits until the helpers have a descriptor table of their own. The kernel makes it as a copy and
    /// then empties it: what the application closed in between would be released late.
    fn wait_for_parting(&self) {
        let mut parted = self.parted.lock();
        let mut timed_out = false;
        while !*parted && !timed_out {
            (parted, timed_out) = self.parting.wait_for(parted, PARTING);
        }
    }

    fn has_parted(&self) {
        *self.parted.lock() = true;
        self.parting.wake_one();
    }

    /// The loop is about to wait: completes what is finished already, for a thread that is awake
    /// does it cheaper than one that has to be woken. From now on the completion thread does.
    pub fn before_wait(&self, batch: &mut Jobs, submitted: bool) {
        if submitted {
            self.executor.wake_more(self.enough());
        }
        if let Some(number) = descriptors::wanted().filter(|_| !handler::may_be_running()) {
            make_room_aside(number);
        }
        if self.is_outstanding() {
            self.finished.before_wait(batch);
            self.complete(batch);
        }
    }

    /// The wait is over.
    pub fn after_wait(&self) {
        self.finished.after_wait();
    }

    /// Gives the connections' readiness back, where they are still those that the jobs were for.
    fn complete(&self, batch: &mut Jobs) {
        refusals::tell();
        for mut job in batch.drain(..) {
            // Before the server can use it.
            self.settle(&mut job);
            if let Some((fd, ticket)) = job.gate {
                if let Some(slot) = table::accepted(fd) {
                    slot.complete(fd, ticket);
                }
            }
            if let Some(place) = job.held.take() {
                self.counters.held.ends(place);
            }
            self.outstanding.fetch_sub(1, SeqCst);
            self.give_back(job);
        }
    }

    /// The event loop is gone: helpers finish what they are at and leave.
    pub fn stop(&self) {
        self.executor.dismiss();
    }

    /// A signal handler has jumped out of the loop on this thread. What may be half changed is forgotten, and the threads leave.
    pub fn recover(&self) {
        self.impossible.store(true, SeqCst);
        self.executor.recover();
        self.counters.held.clear();
        self.finished.recover();
        self.free
            .take_over(|free| std::mem::forget(std::mem::take(free)));
        self.parted.take_over(|_| ());
        self.stop();
    }

    /// The completion thread: the only one of ours that shares the application's descriptor table. It starts the first helper.
    fn complete_all(self: Arc<Self>, first: Shift) {
        if self.spawn_helper(first, true).is_err() {
            self.has_parted();
            self.give_up();
            return;
        }
        log::debug!("helpers are started");
        let mut batch = Vec::with_capacity(MAX_JOBS);
        while self.finished.wait(&mut batch) {
            self.complete(&mut batch);
        }
    }

    /// A job with nothing to do: its gate opens when the loop waits next. Should it wait by ways that no hook
    /// sees, the completion thread opens it.
    pub fn open_later(&self, job: Box<Job>) {
        self.outstanding.fetch_add(1, SeqCst);
        self.finished.push(job);
        self.look_after_gates();
    }

    fn finish(&self, job: Box<Job>) {
        self.counters.count(Counter::JobsDone);
        self.finished.push(job);
    }

    /// Nobody will ever work on the jobs that wait.
    fn give_up(&self) {
        self.impossible.store(true, SeqCst);
        self.open_gates();
    }

    /// Opens every gate whose job nobody has begun.
    fn open_gates(&self) {
        while let Some(job) = self.executor.take_back() {
            self.finish(job);
        }
        let mut jobs = self.finished.take();
        self.complete(&mut jobs);
    }
}

/// All gates open before the process restricts itself.
impl Employer for Pool {
    fn dismiss(&self) -> bool {
        if !self.staffed.swap(false, SeqCst) {
            return false;
        }
        self.counters.count(Counter::Quiesced);
        self.stop();
        self.open_gates();
        true
    }

    fn are_gone(&self) {
        self.finished.begins_again();
    }
}

/// Makes room in the application's descriptor table by a thread of its own, which waits for it.
#[cold]
fn make_room_aside(number: i32) {
    let _nobody_is_sent_away = registry::hold();
    // Where no thread is to be had the kernel makes room when it must.
    let _ = spawn(c"laio-room", move || descriptors::make_room(number));
}
