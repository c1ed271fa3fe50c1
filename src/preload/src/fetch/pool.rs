//! The helper threads of one event loop.
//!
//! There are two kinds. *Helpers* wait for the disk. They have a descriptor table of their own, so
//! that a file that they hold open takes no number from the application, counts against none of its
//! limits, is inherited by none of its children and cannot be closed from under them. One *usher*
//! shares the application's table and does nothing but give readiness back with `epoll_ctl`.
//!
//! The usher is started after the first stall, and starts the first helper; helpers start further
//! ones while there is more to do than hands. All but one leave when idle; all leave before the process
//! restricts itself ([`registry`]), and are started anew when they are next needed.

use super::job::{Job, Worker};
use super::pins::{Pins, HELD};
use crate::gate::table;
use crate::sys::lock::{Lock, Signal};
use crate::sys::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*};
use crate::sys::{clock, descriptors, handler, memory, process, refusals, usage};
use crate::threads::executor::{Executor, Host, Left, Shift};
use crate::threads::registry::{self, spawn, Employer};
use laio_core::gate::Side;
use laio_core::places::Places;
pub use laio_core::queue::Urgency;
use laio_core::stats::{Counter, Counters};
use laio_core::warmth::WarmTable;
use rustix::io::Errno;
use std::sync::Arc;
use std::time::Duration;

/// Most requests that wait for helpers at once; beyond, a request goes straight.
pub const MAX_JOBS: usize = 1024;

/// What the jobs and the first threads take of memory, at the most.
const ROOM: usize = MAX_JOBS * (size_of::<Job>() + 64) + (1 << 20);

/// What a cold request costs the loop's own thread at the least, in nanoseconds. More helpers than
/// fit into a job's time at this rate the loop cannot keep busy; they would only be woken more often,
/// which on a fast device is most of what a request costs.
const PACE: u64 = 30_000;

/// Helpers that are always worth having.
const FEW: u64 = 8;

/// How long the usher leaves finished jobs to a loop that is awake.
const PATIENCE: Duration = Duration::from_millis(1);

/// How long the loop waits at most until its helpers have a descriptor table of their own.
const PARTING: Duration = Duration::from_secs(1);

/// Some jobs. Each is two KiB, so it changes hands by its address.
#[allow(clippy::vec_box)]
pub type Jobs = Vec<Box<Job>>;

/// What the usher does at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Usher {
    /// Completing jobs, or not started: it will look again by itself.
    #[default]
    Busy,
    /// Waiting for the first job.
    Asleep,
    /// Giving the loop, which is awake, a little time to complete jobs itself.
    Patient,
}

#[derive(Debug, Default)]
struct Finished {
    jobs: Jobs,
    usher: Usher,
    /// No job will ever come again.
    over: bool,
}

/// One event loop's helpers and their queue.
#[derive(Debug)]
pub struct Pool {
    executor: Executor<Box<Job>>,
    finished: Lock<Finished>,
    news: Signal,
    free: Lock<Jobs>,
    /// Whether the first helper has left the application's descriptor table, or will never be there.
    parted: Lock<bool>,
    parting: Signal,
    /// Threads were started, and not sent away since.
    staffed: AtomicBool,
    /// Threads cannot run here: requests go straight.
    impossible: AtomicBool,
    /// Jobs submitted and not completed.
    outstanding: AtomicUsize,
    /// Moving average of what a job takes, in nanoseconds.
    job_time: AtomicU64,
    /// Whether the loop waits (or is about to): then only the usher can wake it.
    loop_waits: AtomicBool,
    pins: Pins,
    /// What is known to be in memory.
    pub warm: WarmTable,
    /// What cold requests cost, by directory.
    pub places: Places,
    counters: &'static Counters,
    most: u64,
    window: AtomicU64,
}

impl Pool {
    /// A pool without threads, with room for all its jobs.
    pub fn new(counters: &'static Counters, most: u64, window: u64) -> Pool {
        let finished = Finished {
            jobs: Vec::with_capacity(MAX_JOBS),
            ..Finished::default()
        };
        Pool {
            executor: Executor::with_capacity(MAX_JOBS),
            finished: Lock::new(finished),
            news: Signal::default(),
            free: Lock::new(Vec::with_capacity(MAX_JOBS)),
            parted: Lock::new(false),
            parting: Signal::default(),
            staffed: AtomicBool::new(false),
            impossible: AtomicBool::new(false),
            outstanding: AtomicUsize::new(0),
            job_time: AtomicU64::new(u64::MAX / 8),
            loop_waits: AtomicBool::new(false),
            pins: Pins::default(),
            warm: WarmTable::default(),
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
    pub fn submit(&self, job: Box<Job>, urgency: Urgency) {
        self.outstanding.fetch_add(1, SeqCst);
        self.executor.submit(job, urgency);
        self.look_after_gates();
    }

    /// The last helper may have given up in between, or have been sent away by another thread.
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
            log::warn!("there is no memory for helpers: requests go straight");
            return self.give_up();
        }
        refusals::look();
        *self.parted.lock() = false;
        self.pins.set_most(MAX_JOBS, descriptors::limit());
        self.free.lock().resize_with(MAX_JOBS, Box::default);
        memory::set_cushion_aside();
        if table::is_registered_in_any() {
            // Not beside `select`, which refuses stale numbers only where the table has room for them.
            descriptors::make_room(0);
        }
        let Some(shift) = self.executor.hire(self.most) else {
            return;
        };
        let pool = Arc::clone(self);
        if let Err(error) = spawn(c"laio-usher", move || pool.usher(shift)) {
            self.executor.cannot_start();
            log::warn!("no thread can be started ({error}): requests go straight");
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
    /// does it cheaper than one that has to be woken. From now on the usher does.
    pub fn before_wait(&self, batch: &mut Jobs, submitted: bool) {
        if submitted {
            self.executor.wake_more(self.enough());
        }
        if let Some(number) = descriptors::wanted().filter(|_| !handler::may_be_running()) {
            make_room_aside(number);
        }
        if self.is_outstanding() {
            self.loop_waits.store(true, SeqCst);
            std::mem::swap(&mut self.finished.lock().jobs, batch);
            self.complete(batch);
        }
    }

    /// The wait is over.
    pub fn after_wait(&self) {
        if self.loop_waits.load(Relaxed) {
            self.loop_waits.store(false, SeqCst);
        }
    }

    /// Gives the connections' readiness back, where they are still those that the jobs were for.
    fn complete(&self, batch: &mut Jobs) {
        for mut job in batch.drain(..) {
            // Before the server can use it.
            self.settle(&mut job);
            if let Some((fd, ticket)) = job.gate {
                if let Some(slot) = table::accepted(fd) {
                    slot.complete(fd, ticket);
                }
            }
            self.outstanding.fetch_sub(1, SeqCst);
            self.give_back(job);
        }
    }

    /// The event loop is gone: helpers finish what they are at and leave.
    pub fn stop(&self) {
        self.executor.dismiss();
    }

    /// The usher: the only thread of ours that shares the application's descriptor table. It starts the first helper.
    fn usher(self: Arc<Self>, first: Shift) {
        if self.spawn_helper(first, true).is_err() {
            self.has_parted();
            self.give_up();
            return;
        }
        log::info!("helpers are started");
        let mut batch = Vec::with_capacity(MAX_JOBS);
        while self.wait_for_finished(&mut batch) {
            self.complete(&mut batch);
        }
    }

    /// Waits until there are jobs that the loop does not complete itself; false when there will be
    /// no more. A loop that is awake gets [`PATIENCE`], and no more: it may be in a long handler, or
    /// may never come to a wait that we see.
    fn wait_for_finished(&self, batch: &mut Jobs) -> bool {
        let mut finished = self.finished.lock();
        let mut patience_is_over = false;
        loop {
            if finished.jobs.is_empty() {
                if finished.over {
                    return false;
                }
                finished.usher = Usher::Asleep;
                finished = self.news.wait(finished);
                patience_is_over = false;
            } else if patience_is_over || finished.over || self.loop_waits.load(SeqCst) {
                finished.usher = Usher::Busy;
                std::mem::swap(&mut finished.jobs, batch);
                return true;
            } else {
                finished.usher = Usher::Patient;
                (finished, patience_is_over) = self.news.wait_for(finished, PATIENCE);
            }
        }
    }

    /// How many busy helpers keep up with the loop.
    fn enough(&self) -> u64 {
        (self.job_time.load(Relaxed) / PACE).clamp(FEW.min(self.most), self.most)
    }

    fn spawn_helper(self: &Arc<Self>, shift: Shift, first: bool) -> Result<(), Errno> {
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
                    "close_range(CLOSE_RANGE_UNSHARE) is not to be had: requests go straight"
                );
                self.give_up();
                return self.has_left(self.executor.leave());
            }
        }
        let mut worker = Worker::new(self.counters, &self.pins, &self.warm);
        let left = loop {
            match self.executor.next(&mut shift, &self) {
                Ok(mut job) => {
                    self.work_on(&mut worker, &mut job);
                    self.finish(job);
                    // Here as well: there may be no end to the jobs.
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
            self.finished.lock().over = true;
            self.news.wake_one();
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
        let window = self.window();
        let all = job.charge.as_ref().map_or(0, |charge| charge.bytes);
        let mut left = all;
        let mut paths = job.paths.iter();
        while let Some(prediction) = paths.next() {
            if !is_waited_for(job, Side::Read) {
                let rest = 1 + paths.count() as u64;
                self.counters.add(Counter::PathsAbandoned, rest);
                return all - left;
            }
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

    /// A job with nothing to do: its gate opens when the loop waits next. Should it wait by ways that no hook
    /// sees, the usher opens it.
    pub fn open_later(&self, job: Box<Job>) {
        self.outstanding.fetch_add(1, SeqCst);
        self.hand_over(job);
        self.look_after_gates();
    }

    fn finish(&self, job: Box<Job>) {
        self.counters.count(Counter::JobsDone);
        self.hand_over(job);
    }

    fn hand_over(&self, job: Box<Job>) {
        let mut finished = self.finished.lock();
        finished.jobs.push(job);
        let wake = match finished.usher {
            Usher::Busy => false,
            Usher::Asleep => true,
            Usher::Patient => self.loop_waits.load(SeqCst),
        };
        drop(finished);
        if wake {
            self.news.wake_one();
        }
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
        let mut jobs = std::mem::take(&mut self.finished.lock().jobs);
        self.complete(&mut jobs);
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

/// All gates open before the process restricts itself.
impl Employer for Pool {
    fn dismiss(&self) -> bool {
        if !self.staffed.swap(false, SeqCst) {
            return false;
        }
        self.counters.count(Counter::Restricted);
        self.stop();
        self.open_gates();
        true
    }

    fn are_gone(&self) {
        let mut finished = self.finished.lock();
        finished.over = false;
        finished.usher = Usher::default();
    }
}

/// Whether the gate that a job opens is still closed. It is opened before where the client is gone, the connection is
/// closed, or the server waits for the disk itself. What nobody waits for is asked for ahead of need.
fn is_waited_for(job: &Job, side: Side) -> bool {
    job.gate
        .is_none_or(|(fd, _)| table::is_held(fd, job.owners, side))
}

/// Makes room in the application's descriptor table by a thread of its own, which waits for it.
#[cold]
fn make_room_aside(number: i32) {
    let _nobody_is_sent_away = registry::hold();
    // Where no thread is to be had the kernel makes room when it must.
    let _ = spawn(c"laio-room", move || descriptors::make_room(number));
}
