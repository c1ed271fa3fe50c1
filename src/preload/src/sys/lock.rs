//! Locks that survive a `fork`.
//!
//! The standard library's are plain futex words. `parking_lot` keeps its sleepers in a table of the
//! whole process: the child of a `fork` inherits a table full of threads that it does not have, and
//! hangs in it as soon as one of their addresses is used again (`tests/programs/children.c`).

use super::{process, program, usage};
use std::sync::atomic::{AtomicU32, Ordering::*};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

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

    /// The lock, where nobody holds it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    #[cold]
    fn lock_late(&self) -> MutexGuard<'_, T> {
        // Behind a filter of the application's the question might be forbidden, and nobody asks.
        let sleeps = || program::awake().then(usage::sleeps);
        let before = sleeps();
        let guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(before), Some(after)) = (before, sleeps()) {
            usage::slept_for_lock(after - before);
        }
        guard
    }

    /// What it guards, where nobody else can have it.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lock of a static, held for some instructions. The child of a fork may inherit it locked, by a thread that it does not
/// have: what another process has locked is free here.
#[derive(Debug)]
pub struct ForkedLock(AtomicU32);

/// A [`ForkedLock`] that is held, until this is dropped.
#[derive(Debug)]
pub struct Held<'l>(&'l ForkedLock);

impl ForkedLock {
    /// An open lock.
    pub const fn new() -> ForkedLock {
        ForkedLock(AtomicU32::new(0))
    }

    /// Takes it, unless it stays taken: this may be a signal handler that has interrupted whoever holds it.
    pub fn take(&self) -> Option<Held<'_>> {
        const TIMES: usize = 1000;
        let mine = process::pid();
        for _ in 0..TIMES {
            let holder = self.0.load(Relaxed);
            if holder != mine
                && self
                    .0
                    .compare_exchange(holder, mine, Acquire, Relaxed)
                    .is_ok()
            {
                return Some(Held(self));
            }
            std::thread::yield_now();
        }
        None
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0 .0.store(0, Release);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Without it, a child could wait for ever for a thread of its parent's that holds the lock.
    #[test]
    fn what_another_process_has_locked_is_free() {
        let lock = ForkedLock(AtomicU32::new(process::pid() + 1));
        let held = lock.take();
        assert!(held.is_some());
        assert!(lock.take().is_none());
        drop(held);
        assert!(lock.take().is_some());
    }
}
