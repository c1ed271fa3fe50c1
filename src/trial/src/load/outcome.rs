//! What comes of a load.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{anyhow, Result};
use hdrhistogram::Histogram;

/// What came of a load.
#[derive(Clone)]
pub struct Outcome {
    /// Requests answered rightly, the last outstanding ones included.
    pub completed: u64,
    /// How many of them while new ones were still being sent.
    pub completed_in_time: u64,
    /// How long new ones were being sent.
    pub time: Duration,
    /// Bytes of bodies that were compared and right, in all.
    pub bytes: u64,
    /// How many of them while new requests were still being sent.
    pub bytes_in_time: u64,
    /// From the first request until the last answer.
    pub elapsed: Duration,
    /// Requests not answered, or wrongly.
    pub failures: Failures,
    /// Connections that the server closed between two requests, which it may.
    pub reconnects: u64,
    /// From when a request was due until its last byte, in nanoseconds.
    pub latency: Histogram<u64>,
}

impl Default for Outcome {
    /// Nothing was asked.
    fn default() -> Self {
        Self {
            completed: 0,
            completed_in_time: 0,
            time: Duration::ZERO,
            bytes: 0,
            bytes_in_time: 0,
            elapsed: Duration::ZERO,
            failures: Failures::default(),
            reconnects: 0,
            latency: histogram(),
        }
    }
}

impl Outcome {
    /// Takes in what came of a load after this one.
    pub fn append(&mut self, next: &Self) -> Result<()> {
        self.completed += next.completed;
        self.completed_in_time += next.completed_in_time;
        self.time += next.time;
        self.bytes += next.bytes;
        self.bytes_in_time += next.bytes_in_time;
        self.elapsed += next.elapsed;
        self.failures.merge(&next.failures);
        self.reconnects += next.reconnects;
        self.latency
            .add(&next.latency)
            .map_err(|error| anyhow!("cannot add latencies: {error:?}"))
    }

    /// Requests answered per second.
    pub fn rate(&self) -> f64 {
        self.completed_in_time as f64 / self.time.as_secs_f64().max(1e-9)
    }

    /// Megabits of bodies per second, while new requests were being sent.
    pub fn megabits_per_second(&self) -> f64 {
        self.bytes_in_time as f64 * 8.0 / 1e6 / self.time.as_secs_f64().max(1e-9)
    }

    /// Megabytes of bodies per second, until the last is there: where there are few, most of the time is after the last
    /// request was sent.
    pub fn megabytes_per_second(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// Requests that failed, by how.
#[derive(Clone, Debug, Default)]
pub struct Failures(BTreeMap<String, u64>);

impl Failures {
    /// One more.
    pub fn add(&mut self, how: String) {
        *self.0.entry(how).or_default() += 1;
    }

    /// Takes in another load's failures.
    pub fn merge(&mut self, other: &Self) {
        for (how, count) in &other.0 {
            *self.0.entry(how.clone()).or_default() += count;
        }
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Each way of failing and how often.
    pub fn by_kind(&self) -> &BTreeMap<String, u64> {
        &self.0
    }
}

/// A histogram of nanoseconds, from a microsecond to two minutes with three significant digits.
///
/// Its bounds are fixed: it never grows in the middle of a measurement.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 120_000_000_000, 3).expect("the bounds are in order")
}
