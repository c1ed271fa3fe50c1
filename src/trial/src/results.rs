//! What was measured: a list of runs, each a few named figures, and the latencies for the picture.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::browser::PageLoad;
use crate::load::{Failures, Outcome};
use crate::plan::{Configuration, Section};
use crate::servers::stats::Stats;

/// The names of the figures.
pub mod figure {
    /// Requests per second for files that were never read.
    pub const COLD_RATE: &str = "cold_per_s";
    /// Cached latencies, in milliseconds from when a request was due.
    pub const P50: &str = "cached_p50_ms";
    /// See [`P50`].
    pub const P99: &str = "cached_p99_ms";
    /// See [`P50`].
    pub const P999: &str = "cached_p999_ms";
    /// See [`P50`].
    pub const MAX: &str = "cached_max_ms";
    /// CPU time of the server per request, in microseconds.
    pub const CPU: &str = "cpu_us_per_request";
    /// Connections with a full handshake and one request, per second.
    pub const HANDSHAKES: &str = "handshakes_per_s";
    /// CPU time of the server per megabyte of bodies.
    pub const CPU_PER_MB: &str = "cpu_us_per_mb";
    /// Megabytes (10^6 bytes) per second of large files that were never read.
    pub const BODY_RATE: &str = "body_mb_per_s";
    /// System calls of the server per request.
    pub const CALLS: &str = "calls_per_request";
    /// Calls that blocked, per thousand cold requests after the first ten.
    pub const STALLS: &str = "stalls_per_1000";
    /// Calls that blocked, for each connection that asked for several large files at once.
    pub const STALLS_PER_CONNECTION: &str = "stalls_per_connection";
    /// From the navigation's start until the page's load event, in milliseconds.
    pub const PAGE_LOAD: &str = "page_load_ms";
    /// Requests that hung with their file system, and were answered rightly once it went on.
    pub const HUNG: &str = "hung_then_answered";
    /// Requests that failed or had a wrong body.
    pub const FAILED: &str = "failed";
    /// Requests answered rightly.
    pub const COMPLETED: &str = "completed";
    /// Connections that the server closed between requests.
    pub const RECONNECTS: &str = "reconnects";
    /// Descriptors of the server before the last pass of cold traffic, and after.
    pub const DESCRIPTORS: [&str; 2] = ["descriptors_before", "descriptors_after"];
    /// Its anonymous memory in KiB.
    pub const MEMORY: [&str; 2] = ["memory_kib_before", "memory_kib_after"];
    /// Its threads.
    pub const THREADS: [&str; 2] = ["threads_before", "threads_after"];
}

/// One configuration, once.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// In which section.
    pub section: Section,
    /// What ran.
    pub configuration: Configuration,
    /// In which round, from 0.
    pub round: u32,
    /// The figures, by name.
    pub figures: BTreeMap<&'static str, f64>,
    /// Ways of failing and how often.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub failures: BTreeMap<String, u64>,
    /// What the server logged that it should not have had to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub complaints: Vec<String>,
    /// System calls by name, in the section that counts them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub calls: BTreeMap<String, u64>,
    /// A browser's page load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<PageLoad>,
    /// The library's counters over the measured part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stats: Option<Stats>,
}

impl Run {
    /// Nothing measured yet.
    pub fn new(section: Section, configuration: Configuration, round: u32) -> Self {
        Self {
            section,
            configuration,
            round,
            figures: BTreeMap::new(),
            failures: BTreeMap::new(),
            complaints: Vec::new(),
            calls: BTreeMap::new(),
            page: None,
            stats: None,
        }
    }

    /// Notes a figure.
    pub fn set(&mut self, figure: &'static str, value: f64) {
        self.figures.insert(figure, value);
    }

    /// Notes what came of several loads: how many requests were right, and how the others failed.
    pub fn set_outcomes(&mut self, outcomes: &[&Outcome]) {
        let mut failures = Failures::default();
        for outcome in outcomes {
            failures.merge(&outcome.failures);
        }
        let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(|outcome| of(outcome)).sum::<u64>();
        self.set(figure::FAILED, failures.total() as f64);
        self.set(figure::COMPLETED, sum(|outcome| outcome.completed) as f64);
        self.set(figure::RECONNECTS, sum(|outcome| outcome.reconnects) as f64);
        self.failures = failures.by_kind().clone();
    }

    /// Notes the cached latencies.
    pub fn set_latency(&mut self, latency: &Histogram<u64>) {
        let ms = |quantile| latency.value_at_quantile(quantile) as f64 / 1e6;
        self.set(figure::P50, ms(0.5));
        self.set(figure::P99, ms(0.99));
        self.set(figure::P999, ms(0.999));
        self.set(figure::MAX, latency.max() as f64 / 1e6);
    }

    /// Notes the library's counters over a part with so many cold requests. Where it has counted no call at all, the server is
    /// no event loop to it, and nobody has looked for stalls.
    pub fn set_stats(&mut self, stats: Stats, cold_requests: u64) {
        let counted = stats.lanes.values().any(|count| *count > 0);
        if cold_requests > 0 && counted {
            self.set(
                figure::STALLS,
                stats.stalled() as f64 * 1000.0 / cold_requests as f64,
            );
        }
        self.stats = Some(stats);
    }
}

/// A run without figures.
#[derive(Clone, Debug, Serialize)]
pub struct Failed {
    /// In which section.
    pub section: Section,
    /// What ran; nothing where the section could not begin.
    pub configuration: Option<Configuration>,
    /// In which round, from 0.
    pub round: u32,
    /// What went wrong.
    pub why: String,
}

impl Display for Failed {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let section = self.section.name();
        match self.configuration {
            Some(configuration) => {
                let (round, name) = (self.round + 1, configuration.name());
                write!(out, "{name} failed in round {round} of {section}: ")?;
            }
            None => write!(out, "section {section} failed: ")?,
        }
        out.write_str(&self.why)
    }
}

/// Everything measured.
#[derive(Default)]
pub struct Results {
    /// All runs, in the order in which they were made.
    pub runs: Vec<Run>,
    /// Runs that were to be made, and have no figures.
    pub failed: Vec<Failed>,
    /// Cached latencies beside cold traffic, in nanoseconds, all rounds together.
    pub latencies: BTreeMap<Configuration, Histogram<u64>>,
    /// Was there a slow disk? Most marks are for one.
    pub slow_disk: bool,
    /// What somebody who reads the figures must know: parts left out, and why.
    pub notes: Vec<String>,
}

impl Results {
    /// Notes something, once.
    pub fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// A figure in every round that has it, by round.
    pub fn by_round(
        &self,
        section: Section,
        configuration: Configuration,
        figure: &str,
    ) -> BTreeMap<u32, f64> {
        let runs = self
            .runs
            .iter()
            .filter(|run| run.section == section && run.configuration == configuration);
        runs.filter_map(|run| Some((run.round, *run.figures.get(figure)?)))
            .collect()
    }

    /// The median of a figure over the rounds.
    pub fn median(
        &self,
        section: Section,
        configuration: Configuration,
        figure: &str,
    ) -> Option<f64> {
        median(
            self.by_round(section, configuration, figure)
                .into_values()
                .collect(),
        )
    }
}

/// The middle value, or the mean of the two middle ones.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some((lower + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without it, a table could be short of runs, and nobody would know which and why.
    #[test]
    fn a_failed_run_is_named() {
        let configuration = crate::plan::configurations(Section::Cold.parts()[0])[0];
        let mut failed = Failed {
            section: Section::Cold,
            configuration: Some(configuration),
            round: 1,
            why: "it does not answer".into(),
        };
        assert_eq!(
            failed.to_string(),
            "lighttpd stock failed in round 2 of cold: it does not answer"
        );
        failed.configuration = None;
        assert_eq!(
            failed.to_string(),
            "section cold failed: it does not answer"
        );
    }

    /// A wrong median would be a wrong figure everywhere.
    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
