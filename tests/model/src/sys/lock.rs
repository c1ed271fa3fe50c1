//! Locks and signals of which the checker knows.
//!
//! What a thread has locked it gives back: no handler of the model jumps out of the library.

#[path = "../../../../src/preload/src/sys/lock/order.rs"]
mod order;

pub use self::order::Order;
use super::sync::{trace, yield_now};
use shuttle::current;
use shuttle::sync::{Condvar, Mutex, MutexGuard};
use std::fmt::Debug;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{PoisonError, TryLockError};
use std::time::Duration;

#[derive(Debug)]
pub struct Lock<T> {
    value: Mutex<T>,
    /// Whose it is: one more than the task's number, and 0 for nobody's.
    owner: AtomicUsize,
}

#[derive(Debug)]
pub struct Guard<'l, T> {
    lock: &'l Lock<T>,
    held: Option<MutexGuard<'l, T>>,
}

impl<T> Lock<T> {
    /// The order is checked where the library's own locks are.
    pub const fn new(_: Order, value: T) -> Lock<T> {
        Lock {
            value: Mutex::new(value),
            owner: AtomicUsize::new(0),
        }
    }

    fn guard<'l>(&'l self, held: MutexGuard<'l, T>) -> Guard<'l, T> {
        trace(2, false);
        self.owner.store(me(), Relaxed);
        super::signals::locked();
        let held = Some(held);
        Guard { lock: self, held }
    }

    pub fn lock(&self) -> Guard<'_, T> {
        self.guard(self.value.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn try_lock(&self) -> Option<Guard<'_, T>> {
        match self.value.try_lock() {
            Ok(held) => Some(self.guard(held)),
            Err(TryLockError::Poisoned(held)) => Some(self.guard(held.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Whether this thread has it.
    pub fn is_own(&self) -> bool {
        self.owner.load(Relaxed) == me()
    }

    /// No thread has left it locked.
    pub fn take_over(&self, _: impl FnOnce(&mut T)) {}
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        if self.held.is_some() {
            self.lock.owner.store(0, Relaxed);
        }
    }
}

fn me() -> usize {
    usize::from(current::me()) + 1
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held.as_ref().unwrap()
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.as_mut().unwrap()
    }
}

#[derive(Debug, Default)]
pub struct Signal(Condvar);

/// So long nobody has to wait: who is not woken before waits for ever, which the checker reports.
const LONG: Duration = Duration::from_millis(500);

impl Signal {
    pub fn wake_one(&self) {
        self.0.notify_one();
    }

    pub fn wake_all(&self) {
        self.0.notify_all();
    }

    pub fn wait<'l, T>(&self, mut guard: Guard<'l, T>) -> Guard<'l, T> {
        guard.lock.owner.store(0, Relaxed);
        let held = guard.held.take().unwrap();
        let held = self.0.wait(held).unwrap_or_else(PoisonError::into_inner);
        guard.lock.guard(held)
    }

    /// A short time may be over at any moment.
    pub fn wait_for<'l, T>(&self, guard: Guard<'l, T>, most: Duration) -> (Guard<'l, T>, bool) {
        if most >= LONG {
            return (self.wait(guard), false);
        }
        let lock = guard.lock;
        drop(guard);
        yield_now();
        super::clock::pass(most);
        (lock.lock(), true)
    }
}
