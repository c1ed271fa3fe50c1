//! What threads share: each use of it is a point where the checker may let another thread run.

pub use shuttle::sync::RwLock;
use shuttle::sync::{self, Condvar as Queue};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::{Deref, DerefMut};
use std::sync::{LazyLock, LockResult, PoisonError, TryLockError, TryLockResult};
use std::time::Duration;

thread_local! {
    /// Whether atomic variables are such points as well; locks and system calls always are.
    static FINE: Cell<bool> = const { Cell::new(true) };
    static TRACE: Cell<u64> = const { Cell::new(0) };
    static SEEN: RefCell<HashSet<u64>> = RefCell::default();
}

/// Whether steps are printed, to read a failure by its seed.
static TELLS: LazyLock<bool> = LazyLock::new(|| std::env::var_os("LAIO_MODEL_TRACE").is_some());

static POINT: sync::atomic::AtomicBool = sync::atomic::AtomicBool::new(false);

/// An execution begins.
pub fn begin(fine: bool) {
    FINE.set(fine);
    TRACE.set(0);
}

/// An execution has ended: its interleaving is noted.
pub fn end() {
    SEEN.with_borrow_mut(|seen| seen.insert(TRACE.get()));
}

/// How many different interleavings there were.
pub fn different() -> usize {
    SEEN.with_borrow(HashSet::len)
}

/// What happens is part of what makes one interleaving another one.
pub fn trace(what: impl Hash + Debug, said: bool) {
    if said && *TELLS {
        eprintln!("{:?} {what:x?}", shuttle::current::me());
    }
    let mut hasher = DefaultHasher::new();
    let thread = usize::from(shuttle::current::me());
    (TRACE.get(), thread, what).hash(&mut hasher);
    TRACE.set(hasher.finish());
}

/// Another thread may run here.
pub fn point() {
    POINT.load(atomic::Ordering::SeqCst);
    trace(0, false);
}

fn fine_point() {
    if FINE.get() {
        point();
    }
}

pub fn yield_now() {
    shuttle::thread::yield_now();
    trace(1, false);
}

#[derive(Debug, Default)]
pub struct Mutex<T>(sync::Mutex<T>);

#[derive(Debug)]
pub struct MutexGuard<'m, T> {
    mutex: &'m Mutex<T>,
    guard: Option<sync::MutexGuard<'m, T>>,
}

impl<T> Mutex<T> {
    pub const fn new(value: T) -> Mutex<T> {
        Mutex(sync::Mutex::new(value))
    }

    fn held<'m>(&'m self, guard: sync::MutexGuard<'m, T>) -> MutexGuard<'m, T> {
        trace(2, false);
        MutexGuard {
            mutex: self,
            guard: Some(guard),
        }
    }

    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        let guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(self.held(guard))
    }

    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Ok(self.held(guard)),
            Err(TryLockError::Poisoned(guard)) => Ok(self.held(guard.into_inner())),
            Err(TryLockError::WouldBlock) => Err(TryLockError::WouldBlock),
        }
    }

    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        self.0.get_mut()
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.guard.as_ref().unwrap()
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.guard.as_mut().unwrap()
    }
}

#[derive(Debug, Default)]
pub struct Condvar(Queue);

pub struct TimedOut(bool);

impl TimedOut {
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

/// So long nobody has to wait: who is not woken before waits for ever, which the checker reports.
const LONG: Duration = Duration::from_millis(500);

impl Condvar {
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    pub fn notify_all(&self) {
        self.0.notify_all();
    }

    pub fn wait<'m, T>(&self, mut held: MutexGuard<'m, T>) -> LockResult<MutexGuard<'m, T>> {
        let mutex = held.mutex;
        let guard = held.guard.take().unwrap();
        let guard = self.0.wait(guard).unwrap_or_else(PoisonError::into_inner);
        Ok(mutex.held(guard))
    }

    /// A short time may be over at any moment.
    pub fn wait_timeout<'m, T>(
        &self,
        held: MutexGuard<'m, T>,
        most: Duration,
    ) -> LockResult<(MutexGuard<'m, T>, TimedOut)> {
        if most >= LONG {
            let held = self.wait(held).unwrap_or_else(PoisonError::into_inner);
            return Ok((held, TimedOut(false)));
        }
        let mutex = held.mutex;
        drop(held);
        yield_now();
        super::clock::pass(most);
        let held = mutex.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((held, TimedOut(true)))
    }
}

pub mod atomic {
    //! Atomic variables, each access of which is seen by all threads at once.

    use super::fine_point;
    use std::sync::atomic as real;
    pub use std::sync::atomic::AtomicPtr;
    pub use std::sync::atomic::Ordering;

    macro_rules! atomic {
        ($($name:ident: $type:ty { $($operation:ident),* })+) => {$(
            #[derive(Debug, Default)]
            pub struct $name(real::$name);

            impl $name {
                pub const fn new(value: $type) -> $name {
                    $name(real::$name::new(value))
                }

                pub fn load(&self, order: Ordering) -> $type {
                    fine_point();
                    self.0.load(order)
                }

                pub fn store(&self, value: $type, order: Ordering) {
                    fine_point();
                    self.0.store(value, order);
                }

                pub fn swap(&self, value: $type, order: Ordering) -> $type {
                    fine_point();
                    self.0.swap(value, order)
                }

                pub fn compare_exchange(
                    &self, old: $type, new: $type, success: Ordering, failure: Ordering,
                ) -> Result<$type, $type> {
                    fine_point();
                    self.0.compare_exchange(old, new, success, failure)
                }

                pub fn fetch_update(
                    &self, set: Ordering, fetch: Ordering, change: impl FnMut($type) -> Option<$type>,
                ) -> Result<$type, $type> {
                    fine_point();
                    self.0.fetch_update(set, fetch, change)
                }

                $(pub fn $operation(&self, value: $type, order: Ordering) -> $type {
                    fine_point();
                    self.0.$operation(value, order)
                })*
            }
        )+};
    }

    atomic! {
        AtomicBool: bool {}
        AtomicU8: u8 {}
        AtomicI32: i32 { fetch_add, fetch_sub, fetch_max }
        AtomicU32: u32 { fetch_add, fetch_sub, fetch_max }
        AtomicU64: u64 { fetch_add, fetch_sub, fetch_max }
        AtomicUsize: usize { fetch_add, fetch_sub, fetch_max }
    }
}
