//! Paths that threads which are no event loops may be about to touch: what becomes of a prediction where such a thread does what a
//! request asks for.
//!
//! A loop enters what a rule that is not proven has predicted, and takes it out when the request is judged. Whatever thread touches such a
//! path meanwhile leaves a note there. Two paths that want the same place have one: then a vote is lost, and none is made up.

use crate::predictions::Depth;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::*};

/// How many paths there is room for; a power of two.
const PLACES: usize = 1024;

/// Bits of a place that hold the state; the rest hold the hash.
const STATE: u64 = 7;

/// Nobody has touched it yet. What is greater tells how deep somebody has looked.
const UNTOUCHED: u64 = 1;

/// The paths.
#[derive(Debug)]
pub struct Awaited {
    places: [AtomicU64; PLACES],
    /// How many are in use.
    count: AtomicU32,
}

impl Default for Awaited {
    fn default() -> Awaited {
        Awaited::new()
    }
}

fn state_of(depth: Depth) -> u64 {
    match depth {
        Depth::Name => 2,
        Depth::Data => 3,
        Depth::Listing => 4,
    }
}

fn depth_of(state: u64) -> Option<Depth> {
    let all = [Depth::Name, Depth::Data, Depth::Listing];
    all.into_iter().find(|depth| state_of(*depth) == state)
}

impl Awaited {
    /// None yet.
    pub const fn new() -> Awaited {
        Awaited {
            places: [const { AtomicU64::new(0) }; PLACES],
            count: AtomicU32::new(0),
        }
    }

    /// Whether there are any.
    #[inline]
    pub fn is_any(&self) -> bool {
        self.count.load(Relaxed) > 0
    }

    /// Enters the path with this hash.
    pub fn enter(&self, hash: u64) {
        let old = self.place(hash).swap(hash & !STATE | UNTOUCHED, Relaxed);
        if old == 0 {
            self.count.fetch_add(1, Relaxed);
        }
    }

    /// Somebody has looked so deep at the path with this hash.
    pub fn touch(&self, hash: u64, depth: Depth) {
        let new = hash & !STATE | state_of(depth);
        let is_news = |old| old & !STATE == hash & !STATE && old != 0 && old < new;
        let _ = self
            .place(hash)
            .fetch_update(Relaxed, Relaxed, |old| is_news(old).then_some(new));
    }

    /// Takes it out: how deep somebody has looked, if anybody has.
    pub fn take(&self, hash: u64) -> Option<Depth> {
        let is_it = |old: u64| old != 0 && old & !STATE == hash & !STATE;
        let place = self.place(hash);
        let old = place
            .fetch_update(Relaxed, Relaxed, |old| is_it(old).then_some(0))
            .ok()?;
        self.count.fetch_sub(1, Relaxed);
        depth_of(old & STATE)
    }

    fn place(&self, hash: u64) -> &AtomicU64 {
        &self.places[(hash >> 3) as usize % PLACES]
    }

    /// After a fork: they are the parent's.
    pub fn abandon(&self) {
        if self.is_any() {
            self.places.iter().for_each(|place| place.store(0, Relaxed));
            self.count.store(0, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_touch_is_noted_where_somebody_awaits_it() {
        let awaited = Awaited::new();
        let [one, other] = [b"/a".as_slice(), b"/b"].map(crate::hash);
        awaited.touch(one, Depth::Data);
        assert!(!awaited.is_any() && awaited.take(one).is_none());
        awaited.enter(one);
        awaited.enter(other);
        assert!(awaited.is_any());
        awaited.touch(one, Depth::Data);
        awaited.touch(one, Depth::Name);
        assert_eq!(awaited.take(one), Some(Depth::Data));
        assert_eq!(awaited.take(one), None);
        assert_eq!(awaited.take(other), None);
        assert!(!awaited.is_any());
    }

    /// Without it, threads would look for what nobody awaits for ever.
    #[test]
    fn two_in_one_place_are_one() {
        let awaited = Awaited::new();
        let (one, other) = (8, 8 + 8 * PLACES as u64);
        awaited.enter(one);
        awaited.enter(other);
        awaited.touch(one, Depth::Data);
        assert_eq!(awaited.take(one), None);
        awaited.touch(other, Depth::Listing);
        assert_eq!(awaited.take(other), Some(Depth::Listing));
        assert!(!awaited.is_any());
        awaited.enter(one);
        awaited.abandon();
        assert!(!awaited.is_any() && awaited.take(one).is_none());
    }
}
