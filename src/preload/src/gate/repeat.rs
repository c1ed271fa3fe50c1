//! A request that was asked for a moment ago, byte for byte, and whose files were in memory then: the beginning of its answer is sent
//! without a look at what is sent.

use crate::sys::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// No request.
const NONE: u64 = 0;

/// Such a request of one connection, as long as it is answered.
#[derive(Debug, Default)]
pub struct Repeat {
    /// What it is known by.
    key: AtomicU64,
    /// How many stalls its loop had had when it was read.
    stalls: AtomicU32,
    /// How many bytes of its answer are sent without a look.
    left: AtomicU32,
}

impl Repeat {
    /// It is read now, after so many stalls of its loop.
    pub fn begins(&self, key: u64, stalls: u32, bytes: u64) {
        self.key.store(key, Relaxed);
        self.stalls.store(stalls, Relaxed);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.left.store(bytes, Relaxed);
    }

    /// Another request is read, or the number is another connection's. Tells what the last one was known by, and how many stalls
    /// there had been.
    pub fn ends(&self) -> Option<(u64, u32)> {
        let key = self.key.load(Relaxed);
        if key == NONE {
            return None;
        }
        self.key.store(NONE, Relaxed);
        self.left.store(0, Relaxed);
        Some((key, self.stalls.load(Relaxed)))
    }

    /// Whether so many more bytes are sent without a look.
    #[inline]
    pub fn covers(&self, count: usize) -> bool {
        count as u64 <= u64::from(self.left.load(Relaxed)) && count > 0
    }

    /// So many were.
    #[inline]
    pub fn has_sent(&self, count: usize) {
        let left = self.left.load(Relaxed);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.left.store(left.saturating_sub(count), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_much_of_an_answer_is_sent_without_a_look() {
        let repeat = Repeat::default();
        assert!(!repeat.covers(1) && repeat.ends().is_none());
        repeat.begins(7, 3, 100);
        assert!(repeat.covers(100) && !repeat.covers(101));
        repeat.has_sent(60);
        assert!(repeat.covers(40) && !repeat.covers(41));
        repeat.has_sent(60);
        assert!(!repeat.covers(1));
        repeat.begins(8, 4, u64::MAX);
        assert_eq!(repeat.ends(), Some((8, 4)));
        assert!(!repeat.covers(1) && repeat.ends().is_none());
    }
}
