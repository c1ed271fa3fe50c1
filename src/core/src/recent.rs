//! The last requests of a thread, so that an operation can be matched with the one that caused it.
//!
//! Most servers open the file in the turn that read the request; a runtime may do it an iteration or two
//! later. While nothing has been cold for a while, only the bytes are kept here and nobody parses
//! them: the first stall does.

use crate::predictions::{Depth, Prediction, Predictions, MAX_PREDICTIONS};
use crate::recognise::{Recogniser, Request};
use crate::rules::{Lesson, Outcome, Rules};
use arrayvec::ArrayVec;

/// How many requests are remembered.
const RECENT: usize = 16;

/// How many iterations of the event loop an operation may come after its request.
const REACH: u64 = 3;

/// How much of a request is kept: enough for a request line and the `Host` of nearly all.
const KEPT: usize = 1024;

/// What is known of one request.
#[derive(Clone, Debug)]
enum Known {
    Nothing,
    /// The first bytes, not looked at yet.
    Bytes(ArrayVec<u8, KEPT>),
    Request(Request),
}

/// A prediction without its path: enough to tell whether it came true.
#[derive(Clone, Copy, Debug)]
struct Expected {
    hash: u64,
    depth: Depth,
    outcome: Outcome,
}

impl From<Prediction<'_>> for Expected {
    fn from(prediction: Prediction<'_>) -> Self {
        let Prediction {
            hash, depth, rule, ..
        } = prediction;
        let outcome = Outcome {
            rule,
            came_true: false,
            is_new: false,
        };
        Expected {
            hash,
            depth,
            outcome,
        }
    }
}

/// Whether any operation was matched with a request: only then do silent rules lose a vote, for a server may answer
/// from a cache of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Touched {
    No,
    /// It may have been another request's, which was not understood.
    Perhaps,
    Yes,
}

#[derive(Clone, Debug)]
struct Entry {
    turn: u64,
    known: Known,
    expected: ArrayVec<Expected, MAX_PREDICTIONS>,
    touched: Touched,
}

/// A ring of recent requests, newest last.
#[derive(Debug)]
pub struct Recent {
    entries: Vec<Entry>,
    next: usize,
    turn: u64,
    /// The last turn in which something was read that may be a request and was not understood.
    not_understood: u64,
}

impl Default for Recent {
    fn default() -> Self {
        let entry = Entry {
            turn: 0,
            known: Known::Nothing,
            expected: ArrayVec::new(),
            touched: Touched::No,
        };
        Recent {
            entries: vec![entry; RECENT],
            next: 0,
            turn: REACH + 1,
            not_understood: 0,
        }
    }
}

impl Recent {
    /// A new turn of the event loop begins.
    pub fn new_iteration(&mut self) {
        self.turn += 1;
    }

    /// A client has sent what is no request that can be predicted for: its operations must not be taken for
    /// another one's.
    pub fn has_not_understood(&mut self) {
        self.not_understood = self.turn;
    }

    /// Keeps the first bytes that a client sent, to be parsed if something stalls.
    pub fn keep_bytes(&mut self, bytes: &[u8]) {
        let turn = self.turn;
        let entry = &mut self.entries[self.next];
        self.next = (self.next + 1) % RECENT;
        entry.turn = turn;
        entry.touched = Touched::No;
        entry.expected.clear();
        let kept = &bytes[..bytes.len().min(KEPT)];
        // In place where bytes stood before, the usual case: a KiB is not moved about.
        if let Known::Bytes(old) = &mut entry.known {
            old.clear();
            let _ = old.try_extend_from_slice(kept);
        } else {
            let mut fresh = ArrayVec::new();
            let _ = fresh.try_extend_from_slice(kept);
            entry.known = Known::Bytes(fresh);
        }
    }

    /// Remembers a request and what was predicted for it; the entry that gives way is judged.
    pub fn remember(&mut self, request: &Request, predictions: &Predictions, rules: &mut Rules) {
        if request.may_want_less() {
            rules.count_condition();
        }
        let entry = &mut self.entries[self.next];
        self.next = (self.next + 1) % RECENT;
        entry.judge(rules);
        entry.turn = self.turn;
        entry.touched = Touched::No;
        entry.expected = predictions.iter().map(Expected::from).collect();
        if let Known::Request(old) = &mut entry.known {
            old.clone_from(request);
        } else {
            entry.known = Known::Request(request.clone());
        }
    }

    /// Looks at the bytes that were kept and not parsed yet, newest turns only.
    pub fn recognise(&mut self, recogniser: &impl Recogniser) {
        let turn = self.turn;
        for entry in self
            .entries
            .iter_mut()
            .filter(|entry| entry.turn + REACH > turn)
        {
            if let Known::Bytes(bytes) = &entry.known {
                let mut request = Request::default();
                let recognised = recogniser.recognise(bytes, &mut request);
                // Another request may follow it.
                if recognised != Ok(bytes.len()) {
                    self.not_understood = self.not_understood.max(entry.turn);
                }
                entry.known = match recognised {
                    Ok(_) => Known::Request(request),
                    Err(_) => Known::Nothing,
                };
            }
        }
    }

    /// A handler has waited for the data of a file: was it that of a request for less than all of it?
    pub fn waited_for_data(&self, rules: &mut Rules) {
        let is_conditional =
            |entry: &Entry| matches!(&entry.known, Known::Request(it) if it.may_want_less());
        let mut in_reach = self
            .entries
            .iter()
            .filter(|entry| entry.turn + REACH > self.turn);
        if in_reach.any(is_conditional) {
            rules.expect_data_for_conditions();
        }
    }

    /// An operation on `path` took place: confirms the rule that predicted it, or learns one.
    ///
    /// Returns whether a request of this thread was found that explains it.
    pub fn attribute(&mut self, path: &[u8], hash: u64, depth: Depth, rules: &mut Rules) -> bool {
        let turn = self.turn;
        let newest_first = |age: usize| (self.next + RECENT - 1 - age) % RECENT;
        let order: [usize; RECENT] = core::array::from_fn(newest_first);
        let in_reach = |entry: &Entry| entry.turn + REACH > turn;

        for index in order {
            let entry = &mut self.entries[index];
            if !in_reach(entry) {
                continue;
            }
            if let Some(expected) = entry.expected.iter_mut().find(|e| e.hash == hash) {
                entry.touched = Touched::Yes;
                if !expected.outcome.came_true || depth > expected.depth {
                    expected.outcome.came_true = true;
                    expected.depth = expected.depth.max(depth);
                    rules.confirm(expected.outcome.rule, depth);
                }
                return true;
            }
        }
        // The request that explains it best, and of several the newest: in one iteration many are handled.
        let mut best: Option<(usize, Lesson<'_>)> = None;
        let mut doubtful = self.not_understood + REACH > turn;
        for index in order {
            let entry = &self.entries[index];
            if !in_reach(entry) {
                continue;
            }
            let request = match &entry.known {
                Known::Request(request) => request,
                Known::Bytes(_) => {
                    doubtful = true;
                    continue;
                }
                Known::Nothing => continue,
            };
            if let Some(lesson) = rules.lesson(request, path, depth) {
                if best
                    .as_ref()
                    .is_none_or(|(_, best)| lesson.is_better_than(best))
                {
                    best = Some((index, lesson));
                }
            }
        }
        let Some((index, lesson)) = best else {
            return false;
        };
        let entry = &mut self.entries[index];
        // It may have been for what was not understood. Then it teaches only what is most convincing, and only
        // where nothing is known: a server whose every iteration has such clients learns all the same.
        if let (true, Known::Request(request)) = (doubtful, &entry.known) {
            if !lesson.is_of_whole_target() || rules.is_spoken_for(request, &lesson) {
                if entry.touched == Touched::No {
                    entry.touched = Touched::Perhaps;
                }
                return true;
            }
        }
        let Some(outcome) = rules.learn(lesson) else {
            return false;
        };
        entry.touched = Touched::Yes;
        let expected = Expected {
            hash,
            depth,
            outcome,
        };
        let _ = entry.expected.try_push(expected);
        true
    }
}

impl Entry {
    /// Counts for and against the rules that predicted for it.
    fn judge(&self, rules: &mut Rules) {
        if self.touched != Touched::No {
            let outcomes: ArrayVec<Outcome, MAX_PREDICTIONS> = self
                .expected
                .iter()
                .map(|expected| expected.outcome)
                .collect();
            rules.judge(&outcomes, self.touched == Touched::Yes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recognise::Http;
    use proptest::prelude::*;

    fn predict(rules: &Rules, target: &str) -> (Request, Predictions) {
        let mut request = Request::default();
        let head = format!("GET {target} HTTP/1.1\r\n\r\n");
        Http.recognise(head.as_bytes(), &mut request).unwrap();
        let mut predictions = Predictions::default();
        rules.predict(&request, &mut predictions);
        (request, predictions)
    }

    fn first(predictions: &Predictions) -> &[u8] {
        predictions.iter().next().unwrap().path
    }

    fn touch(recent: &mut Recent, rules: &mut Rules, path: &[u8]) -> bool {
        recent.attribute(path, crate::hash(path), Depth::Data, rules)
    }

    #[test]
    fn bytes_are_parsed_only_when_something_stalls() {
        let (mut recent, mut rules) = (Recent::default(), Rules::default());
        recent.keep_bytes(b"GET /a HTTP/1.1\r\n\r\n");
        assert!(!touch(&mut recent, &mut rules, b"/srv/a"));
        recent.recognise(&Http);
        assert!(touch(&mut recent, &mut rules, b"/srv/a"));
        assert_eq!(first(&predict(&rules, "/b").1), b"/srv/b");
    }

    #[test]
    fn an_operation_may_come_two_turns_later_but_not_three() {
        for (turns, found) in [(0, true), (2, true), (3, false)] {
            let (mut recent, mut rules) = (Recent::default(), Rules::default());
            let (request, predictions) = predict(&rules, "/a");
            recent.remember(&request, &predictions, &mut rules);
            (0..turns).for_each(|_| recent.new_iteration());
            assert_eq!(
                touch(&mut recent, &mut rules, b"/srv/a"),
                found,
                "after {turns} turns"
            );
        }
    }

    #[test]
    fn the_matching_request_is_found_among_several() {
        let (mut recent, mut rules) = (Recent::default(), Rules::default());
        for target in ["/one/x", "/two/y"] {
            let (request, predictions) = predict(&rules, target);
            recent.remember(&request, &predictions, &mut rules);
        }
        assert!(touch(&mut recent, &mut rules, b"/srv/one/x"));
        assert_eq!(first(&predict(&rules, "/q").1), b"/srv/q");
    }

    proptest! {
        /// Requests of one iteration, handled in any order: nobody's file is taken for another one's
        /// companion, or for an index file.
        #[test]
        fn a_file_is_laid_beside_the_request_that_asks_for_it(
            targets in prop::collection::btree_set("/(d/)?[a-c]{0,2}(\\.gz)?", 2..6),
            handled in any::<[prop::sample::Index; 8]>(),
        ) {
            let (mut recent, mut rules) = (Recent::default(), Rules::default());
            rules.pin(b"/", b"/srv/www");
            let files: Vec<&String> = targets.iter().filter(|t| !t.ends_with('/')).collect();
            for target in &targets {
                recent.keep_bytes(format!("GET {target} HTTP/1.1\r\n\r\n").as_bytes());
            }
            recent.recognise(&Http);
            for index in handled.iter().filter(|_| !files.is_empty()) {
                touch(&mut recent, &mut rules, format!("/srv/www{}", index.get(&files)).as_bytes());
            }
            for other in ["/other", "/d/other", "/"] {
                prop_assert!(predict(&rules, other).1.len() <= 1, "{:?}", rules);
            }
        }
    }

    #[test]
    fn a_server_that_answers_from_its_own_cache_is_not_held_against_a_rule() {
        let (mut recent, mut rules) = (Recent::default(), Rules::default());
        let (request, predictions) = predict(&rules, "/a");
        recent.remember(&request, &predictions, &mut rules);
        touch(&mut recent, &mut rules, b"/srv/a");
        for _ in 0..100 {
            let (request, predictions) = predict(&rules, "/a");
            recent.remember(&request, &predictions, &mut rules);
        }
        assert_eq!(predict(&rules, "/b").1.len(), 1);
    }

    #[test]
    fn a_wrong_prediction_is_held_against_its_rule() {
        let (mut recent, mut rules) = (Recent::default(), Rules::default());
        let (request, predictions) = predict(&rules, "/a");
        recent.remember(&request, &predictions, &mut rules);
        touch(&mut recent, &mut rules, b"/srv/a");
        touch(&mut recent, &mut rules, b"/srv/a.gz");
        assert_eq!(predict(&rules, "/b").1.len(), 2);
        for _ in 0..40 {
            recent.new_iteration();
            let (request, predictions) = predict(&rules, "/c");
            recent.remember(&request, &predictions, &mut rules);
            touch(&mut recent, &mut rules, b"/srv/c");
        }
        assert_eq!(predict(&rules, "/b").1.len(), 1);
    }
}
