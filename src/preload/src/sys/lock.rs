//! Locks that survive a `fork`, and a jump out of a signal handler: plain futex words that name the thread that has them.
//!
//! `parking_lot` keeps its sleepers in a table of the whole process: the child of a `fork` inherits a table full of threads that it
//! does not have, and hangs in it as soon as one of their addresses is used again (`tests/programs/children.c`). The
//! standard library's do not tell whose they are.
//!
//! Whoever holds one of these waits only for those that stand below it ([`Order`]), which builds with debug assertions check;
//! and none is held over a call that may wait for a disk or a client. The place of a waker (`gate::waker`), which has a lock of the
//! standard library's, stands between gates and memory.

#[cfg(debug_assertions)]
mod held;
mod order;

pub use self::order::Order;
use super::local::{place, Local};
use super::{process, program, usage};
use rustix::fs::Timespec;
use rustix::io::Errno;
use rustix::thread::futex;
use std::cell::{Cell, UnsafeCell};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, Ordering::*};
use std::time::Duration;

/// This thread's number, once it was asked for.
static THREAD: Local<Cell<u64>> = Local::at(place::THREAD);

/// This thread's number: never zero, and below [`WAITED`].
#[inline]
fn thread() -> u32 {
    match THREAD.get() {
        0 => ask_for_thread(),
        number => number as u32,
    }
}

#[cold]
fn ask_for_thread() -> u32 {
    let number = rustix::thread::gettid().as_raw_nonzero().get();
    THREAD.set(number as u64);
    number as u32
}

/// The child of a fork has another number.
pub fn forget_thread() {
    THREAD.set(0);
}

/// Nobody has the lock.
const FREE: u32 = 0;

/// Somebody sleeps until the lock is free.
const WAITED: u32 = 1 << 31;

/// A mutex. What it guards is whole between any two statements that can panic, so it is not poisoned.
pub struct Lock<T> {
    /// The number of the thread that has it.
    word: AtomicU32,
    #[cfg(debug_assertions)]
    order: Order,
    value: UnsafeCell<T>,
}

// SAFETY: one thread at a time has the value.
unsafe impl<T: Send> Sync for Lock<T> {}

/// A [`Lock`] that this thread has, until this is dropped.
pub struct Guard<'l, T> {
    lock: &'l Lock<T>,
    /// Of this thread.
    thread: PhantomData<*const ()>,
}

impl<T> Lock<T> {
    /// An open lock.
    pub const fn new(order: Order, value: T) -> Lock<T> {
        #[cfg(not(debug_assertions))]
        let _ = order;
        Lock {
            word: AtomicU32::new(FREE),
            #[cfg(debug_assertions)]
            order,
            value: UnsafeCell::new(value),
        }
    }

    /// Waits for it.
    #[inline]
    pub fn lock(&self) -> Guard<'_, T> {
        #[cfg(debug_assertions)]
        held::check(self.order);
        self.try_lock().unwrap_or_else(|| self.lock_late())
    }

    /// The lock, where nobody holds it.
    #[inline]
    pub fn try_lock(&self) -> Option<Guard<'_, T>> {
        let taken = self.word.compare_exchange(FREE, thread(), Acquire, Relaxed);
        taken.is_ok().then(|| self.taken())
    }

    fn guard(&self) -> Guard<'_, T> {
        Guard {
            lock: self,
            thread: PhantomData,
        }
    }

    #[cold]
    fn lock_late(&self) -> Guard<'_, T> {
        // Behind a filter of the application's the question might be forbidden, and nobody asks.
        let sleeps = || program::awake().then(usage::sleeps);
        let before = sleeps();
        self.wait();
        if let (Some(before), Some(after)) = (before, sleeps()) {
            usage::slept_for_lock(after - before);
        }
        self.taken()
    }

    fn taken(&self) -> Guard<'_, T> {
        #[cfg(debug_assertions)]
        held::add(self.order);
        self.guard()
    }

    fn wait(&self) {
        /// Most are free after some instructions.
        const SPINS: usize = 100;
        let mut mine = thread();
        for _ in 0..SPINS {
            if self.word.load(Relaxed) == FREE {
                break;
            }
            std::hint::spin_loop();
        }
        loop {
            let word = self.word.load(Relaxed);
            if word == FREE {
                if self.exchange(word, mine) {
                    return;
                }
            } else if word & WAITED != 0 || self.exchange(word, word | WAITED) {
                let _ = futex::wait(&self.word, futex::Flags::PRIVATE, word | WAITED, None);
                // There may be others.
                mine |= WAITED;
            }
        }
    }

    fn exchange(&self, old: u32, new: u32) -> bool {
        self.word
            .compare_exchange(old, new, Acquire, Relaxed)
            .is_ok()
    }

    #[inline]
    fn unlock(&self) {
        #[cfg(debug_assertions)]
        held::remove(self.order);
        if self.word.swap(FREE, Release) & WAITED != 0 {
            let _ = futex::wake(&self.word, futex::Flags::PRIVATE, 1);
        }
    }

    /// Takes it for longer than a scope. Given back by [`Lock::give_back`].
    pub fn take(&self) {
        std::mem::forget(self.lock());
    }

    /// What [`Lock::take`] took is free, in this process or the child of a fork.
    pub fn give_back(&self) {
        self.unlock();
    }

    /// Mends what it guards, and frees it, where this thread has left it locked: a signal handler has jumped out of what
    /// had it.
    pub fn take_over(&self, mend: impl FnOnce(&mut T)) {
        if self.is_own() {
            mend(&mut self.taken());
        }
    }

    /// Whether this thread has it.
    pub fn is_own(&self) -> bool {
        self.word.load(Relaxed) & !WAITED == thread()
    }

    /// What it guards, where nobody else can have it.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this thread has the lock while the guard lives.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above; and there is one guard.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.unlock();
    }
}

impl<T> std::fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Lock").field(&self.word).finish()
    }
}

/// This thread has jumped out of whatever had locks: it has none.
pub fn forget_held() {
    #[cfg(debug_assertions)]
    held::forget();
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

/// A condition variable for a [`Lock`]: counts what was said.
#[derive(Debug, Default)]
pub struct Signal(AtomicU32);

impl Signal {
    /// Wakes one sleeper.
    pub fn wake_one(&self) {
        self.wake(1);
    }

    /// Wakes all.
    pub fn wake_all(&self) {
        self.wake(i32::MAX as u32);
    }

    fn wake(&self, most: u32) {
        self.0.fetch_add(1, Relaxed);
        let _ = futex::wake(&self.0, futex::Flags::PRIVATE, most);
    }

    /// Sleeps until woken.
    pub fn wait<'l, T>(&self, guard: Guard<'l, T>) -> Guard<'l, T> {
        self.sleep(guard, None).0
    }

    /// Sleeps until woken or the time is over; tells whether it is.
    pub fn wait_for<'l, T>(&self, guard: Guard<'l, T>, most: Duration) -> (Guard<'l, T>, bool) {
        self.sleep(guard, Timespec::try_from(most).ok())
    }

    fn sleep<'l, T>(&self, guard: Guard<'l, T>, most: Option<Timespec>) -> (Guard<'l, T>, bool) {
        let lock = guard.lock;
        // Under the lock: what is said from here on ends the sleep, or it does not begin.
        let said = self.0.load(Relaxed);
        drop(guard);
        let slept = futex::wait(&self.0, futex::Flags::PRIVATE, said, most.as_ref());
        (lock.lock(), slept == Err(Errno::TIMEDOUT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without it, what a thread has left locked would stay so, or what another one has locked would be taken from it.
    #[test]
    fn only_its_own_thread_takes_a_lock_over() {
        let lock = Lock::new(Order::Queue, 1);
        lock.take_over(|_| unreachable!("nobody has it"));
        lock.take();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                lock.take_over(|_| unreachable!("another thread has it"));
                assert!(lock.try_lock().is_none());
            });
        });
        lock.take_over(|value| *value = 2);
        assert_eq!(lock.try_lock().map(|value| *value), Some(2));
    }

    /// Without it, a value could be changed by two threads at once, or a thread sleep for a lock that is free.
    #[test]
    fn several_threads_count_together() {
        const EACH: u32 = 20_000;
        let (lock, signal) = (Lock::new(Order::Queue, 0), Signal::default());
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..EACH {
                        *lock.lock() += 1;
                    }
                    signal.wake_all();
                });
            }
            let mut sum = lock.lock();
            while *sum < 3 * EACH {
                sum = signal.wait(sum);
            }
        });
    }

    /// Without it, two threads could wait for each other for ever.
    #[test]
    #[cfg(debug_assertions)]
    fn a_thread_waits_only_for_what_comes_after_its_locks() {
        let all = |orders: [Order; 3]| orders.map(held::is_allowed);
        let orders = [Order::Queue, Order::Stream, Order::Gates];
        assert_eq!(all(orders), [true; 3]);
        let (stream, gates) = (Lock::new(Order::Stream, ()), Lock::new(Order::Gates, ()));
        let first = stream.lock();
        assert_eq!(all(orders), [false, false, true]);
        let second = gates.try_lock();
        assert_eq!(all(orders), [false; 3]);
        drop(first);
        assert_eq!(all(orders), [false; 3]);
        drop(second);
        assert_eq!(all(orders), [true; 3]);
        stream.take();
        forget_held();
        assert_eq!(all(orders), [true; 3]);
        stream.give_back();
    }

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
