//! Locks that survive a `fork`.
//!
//! The standard library's are plain futex words. `parking_lot` keeps its sleepers in a table of the
//! whole process: the child of a `fork` inherits a table full of threads that it does not have, and
//! hangs in it as soon as one of their addresses is used again (`tests/programs/children.c`).

use super::{clock, program};
use std::cell::Cell;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

thread_local! {
    /// How often this thread has slept for a lock.
    static SLEPT: Cell<i64> = const { Cell::new(0) };
}

/// How often this thread has gone to sleep because another one held a lock of ours. An event loop that
/// looks for operations that slept must not take these sleeps for theirs.
pub fn slept() -> i64 {
    SLEPT.get()
}

/// A mutex that is not poisoned: what it guards is whole between any two statements that can panic.
#[derive(Debug, Default)]
pub struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    /// An open lock.
    pub const fn new(value: T) -> Lock<T> {
        Lock(Mutex::new(value))
    }

    /// Waits for it.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        match self.0.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => self.lock_late(),
        }
    }

    #[cold]
    fn lock_late(&self) -> MutexGuard<'_, T> {
        // Behind a filter of the application's the question might be forbidden, and nobody asks.
        let sleeps = || program::awake().then(clock::sleeps);
        let before = sleeps();
        let guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(before), Some(after)) = (before, sleeps()) {
            SLEPT.set(SLEPT.get() + after - before);
        }
        guard
    }

    /// What it guards, where nobody else can have it.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A condition variable for a [`Lock`].
#[derive(Debug, Default)]
pub struct Signal(Condvar);

impl Signal {
    /// Wakes one sleeper.
    pub fn wake_one(&self) {
        self.0.notify_one();
    }

    /// Wakes all.
    pub fn wake_all(&self) {
        self.0.notify_all();
    }

    /// Sleeps until woken.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.0.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps until woken or the time is over; tells whether it is.
    pub fn wait_for<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        most: Duration,
    ) -> (MutexGuard<'a, T>, bool) {
        let (guard, result) = self
            .0
            .wait_timeout(guard, most)
            .unwrap_or_else(PoisonError::into_inner);
        (guard, result.timed_out())
    }
}
