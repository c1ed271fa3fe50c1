//! What a cold request costs under each learnt directory, and whether a gate pays there.
//!
//! Handing a request to a helper costs tens of microseconds. A device that answers faster than that
//! is better waited for, as it always was; one request in [`SAMPLE`] is handed over all the same, so
//! that a device that becomes slow is noticed.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Directories told apart; further ones always get a gate.
const PLACES: usize = 16;

/// One in how many cold requests is gated on a device that is not worth it.
pub const SAMPLE: u64 = 64;

/// Weight of the past in the moving average, as a shift: 7/8.
const MEMORY: u32 = 3;

/// Samples before an average is believed.
const ENOUGH: u64 = 16;

#[derive(Debug, Default)]
struct Place {
    /// [`crate::hash`] of the directory; 0 while unused.
    directory: AtomicU64,
    nanoseconds: AtomicU64,
    samples: AtomicU64,
}

/// Moving averages of what jobs cost, shared by one event loop and its helpers.
#[derive(Debug, Default)]
pub struct Places([Place; PLACES]);

impl Places {
    /// A job under this directory kept a helper for so long.
    pub fn sample(&self, directory: u64, nanoseconds: u64) {
        let Some(place) = self.find(directory).or_else(|| self.claim(directory)) else {
            return;
        };
        let samples = place.samples.fetch_add(1, Relaxed);
        let old = place.nanoseconds.load(Relaxed);
        let new = if samples == 0 {
            nanoseconds
        } else {
            old - (old >> MEMORY) + (nanoseconds >> MEMORY)
        };
        place.nanoseconds.store(new, Relaxed);
    }

    /// Whether a device answers within `break_even` nanoseconds, as far as is known.
    pub fn is_cheap(&self, directory: u64, break_even: u64) -> bool {
        self.find(directory)
            .is_some_and(|place| place.is_cheap(break_even))
    }

    /// Whether every directory that is known at all is cheap.
    pub fn all_cheap(&self, break_even: u64) -> bool {
        let mut known = self
            .0
            .iter()
            .filter(|place| place.directory.load(Relaxed) != 0)
            .peekable();
        known.peek().is_some() && known.all(|place| place.is_cheap(break_even))
    }

    fn find(&self, directory: u64) -> Option<&Place> {
        self.0
            .iter()
            .find(|place| place.directory.load(Relaxed) == directory)
    }

    fn claim(&self, directory: u64) -> Option<&Place> {
        self.0.iter().find(|place| {
            place
                .directory
                .compare_exchange(0, directory, Relaxed, Relaxed)
                .is_ok()
        })
    }
}

impl Place {
    fn is_cheap(&self, break_even: u64) -> bool {
        self.samples.load(Relaxed) >= ENOUGH && self.nanoseconds.load(Relaxed) < break_even
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_cheap_only_after_enough_samples_and_until_it_slows_down() {
        let places = Places::default();
        assert!(!places.all_cheap(1000));
        for _ in 0..ENOUGH {
            assert!(!places.is_cheap(1, 1000));
            places.sample(1, 100);
        }
        assert!(places.is_cheap(1, 1000) && places.all_cheap(1000));
        places.sample(2, 5_000);
        assert!(!places.all_cheap(1000));
        places.sample(1, 5_000_000);
        assert!(!places.is_cheap(1, 1000));
    }

    #[test]
    fn more_directories_than_places_are_never_cheap() {
        let places = Places::default();
        for _ in 0..2 * ENOUGH {
            (1..=PLACES as u64 + 1).for_each(|directory| places.sample(directory, 1));
        }
        assert!(places.is_cheap(PLACES as u64, 10));
        assert!(!places.is_cheap(PLACES as u64 + 1, 10));
    }
}
