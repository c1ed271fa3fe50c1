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
                self.served = (place, self.turn);
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

    /// The rule that has predicted the path with this hash for one of the last requests, unless that asked for parts of it.
    pub fn rule_for(&self, hash: u64) -> Option<RuleId> {
        let reach = Reach::Others(self.now);
        let places = self.order.iter().rev();
        let in_reach = places.map(|place| &self.entries[*place]);
        let mut expected = in_reach
            .filter(|entry| reach.has(entry) && entry.wants_all())
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
        let mut best_line: Option<(usize, Lesson<'_>)> = None;
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
            let is_line = request.is_line();
            let teaches = |lesson: &Lesson<'_>| {
                reach.teaches(lesson) && (!is_line || lesson.is_of_whole_target())
            };
            if let Some(lesson) = lesson.filter(teaches) {
                let best = if is_line { &mut best_line } else { &mut best };
                let is_better = best
                    .as_ref()
                    .is_none_or(|(_, it)| lesson.is_better_than(it));
                if is_better {
                    *best = Some((index, lesson));
                }
            }
        }
        // Where requests are understood, a line is a stranger's who may want to teach something.
        let best_line = best_line.filter(|_| best.is_none() && !rules.serve_requests());
        let is_line = best_line.is_some();
        let Some((index, lesson)) = best.or(best_line) else {
            return Attribution::Unexplained;
        };
        let entry = &mut self.entries[index];
        let Known::Request(request) = &entry.known else {
            return Attribution::Unexplained;
        };
        // It may have been for what was not understood. Then it teaches only what is most convincing, and only
        // where nothing is known: a server whose every iteration has such clients learns all the same.
        if doubtful
            && !is_line
            && (!lesson.is_of_whole_target() || rules.is_spoken_for(request, &lesson))
        {
            if entry.touched == Touched::No {
                entry.touched = Touched::Perhaps;
            }
            return Attribution::Explained;
        }
        let Some(outcome) = rules.learn(request, lesson) else {
            return Attribution::Unexplained;
        };
        entry.touched = Touched::Yes;
        self.served = (index, self.turn);
        let expected = Expected {
            hash,
            depth,
            outcome,
        };
        let _ = entry.expected.try_push(expected);
        Attribution::Explained
    }

    /// An operation that nothing explains has stalled: takes it for that of a companion of the request that was served before it in this
    /// turn, if it was read in this turn, too, and nothing else can have been the reason.
    pub fn learn_companion(&mut self, path: &[u8], hash: u64, depth: Depth, rules: &mut Rules) {
        let turn = self.turn;
        if self.served.1 != turn || self.is_doubtful(Reach::Turn(turn)) {
            return;
        }
        let entry = self.entries.get_mut(self.served.0);
        let Some(entry) = entry.filter(|entry| entry.turn == turn) else {
            return;
        };
        let Known::Request(request) = &entry.known else {
            return;
        };
        if let Some(outcome) = rules.learn_companion(request, path, depth) {
            let expected = Expected {
                hash,
                depth,
                outcome,
            };
            let _ = entry.expected.try_push(expected);
        }
    }
}
