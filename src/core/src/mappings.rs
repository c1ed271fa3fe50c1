//! Files that the application has mapped, and how far of each is in memory. Addresses and lengths are
//! in bytes.

use core::ops::Range;

/// Most mappings that are remembered; the oldest gives way.
const MOST: usize = 256;

/// One mapped file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Where it lies.
    pub range: Range<usize>,
    /// In memory from the beginning up to here, when it was last looked at.
    known: usize,
    seen: u64,
}

impl Mapping {
    /// Up to which address it has been in memory.
    pub fn known(&self) -> usize {
        self.known
    }

    /// Whether that was seen not longer than `ttl` ago.
    pub fn is_fresh(&self, now: u64, ttl: u64) -> bool {
        now.saturating_sub(self.seen) <= ttl
    }

    /// All up to `end` is in memory.
    pub fn knows(&mut self, end: usize, now: u64) {
        self.known = self.known.max(end).min(self.range.end);
        self.seen = now;
    }
}

/// The mapped files of one event loop.
#[derive(Debug)]
pub struct Mappings {
    /// Oldest first.
    all: Vec<Mapping>,
}

impl Default for Mappings {
    fn default() -> Self {
        Mappings {
            all: Vec::with_capacity(MOST),
        }
    }
}

impl Mappings {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// A file was mapped there; it is in memory up to `known`.
    pub fn insert(&mut self, range: Range<usize>, known: usize, now: u64) {
        self.remove(range.clone());
        if self.all.len() == MOST {
            self.all.remove(0);
        }
        self.all.push(Mapping {
            range,
            known,
            seen: now,
        });
    }

    /// These addresses are something else now: whatever touches them is forgotten.
    pub fn remove(&mut self, gone: Range<usize>) {
        self.all
            .retain(|mapping| mapping.range.end <= gone.start || gone.end <= mapping.range.start);
    }

    /// The mapping that holds this address.
    pub fn find(&mut self, address: usize) -> Option<&mut Mapping> {
        // The newest are the likeliest.
        let mut newest_first = self.all.iter_mut().rev();
        newest_first.find(|mapping| mapping.range.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_by_any_address_until_it_is_unmapped() {
        let mut mappings = Mappings::default();
        mappings.insert(100..200, 100, 0);
        mappings.insert(300..400, 300, 0);
        assert_eq!(mappings.find(199).unwrap().range, 100..200);
        assert!(mappings.find(200).is_none());
        mappings.remove(350..360);
        assert!(mappings.find(300).is_none());
        mappings.remove(0..100);
        assert!(mappings.find(100).is_some());
    }

    #[test]
    fn what_is_known_gets_old() {
        let mut mappings = Mappings::default();
        mappings.insert(100..200, 120, 5);
        let mapping = mappings.find(100).unwrap();
        assert_eq!((mapping.known(), mapping.is_fresh(10, 5)), (120, true));
        assert!(!mapping.is_fresh(11, 5));
        mapping.knows(999, 11);
        assert_eq!((mapping.known(), mapping.is_fresh(11, 5)), (200, true));
    }

    #[test]
    fn the_oldest_gives_way() {
        let mut mappings = Mappings::default();
        (0..=MOST).for_each(|n| mappings.insert(n * 10..n * 10 + 10, 0, 0));
        assert!(mappings.find(0).is_none());
        assert!(mappings.find(10).is_some());
    }
}
