//! What was measured: servers under load, by number of clients, and what one read costs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::lines::Lines;
use super::plan::{Contender, Part};
use crate::results::median;

/// The names of a load's figures.
pub mod figure {
    /// Megabits (10^6 bits) of bodies per second.
    pub const MBITS: &str = "mbit_per_s";
    /// Requests answered per second.
    pub const RATE: &str = "requests_per_s";
    /// Response times, in milliseconds from when a request was sent until its last byte.
    pub const MEAN: &str = "mean_ms";
    /// See [`MEAN`].
    pub const P50: &str = "p50_ms";
    /// See [`MEAN`].
    pub const P99: &str = "p99_ms";
    /// CPU time of the server and its helpers per request, in microseconds.
    pub const CPU: &str = "cpu_us_per_request";
    /// Reads of the disk per request.
    pub const READS: &str = "disk_reads_per_request";
    /// Requests answered rightly.
    pub const COMPLETED: &str = "completed";
    /// Requests that failed or had a wrong body.
    pub const FAILED: &str = "failed";
}

/// One server under the load of so many clients, once.
#[derive(Clone, Debug, Serialize)]
pub struct Load {
    /// In which part.
    pub part: Part,
    /// The server's name.
    pub server: &'static str,
    /// In which round, from 0.
    pub round: u32,
    /// How many clients there were.
    pub clients: u32,
    /// The figures, by name.
    pub figures: BTreeMap<&'static str, f64>,
    /// Ways of failing and how often.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub failures: BTreeMap<String, u64>,
}

/// What one read cost in one round.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Operation {
    /// Where the data were: cached, pipe, empty, cold.
    pub operation: String,
    /// How many bytes were read.
    pub bytes: u32,
    /// How: plain, laio, aio, uring.
    pub way: String,
    /// In which round, from 0.
    pub round: u32,
    /// Nanoseconds until it was done.
    pub wall: f64,
    /// Nanoseconds of the process's CPU time.
    pub cpu: f64,
}

/// Which of an operation's times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Until it is done.
    Wall,
    /// Of the processor.
    Cpu,
}

impl Operation {
    /// Its time by a clock.
    pub fn time(&self, clock: Clock) -> f64 {
        match clock {
            Clock::Wall => self.wall,
            Clock::Cpu => self.cpu,
        }
    }
}

/// Everything measured.
#[derive(Default)]
pub struct Results {
    /// All loads, in the order in which they were made.
    pub loads: Vec<Load>,
    /// All rounds of all operations.
    pub operations: Vec<Operation>,
    /// How often a server could not be measured to the end.
    pub broken: u32,
    /// Lines of code of each server that are only its own.
    pub lines: Vec<Lines>,
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

    fn of(&self, part: Part, contender: Contender) -> impl Iterator<Item = &Load> {
        let is_meant = move |load: &&Load| load.part == part && load.server == contender.name();
        self.loads.iter().filter(is_meant)
    }

    /// Was the server measured in the part?
    pub fn has(&self, part: Part, contender: Contender) -> bool {
        self.of(part, contender).next().is_some()
    }

    /// The median of a figure over the rounds, by number of clients.
    pub fn by_clients(&self, part: Part, contender: Contender, figure: &str) -> BTreeMap<u32, f64> {
        let mut values: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for load in self.of(part, contender) {
            let of_clients = values.entry(load.clients).or_default();
            of_clients.extend(load.figures.get(figure));
        }
        let medians = values.into_iter();
        medians
            .filter_map(|(clients, values)| Some((clients, median(values)?)))
            .collect()
    }

    /// The number of clients at which the server sent most, and what it sent, in Mbit/s: medians over the rounds.
    pub fn peak(&self, part: Part, contender: Contender) -> Option<(u32, f64)> {
        let medians = self.by_clients(part, contender, figure::MBITS);
        medians
            .into_iter()
            .max_by(|one, other| one.1.total_cmp(&other.1))
    }

    /// The most that the server sent in each round, with whatever number of clients.
    pub fn peaks(&self, part: Part, contender: Contender) -> BTreeMap<u32, f64> {
        let mut peaks = BTreeMap::new();
        for load in self.of(part, contender) {
            if let Some(value) = load.figures.get(figure::MBITS) {
                let peak = peaks.entry(load.round).or_insert(*value);
                *peak = value.max(*peak);
            }
        }
        peaks
    }

    /// A figure over all loads of a part, or of all parts.
    pub fn sum(&self, figure: &str) -> f64 {
        let values = self
            .loads
            .iter()
            .filter_map(|load| load.figures.get(figure));
        values.sum()
    }

    /// An operation's time by round.
    pub fn times(&self, operation: (&str, u32), way: &str, clock: Clock) -> BTreeMap<u32, f64> {
        let meant = self
            .operations
            .iter()
            .filter(|one| (one.operation.as_str(), one.bytes) == operation && one.way == way);
        meant.map(|one| (one.round, one.time(clock))).collect()
    }

    /// The ratios of two ways within each round, by round.
    pub fn ratios(&self, operation: (&str, u32), way: &str, to: &str, clock: Clock) -> Vec<f64> {
        let others = self.times(operation, to, clock);
        let times = self.times(operation, way, clock).into_iter();
        times
            .filter_map(|(round, time)| Some(time / others.get(&round)?))
            .collect()
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Loads with nothing but a throughput: part, server, round, clients, Mbit/s.
    pub fn loads(values: &[(Part, Contender, u32, u32, f64)]) -> Results {
        let loads = values
            .iter()
            .map(|(part, contender, round, clients, mbits)| Load {
                part: *part,
                server: contender.name(),
                round: *round,
                clients: *clients,
                figures: BTreeMap::from([(figure::MBITS, *mbits)]),
                failures: BTreeMap::new(),
            });
        Results {
            loads: loads.collect(),
            ..Results::default()
        }
    }

    /// A peak over single rounds would be that of the luckiest one.
    #[test]
    fn the_peak_is_that_of_the_medians() {
        let server = Contender::ALL[0];
        let of = |round, clients, mbits| (Part::Disk, server, round, clients, mbits);
        let results = loads(&[
            of(0, 4, 10.0),
            of(1, 4, 90.0),
            of(2, 4, 20.0),
            of(0, 16, 30.0),
            of(1, 16, 31.0),
            of(2, 16, 32.0),
        ]);
        assert_eq!(results.peak(Part::Disk, server), Some((16, 31.0)));
        let peaks = results.peaks(Part::Disk, server);
        assert_eq!(peaks.into_values().collect::<Vec<_>>(), [30.0, 90.0, 32.0]);
        assert_eq!(results.peak(Part::Memory, server), None);
    }
}
