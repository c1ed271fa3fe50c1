//! Tasks that wait for helpers, and how many helpers that takes.
//!
//! Waking a thread costs more than a short task, so nobody is woken for a task that somebody who is awake, or on the way, will
//! take; and busy helpers that keep up are left alone with the queue. But one who is stuck must not keep others waiting: a
//! task that has waited for [`OVERDUE`] is taken by whoever is there, and whoever takes a task while nobody is idle
//! sees to it that there is one more.
//!
//! Time is in nanoseconds of any clock.

use std::collections::VecDeque;

/// How long a task may wait for a busy helper, which may be stuck.
pub const OVERDUE: u64 = 1_000_000;

/// Which end of the queue a task joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Most likely nothing will be waited for.
    Urgent,
    /// First come, first served.
    Normal,
}

/// Whether one more helper is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Another {
    /// No.
    Nobody,
    /// One who is idle is to be woken.
    Wake,
    /// All are busy, and one is to be started.
    Start,
}

/// A task, and since when it has waited.
type Waiting<T> = (u64, T);

/// The queue and its helpers.
#[derive(Debug)]
pub struct Queue<T> {
    urgent: VecDeque<Waiting<T>>,
    normal: VecDeque<Waiting<T>>,
    helpers: u64,
    /// Helpers without a task, with those who are on the way.
    idle: u64,
    /// Idle ones that were woken or started and are not there yet: each will look for a task.
    coming: u64,
    /// How often all helpers have been dismissed.
    dismissals: u32,
}

impl<T> Queue<T> {
    /// An empty queue without helpers, with room for so many tasks of each urgency.
    pub fn with_capacity(capacity: usize) -> Queue<T> {
        Queue {
            urgent: VecDeque::with_capacity(capacity),
            normal: VecDeque::with_capacity(capacity),
            helpers: 0,
            idle: 0,
            coming: 0,
            dismissals: 0,
        }
    }

    /// Makes room for one more task; false where there is no memory.
    pub fn reserve(&mut self) -> bool {
        self.urgent.try_reserve(1).is_ok() && self.normal.try_reserve(1).is_ok()
    }

    /// Tasks that nobody has taken.
    pub fn len(&self) -> usize {
        self.urgent.len() + self.normal.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All helpers, with those who are on the way.
    pub fn helpers(&self) -> u64 {
        self.helpers
    }

    /// Those of them who have no task.
    pub fn idle(&self) -> u64 {
        self.idle
    }

    /// Whether there are more tasks than helpers without one.
    pub fn is_short_of_hands(&self) -> bool {
        self.len() as u64 > self.idle
    }

    /// How often all helpers have been dismissed: one that was there before leaves.
    pub fn dismissals(&self) -> u32 {
        self.dismissals
    }

    /// All who are there leave when they are done with what they are at.
    pub fn dismiss(&mut self) {
        self.dismissals = self.dismissals.wrapping_add(1);
    }

    /// A task joins. Tells whether to wake a helper, who will take all that there is if need be.
    pub fn push(&mut self, task: T, urgency: Urgency, now: u64) -> bool {
        let wakes = self.is_empty() && self.coming < self.idle;
        self.coming += u64::from(wakes);
        match urgency {
            Urgency::Urgent => self.urgent.push_back((now, task)),
            Urgency::Normal => self.normal.push_back((now, task)),
        }
        wakes
    }

    /// Takes a task away that nobody will do, or that is done otherwise.
    pub fn pop(&mut self) -> Option<T> {
        let first = self.urgent.pop_front().or_else(|| self.normal.pop_front());
        first.map(|(_, task)| task)
    }

    /// The tasks may be half changed: they are left where they are for ever.
    pub fn forget_tasks(&mut self) {
        core::mem::forget(core::mem::take(&mut self.urgent));
        core::mem::forget(core::mem::take(&mut self.normal));
    }

    /// Leaves only those tasks in the queue for which this holds.
    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.urgent.retain(|(_, task)| keep(task));
        self.normal.retain(|(_, task)| keep(task));
    }

    /// A helper looks for a task: one that `was_idle` leaves it to the busy ones, as long as there are `enough` of them.
    /// Tells what is to be done for the tasks that are left.
    pub fn take(&mut self, was_idle: bool, enough: u64, now: u64) -> Option<(T, Another)> {
        let others = self.busy().saturating_sub(1);
        if was_idle && !self.wants_hands(others, enough, now) {
            return None;
        }
        let task = self.pop()?;
        let another = if self.idle == 0 {
            Another::Start
        } else if self.calls_for_another(enough, now) {
            Another::Wake
        } else {
            Another::Nobody
        };
        Some((task, another))
    }

    /// Whether to wake one more helper: there is a task for it that none of those who come will take. Notes
    /// that it comes.
    pub fn calls_for_another(&mut self, enough: u64, now: u64) -> bool {
        let calls = self.coming < self.idle
            && self.coming < self.len() as u64
            && self.wants_hands(self.busy() + self.coming, enough, now);
        self.coming += u64::from(calls);
        calls
    }

    /// Counts a helper in who is to be started; false where there are `most`.
    pub fn hire(&mut self, most: u64) -> bool {
        let hires = self.helpers < most;
        self.helpers += u64::from(hires);
        self.idle += u64::from(hires);
        self.coming += u64::from(hires);
        hires
    }

    /// Counts one out who could not be started.
    pub fn cannot_start(&mut self) {
        self.arrive();
        self.leave();
    }

    /// A helper has been started, or is awake again.
    pub fn arrive(&mut self) {
        self.idle = self.idle.saturating_sub(1);
        self.coming = self.coming.saturating_sub(1);
    }

    /// A helper without a task goes to sleep.
    pub fn rest(&mut self) {
        self.idle += 1;
    }

    /// A helper that is awake, and has no task, is gone.
    pub fn leave(&mut self) {
        self.helpers = self.helpers.saturating_sub(1);
    }

    fn busy(&self) -> u64 {
        self.helpers.saturating_sub(self.idle)
    }

    /// Whether the first task is not to wait for a busy helper: there are fewer than `enough`
    /// of them, or it has waited too long.
    fn wants_hands(&self, busy: u64, enough: u64, now: u64) -> bool {
        let Some((since, _)) = self.urgent.front().or(self.normal.front()) else {
            return false;
        };
        busy < enough || now > since.saturating_add(OVERDUE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_task_wakes_one_helper_and_no_more_than_there_are() {
        let mut queue = Queue::with_capacity(8);
        assert!(!queue.push(1, Urgency::Normal, 0), "there is none");
        assert!(queue.hire(2) && queue.hire(2) && !queue.hire(2));
        queue.arrive();
        queue.arrive();
        assert_eq!(queue.take(false, 8, 0), Some((1, Another::Start)));
        queue.rest();
        assert!(queue.push(2, Urgency::Normal, 0));
        assert!(!queue.push(3, Urgency::Normal, 0), "one comes for both");
        queue.arrive();
        assert_eq!(queue.take(true, 8, 0), Some((2, Another::Start)));
    }

    #[test]
    fn what_is_urgent_comes_first() {
        let mut queue = Queue::with_capacity(8);
        queue.hire(1);
        queue.arrive();
        queue.push('n', Urgency::Normal, 0);
        queue.push('u', Urgency::Urgent, 0);
        let mut next = || queue.take(false, 8, 0).map(|(task, _)| task);
        assert_eq!((next(), next(), next()), (Some('u'), Some('n'), None));
    }

    /// Without it, a job could hang behind one that is stuck on a dead disk.
    #[test]
    fn a_task_that_is_overdue_is_taken_by_whoever_is_there() {
        let mut queue = Queue::with_capacity(8);
        queue.hire(2);
        queue.hire(2);
        queue.arrive();
        queue.arrive();
        queue.push(1, Urgency::Normal, 0);
        assert_eq!(queue.take(true, 1, OVERDUE), None, "the busy one keeps up");
        let taken = queue.take(true, 1, OVERDUE + 1);
        assert_eq!(taken, Some((1, Another::Start)));
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Helper {
        Starting,
        Looking(bool),
        Working,
        Asleep,
    }

    /// Helpers in any order, as an executor runs them: one step of one of them at a time.
    #[derive(Debug)]
    struct Model {
        queue: Queue<u32>,
        helpers: Vec<Helper>,
        /// Wake-ups on the way.
        woken: usize,
        most: u64,
        enough: u64,
        now: u64,
        done: u32,
    }

    impl Model {
        fn follow(&mut self, another: Another) {
            match another {
                Another::Nobody => {}
                Another::Wake => self.woken += 1,
                Another::Start if self.queue.hire(self.most) => self.helpers.push(Helper::Starting),
                Another::Start => {}
            }
        }

        fn step(&mut self, number: usize) -> bool {
            let Some(&helper) = self.helpers.get(number) else {
                return false;
            };
            let next = match helper {
                Helper::Starting => {
                    self.queue.arrive();
                    Helper::Looking(true)
                }
                Helper::Working => {
                    self.done += 1;
                    Helper::Looking(false)
                }
                Helper::Asleep if self.woken > 0 => {
                    self.woken -= 1;
                    self.queue.arrive();
                    Helper::Looking(true)
                }
                Helper::Looking(was_idle) => {
                    match self.queue.take(was_idle, self.enough, self.now) {
                        Some((_, another)) => {
                            self.follow(another);
                            Helper::Working
                        }
                        None => {
                            self.queue.rest();
                            Helper::Asleep
                        }
                    }
                }
                Helper::Asleep => return false,
            };
            self.helpers[number] = next;
            true
        }

        /// Those who sleep beside a queue that is not empty look after it by themselves, in time.
        fn time_passes(&mut self) {
            self.now += 2 * OVERDUE;
            for helper in &mut self.helpers {
                if *helper == Helper::Asleep && !self.queue.is_empty() {
                    self.queue.arrive();
                    *helper = Helper::Looking(true);
                }
            }
            self.woken = 0;
        }
    }

    proptest! {
        /// However the steps fall, every task is done, and there are never more helpers than `most`.
        #[test]
        fn no_task_is_left(
            most in 1u64..6, enough in 1u64..6,
            steps in prop::collection::vec((0u8..4, 0usize..6), 1..200),
        ) {
            let queue = Queue::with_capacity(4);
            let mut model = Model { queue, helpers: vec![], woken: 0, most, enough, now: 0, done: 0 };
            model.follow(Another::Start);
            let mut submitted = 0;
            for (what, number) in steps {
                if what == 0 {
                    submitted += 1;
                    let urgency = if number % 2 == 0 { Urgency::Urgent } else { Urgency::Normal };
                    if model.queue.push(submitted, urgency, model.now) {
                        model.woken += 1;
                    }
                } else {
                    model.step(number);
                }
                prop_assert!(model.queue.helpers() <= most);
                prop_assert!(model.queue.idle() <= model.queue.helpers());
            }
            for _ in 0..=submitted {
                model.time_passes();
                while (0..model.helpers.len()).any(|number| model.step(number)) {}
            }
            prop_assert_eq!(model.done, submitted);
            prop_assert!(model.queue.is_empty());
        }

        /// Without a clock as well: whoever was woken, and those who are busy, do all of it.
        #[test]
        fn nobody_has_to_wait_for_the_clock(
            most in 1u64..6, enough in 1u64..6,
            steps in prop::collection::vec((0u8..4, 0usize..6), 1..200),
        ) {
            let queue = Queue::with_capacity(4);
            let mut model = Model { queue, helpers: vec![], woken: 0, most, enough, now: 0, done: 0 };
            model.follow(Another::Start);
            let mut submitted = 0;
            for (what, number) in steps {
                if what == 0 {
                    submitted += 1;
                    if model.queue.push(submitted, Urgency::Normal, model.now) {
                        model.woken += 1;
                    }
                } else {
                    model.step(number);
                }
            }
            while (0..model.helpers.len()).any(|number| model.step(number)) {}
            prop_assert_eq!(model.done, submitted);
        }
    }
}
