//! The rules of one event loop.

use super::companions::Companions;
use super::index::{key, prefixes, Index};
use super::lesson::{self, Lesson};
use super::outcome::Outcome;
use super::rule::Rule;
use super::shape::{shape, Shape, MAX_DIRECTORY, MAX_PREFIX};
use super::templates::{self, Templates};
use super::votes::Votes;
use crate::cache::Caches;
use crate::paths::MAX_PATH;
use crate::predictions::{Depth, Predictions, RuleId, MAX_PREDICTIONS};
use crate::recognise::{Request, Span, MAX_TARGET};
use arrayvec::ArrayVec;
use core::cmp::Reverse;

/// Most rules of one event loop: some 2 MiB.
pub(super) const MAX_RULES: usize = 4096;

/// Rules for which room is made at once.
const FIRST_RULES: usize = 64;

/// Unproven rules that are asked for one request, at most.
const MAX_ASKED: usize = 96;

/// Unproven rules that predict the same kind of path for a request, at most. One that does not predict is not charged for
/// what it would have missed, so that fewer would let a stranger have a rule proven behind another one.
const BESIDE: usize = 4;

/// The rules of one event loop.
#[derive(Debug)]
pub struct Rules {
    pub(super) rules: Vec<Rule>,
    index: Index,
    next_serial: u32,
    /// Conditional requests for which data is still expected.
    pub(super) unmet: u32,
    /// Requests for which a coded file is no reason not to expect the plain one.
    pub(super) plain: u32,
    /// What is learnt from several rules.
    templates: Templates,
    /// What is opened together with a page.
    pub(super) companions: Companions,
    /// Those by which the files of caches are named.
    pub caches: Caches,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            rules: Vec::with_capacity(FIRST_RULES),
            index: Index::with_capacity(FIRST_RULES),
            next_serial: 0,
            unmet: 0,
            plain: 0,
            templates: Templates::default(),
            companions: Companions::default(),
            caches: Caches::default(),
        }
    }
}

impl Rules {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.rules.len() + self.templates.len()
    }

    /// Whether nothing can be predicted at all.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.caches.is_empty()
    }

    /// Another number after each rule that is learnt.
    pub fn version(&self) -> u32 {
        let learnt = self
            .templates
            .version()
            .wrapping_add(self.companions.version());
        self.next_serial.wrapping_add(learnt)
    }

    /// Whether all of these are proven rules' predictions: what becomes of them teaches nothing new. Where there are caches, for a
    /// request for which nothing was predicted, something may be the next time.
    pub fn are_proven(&self, predictions: &Predictions) -> bool {
        let is_proven = |id| match Templates::is_one(id) {
            true => self.templates.is_proven(id),
            false if Companions::is_one(id) => self.companions.is_proven(id),
            false => self.get(id).is_some_and(Rule::proven),
        };
        let is_settled = self.caches.is_empty() || !predictions.is_empty();
        is_settled && predictions.iter().all(|it| is_proven(it.rule))
    }

    /// The rules that may be for a target: those of all hosts, and this one's.
    fn candidates<'s>(&'s self, host: u64, target: &'s [u8]) -> impl Iterator<Item = &'s Rule> {
        let hosts = [Some(0), (host != 0).then_some(host)];
        let prefixes = prefixes(target, MAX_PREFIX);
        let keys =
            prefixes.flat_map(move |prefix| hosts.into_iter().flatten().map(|it| key(it, prefix)));
        let places = keys.flat_map(|key| self.index.places(key));
        places.filter_map(|place| self.rules.get(place))
    }

    /// The rules of this shape, each with its place.
    fn of_shape<'s>(&'s self, shape: &'s Shape) -> impl Iterator<Item = (usize, &'s Rule)> {
        let places = self.index.places(key(shape.host, &shape.prefix));
        let rules = places.filter_map(|place| Some((place, self.rules.get(place)?)));
        rules.filter(move |(_, rule)| rule.shape == *shape)
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
        let by_range = self.unmet == 0;
        let yields = self.yields_to_coded(request);
        let mut chosen = ArrayVec::<&Rule, MAX_PREDICTIONS>::new();
        let mut unproven = ArrayVec::<&Rule, MAX_ASKED>::new();
        let candidates = self.candidates(request.host, &request.target);
        for rule in candidates.filter(|rule| rule.speaks_for(request)) {
            if !rule.proven() {
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
        let is_pinned = chosen.iter().any(|rule| rule.pinned);
        let ranges = match by_range {
            true => request.ranges,
            false => request.ranges.without_lengths(),
        };
        let mut spans = ranges.iter();
        let first = spans.next().unwrap_or(Span::From(0));
        for rule in chosen {
            rule.predict(request, (for_data, first, yields), into);
        }
        if !is_pinned {
            let wanted = (for_data, first, yields);
            self.templates.predict(request, wanted, into);
        }
        into.add_parts(spans);
        if for_data {
            self.companions.predict(request, into);
        }
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

    /// Whether two rules predict the same kind of path for a target, so that one of them should suffice.
    pub fn are_rivals(&self, one: RuleId, other: RuleId) -> bool {
        let (one, other) = (self.get(one), self.get(other));
        one.zip(other)
            .is_some_and(|(one, other)| one.is_rival_of(&other.shape))
    }

    /// A predicted path was touched at this depth, perhaps a deeper look than known.
    pub fn confirm(&mut self, id: RuleId, depth: Depth) {
        if Templates::is_one(id) {
            return self.templates.confirm(id, depth);
        }
        if Companions::is_one(id) {
            return self.companions.confirm(id, depth);
        }
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
            if Templates::is_one(outcome.rule) {
                if outcome.came_true || certain {
                    self.templates.judge(outcome.rule, outcome.came_true);
                }
                continue;
            }
            if Companions::is_one(outcome.rule) {
                if outcome.came_true || certain {
                    self.companions.judge(outcome.rule, outcome.came_true);
                }
                continue;
            }
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
                // What a proven rule has explained proves no other one, nor what one has that was right more often: a stranger may
                // have the server touch what was predicted beside it.
                let is_better = |it: &Rule| it.proven() || it.standing() > rule.standing();
                let explained = !rule.proven() && rivals.any(is_better);
                if outcome.is_new || explained {
                    continue;
                }
                (true, false)
            } else {
                // A narrower rule knew better, and only such, or nobody can say: then this one is as good as before.
                let mut narrower = rivals
                    .clone()
                    .map(|other| other.rank() > rule.rank())
                    .peekable();
                let excused = narrower.peek().is_some() && narrower.all(|is_narrower| is_narrower);
                // What is there coded is not asked for as it is.
                let mut all = outcomes.iter().filter(|other| other.came_true);
                let is_coded = all.any(|other| {
                    let other = self.get(other.rule);
                    other.is_some_and(|other| rule.is_coded_by(other))
                });
                if excused || is_coded || !certain && rule.proven() {
                    continue;
                }
                (
                    false,
                    rule.proven() && rivals.any(|other| other.rank() < rule.rank()),
                )
            };
            if let Some(rule) = self.get_mut(outcome.rule) {
                rule.votes.count(hit);
                // It stood in the way of a rule that was right: soon it predicts beside that one again.
                if contradicted && !rule.pinned {
                    rule.votes.hits /= 2;
                }
            }
        }
    }

    /// Whether a rule predicts for this request what the lesson is about.
    pub fn is_spoken_for(&self, request: &Request, lesson: &Lesson<'_>) -> bool {
        self.candidates(request.host, &request.target)
            .any(|rule| rule.is_rival_of(&lesson.shape) && rule.speaks_for(request))
    }

    /// Learns it from what `request` has caused: returns the rule that would have predicted the path, which is new or has been so
    /// before.
    pub fn learn(&mut self, request: &Request, lesson: Lesson<'_>) -> Option<Outcome> {
        let learnt = self.learn_rule(&lesson);
        if request.is_of_client() && learnt.is_some_and(|outcome| outcome.is_new) {
            self.templates.learn(request, &lesson);
        }
        learnt
    }

    #[inline(never)]
    fn learn_rule(&mut self, lesson: &Lesson<'_>) -> Option<Outcome> {
        let &Lesson {
            directory,
            depth,
            host,
            ..
        } = lesson;
        let mut shape = lesson.shape.clone();
        let mut directory = ArrayVec::<u8, MAX_DIRECTORY>::try_from(directory).ok()?;
        if !directory.ends_with(b"/") {
            directory.try_push(b'/').ok()?;
        }
        // For every host, or, where another rule stands there, for this one.
        let is_taken = self.of_shape(&shape).any(|(_, rule)| rule.votes.hits > 0);
        let is_other = |(_, rule): (usize, &Rule)| rule.directory != directory;
        if is_taken && host != 0 && self.of_shape(&shape).all(is_other) {
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
        let is_same = |(_, rule): &(usize, &Rule)| rule.directory == directory;
        let known = self.of_shape(&shape).find(is_same).map(|(place, _)| place);
        if let Some(rule) = known.and_then(|place| self.rules.get_mut(place)) {
            rule.depth = rule.depth.max(depth);
            return Some(Outcome {
                rule: rule.id,
                came_true: true,
                is_new: false,
            });
        }
        if self.of_shape(&shape).any(|(_, rule)| rule.pinned) {
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
            votes: Votes::new(),
            pinned,
            id,
        };
        // Where there is no memory, it is not learnt.
        let has_room = index < self.rules.len() || self.rules.try_reserve(1).is_ok();
        let new_key = key(rule.shape.host, &rule.shape.prefix);
        if !has_room || !self.index.add(new_key, id.index) {
            return None;
        }
        match self.rules.get_mut(index) {
            Some(old) => {
                let old_key = key(old.shape.host, &old.shape.prefix);
                *old = rule;
                if old_key != new_key {
                    self.index.remove(old_key, id.index);
                }
            }
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
            self.candidates(request.host, of_target).any(|rule| {
                !rule.shape.trim
                    && of_target.strip_prefix(rule.shape.prefix.as_slice())
                        == directory.strip_prefix(rule.directory.as_slice())
                    && directory.starts_with(&rule.directory)
            })
        })
    }

    /// Where a new rule goes: in the place of one that it replaces, or behind all, or where the weakest is.
    fn place_for(&self, shape: &Shape) -> Option<usize> {
        let mut silent = self.of_shape(shape).filter(|(_, rule)| !rule.trusted());
        if let Some((index, _)) = silent.next() {
            return Some(index);
        }
        if self.rules.len() < MAX_RULES {
            return Some(self.rules.len());
        }
        // The one that was right the least often gives way.
        let weakest =
            |(_, rule): &(usize, &Rule)| (rule.trusted(), rule.votes.hits, rule.id.serial);
        let rivals = self.rules.iter().enumerate();
        let rivals = rivals.filter(|(_, rule)| !rule.pinned);
        rivals.min_by_key(weakest).map(|(index, _)| index)
    }
}

const _: () = assert!(MAX_TARGET <= MAX_PATH && MAX_RULES <= templates::FIRST as usize);
