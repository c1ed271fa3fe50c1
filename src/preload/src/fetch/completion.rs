//! Finished jobs, on their way to the gates that they open.
//!
//! A loop that comes to its wait completes them itself: a thread that is awake does it cheaper than one that has to be
//! woken. Should the loop be in a long handler, wait for the kernel, or wait by ways that no hook sees, the completion
//! thread does.

use super::job::Job;
use crate::sys::lock::{Lock, Order, Signal};
use crate::sys::sync::atomic::{AtomicBool, Ordering::*};
use std::time::Duration;

/// How long the completion thread leaves finished jobs to a loop that is awake.
const PATIENCE: Duration = Duration::from_millis(1);

/// Some jobs. Each is two KiB, so it changes hands by its address.
#[allow(clippy::vec_box)]
pub type Jobs = Vec<Box<Job>>;

/// What the completion thread does at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Thread {
    /// Completing jobs, or not started: it will look again by itself.
    #[default]
    Busy,
    /// Waiting for the first job.
    Asleep,
    /// Giving the loop, which is awake, a little time to complete jobs itself.
    Patient,
}

#[derive(Debug, Default)]
struct State {
    jobs: Jobs,
    thread: Thread,
    /// No job will ever come again.
    over: bool,
}

/// The finished jobs of one loop.
#[derive(Debug)]
pub struct Finished {
    state: Lock<State>,
    news: Signal,
    /// Whether the loop waits (or is about to): then only the completion thread can wake it.
    loop_waits: AtomicBool,
}

impl Finished {
    /// None, and room for so many.
    pub fn with_capacity(capacity: usize) -> Finished {
        let jobs = Vec::with_capacity(capacity);
        Finished {
            state: Lock::new(
                Order::Queue,
                State {
                    jobs,
                    ..State::default()
                },
            ),
            news: Signal::default(),
            loop_waits: AtomicBool::new(false),
        }
    }

    /// One more.
    pub fn push(&self, job: Box<Job>) {
        let mut state = self.state.lock();
        state.jobs.push(job);
        let wake = match state.thread {
            Thread::Busy => false,
            Thread::Asleep => true,
            Thread::Patient => self.loop_waits.load(SeqCst),
        };
        drop(state);
        if wake {
            self.news.wake_one();
        }
    }

    /// The loop is about to wait: takes those that there are. From now on the completion thread does.
    pub fn before_wait(&self, batch: &mut Jobs) {
        self.loop_waits.store(true, SeqCst);
        std::mem::swap(&mut self.state.lock().jobs, batch);
    }

    /// The wait is over.
    pub fn after_wait(&self) {
        if self.loop_waits.load(Relaxed) {
            self.loop_waits.store(false, SeqCst);
        }
    }

    /// All that there are.
    pub fn take(&self) -> Jobs {
        std::mem::take(&mut self.state.lock().jobs)
    }

    /// Waits until there are jobs that the loop does not complete itself; false when there will be
    /// no more. A loop that is awake gets [`PATIENCE`], and no more: it may be in a long handler, or
    /// may never come to a wait that we see.
    pub fn wait(&self, batch: &mut Jobs) -> bool {
        let mut state = self.state.lock();
        let mut patience_is_over = false;
        loop {
            if state.jobs.is_empty() {
                if state.over {
                    return false;
                }
                state.thread = Thread::Asleep;
                state = self.news.wait(state);
                patience_is_over = false;
            } else if patience_is_over || state.over || self.loop_waits.load(SeqCst) {
                state.thread = Thread::Busy;
                std::mem::swap(&mut state.jobs, batch);
                return true;
            } else {
                state.thread = Thread::Patient;
                (state, patience_is_over) = self.news.wait_for(state, PATIENCE);
            }
        }
    }

    /// A signal handler has jumped out of the library on this thread: the jobs may be half changed.
    pub fn recover(&self) {
        self.state
            .take_over(|state| std::mem::forget(std::mem::take(&mut state.jobs)));
    }

    /// No job will ever come again: the completion thread leaves when it is done.
    pub fn is_over(&self) {
        self.state.lock().over = true;
        self.news.wake_one();
    }

    /// The completion thread is gone: another one may be started.
    pub fn begins_again(&self) {
        let mut state = self.state.lock();
        state.over = false;
        state.thread = Thread::default();
    }
}
