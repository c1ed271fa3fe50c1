//! Answers of applications behind the server, which may name the file that the server sends in the place of a body.
//!
//! The same gate as for requests: such an answer is held back until the file is in memory.

use super::cold::Cold;
use super::reading::Verdict;
use super::request::{peek, Look, Others};
use super::state::{EventLoop, LOOK};
use crate::fetch::pool::Urgency;
use crate::gate::behind::ANSWERS;
use crate::gate::inflight;
use crate::gate::slot::Slot;
use laio_core::holds::Parts;
use laio_core::recognise::{Answer, Recogniser, Unrecognised};
use laio_core::stats::Counter;

impl EventLoop {
    /// What is in the socket of a connection to an application.
    #[cold]
    pub(super) fn look_at_answer(&mut self, fd: i32, slot: &Slot) -> Look {
        if !ANSWERS.is_on() {
            return Look::Warm;
        }
        let length = match peek(fd, slot, &mut self.looks.bytes[..]) {
            Ok(length) => length.min(LOOK),
            Err(look) => return look,
        };
        if !self.finds_file(length) {
            return Look::Warm;
        }
        self.rules
            .predict(&self.looks.request, &mut self.looks.predictions);
        let (mut job, mut urgency) = (None, Urgency::Urgent);
        let others = self.find_cold(&mut job, &mut urgency, true);
        if let Some(job) = job {
            let _ = self.looks.has_cold(0, job);
            return Look::Cold(Cold {
                urgency,
                length,
                parts: Parts::None,
            });
        }
        self.remember_answer();
        match others {
            Others::Unstaffed => Look::Unstaffed,
            _ => {
                self.counters.count_alone(Counter::Warm);
                Look::Warm
            }
        }
    }

    /// The application has read an answer.
    #[cold]
    pub(super) fn has_read_answer(&mut self, slot: &Slot, verdict: Verdict, bytes: &[u8]) {
        inflight::is_used(slot);
        if verdict == Verdict::Seen || !ANSWERS.is_on() {
            return;
        }
        let length = self.looks.show(bytes);
        if self.finds_file(length) {
            self.rules
                .predict(&self.looks.request, &mut self.looks.predictions);
            self.remember_answer();
        }
    }

    /// Whether the answer in so many bytes before the loop's eyes names a file, which is as good as a request for it.
    fn finds_file(&mut self, length: usize) -> bool {
        let bytes = self.looks.bytes.get(..length).unwrap_or_default();
        let found = Answer.recognise(bytes, &mut self.looks.request);
        // A part of a body tells nothing.
        if found != Err(Unrecognised::Foreign) {
            ANSWERS.has_seen(found.is_ok(), self.now());
        }
        found.is_ok()
    }

    fn remember_answer(&mut self) {
        let (request, predictions) = (&self.looks.request, &self.looks.predictions);
        self.recent.remember(request, predictions, &mut self.rules);
    }
}
