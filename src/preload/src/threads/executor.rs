//! Tasks for helper threads: the queue, how many helpers there are, and how they leave.
//!
//! Who has an executor says what a task is, and what a helper is made of ([`Host`]). How many helpers a queue takes is
//! decided in `laio_core::queue`.

use crate::sys::clock;
use crate::sys::lock::{Lock, Order, Signal};
use laio_core::queue::{Another, Queue, Urgency, OVERDUE};
use std::time::Duration;

/// How long a helper without a task stays.
const IDLE: Duration = Duration::from_secs(1);

/// Whoever has helpers.
pub trait Host {
    /// Busy helpers that keep up with what there is to do.
    fn enough(&self) -> u64;

    /// Starts one more helper [beside](Executor::hire_beside) that of this shift, if there may be more. Without it the queue
    /// is served all the same, more slowly.
    fn start_another(&self, shift: &Shift);

    /// How long a helper without a task sleeps before it [rests](Host::rested), if that is to be sooner than it leaves.
    fn rest(&self) -> Option<Duration> {
        None
    }

    /// A helper has slept for that long. `alone` tells that no other one is without a task.
    fn rested(&self, _shift: &Shift, _alone: bool) {}

    /// Whether the last helper stays, however little there is to do.
    fn keeps_last(&self) -> bool {
        false
    }
}

/// Tasks, and the helpers who do them.
#[derive(Debug)]
pub struct Executor<T> {
    queue: Lock<Queue<T>>,
    work: Signal,
}

/// One helper's time with an executor.
#[derive(Debug)]
pub struct Shift {
    /// How often helpers had been dismissed when it began.
    dismissals: u32,
    was_idle: bool,
}

/// A helper has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// There is no other.
    pub is_last: bool,
    /// There are tasks, and nobody without one.
    pub leaves_tasks: bool,
}

impl<T> Executor<T> {
    /// Nothing to do, nobody to do it, and room for so many tasks.
    pub fn with_capacity(capacity: usize) -> Executor<T> {
        Executor {
            queue: Lock::new(Order::Queue, Queue::with_capacity(capacity)),
            work: Signal::default(),
        }
    }

    /// Makes room for one more task; false where there is no memory.
    pub fn reserve(&self) -> bool {
        self.queue.lock().reserve()
    }

    /// A task joins, and a helper is woken who will do it, and those behind it if need be. Tells whether there are more
    /// tasks than helpers without one.
    pub fn submit(&self, task: T, urgency: Urgency) -> bool {
        let mut queue = self.queue.lock();
        let wakes = queue.push(task, urgency, clock::nanoseconds());
        let is_short = queue.is_short_of_hands();
        drop(queue);
        if wakes {
            self.work.wake_one();
        }
        is_short
    }

    /// Several tasks have been submitted: sees to it that they are done at once, where fewer helpers than `enough` are busy.
    pub fn wake_more(&self, enough: u64) {
        let mut queue = self.queue.lock();
        let wakes = queue.calls_for_another(enough, clock::nanoseconds());
        drop(queue);
        if wakes {
            self.work.wake_one();
        }
    }

    /// A task that nobody has begun.
    pub fn take_back(&self) -> Option<T> {
        self.queue.lock().pop()
    }

    /// Takes all tasks back for which this holds, if nobody has begun them.
    pub fn forget(&self, is_gone: impl Fn(&T) -> bool) {
        self.queue.lock().retain(|task| !is_gone(task));
    }

    /// Whether nobody is without a task, and there are tasks.
    pub fn is_forsaken(&self) -> bool {
        let queue = self.queue.lock();
        queue.idle() == 0 && !queue.is_empty()
    }

    /// Counts a helper in who is to be started, unless there are `most`: it [arrives](Self::arrive), or
    /// [cannot start](Self::cannot_start). Nobody may be dismissing others meanwhile ([`super::registry::hold`]).
    pub fn hire(&self, most: u64) -> Option<Shift> {
        let mut queue = self.queue.lock();
        let dismissals = queue.dismissals();
        queue.hire(most).then_some(Shift {
            dismissals,
            was_idle: true,
        })
    }

    /// The same by a helper. Should that have been dismissed, the new one is as well.
    pub fn hire_beside(&self, shift: &Shift, most: u64) -> Option<Shift> {
        let dismissals = shift.dismissals;
        self.queue.lock().hire(most).then_some(Shift {
            dismissals,
            was_idle: true,
        })
    }

    /// Whether a helper without a task is there, or comes.
    pub fn has_idle(&self) -> bool {
        self.queue.lock().idle() > 0
    }

    /// A helper could not be started. Tells whether there is nobody else without a task.
    pub fn cannot_start(&self) -> bool {
        let mut queue = self.queue.lock();
        queue.cannot_start();
        queue.idle() == 0
    }

    /// All helpers leave when they are done with what they are at. What is in the queue is left to those who come after.
    pub fn dismiss(&self) {
        self.queue.lock().dismiss();
        self.work.wake_all();
    }

    /// A signal handler has jumped out of the library on this thread: the tasks, of which any may be half changed, are forgotten.
    pub fn recover(&self) {
        self.queue.take_over(Queue::forget_tasks);
    }

    /// A helper that was hired is there.
    pub fn arrive(&self) {
        self.queue.lock().arrive();
    }

    /// A helper that has arrived leaves.
    pub fn leave(&self) -> Left {
        Self::left(&mut self.queue.lock())
    }

    /// A helper's next task; nothing when it has left.
    ///
    /// One that has just done a task takes the next one. One that was asleep leaves it to the
    /// busy ones, as long as they keep up. There is always one that sleeps (up to the bound), so that
    /// whatever the busy ones are stuck in, a task is taken in time.
    pub fn next(&self, shift: &mut Shift, host: &impl Host) -> Result<T, Left> {
        let mut queue = self.queue.lock();
        let mut slept = Duration::ZERO;
        // The last one stays without a timer.
        let mut settled = false;
        loop {
            if queue.dismissals() != shift.dismissals {
                return Err(Self::left(&mut queue));
            }
            if let Some((task, another)) =
                queue.take(shift.was_idle, host.enough(), clock::nanoseconds())
            {
                drop(queue);
                match another {
                    Another::Nobody => {}
                    Another::Wake => self.work.wake_one(),
                    Another::Start => host.start_another(shift),
                }
                shift.was_idle = false;
                return Ok(task);
            }
            let nothing_to_do = queue.is_empty();
            let rest = match nothing_to_do {
                true => host.rest().unwrap_or(IDLE),
                false => Duration::from_nanos(OVERDUE),
            };
            queue.rest();
            let timed_out;
            (queue, timed_out) = if settled {
                (self.work.wait(queue), false)
            } else {
                self.work.wait_for(queue, rest)
            };
            queue.arrive();
            shift.was_idle = true;
            settled = false;
            if !timed_out || !nothing_to_do || !queue.is_empty() {
                slept = Duration::ZERO;
                continue;
            }
            slept += rest;
            // Whoever rests may wait for the disk, and the loop for the queue.
            let alone = queue.idle() == 0;
            drop(queue);
            host.rested(shift, alone);
            let keeps_last = host.keeps_last();
            queue = self.queue.lock();
            if slept >= IDLE && queue.is_empty() {
                // One sleeps while others work; when none does, one is left.
                if queue.idle() > 0 || !keeps_last {
                    return Err(Self::left(&mut queue));
                }
                settled = queue.helpers() == 1 && host.rest().is_none();
            }
        }
    }

    fn left(queue: &mut Queue<T>) -> Left {
        queue.leave();
        Left {
            is_last: queue.helpers() == 0,
            leaves_tasks: queue.idle() == 0 && !queue.is_empty(),
        }
    }
}
