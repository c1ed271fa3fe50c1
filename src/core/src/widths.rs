//! How much of a file a handler reads before it sends anything: learnt for each rule, where that is more than the usual window.
//!
//! A rule's files are brought in up to where a handler has waited for one of them. Now and then half of that is tried: where nobody waits
//! for the rest it stays so, and otherwise the next try comes twice as late.

use crate::predictions::RuleId;

/// Most rules of which that is known.
const RULES: usize = 32;

/// After so many cold requests less is tried, at first and at the most.
const FIRST_TRY: u32 = 64;
const LAST_TRY: u32 = 4096;

#[derive(Clone, Copy, Debug)]
struct Width {
    rule: RuleId,
    /// How often the window is doubled.
    doublings: u8,
    /// Cold requests until half of it is tried.
    left: u32,
    /// How many there were the last time.
    interval: u32,
}

/// What is known of some rules. Not in place: a loop's state is made on a stack that may be small.
#[derive(Debug)]
pub struct Widths(Vec<Width>);

impl Default for Widths {
    fn default() -> Widths {
        Widths(Vec::with_capacity(RULES))
    }
}

impl Widths {
    /// Whether nothing is.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How often the window of a rule's files is doubled.
    pub fn of(&self, rule: RuleId) -> u8 {
        let known = self.0.iter().find(|width| width.rule == rule);
        known.map_or(0, |width| width.doublings)
    }

    /// A cold request is held back for what the rule has predicted.
    pub fn is_used(&mut self, rule: RuleId) {
        let known = self.0.iter_mut().find(|width| width.rule == rule);
        let Some(width) = known.filter(|width| width.doublings > 0) else {
            return;
        };
        width.left = width.left.saturating_sub(1);
        if width.left == 0 {
            width.left = width.interval;
            width.doublings -= 1;
        }
    }

    /// A handler has waited for what stands before `end` in a file that the rule has predicted. A `window` is doubled up to there, but it is not
    /// made larger than `most`.
    pub fn falls_short(&mut self, rule: RuleId, end: u64, window: u64, most: u64) {
        let is_enough = |doublings: &u8| {
            let width = window << doublings;
            width >= end || 2 * width > most
        };
        let Some(doublings) = (0..32).find(is_enough) else {
            return;
        };
        if let Some(width) = self.0.iter_mut().find(|width| width.rule == rule) {
            if doublings > width.doublings {
                width.doublings = doublings;
                width.interval = (2 * width.interval).min(LAST_TRY);
                width.left = width.interval;
            }
        } else if doublings > 0 {
            if self.0.len() == RULES {
                self.0.remove(0);
            }
            self.0.push(Width {
                rule,
                doublings,
                left: FIRST_TRY,
                interval: FIRST_TRY,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: u64 = 256 << 10;
    const MOST: u64 = 8 << 20;

    fn rule(serial: u32) -> RuleId {
        RuleId { index: 0, serial }
    }

    #[test]
    fn it_is_doubled_up_to_where_a_handler_has_waited() {
        for (end, doublings) in [
            (WINDOW, 0),
            (WINDOW + 1, 1),
            (2 * WINDOW, 1),
            (4 << 20, 4),
            (u64::MAX, 5),
        ] {
            let mut widths = Widths::default();
            widths.falls_short(rule(1), end, WINDOW, MOST);
            assert_eq!(widths.of(rule(1)), doublings, "{end}");
            assert_eq!(widths.of(rule(2)), 0);
        }
        let mut widths = Widths::default();
        widths.falls_short(rule(1), u64::MAX, MOST, MOST);
        assert!(widths.is_empty());
    }

    /// Without it, one large file would have all others read as far for ever.
    #[test]
    fn what_nobody_waits_for_is_given_up() {
        let mut widths = Widths::default();
        widths.falls_short(rule(1), 4 << 20, WINDOW, MOST);
        (0..4 * FIRST_TRY).for_each(|_| widths.is_used(rule(1)));
        assert_eq!(widths.of(rule(1)), 0);
    }

    #[test]
    fn what_is_waited_for_is_tried_less_and_less() {
        let mut widths = Widths::default();
        let mut stalls = 0;
        for _ in 0..100_000 {
            if widths.of(rule(1)) < 4 {
                stalls += 1;
                widths.falls_short(rule(1), 4 << 20, WINDOW, MOST);
            }
            widths.is_used(rule(1));
        }
        assert!((10..40).contains(&stalls), "{stalls}");
    }

    #[test]
    fn the_oldest_gives_way() {
        let mut widths = Widths::default();
        for serial in 0..=RULES as u32 {
            widths.falls_short(rule(serial), 4 << 20, WINDOW, MOST);
        }
        assert_eq!((widths.of(rule(0)), widths.of(rule(1))), (0, 4));
    }
}
