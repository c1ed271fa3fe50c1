//! How much of a file a handler reads before it sends anything: learnt for each rule, where that is more than the usual window, or at the
//! end of the file.
//!
//! A rule's files are brought in up to where a handler has waited for one of them. Now and then half of that is tried, for one request: where
//! nobody waits for the rest it is so from then on, and otherwise the next try comes twice as late.

use crate::predictions::RuleId;
use core::ops::Range;

/// Most rules of which that is known.
const RULES: usize = 32;

/// After so many cold requests less is tried, at first and at the most.
const FIRST_TRY: u32 = 64;
const LAST_TRY: u32 = 4096;

/// Cold requests after which nobody will wait for the rest any more: by then the one has been answered.
const ANSWERED: u32 = 64;

/// What is doubled at the end of a file, of which nothing is read as a rule, in bytes.
pub const TAIL: u64 = 8 * 1024;

/// Which end of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its beginning: read up to somewhere.
    Front,
    /// Its end: read from somewhere on.
    Back,
}

#[derive(Clone, Copy, Debug)]
struct Width {
    rule: RuleId,
    end: End,
    /// How often the window is doubled.
    doublings: u8,
    /// Whether half of it is tried, and how that goes.
    trial: Trial,
    /// Cold requests until something happens to that.
    left: u32,
    /// How many there were the last time.
    interval: u32,
}

/// Whether less is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trial {
    No,
    /// For the next request.
    Next,
    /// It was, and nobody has waited yet.
    Done,
}

impl Width {
    fn now(&self) -> u8 {
        self.doublings - u8::from(self.trial == Trial::Next)
    }

    /// A cold request is held back.
    fn is_used(&mut self) {
        self.left = self.left.saturating_sub(1);
        (self.trial, self.left) = match self.trial {
            Trial::Next => (Trial::Done, ANSWERED),
            _ if self.left > 0 => return,
            Trial::No => (Trial::Next, 0),
            Trial::Done => {
                self.doublings -= 1;
                (Trial::No, self.interval)
            }
        };
    }

    /// A handler has waited for what takes so many doublings.
    fn falls_short(&mut self, doublings: u8) {
        if doublings < self.doublings || doublings == self.doublings && self.trial == Trial::No {
            return;
        }
        self.doublings = doublings;
        self.trial = Trial::No;
        self.interval = (2 * self.interval).min(LAST_TRY);
        self.left = self.interval;
    }
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

    /// How often the window of a rule's files is doubled, or [`TAIL`] at their ends; there 0 is nothing.
    pub fn of(&self, rule: RuleId, end: End) -> u8 {
        let mut all = self.0.iter();
        let known = all.find(|width| width.rule == rule && width.end == end);
        known.map_or(0, Width::now)
    }

    /// How often the window of a rule's files is doubled, and how many bytes are read at their ends.
    pub fn of_rule(&self, rule: RuleId) -> (u8, u64) {
        let tail = match self.of(rule, End::Back) {
            0 => 0,
            doublings => TAIL << doublings,
        };
        (self.of(rule, End::Front), tail)
    }

    fn get_mut(&mut self, rule: RuleId, end: End) -> Option<&mut Width> {
        let mut all = self.0.iter_mut();
        all.find(|width| width.rule == rule && width.end == end)
    }

    /// A cold request is held back for what the rule has predicted.
    pub fn is_used(&mut self, rule: RuleId, end: End) {
        let known = self.get_mut(rule, end);
        if let Some(width) = known.filter(|width| width.doublings > 0) {
            width.is_used();
        }
    }

    /// A handler has waited for what is so many bytes away from an end of a file that the rule has predicted. A `window` is doubled up to
    /// there, but it is not made larger than `most`.
    pub fn falls_short(&mut self, rule: RuleId, end: End, bytes: u64, window: u64, most: u64) {
        let is_enough = |doublings: &u8| {
            let width = window << doublings;
            width >= bytes || 2 * width > most
        };
        let Some(doublings) = (0..32).find(is_enough) else {
            return;
        };
        if let Some(width) = self.get_mut(rule, end) {
            width.falls_short(doublings);
        } else if doublings > 0 {
            if self.0.len() == RULES {
                self.0.remove(0);
            }
            self.0.push(Width {
                rule,
                end,
                doublings,
                trial: Trial::No,
                left: FIRST_TRY,
                interval: FIRST_TRY,
            });
        }
    }

    /// A handler has waited for a `part` of a file of `size` bytes that the rule has predicted. What it has left out before tells that it
    /// reads the end first, or something that nobody can know.
    pub fn has_waited_for(
        &mut self,
        rule: RuleId,
        part: Range<u64>,
        (size, window): (u64, u64),
        most: u64,
    ) {
        let width = window << self.of(rule, End::Front);
        if part.start < 2 * width {
            return self.falls_short(rule, End::Front, part.end.min(size), window, most);
        }
        let behind = size.saturating_sub(part.start);
        if behind <= most / 2 {
            self.falls_short(rule, End::Back, behind, TAIL, most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: u64 = 256 << 10;
    const MOST: u64 = 8 << 20;
    /// Cold requests of which one is tried with less, and nobody waits.
    const ONE: u32 = FIRST_TRY + 1 + ANSWERED;

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
            widths.falls_short(rule(1), End::Front, end, WINDOW, MOST);
            assert_eq!(widths.of(rule(1), End::Front), doublings, "{end}");
            assert_eq!(widths.of(rule(2), End::Front), 0);
        }
        let mut widths = Widths::default();
        widths.falls_short(rule(1), End::Front, u64::MAX, MOST, MOST);
        assert!(widths.is_empty());
    }

    /// Without it, one large file would have all others read as far for ever.
    #[test]
    fn what_nobody_waits_for_is_given_up() {
        let mut widths = Widths::default();
        widths.falls_short(rule(1), End::Front, 4 << 20, WINDOW, MOST);
        (0..4 * ONE).for_each(|_| widths.is_used(rule(1), End::Front));
        assert_eq!(widths.of(rule(1), End::Front), 0);
    }

    #[test]
    fn what_is_waited_for_is_tried_less_and_less() {
        let mut widths = Widths::default();
        let mut stalls = 0;
        for _ in 0..100_000 {
            if widths.of(rule(1), End::Front) < 4 {
                stalls += 1;
                widths.falls_short(rule(1), End::Front, 4 << 20, WINDOW, MOST);
            }
            widths.is_used(rule(1), End::Front);
        }
        assert!((10..40).contains(&stalls), "{stalls}");
    }

    #[test]
    fn the_oldest_gives_way() {
        let mut widths = Widths::default();
        for serial in 0..=RULES as u32 {
            widths.falls_short(rule(serial), End::Front, 4 << 20, WINDOW, MOST);
        }
        assert_eq!(
            (
                widths.of(rule(0), End::Front),
                widths.of(rule(1), End::Front)
            ),
            (0, 4)
        );
    }

    /// Without it, a film whose index stands at its end would have its first megabytes read, and stall all the same.
    #[test]
    fn who_reads_the_end_first_has_the_end_brought_in() {
        let mut widths = Widths::default();
        let size = 50 << 20;
        widths.has_waited_for(rule(1), 0..WINDOW, (size, WINDOW), MOST);
        widths.has_waited_for(rule(1), size - 300_000..size, (size, WINDOW), MOST);
        let of = |widths: &Widths, end| widths.of(rule(1), end);
        assert_eq!((of(&widths, End::Front), of(&widths, End::Back)), (0, 6));
        assert_eq!(widths.of_rule(rule(1)), (0, TAIL << 6));
        // In the middle of it something was asked for that is another one the next time.
        widths.has_waited_for(rule(1), 20 << 20..21 << 20, (size, WINDOW), MOST);
        assert_eq!((of(&widths, End::Front), of(&widths, End::Back)), (0, 6));
        (0..6 * ONE).for_each(|_| widths.is_used(rule(1), End::Back));
        assert_eq!(of(&widths, End::Back), 0);
    }

    #[test]
    fn one_who_reads_on_is_no_such_one() {
        let mut widths = Widths::default();
        let size = 4 << 20;
        for start in (0..size).step_by(64 << 10) {
            let part = start..start + (64 << 10);
            let is_cold = start >= WINDOW << widths.of(rule(1), End::Front);
            if is_cold {
                widths.has_waited_for(rule(1), part, (size, WINDOW), MOST);
            }
        }
        assert_eq!(widths.of(rule(1), End::Front), 4);
        assert_eq!(widths.of(rule(1), End::Back), 0);
        // All with one call.
        widths.has_waited_for(rule(2), 0..size + 1, (size, WINDOW), MOST);
        assert_eq!(widths.of(rule(2), End::Front), 4);
    }

    /// Without it, as many would stall at each try as are held back at once.
    #[test]
    fn one_request_is_tried_with_less() {
        let mut widths = Widths::default();
        widths.falls_short(rule(1), End::Front, 4 << 20, WINDOW, MOST);
        let less = (0..100_000).filter(|_| {
            let is_less = widths.of(rule(1), End::Front) < 4;
            widths.is_used(rule(1), End::Front);
            if is_less {
                // Others are held back until it is answered.
                (0..31).for_each(|_| widths.is_used(rule(1), End::Front));
                widths.falls_short(rule(1), End::Front, 4 << 20, WINDOW, MOST);
            }
            is_less
        });
        assert!((10..40).contains(&less.count()));
    }
}
