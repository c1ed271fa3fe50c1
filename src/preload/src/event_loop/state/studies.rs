//! The file of a cache that is studied, and the requests that it may be for.

use crate::fetch::cache_key::CacheKey;
use laio_core::recognise::Request;
use std::sync::Arc;

/// Requests that one file may be for, at the most.
const MOST_REQUESTS: usize = 16;

/// How many milliseconds after a study in vain the next one begins, at least and at most: twice as many each time.
const LEAST_PAUSE: u64 = 8;
const MOST_PAUSE: u64 = 1000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Idle,
    /// A helper is to be asked.
    Wanted,
    /// One was.
    Asked,
}

/// One study at a time.
#[derive(Debug)]
pub struct Studies {
    stage: Stage,
    key: Arc<CacheKey>,
    /// The first `count` are those that the file may be for.
    requests: Vec<Request>,
    count: usize,
    pause: u64,
    next: u64,
}

/// Made apart from all else, for they are large and the stack may be small.
#[inline(never)]
fn new_requests() -> Vec<Request> {
    let mut requests = Vec::new();
    requests.resize_with(MOST_REQUESTS, Request::default);
    requests
}

impl Default for Studies {
    fn default() -> Studies {
        Studies {
            stage: Stage::default(),
            key: Arc::default(),
            requests: new_requests(),
            count: 0,
            pause: LEAST_PAUSE,
            next: 0,
        }
    }
}

impl Studies {
    /// Begins one, unless there is one, or those before were in vain.
    pub fn begin<'r>(
        &mut self,
        now: u64,
        path: &[u8],
        requests: impl Iterator<Item = &'r Request>,
    ) {
        if self.stage != Stage::Idle || now < self.next {
            return;
        }
        self.count = 0;
        for (place, request) in self.requests.iter_mut().zip(requests) {
            place.clone_from(request);
            self.count += 1;
        }
        if self.count > 0 {
            self.key.begin(path);
            self.stage = Stage::Wanted;
        }
    }

    /// Whether a helper is to be asked for the key.
    pub fn wants_key(&self) -> bool {
        self.stage == Stage::Wanted
    }

    /// One is.
    pub fn asks(&mut self) -> Arc<CacheKey> {
        self.stage = Stage::Asked;
        Arc::clone(&self.key)
    }

    /// Whether it has answered.
    #[inline]
    pub fn has_key(&self) -> bool {
        self.stage == Stage::Asked && self.key.is_read()
    }

    /// Its answer, and the requests: the newest first.
    pub fn answer(&self) -> (&CacheKey, impl Iterator<Item = &Request> + Clone) {
        (&self.key, self.requests.iter().take(self.count))
    }

    /// The study is over.
    pub fn is_over(&mut self, now: u64, has_taught: bool) {
        self.stage = Stage::Idle;
        self.pause = match has_taught {
            true => LEAST_PAUSE,
            false => (2 * self.pause).min(MOST_PAUSE),
        };
        self.next = match has_taught {
            true => now,
            false => now + self.pause,
        };
    }
}
