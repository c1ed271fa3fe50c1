//! Clients that speak HTTP/2, by TLS or in the clear: many requests on one connection.
//!
//! A look follows the frames on a copy of what is known of the client. What it finds in memory may be read, and the copy becomes
//! what is known. From the first cold request on the connection is held back, for what comes later cannot overtake it. All that
//! is cold in one look is brought in at once, each by a job of its own, and one gate waits for all.

use super::cold::Cold;
use super::request::{peek, Look, Others};
use super::state::{EventLoop, Seen, SEALED};
use crate::fetch::pool::Urgency;
use crate::gate::sessions::Entry;
use crate::gate::slot::Slot;
use laio_core::holds::Parts;
use laio_core::http2::Event;
use laio_core::recognise::Unrecognised;
use laio_core::stats::Counter;
use std::sync::atomic::Ordering::Relaxed;

/// What was found in the frames of a client.
pub(super) struct Judged {
    pub(super) look: Look,
    /// Bytes that may be read: what is cold begins behind them, or all.
    pub(super) length: usize,
    /// There are requests among them.
    pub(super) asks: bool,
    /// The end of the first cold request.
    first: usize,
}

impl EventLoop {
    /// What is in the socket of a client that speaks HTTP/2 in the clear.
    pub(super) fn look_at_frames(&mut self, fd: i32, slot: &Slot, entry: &Entry) -> Look {
        let total = match peek(fd, slot, &mut self.looks.sealed) {
            Ok(length) => length.min(SEALED),
            Err(look) => return look,
        };
        self.looks.ends.are_anywhere();
        let judged = self.judge_frames(entry, total);
        self.looks.seen = Seen {
            length: judged.length,
            unseen: 0,
            judged: judged.length,
            asks: judged.asks,
            is_cut: judged.length < total || total == SEALED,
            is_all: judged.length == total && total < SEALED,
        };
        match judged.look {
            Look::Cold(cold) => Look::Cold(Cold {
                length: judged.first,
                parts: Parts::OfFrame,
                ..cold
            }),
            other => other,
        }
    }

    /// Judges the requests in the first `length` bytes that are before the loop's eyes.
    pub(super) fn judge_frames(&mut self, entry: &Entry, length: usize) -> Judged {
        let bytes = std::mem::take(&mut self.looks.sealed);
        let mut frames = std::mem::take(&mut self.looks.frames);
        entry.copy_frames(&mut frames);
        self.looks.request.is_secure = entry.is_sealed();
        let was_in_step = frames.is_in_step();
        let mut rest = bytes.get(..length).unwrap_or_default();
        let mut urgency = Urgency::Urgent;
        let mut unstaffed = false;
        let mut judged = Judged {
            look: Look::Warm,
            length,
            asks: false,
            first: 0,
        };
        loop {
            let at = length - rest.len();
            let Some(event) = frames.next(&mut rest, &mut self.looks.request) else {
                break;
            };
            if let Event::Reset { stream } = event {
                self.takes_back(stream);
                continue;
            }
            let is_behind = std::mem::replace(&mut judged.asks, true);
            let Event::Request { stream } = event else {
                self.has_not_understood(event);
                continue;
            };
            let is_first_cold = self.looks.cold.is_empty();
            let key = self.request_key();
            if is_first_cold && self.is_frame_repeated(key) {
                self.counters.count_alone(Counter::Http2Requests);
                continue;
            }
            self.predict_frame();
            let mut job = None;
            let others = self.find_cold(&mut job, &mut urgency, is_first_cold);
            unstaffed |= others == Others::Unstaffed;
            match job {
                // What came before it need not wait for it.
                Some(job) if is_first_cold && is_behind && self.looks.ends.before(at).0 > 0 => {
                    self.pool.give_back(job);
                    judged.length = self.looks.ends.before(at).0;
                    break;
                }
                Some(job) => {
                    if is_first_cold {
                        judged.first = length - rest.len();
                    }
                    if let Some(job) = self.looks.has_cold(stream, job) {
                        self.counters.count(Counter::QueueFull);
                        self.pool.give_back(job);
                    }
                }
                None if is_first_cold => {
                    self.remember_frame();
                    if others == Others::Warm && self.rules.are_proven(&self.looks.predictions) {
                        self.can_be_repeated(key);
                    }
                }
                None => {}
            }
        }
        if was_in_step && !frames.is_in_step() {
            self.counters.count(Counter::Http2OutOfStep);
        }
        if judged.length < length {
            // As it will be when so much is read.
            entry.copy_frames(&mut frames);
            let mut rest = bytes.get(..judged.length).unwrap_or_default();
            while frames.next(&mut rest, &mut self.looks.request).is_some() {}
        }
        (self.looks.sealed, self.looks.frames) = (bytes, frames);
        if !self.looks.cold.is_empty() {
            judged.look = Look::Cold(Cold {
                urgency,
                length: judged.first,
                parts: Parts::OfFrame,
            });
        } else if unstaffed {
            judged.look = Look::Unstaffed;
        } else {
            self.counters.count_alone(Counter::Warm);
        }
        judged
    }

    /// What the last look has seen may be read. `remembers` tells whether its requests are not remembered yet.
    pub(super) fn accept_frames(&mut self, entry: &Entry, seen: Seen, remembers: bool) {
        let length = seen.length;
        if length == 0 {
            return;
        }
        if remembers {
            let bytes = std::mem::take(&mut self.looks.sealed);
            entry.copy_frames(&mut self.looks.frames);
            self.looks.request.is_secure = entry.is_sealed();
            self.follow_frames(bytes.get(..length).unwrap_or_default(), true);
            self.looks.sealed = bytes;
        }
        entry.swap_frames(&mut self.looks.frames);
        if seen.asks {
            entry.asks.store(true, Relaxed);
        }
    }

    /// The application has read a client that speaks HTTP/2 in the clear, of which so much was looked at.
    pub(super) fn has_read_frames(
        &mut self,
        entry: &Entry,
        (bytes, count): (&[u8], usize),
        judged: usize,
        predicts: bool,
    ) {
        self.counters.count_alone(Counter::ClearReads);
        self.count_frames(entry);
        if judged >= count {
            return;
        }
        entry.swap_frames(&mut self.looks.frames);
        self.looks.request.is_secure = entry.is_sealed();
        let mut asks = self.follow_frames(bytes.get(judged..).unwrap_or_default(), predicts);
        if bytes.len() < count {
            asks = true;
            self.looks.frames.lose();
            self.recent.has_not_understood();
        }
        entry.swap_frames(&mut self.looks.frames);
        if asks {
            entry.asks.store(true, Relaxed);
        }
    }

    /// Something was read of this client, which may speak HTTP/2.
    pub(super) fn count_frames(&self, entry: &Entry) {
        if entry.has_frames() {
            self.counters.count_alone(Counter::Http2Reads);
        }
    }

    /// Follows frames that are read without being judged, and remembers the requests in them. Tells whether there are any.
    fn follow_frames(&mut self, mut bytes: &[u8], predicts: bool) -> bool {
        let mut asks = false;
        let mut frames = std::mem::take(&mut self.looks.frames);
        while let Some(event) = frames.next(&mut bytes, &mut self.looks.request) {
            asks |= !matches!(event, Event::Reset { .. });
            match event {
                Event::Request { .. } if predicts => {
                    self.predict_frame();
                    self.remember_frame();
                }
                Event::Request { .. } => self.recent.keep_request(&self.looks.request),
                Event::NotUnderstood { .. } => self.recent.has_not_understood(),
                Event::Reset { .. } => {}
            }
        }
        self.looks.frames = frames;
        asks
    }

    /// The client has taken a request back: nothing is read for it.
    fn takes_back(&mut self, stream: u32) {
        let place = self.looks.cold.iter().position(|(on, _)| *on == stream);
        if let Some((_, job)) = place.and_then(|place| self.looks.cold.remove(place)) {
            self.pool.give_back(job);
        }
    }

    fn has_not_understood(&mut self, event: Event) {
        let Event::NotUnderstood { reason, .. } = event else {
            return;
        };
        let counter = match reason {
            Unrecognised::Refused => Counter::Refused,
            Unrecognised::Foreign | Unrecognised::Partial => Counter::Foreign,
        };
        self.counters.count_alone(counter);
        self.recent.has_not_understood();
    }

    /// What the handler of the request that was found last will touch.
    fn predict_frame(&mut self) {
        self.rules
            .predict(&self.looks.request, &mut self.looks.predictions);
        if self.looks.predictions.is_empty() {
            self.counters.count_alone(Counter::Unpredicted);
        }
    }

    /// That request is about to be read.
    fn remember_frame(&mut self) {
        self.counters.count_alone(Counter::Http2Requests);
        self.recent.remember_of_many(
            &self.looks.request,
            &self.looks.predictions,
            &mut self.rules,
        );
    }
}
