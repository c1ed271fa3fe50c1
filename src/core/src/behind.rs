//! Whether the answers of applications behind a server are worth a look: only while some of them name files, and such files stall.
//!
//! All loops of a process share one of these; what one sees of another's change a moment later does no harm.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Answers that are looked at before it is given up, where none names a file, and where some did.
const FEW: u32 = 256;
const MANY: u32 = 4096;

/// How many milliseconds after a look in vain the next one begins, at least and at most: twice as many each time.
const LEAST_PAUSE: u64 = 1000;
const MOST_PAUSE: u64 = 3_600_000;

/// The state of the look.
#[derive(Debug)]
pub struct Watch {
    /// So many answers are still looked at.
    left: AtomicU32,
    pause: AtomicU64,
    /// Milliseconds before which no look begins.
    next: AtomicU64,
}

impl Default for Watch {
    fn default() -> Watch {
        Watch::new()
    }
}

impl Watch {
    /// Nobody looks.
    pub const fn new() -> Watch {
        Watch {
            left: AtomicU32::new(0),
            pause: AtomicU64::new(LEAST_PAUSE),
            next: AtomicU64::new(0),
        }
    }

    /// Whether answers are looked at.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.left.load(Relaxed) > 0
    }

    /// A file has stalled that no request explains: an answer may have named it.
    pub fn has_stalled(&self, now: u64) {
        if !self.is_on() && now >= self.next.load(Relaxed) {
            self.left.store(FEW, Relaxed);
        }
    }

    /// An answer was looked at: whether it named a file.
    pub fn has_seen(&self, names: bool, now: u64) {
        if names {
            self.left.store(MANY, Relaxed);
            self.pause.store(LEAST_PAUSE, Relaxed);
            return;
        }
        let left = self.left.load(Relaxed);
        self.left.store(left.saturating_sub(1), Relaxed);
        if left == 1 {
            let pause = self.pause.load(Relaxed);
            self.next.store(now.saturating_add(pause), Relaxed);
            self.pause.store((2 * pause).min(MOST_PAUSE), Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_vain(watch: &Watch, now: u64) -> u32 {
        let mut count = 0;
        while watch.is_on() {
            watch.has_seen(false, now);
            count += 1;
        }
        count
    }

    /// Without it, a proxy that sends no files would look at all answers for ever.
    #[test]
    fn looks_in_vain_become_rare() {
        let watch = Watch::new();
        assert!(!watch.is_on());
        let mut now = 0;
        let mut pause = LEAST_PAUSE;
        for _ in 0..20 {
            watch.has_stalled(now);
            assert_eq!(in_vain(&watch, now), FEW);
            watch.has_stalled(now + pause - 1);
            assert!(!watch.is_on());
            now += pause;
            pause = (2 * pause).min(MOST_PAUSE);
        }
        watch.has_stalled(now);
        watch.has_seen(true, now);
        assert_eq!(in_vain(&watch, now), MANY);
        watch.has_stalled(now + LEAST_PAUSE);
        assert!(watch.is_on());
    }
}
