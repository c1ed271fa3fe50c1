//! The requests that an operation may be for.

use super::entry::{Entry, Known};
use super::Recent;
use crate::cache::CacheFile;
use crate::recognise::Request;
use crate::rules::Rules;

impl Recent {
    /// A client has sent what is no request that can be predicted for: its operations must not be taken for
    /// another one's.
    pub fn has_not_understood(&mut self) {
        self.not_understood = self.turn;
    }

    /// The requests that an operation may be for, unless a cache's file was opened for them: the newest first.
    pub fn in_reach(&self) -> impl Iterator<Item = &Request> {
        let entries = self.order.iter().rev().map(|&place| &self.entries[place]);
        let open = |entry: &&Entry| entry.until > self.turn && !entry.has_cache_file();
        entries.filter(open).filter_map(Entry::request)
    }

    /// A handler has waited for the data of a file: was it that of a request for less than all of it?
    pub fn waited_for_data(&self, rules: &mut Rules) {
        let is_conditional =
            |entry: &Entry| matches!(&entry.known, Known::Request(it) if it.may_want_less());
        let mut in_reach = self.entries.iter().filter(|entry| entry.until > self.turn);
        if in_reach.any(is_conditional) {
            rules.expect_data_for_conditions();
        }
    }

    /// Whether a path is a cache file's by its looks, and no request names it.
    pub(super) fn is_of_cache(&self, path: &[u8]) -> bool {
        CacheFile::of(path).is_some_and(|file| {
            let names =
                |request: &Request| memchr::memmem::find(&request.target, file.name).is_some();
            !self.in_reach().any(names)
        })
    }
}
