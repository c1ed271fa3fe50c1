//! Requests that are asked for again and again: what was found out about one holds for the next with the same bytes.
//!
//! Such a request is neither understood nor predicted for, its files are not asked about, and its operations are only timed. Only its
//! bytes are kept, for the first stall to learn from, as while a loop looks at nothing. A rule that is learnt ends what is known of all,
//! and a stall what is known of those whose it may have been.

use super::state::EventLoop;
use crate::gate::slot::Slot;
use laio_core::predictions::{warm_key, Depth};
use laio_core::recent::KEPT;
use laio_core::stats::Counter;
use laio_core::warmth::Warmth;
use std::sync::atomic::Ordering::Relaxed;

impl EventLoop {
    /// What the request in so many bytes before the loop's eyes is known by, if that is all of it.
    pub(super) fn repeat_key(&self, slot: &Slot, length: usize) -> Option<u64> {
        let is_all = length <= KEPT && !slot.partial.load(Relaxed);
        is_all.then(|| laio_core::hash(self.looks.shown(length)) ^ self.of_these_rules())
    }

    /// Whether the files of the request that is known by this were all in memory a moment ago. If so, it is taken for read.
    pub(super) fn is_repeated(&mut self, slot: &Slot, key: u64, length: usize) -> bool {
        if !self.is_recent(key) {
            return false;
        }
        let bytes = self.looks.shown(length);
        self.recent.keep_bytes(bytes, &mut self.rules);
        self.recent.newest_is(key);
        // What is beyond half a window is looked at before it is sent.
        slot.repeat
            .begins(key, self.looks.stalls, self.config.window / 2);
        self.counters.count_alone(Counter::Repeated);
        true
    }

    /// What the request that was found last is known by, of which nobody has kept the bytes.
    pub(super) fn request_key(&self) -> u64 {
        self.looks.request.key() ^ self.of_these_rules()
    }

    /// The same with one of many requests of a client. All that is sent of its answer is looked at, for others may be sent between.
    pub(super) fn is_frame_repeated(&mut self, key: u64) -> bool {
        let is_recent = self.is_recent(key);
        if is_recent {
            let request = &self.looks.request;
            self.recent.keep_repeated(request, &mut self.rules);
            self.recent.newest_is(key);
            self.counters.count_alone(Counter::Repeated);
        }
        is_recent
    }

    fn of_these_rules(&self) -> u64 {
        u64::from(self.rules.version()).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn is_recent(&self, key: u64) -> bool {
        self.pool.warm.get(key, self.now(), self.ttl.get()) == Warmth::Warm
            && !self.is_past_short_ttl(key)
    }

    /// The files of the request that is known by this are all in memory.
    pub(super) fn can_be_repeated(&mut self, key: u64) {
        self.recent.newest_is(key);
        self.pool.warm.insert(key, self.now());
    }

    /// The application is done with the last request of a connection. Where that was a repeated one, its files have been served since
    /// without a stall, which is as good as a look at them; but not where memory is taken from files that are in use.
    pub(super) fn ends_repeat(&self, slot: &Slot) {
        let last = slot.repeat.ends();
        let Some((key, _)) = last.filter(|&(_, stalls)| stalls == self.looks.stalls) else {
            return;
        };
        let then = slot.told.active();
        let is_recent = self.now().saturating_sub(then) <= self.ttl.get();
        if is_recent && !self.has_short_ttl() {
            self.pool.warm.insert(key, then);
        }
    }

    /// Whether a path is one that was predicted lately. An operation on it that nobody awaits is taken for that of a repeated request,
    /// where there are some in reach, and teaches nothing.
    pub(super) fn was_predicted(&self, hash: u64, depth: Depth) -> bool {
        let is_known = |depth| {
            let key = warm_key(hash, depth, 0);
            self.pool.warm.get(key, self.now(), self.ttl.get()) != Warmth::Unknown
        };
        is_known(depth) || is_known(Depth::Data)
    }

    /// Something has stalled: what is known of the requests whose it may have been holds no more.
    pub(super) fn forget_repeated(&mut self) {
        self.looks.stalls = self.looks.stalls.wrapping_add(1);
        self.recent
            .names()
            .for_each(|key| self.pool.warm.remove(key));
    }
}
