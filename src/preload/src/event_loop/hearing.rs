//! What other threads were slow at, laid beside the requests of a loop. It is no stall of the loop's, but it teaches, and what it teaches is
//! held back.

use super::elsewhere::REPORTS;
use super::sealed::open_kept;
use super::state::EventLoop;
use crate::gate::behind::ANSWERS;
use crate::sys::errno;
use laio_core::predictions::warm_key;
use laio_core::recent::Attribution;
use laio_core::recognise::Http;
use laio_core::reports::Report;
use laio_core::stats::Counter;

impl EventLoop {
    /// Learns from what other threads have reported.
    #[inline]
    pub(super) fn hear(&mut self) {
        if REPORTS.is_new(self.heard) {
            self.hear_all();
        }
    }

    #[cold]
    fn hear_all(&mut self) {
        let _errno = errno::Guard::new();
        let mut report = Report::default();
        while REPORTS.read(&mut self.heard, &mut report) {
            if self.is_told_by(&report) {
                self.counters.count_alone(Counter::Elsewhere);
            }
        }
    }

    /// This has waited for the disk: whether that was for a request of this loop. If so it looks at its requests from now on.
    pub(super) fn is_told_by(&mut self, report: &Report) -> bool {
        let attribution = self
            .recent
            .attribute_report(report, &mut self.rules, &Http, open_kept);
        match attribution {
            Attribution::Unexplained => {
                ANSWERS.has_stalled(self.now());
                return false;
            }
            Attribution::CacheFile => {
                let (now, requests) = (self.now(), self.recent.in_reach_at(report.began));
                self.studies.begin(now, &report.path, requests);
            }
            Attribution::Explained => self.has_read_whole(report),
        }
        self.looks.stalls = self.looks.stalls.wrapping_add(1);
        let names = self.recent.names_at(report.began);
        names.for_each(|name| self.pool.warm.remove(name));
        if !report.is_of_data {
            let hash = laio_core::hash(&report.path);
            self.pool.warm.remove(warm_key(hash, report.depth, 0));
        }
        self.arm();
        true
    }
}
