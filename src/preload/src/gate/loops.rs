//! The numbers of event loops.
//!
//! No two loops of a process have the same number, and those that there are at a time have different places: the
//! remainder by [`MOST_LOOPS`].

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Most event loops at once; further threads pass through. Each keeps some 300 KiB of what it knows.
pub const MOST_LOOPS: usize = u64::BITS as usize;

/// Which places are taken: a bit for each.
static PLACES: AtomicU64 = AtomicU64::new(0);

/// A number that no event loop has had.
pub fn take() -> Option<usize> {
    static GENERATION: AtomicUsize = AtomicUsize::new(0);
    let free = |places: u64| places.trailing_ones();
    let taken = PLACES.fetch_update(Relaxed, Relaxed, |places| {
        Some(places | 1u64.checked_shl(free(places))?)
    });
    let place = free(taken.ok()?) as usize;
    Some(GENERATION.fetch_add(1, Relaxed) * MOST_LOOPS + place)
}

/// Whether there are several: one may be told what another one reads.
pub fn are_several() -> bool {
    !PLACES.load(Relaxed).is_power_of_two()
}

/// Whether there is one.
pub fn are_any() -> bool {
    PLACES.load(Relaxed) != 0
}

/// The loop with this number has ended.
pub fn give_back(number: usize) {
    PLACES.fetch_and(!(1 << (number % MOST_LOOPS)), Relaxed);
}

/// After a fork: the loops are the parent's.
pub fn abandon() {
    PLACES.store(0, Relaxed);
}
