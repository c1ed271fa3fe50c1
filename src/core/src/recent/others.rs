//! Operations of threads that are no event loops: laid beside the requests by time, for such a thread knows of no iteration.

use super::bounds::{Reach, REACH_OF_OTHERS};
use super::entry::{Attribution, Entry, Sealed, Touched};
use super::Recent;
use crate::awaited::Awaited;
use crate::cache::Caches;
use crate::predictions::Predictions;
use crate::recognise::{Recogniser, Request};
use crate::reports::Report;
use crate::rules::{Lesson, Rules};
use core::ops::Range;

/// So many milliseconds after one was slow, others are looked for, and more requests are remembered.
const EXPECTED: u64 = 60_000;

impl Reach {
    /// What lies beside a request's file is taken to be its companion in the request's own turn only: many more requests are in reach
    /// by time.
    pub fn teaches(self, lesson: &Lesson<'_>) -> bool {
        matches!(self, Reach::Turn(_)) || !lesson.is_of_companion()
    }
}

impl Recent {
    /// The last requests of a loop beside which other threads may touch the files: what they touch is noted there.
    pub fn beside(awaited: &'static Awaited) -> Recent {
        let mut recent = Recent::default();
        recent.awaited = Some(awaited);
        recent
    }

    /// The loop has been told of something, or of nothing, so many milliseconds after another moment.
    pub fn is_at(&mut self, now: u64) {
        self.now = now;
    }

    /// Whether other threads are known to touch files.
    fn has_others(&self) -> bool {
        self.others_until > self.now
    }

    /// Whether an operation may be that of this request, so that it does not give way if there is room for another one.
    pub(super) fn is_wanted(&self, entry: &Entry) -> bool {
        entry.until > self.turn || self.has_others() && entry.at + REACH_OF_OTHERS > self.now
    }

    /// Lays another thread's slow operation beside the requests, as [`attribute`](Recent::attribute) does this thread's own. What was
    /// kept and not parsed yet is `recognise`d first.
    pub fn attribute_report(
        &mut self,
        report: &Report,
        rules: &mut Rules,
        recogniser: &impl Recogniser,
        open: impl FnMut(&mut Sealed) -> Option<Range<usize>>,
    ) -> Attribution {
        self.others_until = self.now + EXPECTED;
        let reach = Reach::Others(report.began);
        self.recognise_in(reach, recogniser, open);
        let hash = crate::hash(&report.path);
        let attribution = self.attribute_in(reach, &report.path, hash, report.depth, rules);
        if attribution == Attribution::Explained && report.is_of_data {
            self.waited_in(reach, rules);
        }
        attribution
    }

    /// What the requests are known by for which another thread may have begun something at this time.
    pub fn names_at(&self, began: u64) -> impl Iterator<Item = u64> + '_ {
        self.names_in(Reach::Others(began))
    }

    /// The requests for which it may have, unless a cache's file was opened for them: the newest first.
    pub fn in_reach_at(&self, began: u64) -> impl Iterator<Item = &Request> {
        self.requests_in(Reach::Others(began))
    }

    /// Where other threads are to note what they touch of these predictions, if anything is to be learnt from it.
    pub(super) fn awaits(
        &self,
        predictions: &Predictions,
        rules: &Rules,
    ) -> Option<&'static Awaited> {
        let is_open = self.has_others() && !rules.are_proven(predictions);
        self.awaited.filter(|_| is_open)
    }
}

impl Drop for Recent {
    fn drop(&mut self) {
        let awaited = self.awaited;
        let entries = self.entries.iter_mut();
        entries.for_each(|entry| entry.settle(awaited));
    }
}

impl Entry {
    /// Enters what is expected.
    pub(super) fn is_awaited_in(&mut self, awaited: Option<&Awaited>) {
        let Some(awaited) = awaited else {
            return;
        };
        self.is_awaited = true;
        // The files of caches have votes of another kind.
        let expected = self.expected.iter();
        let expected = expected.filter(|it| !Caches::is_one(it.outcome.rule));
        expected.for_each(|it| awaited.enter(it.hash));
    }

    /// Takes it out again, with what was noted.
    pub(super) fn settle(&mut self, awaited: Option<&Awaited>) {
        let Some(awaited) = awaited.filter(|_| self.is_awaited) else {
            return;
        };
        for expected in &mut self.expected {
            if let Some(depth) = awaited.take(expected.hash) {
                expected.outcome.came_true = true;
                expected.depth = expected.depth.max(depth);
                self.touched = Touched::Yes;
            }
        }
    }

    /// Tells the rules how deep other threads have looked.
    pub(super) fn confirm_depths(&mut self, rules: &mut Rules) {
        if !std::mem::take(&mut self.is_awaited) {
            return;
        }
        let came_true = self.expected.iter().filter(|it| it.outcome.came_true);
        came_true.for_each(|it| rules.confirm(it.outcome.rule, it.depth));
    }
}
