//! Which paths were in memory a moment ago.
//!
//! A fixed table of hashes with the time of the last proof of warmth, shared by one event loop and
//! its helpers. It forgets (two paths that want the same two slots), and it never invents: an entry
//! is written only after the file was really there.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Number of paths remembered at most; a power of two.
const SLOTS: usize = 1 << 15;

/// Bits of a slot that hold the time; the rest hold the hash.
const TIME_BITS: u32 = 24;

/// What the table knows about a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warmth {
    /// Seen in memory within the time to live.
    Warm,
    /// Seen in memory once, longer ago than the time to live.
    WasWarm,
    /// Never seen, or forgotten.
    Unknown,
}

/// The table of recently warm paths. Times are in milliseconds of any one clock.
#[derive(Debug)]
pub struct WarmTable {
    slots: Box<[AtomicU64]>,
}

impl Default for WarmTable {
    fn default() -> Self {
        WarmTable {
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl WarmTable {
    /// What is known about the path with this hash at `now`, with a time to live of `ttl`.
    pub fn get(&self, hash: u64, now: u64, ttl: u64) -> Warmth {
        for slot in self.pair(hash) {
            let value = slot.load(Relaxed);
            if value != 0 && value >> TIME_BITS == hash >> TIME_BITS {
                return if age(value, now) <= ttl {
                    Warmth::Warm
                } else {
                    Warmth::WasWarm
                };
            }
        }
        Warmth::Unknown
    }

    /// Remembers that the path with this hash was in memory at `now`.
    pub fn insert(&self, hash: u64, now: u64) {
        let value = (hash >> TIME_BITS << TIME_BITS) | time(now);
        let [first, second] = self.pair(hash);
        let (one, two) = (first.load(Relaxed), second.load(Relaxed));
        let same = |old: u64| old >> TIME_BITS == hash >> TIME_BITS;
        // The older of two strangers gives way. Losing a race costs one look at the disk.
        let replace_first =
            same(one) || (!same(two) && (one == 0 || age(one, now) >= age(two, now)));
        let slot = if replace_first { first } else { second };
        slot.store(value, Relaxed);
    }

    /// Forgets the path with this hash: it was expected in memory and was not.
    pub fn remove(&self, hash: u64) {
        for slot in self.pair(hash) {
            if slot.load(Relaxed) >> TIME_BITS == hash >> TIME_BITS {
                slot.store(0, Relaxed);
            }
        }
    }

    fn pair(&self, hash: u64) -> [&AtomicU64; 2] {
        let index = hash as usize & (SLOTS - 1);
        [&self.slots[index], &self.slots[index ^ 1]]
    }
}

/// The part of a time that a slot keeps. It wraps after 4.6 hours: a path untouched for just that
/// long may look warm once, which costs a stall.
fn time(now: u64) -> u64 {
    now & ((1 << TIME_BITS) - 1)
}

fn age(value: u64, now: u64) -> u64 {
    time(time(now).wrapping_sub(time(value)))
}

/// For how long what was in memory is taken to be there still.
///
/// To ask again costs some microseconds, and not to have asked a stall, a thousand times as long. So one waits the longer the more often
/// in a row what was asked again was there, and no longer than at first as soon as something was not.
#[derive(Debug)]
pub struct Ttl {
    /// At first, in milliseconds.
    first: u64,
    /// How many times that.
    factor: u64,
    /// How many times in a row all was still there.
    in_a_row: u32,
}

/// The same at first, where memory is taken from files that are in use. At risk are no more paths than there are requests in such a
/// time.
const IN_DOUBT: u64 = 100;

/// After so many times in a row the time doubles.
const IN_A_ROW: u32 = 256;

/// How many times the first time it is at the most.
const MOST: u64 = 16;

impl Ttl {
    /// So many milliseconds at first.
    pub fn new(first: u64) -> Ttl {
        Ttl {
            first,
            factor: 1,
            in_a_row: 0,
        }
    }

    /// In milliseconds.
    pub fn get(&self) -> u64 {
        self.first.saturating_mul(self.factor)
    }

    /// The same where memory is taken from files that are in use.
    pub fn in_doubt(&self) -> u64 {
        self.first.min(IN_DOUBT).saturating_mul(self.factor)
    }

    /// Something that was in memory longer ago than that is there still.
    pub fn was_right(&mut self) {
        self.in_a_row += 1;
        if self.in_a_row == IN_A_ROW {
            self.in_a_row = 0;
            self.factor = (2 * self.factor).min(MOST);
        }
    }

    /// Something that was in memory is no more.
    pub fn was_wrong(&mut self) {
        (self.factor, self.in_a_row) = (1, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_for_its_time() {
        let table = WarmTable::default();
        let path = crate::hash(b"/srv/www/index.html");
        assert_eq!(table.get(path, 5, 100), Warmth::Unknown);
        table.insert(path, 1_000);
        assert_eq!(table.get(path, 1_100, 100), Warmth::Warm);
        assert_eq!(table.get(path, 1_101, 100), Warmth::WasWarm);
        table.remove(path);
        assert_eq!(table.get(path, 1_000, 100), Warmth::Unknown);
    }

    #[test]
    fn what_stays_is_asked_for_less_and_less() {
        let mut ttl = Ttl::new(2000);
        (1..IN_A_ROW).for_each(|_| ttl.was_right());
        assert_eq!(ttl.get(), 2000);
        ttl.was_right();
        assert_eq!((ttl.get(), ttl.in_doubt()), (4000, 200));
        (0..100 * IN_A_ROW).for_each(|_| ttl.was_right());
        assert_eq!(ttl.get(), 2000 * MOST);
        ttl.was_wrong();
        assert_eq!(ttl.get(), 2000);
        (1..IN_A_ROW).for_each(|_| ttl.was_right());
        ttl.was_wrong();
        ttl.was_right();
        assert_eq!(ttl.get(), 2000);
        let mut never = Ttl::new(0);
        (0..100 * IN_A_ROW).for_each(|_| never.was_right());
        assert_eq!((never.get(), never.in_doubt()), (0, 0));
    }

    #[test]
    fn the_older_stranger_gives_way() {
        let table = WarmTable::default();
        let path = |n: u64| (n << 40) | 6;
        table.insert(path(1), 10);
        table.insert(path(2), 20);
        table.insert(path(3), 30);
        assert_eq!(table.get(path(1), 30, 100), Warmth::Unknown);
        assert_eq!(table.get(path(2), 30, 100), Warmth::Warm);
        assert_eq!(table.get(path(3), 30, 100), Warmth::Warm);
    }

    #[test]
    fn time_wraps_without_a_jump() {
        let table = WarmTable::default();
        let path = crate::hash(b"x");
        let wrap = 1 << TIME_BITS;
        table.insert(path, wrap - 10);
        assert_eq!(table.get(path, wrap + 10, 100), Warmth::Warm);
        assert_eq!(table.get(path, wrap + 1_000, 100), Warmth::WasWarm);
    }
}
