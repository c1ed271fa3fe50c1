//! The requests that an operation may be for.

use super::bounds::{Reach, REACH, REACH_OF_OTHERS};
use super::entry::{Entry, Known};
use super::Recent;
use crate::cache::CacheFile;
use crate::predictions::Depth;
use crate::recognise::Request;
use crate::rules::Rules;

impl Recent {
    /// A client has sent what is no request that can be predicted for: its operations must not be taken for
    /// another one's.
    pub fn has_not_understood(&mut self) {
        (self.not_understood, self.not_understood_at) = (self.turn, self.now);
    }

    /// The same of what was read in this turn and at that time.
    pub(super) fn had_not_understood(&mut self, (turn, at): (u64, u64)) {
        self.not_understood = self.not_understood.max(turn);
        self.not_understood_at = self.not_understood_at.max(at);
    }

    /// Whether something was not understood whose operation one in this reach may be.
    pub(super) fn is_doubtful(&self, reach: Reach) -> bool {
        match reach {
            Reach::Turn(turn) => self.not_understood + REACH > turn,
            Reach::Others(began) => self.not_understood_at + REACH_OF_OTHERS > began,
        }
    }

    /// The requests that an operation may be for, unless a cache's file was opened for them: the newest first.
    pub fn in_reach(&self) -> impl Iterator<Item = &Request> {
        self.requests_in(Reach::Turn(self.turn))
    }

    pub(super) fn requests_in(&self, reach: Reach) -> impl Iterator<Item = &Request> {
        let entries = self.order.iter().rev().map(|&place| &self.entries[place]);
        let open = move |entry: &&Entry| reach.has(entry) && !entry.has_cache_file();
        entries.filter(open).filter_map(Entry::request)
    }

    /// The request that explains an operation on the path with this hash, of a depth: the newest of which it was predicted, or from
    /// which it could have been. Nothing is learnt.
    pub fn explains(
        &self,
        path: &[u8],
        hash: u64,
        depth: Depth,
        rules: &Rules,
    ) -> Option<&Request> {
        let entries = self.order.iter().rev().map(|&place| &self.entries[place]);
        let in_reach = entries.filter(|entry| entry.until > self.turn);
        let explaining = in_reach.filter_map(|entry| {
            let request = entry.request()?;
            let is_expected = entry.expected.iter().any(|expected| expected.hash == hash);
            (is_expected || rules.lesson(request, path, depth).is_some()).then_some(request)
        });
        explaining.into_iter().next()
    }

    /// A handler has waited for the data of a file: was it that of a request for less than all of it?
    pub fn waited_for_data(&self, rules: &mut Rules) {
        self.waited_in(Reach::Turn(self.turn), rules);
    }

    pub(super) fn waited_in(&self, reach: Reach, rules: &mut Rules) {
        let is_conditional =
            |entry: &Entry| matches!(&entry.known, Known::Request(it) if it.may_want_less());
        let mut in_reach = self.entries.iter().filter(|entry| reach.has(entry));
        if in_reach.any(is_conditional) {
            rules.expect_data_for_conditions();
        }
    }

    /// Whether a path is a cache file's by its looks, and no request names it.
    pub fn is_of_cache(&self, path: &[u8]) -> bool {
        self.is_of_cache_in(Reach::Turn(self.turn), path)
    }

    pub(super) fn is_of_cache_in(&self, reach: Reach, path: &[u8]) -> bool {
        CacheFile::of(path).is_some_and(|file| {
            let names =
                |request: &Request| memchr::memmem::find(&request.target, file.name).is_some();
            !self.requests_in(reach).any(names)
        })
    }
}
