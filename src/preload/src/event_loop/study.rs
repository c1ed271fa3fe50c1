//! Learning from the files of a cache: a helper reads the key of one, and the loop lays it beside its requests.

use super::state::EventLoop;
use crate::fetch::pool::Urgency;
use laio_core::cache::{CacheFile, Learnt};

impl EventLoop {
    /// The server has opened a cache's file that no rule has predicted. One is studied at a time.
    pub(super) fn study(&mut self, path: &[u8]) {
        let now = self.now();
        self.studies.begin(now, path, self.recent.in_reach());
    }

    /// Has a helper read the key of what is studied, where there are helpers.
    pub(super) fn ask_for_key(&mut self) {
        if !self.studies.wants_key() || !self.pool.is_possible() {
            return;
        }
        if let Some(mut job) = self.pool.take() {
            job.key = Some(self.studies.asks());
            self.submit(job, Urgency::Normal);
        }
    }

    /// Learns from a key that was read meanwhile.
    #[inline]
    pub(super) fn look_at_key(&mut self) {
        if self.studies.has_key() {
            self.learn_from_key();
        }
    }

    #[cold]
    fn learn_from_key(&mut self) {
        let (key, requests) = self.studies.answer();
        let caches = &mut self.rules.caches;
        let learnt = key.show(|path, key| match CacheFile::of(path) {
            Some(file) if !key.is_empty() => caches.learn(&file, key, requests),
            _ => Learnt::Nothing,
        });
        self.studies
            .is_over(self.iteration.now(), learnt != Learnt::Nothing);
    }
}
