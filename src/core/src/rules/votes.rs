//! How often something that predicts was right.

use core::cmp::Reverse;

/// Votes at which hits and misses are halved, so that the past does not outvote the present.
const MAX_VOTES: u32 = 64;

/// Hits after which a rule may predict instead of a proven one, and not only beside it: fewer are too easily brought
/// about by a stranger, or by chance.
pub(super) const PROVEN: u32 = 8;

/// Predictions that came true, and such as did not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Votes {
    pub hits: u32,
    pub misses: u32,
}

impl Votes {
    /// Of one that is new: what it was made of came true.
    pub fn new() -> Votes {
        Votes { hits: 1, misses: 0 }
    }

    /// Whether it predicts at all. A new one has some misses to spare, lest a few requests silence it.
    pub fn are_trusted(self) -> bool {
        (self.hits + 1) * 4 >= self.misses
    }

    /// Whether it has been right often enough, and seldom enough wrong, to predict instead of others.
    pub fn are_proof(self) -> bool {
        self.hits >= PROVEN && self.hits > 4 * self.misses
    }

    /// How often it was right; of equals, the older comes first.
    pub fn standing(self, serial: u32) -> (i64, Reverse<u32>) {
        (
            i64::from(self.hits) - i64::from(self.misses),
            Reverse(serial),
        )
    }

    pub fn count(&mut self, hit: bool) {
        match hit {
            true => self.hits += 1,
            false => self.misses += 1,
        }
        if self.hits + self.misses > MAX_VOTES {
            self.hits /= 2;
            self.misses /= 2;
        }
    }
}
