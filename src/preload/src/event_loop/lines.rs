//! Protocols in which one line names a file (FTP, Gopher): the same gate as for requests, once a file that such a line names has stalled.

use super::cold::Cold;
use super::request::{Look, Others};
use super::state::EventLoop;
use crate::fetch::pool::Urgency;
use laio_core::holds::Parts;
use laio_core::recognise::{Line, Recogniser};
use laio_core::stats::Counter;

impl EventLoop {
    /// What is found of a line in so many bytes before the loop's eyes that are no request of HTTP; nothing where they are none that leads to
    /// a file.
    #[cold]
    pub(super) fn judge_line(&mut self, length: usize) -> Option<Look> {
        if !self.finds_line(length) {
            return None;
        }
        if self.looks.predictions.is_empty() {
            // It may teach.
            self.remember_line();
            return None;
        }
        let (mut job, mut urgency) = (None, Urgency::Urgent);
        let others = self.find_cold(&mut job, &mut urgency, true);
        if let Some(job) = job {
            let _ = self.looks.has_cold(0, job);
            return Some(Look::Cold(Cold {
                urgency,
                length,
                parts: Parts::None,
            }));
        }
        self.remember_line();
        Some(match others {
            Others::Unstaffed => Look::Unstaffed,
            _ => {
                self.counters.count_alone(Counter::Warm);
                Look::Warm
            }
        })
    }

    /// Such bytes were read, and nobody has looked at them.
    #[cold]
    pub(super) fn has_read_line(&mut self, length: usize) {
        if self.finds_line(length) {
            self.remember_line();
        }
    }

    fn finds_line(&mut self, length: usize) -> bool {
        let bytes = self.looks.bytes.get(..length).unwrap_or_default();
        let found = Line.recognise(bytes, &mut self.looks.request).is_ok();
        if found {
            self.rules
                .predict(&self.looks.request, &mut self.looks.predictions);
        }
        found
    }

    fn remember_line(&mut self) {
        let (request, predictions) = (&self.looks.request, &self.looks.predictions);
        self.recent.remember(request, predictions, &mut self.rules);
    }
}
