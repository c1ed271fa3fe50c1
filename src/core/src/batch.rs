//! How much readiness a loop is told of at once while nothing that it does is looked at.
//!
//! What was reported cannot be held back any more: of a hundred requests that come in one batch, when nothing was
//! cold before, a hundred would stall one after the other. So a batch begins small, and doubles as long as batches
//! are full and nothing stalls: a loop with little to do loses nothing, and a busy one is soon told of
//! all at once.

/// The least that is told at once.
const LEAST: usize = 2;

/// Beyond, nothing is limited.
const MOST: usize = 1 << 16;

/// How much one loop is told of at once.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    most: usize,
}

impl Default for Batch {
    fn default() -> Self {
        Batch { most: LEAST }
    }
}

impl Batch {
    /// How many events are handed out at most.
    pub fn most(&self) -> usize {
        self.most
    }

    /// So many were ready, or as many as are handed out.
    pub fn was(&mut self, ready: usize) {
        if ready >= self.most {
            self.most = (2 * self.most).min(MOST);
        } else if ready < self.most / 2 {
            self.most = (self.most - self.most / 8).max(LEAST);
        }
    }

    /// Something has stalled.
    pub fn stalled(&mut self) {
        self.most = LEAST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_loop_is_soon_told_of_all() {
        let mut batch = Batch::default();
        let (mut waits, mut told) = (0, 0);
        while told < 10_000 {
            let ready = batch.most().min(64);
            batch.was(ready);
            (waits, told) = (waits + 1, told + ready);
        }
        assert!(waits < 10_000 / 64 + 10, "{waits}");
    }

    #[test]
    fn a_burst_after_quiet_comes_in_small_parts() {
        let mut batch = Batch::default();
        (0..10).for_each(|_| batch.was(batch.most()));
        (0..100).for_each(|_| batch.was(1));
        assert!(batch.most() <= 8, "{}", batch.most());
        batch.was(batch.most());
        batch.stalled();
        assert_eq!(batch.most(), LEAST);
    }
}
