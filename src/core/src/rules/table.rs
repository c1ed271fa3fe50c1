//! The rules of one event loop.

use super::lesson::{self, Lesson};
use super::outcome::Outcome;
use super::shape::{shape, Shape, MAX_DIRECTORY};
use crate::cache::Caches;
use crate::paths::{up_to_last_slash, MAX_PATH};
use crate::predictions::{Depth, Predictions, RuleId, MAX_PREDICTIONS};
use crate::recognise::{Request, MAX_TARGET};
use arrayvec::ArrayVec;
use core::cmp::Reverse;

/// Most rules of one event loop.
pub(super) const MAX_RULES: usize = 96;

/// Votes at which hits and misses are halved, so that a rule's past does not outvote its present.
const MAX_VOTES: u32 = 64;

/// Hits after which a rule may predict instead of a proven one, and not only beside it: fewer are too easily brought
/// about by a stranger, or by chance.
pub(super) const PROVEN: u32 = 8;

/// Unproven rules that predict the same kind of path for a request, at most. One that does not predict is not charged for
/// what it would have missed, so that fewer would let a stranger have a rule proven behind another one.
const BESIDE: usize = 4;

#[derive(Clone, Debug)]
struct Rule {
    shape: Shape,
    /// What the prefix is replaced by; ends in `/`, or is empty for the working directory.
    directory: ArrayVec<u8, MAX_DIRECTORY>,
    depth: Depth,
    hits: u32,
    misses: u32,
    pinned: bool,
    id: RuleId,
}

impl Rule {
    /// Whether it predicts at all. A new one has some misses to spare, lest a few requests silence it.
    fn trusted(&self) -> bool {
        self.pinned || (self.hits + 1) * 4 >= self.misses
    }

    /// Whether it has been right often enough, and seldom enough wrong, to predict instead of others.
    fn proven(&self) -> bool {
        self.pinned || self.hits >= PROVEN && self.hits > 4 * self.misses
    }

    /// What it knows about, the narrower the greater: one host, and a long prefix.
    fn rank(&self) -> (bool, usize) {
        (self.shape.host != 0, self.shape.prefix.len())
    }

    /// How often it was right; of equals, the older comes first.
    fn standing(&self) -> (i64, Reverse<u32>) {
        let balance = i64::from(self.hits) - i64::from(self.misses);
        (balance, Reverse(self.id.serial))
    }

    /// Whether both predict the same kind of path for a target, so that one of them should suffice.
    fn is_rival_of(&self, other: &Shape) -> bool {
        let kind = |shape: &Shape| (shape.directory_target, shape.trim);
        kind(&self.shape) == kind(other) && self.shape.suffix == other.suffix
    }

    /// Whether it predicts anything for this request.
    fn speaks_for(&self, request: &Request) -> bool {
        let for_host = self.shape.host == 0 || self.shape.host == request.host;
        for_host && self.trusted() && self.rest(&request.target).is_some()
    }

    fn vote(&mut self, hit: bool) {
        match hit {
            true => self.hits += 1,
            false => self.misses += 1,
        }
        if self.hits + self.misses > MAX_VOTES {
            self.hits /= 2;
            self.misses /= 2;
        }
    }

    /// What a target contributes to the path, or nothing where the rule is not for it.
    fn rest<'t>(&self, target: &'t [u8]) -> Option<&'t [u8]> {
        if self.shape.directory_target != target.ends_with(b"/") {
            return None;
        }
        let rest = target.strip_prefix(self.shape.prefix.as_slice())?;
        Some(if self.shape.trim {
            up_to_last_slash(rest)
        } else {
            rest
        })
    }

    /// Adds what this rule predicts to a list, where there is room.
    fn predict(
        &self,
        request: &Request,
        for_data: bool,
        length: Option<u64>,
        into: &mut Predictions,
    ) {
        let Some(rest) = self.rest(&request.target) else {
            return;
        };
        // What most likely sends no data must not make anybody read it.
        let no_body = !for_data && self.depth == Depth::Data;
        let depth = if no_body { Depth::Name } else { self.depth };
        let parts = [self.directory.as_slice(), rest, &self.shape.suffix];
        into.compose(parts, depth, (request.offset, length), self.id);
    }
}

/// The rules of one event loop.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    next_serial: u32,
    /// Conditional requests for which data is still expected.
    pub(super) unmet: u32,
    /// Those by which the files of caches are named.
    pub caches: Caches,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            rules: Vec::with_capacity(MAX_RULES),
            next_serial: 0,
            unmet: 0,
            caches: Caches::default(),
        }
    }
}

impl Rules {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether nothing can be predicted at all.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.caches.is_empty()
    }

    /// Another number after each rule that is learnt.
    pub fn version(&self) -> u32 {
        self.next_serial
    }

    /// Whether all of these are proven rules' predictions: what becomes of them teaches nothing new. Where there are caches, for a
    /// request for which nothing was predicted, something may be the next time.
    pub fn are_proven(&self, predictions: &Predictions) -> bool {
        let is_proven = |id| self.get(id).is_some_and(Rule::proven);
        let is_settled = self.caches.is_empty() || !predictions.is_empty();
        is_settled && predictions.iter().all(|it| is_proven(it.rule))
    }

    /// Adds a rule from the configuration: targets under `prefix` are files under `directory`.
    ///
    /// Returns false where it does not fit (a prefix without its slashes, too long, too many).
    pub fn pin(&mut self, prefix: &[u8], directory: &[u8]) -> bool {
        let shape = shape(0, prefix, false, false, b"");
        let directory = ArrayVec::<u8, MAX_DIRECTORY>::try_from(directory);
        let (Some(shape), Ok(mut directory)) = (shape, directory) else {
            return false;
        };
        let whole = directory.last() == Some(&b'/') || directory.try_push(b'/').is_ok();
        whole
            && prefix.ends_with(b"/")
            && self.insert(shape, &directory, Depth::Data, true).is_some()
    }

    /// Predicts what the handler of `request` will touch: of each kind of path by the narrowest proven rule, and
    /// beside it by what is as narrow and not proven yet.
    ///
    /// A rule for the request's host is narrower than one for every host, a longer prefix than a shorter one.
    /// What is proven comes first, so that nothing unproven takes its room.
    pub fn predict(&mut self, request: &Request, into: &mut Predictions) {
        into.clear();
        let for_data = request.wants_body && (!request.conditional || self.unmet > 0);
        let length = request.length.filter(|_| self.unmet == 0);
        let mut chosen = ArrayVec::<&Rule, MAX_PREDICTIONS>::new();
        let mut unproven = ArrayVec::<&Rule, MAX_RULES>::new();
        for rule in self.rules.iter().filter(|rule| rule.speaks_for(request)) {
            if !rule.proven() {
                // There are never more rules than room.
                let _ = unproven.try_push(rule);
                continue;
            }
            let rank = |rule: &Rule| (rule.rank(), rule.standing());
            match chosen.iter_mut().find(|it| it.is_rival_of(&rule.shape)) {
                Some(other) if rank(other) < rank(rule) => *other = rule,
                Some(_) => {}
                // Beyond the bound the first come stay: they are the older ones.
                None => drop(chosen.try_push(rule)),
            }
        }
        let proven = chosen.len();
        unproven.sort_unstable_by_key(|rule| Reverse(rule.standing()));
        for rule in unproven {
            let (old, new) = chosen.split_at(proven);
            let rivals = |among: &[&Rule]| {
                let rivals = among.iter().filter(|it| it.is_rival_of(&rule.shape));
                rivals.filter(|it| it.rank() > rule.rank()).count()
            };
            let beside = new.iter().filter(|it| it.is_rival_of(&rule.shape)).count();
            if rivals(old) == 0 && beside < BESIDE {
                let _ = chosen.try_push(rule);
            }
        }
        for rule in chosen {
            rule.predict(request, for_data, length, into);
        }
        let by_range = self.unmet == 0;
        self.caches.predict(request, (for_data, by_range), into);
    }

    fn get(&self, id: RuleId) -> Option<&Rule> {
        let rule = self.rules.get(id.index as usize);
        rule.filter(|rule| rule.id == id)
    }

    fn get_mut(&mut self, id: RuleId) -> Option<&mut Rule> {
        let rule = self.rules.get_mut(id.index as usize);
        rule.filter(|rule| rule.id == id)
    }

    /// A predicted path was touched at this depth, perhaps a deeper look than known.
    pub fn confirm(&mut self, id: RuleId, depth: Depth) {
        if let Some(rule) = self.get_mut(id) {
            rule.depth = rule.depth.max(depth);
        }
    }

    /// Counts for and against the rules that predicted for one request: which of their paths did the handler touch?
    /// Where it is not certain that what it touched was for this request, proven rules lose nothing.
    ///
    /// Hits and misses are counted together, when all that belongs to the request has happened. Otherwise a few
    /// quick hits could make a rule proven before its misses are known.
    pub fn judge(&mut self, outcomes: &[Outcome], certain: bool) {
        for outcome in outcomes {
            let Some(rule) = self.get(outcome.rule) else {
                continue;
            };
            let others = outcomes
                .iter()
                .filter(|other| other.came_true && other.rule != outcome.rule);
            let mut rivals = others
                .filter_map(|other| self.get(other.rule))
                .filter(|other| other.is_rival_of(&rule.shape));
            let (hit, contradicted) = if outcome.came_true {
                // What a proven rule has explained proves no other one.
                let explained = !rule.proven() && rivals.any(Rule::proven);
                if outcome.is_new || explained {
                    continue;
                }
                (true, false)
            } else {
                // A narrower rule knew better, or nobody can say: then this one is as good as before.
                let excused = rivals.clone().any(|other| other.rank() > rule.rank());
                if excused || !certain && rule.proven() {
                    continue;
                }
                (
                    false,
                    rule.proven() && rivals.any(|other| other.rank() < rule.rank()),
                )
            };
            if let Some(rule) = self.get_mut(outcome.rule) {
                rule.vote(hit);
                // It stood in the way of a rule that was right: soon it predicts beside that one again.
                if contradicted && !rule.pinned {
                    rule.hits /= 2;
                }
            }
        }
    }

    /// Whether a rule predicts for this request what the lesson is about.
    pub fn is_spoken_for(&self, request: &Request, lesson: &Lesson<'_>) -> bool {
        self.rules
            .iter()
            .any(|rule| rule.is_rival_of(&lesson.shape) && rule.speaks_for(request))
    }

    /// Learns it: returns the rule that would have predicted the path, which is new or has been so before.
    pub fn learn(&mut self, lesson: Lesson<'_>) -> Option<Outcome> {
        let Lesson {
            mut shape,
            directory,
            depth,
            host,
            ..
        } = lesson;
        let mut directory = ArrayVec::<u8, MAX_DIRECTORY>::try_from(directory).ok()?;
        if !directory.ends_with(b"/") {
            directory.try_push(b'/').ok()?;
        }
        // For every host, or, where another rule stands there, for this one.
        let mut same = self.rules.iter().filter(|rule| rule.shape == shape);
        let taken = same.clone().any(|rule| rule.hits > 0);
        if taken && host != 0 && same.all(|rule| rule.directory != directory) {
            shape.host = host;
        }
        self.insert(shape, &directory, depth, false)
    }

    fn insert(
        &mut self,
        shape: Shape,
        directory: &[u8],
        depth: Depth,
        pinned: bool,
    ) -> Option<Outcome> {
        let directory = ArrayVec::try_from(directory).ok()?;
        let is_same = |rule: &&mut Rule| rule.shape == shape && rule.directory == directory;
        if let Some(rule) = self.rules.iter_mut().find(is_same) {
            rule.depth = rule.depth.max(depth);
            return Some(Outcome {
                rule: rule.id,
                came_true: true,
                is_new: false,
            });
        }
        let mut rivals = self.rules.iter().filter(|rule| rule.shape == shape);
        if rivals.any(|rule| rule.pinned) {
            return None;
        }
        let index = self.place_for(&shape)?;
        self.next_serial = self.next_serial.wrapping_add(1);
        let id = RuleId {
            index: index as u16,
            serial: self.next_serial,
        };
        let rule = Rule {
            shape,
            directory,
            depth,
            hits: 1,
            misses: 0,
            pinned,
            id,
        };
        match self.rules.get_mut(index) {
            Some(old) => *old = rule,
            None => self.rules.push(rule),
        }
        Some(Outcome {
            rule: id,
            came_true: true,
            is_new: true,
        })
    }

    /// What an operation on `path` teaches if `request` was the reason for it; nothing where the two
    /// have nothing to do with each other.
    pub fn lesson<'p>(
        &self,
        request: &Request,
        path: &'p [u8],
        depth: Depth,
    ) -> Option<Lesson<'p>> {
        lesson::lesson(request, path, depth, |of_target, directory| {
            self.rules.iter().any(|rule| {
                !rule.shape.trim
                    && of_target.strip_prefix(rule.shape.prefix.as_slice())
                        == directory.strip_prefix(rule.directory.as_slice())
                    && directory.starts_with(&rule.directory)
            })
        })
    }

    /// Where a new rule goes: in the place of one that it replaces, or behind all, or where the weakest is.
    fn place_for(&self, shape: &Shape) -> Option<usize> {
        let silent = |rule: &Rule| rule.shape == *shape && !rule.trusted();
        if let Some(index) = self.rules.iter().position(silent) {
            return Some(index);
        }
        if self.rules.len() < MAX_RULES {
            return Some(self.rules.len());
        }
        // The one that was right the least often gives way.
        let weakest = |(_, rule): &(usize, &Rule)| (rule.trusted(), rule.hits, rule.id.serial);
        let rivals = self.rules.iter().enumerate();
        let rivals = rivals.filter(|(_, rule)| !rule.pinned);
        rivals.min_by_key(weakest).map(|(index, _)| index)
    }
}

const _: () = assert!(MAX_TARGET <= MAX_PATH && MAX_RULES <= u16::MAX as usize);
