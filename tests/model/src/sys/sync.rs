//! What threads share: each use of it is a point where the checker may let another thread run.

use shuttle::sync;
pub use shuttle::sync::RwLock;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

thread_local! {
    /// Whether atomic variables are such points as well; locks and system calls always are.
    static FINE: Cell<bool> = const { Cell::new(true) };
    static TRACE: Cell<u64> = const { Cell::new(0) };
    static SEEN: RefCell<HashSet<u64>> = RefCell::default();
    /// The steps of this execution.
    static STEPS: RefCell<Vec<String>> = RefCell::default();
}

/// Whether the steps of an execution that fails are printed.
static TELLS: LazyLock<bool> = LazyLock::new(|| {
    let tells = std::env::var_os("LAIO_MODEL_TRACE").is_some();
    if tells {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            STEPS.with_borrow(|steps| steps.iter().for_each(|step| eprintln!("{step}")));
            usual(panic);
        }));
    }
    tells
});

static POINT: sync::atomic::AtomicBool = sync::atomic::AtomicBool::new(false);

/// An execution begins.
pub fn begin(fine: bool) {
    FINE.set(fine);
    TRACE.set(0);
    STEPS.with_borrow_mut(Vec::clear);
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
        let step = format!("{:?} {what:x?}", shuttle::current::me());
        STEPS.with_borrow_mut(|steps| steps.push(step));
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
