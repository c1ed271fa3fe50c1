//! Which request an operation was for.

use super::bounds::Reach;
use super::entry::{Attribution, Expected, Known, Touched};
use super::Recent;
use crate::cache::Caches;
use crate::predictions::{Depth, RuleId};
use crate::rules::{Lesson, Rules};

impl Recent {
    /// Whether an operation of this turn may be that of a request that was asked for a moment ago, for which nothing was predicted.
    pub fn has_repeated(&self) -> bool {
        self.repeated_until > self.turn
    }

    /// An operation on the path with this hash took place: whether it was predicted, which is counted for the rule that did.
    pub fn confirms(&mut self, hash: u64, depth: Depth, rules: &mut Rules) -> bool {
        self.confirms_in(Reach::Turn(self.turn), hash, depth, rules)
    }

    fn confirms_in(&mut self, reach: Reach, hash: u64, depth: Depth, rules: &mut Rules) -> bool {
        // The newest first: each request has its own companions' votes.
        for &place in self.order.iter().rev() {
            let entry = &mut self.entries[place];
            if !reach.has(entry) {
                continue;
            }
            // One that was served in an iteration before is served: a stranger may have the server touch, after it, what was predicted
            // beside that.
            if matches!(reach, Reach::Turn(turn) if entry.turn < turn)
                && entry.is_served_without(hash, rules)
            {
                continue;
            }
            if let Some(expected) = entry.expected.iter_mut().find(|e| e.hash == hash) {
                if Caches::is_one(expected.outcome.rule) {
                    expected.outcome.came_true = true;
                    if let Known::Request(request) = &entry.known {
                        rules.caches.came_true(expected.outcome.rule, request);
                    }
                    return true;
                }
                entry.touched = Touched::Yes;
                if !expected.outcome.came_true || depth > expected.depth {
                    expected.outcome.came_true = true;
                    expected.depth = expected.depth.max(depth);
                    rules.confirm(expected.outcome.rule, depth);
                }
                return true;
            }
        }
        false
    }

    /// The rule that has predicted the path with this hash for one of the last requests.
    pub fn rule_for(&self, hash: u64) -> Option<RuleId> {
        let reach = Reach::Others(self.now);
        let places = self.order.iter().rev();
        let in_reach = places.map(|place| &self.entries[*place]);
        let mut expected = in_reach
            .filter(|entry| reach.has(entry))
            .flat_map(|entry| &entry.expected);
        let rule = expected.find(|it| it.hash == hash)?.outcome.rule;
        (!Caches::is_one(rule)).then_some(rule)
    }

    /// An operation on `path` took place: confirms the rule that predicted it, or learns one.
    ///
    /// Tells whether a request of this thread was found that explains it.
    pub fn attribute(
        &mut self,
        path: &[u8],
        hash: u64,
        depth: Depth,
        rules: &mut Rules,
    ) -> Attribution {
        self.attribute_in(Reach::Turn(self.turn), path, hash, depth, rules)
    }

    pub(super) fn attribute_in(
        &mut self,
        reach: Reach,
        path: &[u8],
        hash: u64,
        depth: Depth,
        rules: &mut Rules,
    ) -> Attribution {
        if self.confirms_in(reach, hash, depth, rules) {
            return Attribution::Explained;
        }
        if depth == Depth::Data && self.is_of_cache_in(reach, path) {
            return Attribution::CacheFile;
        }
        // The request that explains it best, and of several the newest: in one iteration many are handled.
        let mut best: Option<(usize, Lesson<'_>)> = None;
        let mut doubtful = self.is_doubtful(reach);
        for &index in self.order.iter().rev() {
            let entry = &self.entries[index];
            if !reach.has(entry) {
                continue;
            }
            let request = match &entry.known {
                Known::Request(request) => request,
                Known::Bytes(_) | Known::Sealed(_) => {
                    doubtful = true;
                    continue;
                }
                Known::Nothing => continue,
            };
            let lesson = rules.lesson(request, path, depth);
            if let Some(lesson) = lesson.filter(|lesson| reach.teaches(lesson)) {
                if best
                    .as_ref()
                    .is_none_or(|(_, best)| lesson.is_better_than(best))
                {
                    best = Some((index, lesson));
                }
            }
        }
        let Some((index, lesson)) = best else {
            return Attribution::Unexplained;
        };
        let entry = &mut self.entries[index];
        let Known::Request(request) = &entry.known else {
            return Attribution::Unexplained;
        };
        // It may have been for what was not understood. Then it teaches only what is most convincing, and only
        // where nothing is known: a server whose every iteration has such clients learns all the same.
        if doubtful && (!lesson.is_of_whole_target() || rules.is_spoken_for(request, &lesson)) {
            if entry.touched == Touched::No {
                entry.touched = Touched::Perhaps;
            }
            return Attribution::Explained;
        }
        let Some(outcome) = rules.learn(request, lesson) else {
            return Attribution::Unexplained;
        };
        entry.touched = Touched::Yes;
        let expected = Expected {
            hash,
            depth,
            outcome,
        };
        let _ = entry.expected.try_push(expected);
        Attribution::Explained
    }
}
