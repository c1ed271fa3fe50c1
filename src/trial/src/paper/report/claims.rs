//! The figures that decide, each against what it must be and what the paper says of it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::paper::plan::{Contender, Part};
use crate::paper::results::{figure, Clock, Results};
use crate::plan::Strategy;
use crate::report::mark::{at_least, at_most, Mark};
use crate::results::median;

/// One figure, its mark, and the paper's own.
#[derive(Clone, Debug, Serialize)]
pub struct Claim {
    /// What it is.
    pub figure: String,
    /// The figure.
    pub value: f64,
    /// The same within each round.
    pub rounds: Vec<f64>,
    /// What it must be; without, it is there to be compared.
    #[serde(flatten)]
    pub mark: Option<Mark>,
    /// What the paper says, where it says anything.
    pub paper: Option<&'static str>,
}

impl Claim {
    fn new(figure: impl Into<String>, value: f64, rounds: Vec<f64>) -> Self {
        Self {
            figure: figure.into(),
            value,
            rounds,
            mark: None,
            paper: None,
        }
    }

    fn must_be(self, mark: Mark) -> Self {
        Self {
            mark: Some(mark),
            ..self
        }
    }

    fn paper(self, paper: &'static str) -> Self {
        Self {
            paper: Some(paper),
            ..self
        }
    }

    /// Is it what it must be? None where nothing is asked of it.
    pub fn is_met(&self) -> Option<bool> {
        Some(self.mark?.is_met_by(self.value))
    }
}

/// All that the results allow.
pub fn all(results: &Results) -> Vec<Claim> {
    let mut all = operations(results);
    all.extend(disk_bound(results));
    all.extend(in_memory(results));
    all.extend(lines(results));
    all.extend(failed(results));
    if results.broken > 0 {
        let broken = f64::from(results.broken);
        let claim = Claim::new("servers that failed (see the notes)", broken, Vec::new());
        all.push(claim.must_be(at_most(0.0, None)));
    }
    all
}

/// What one read of a byte costs by LAIO.
fn operations(results: &Results) -> Vec<Claim> {
    use Clock::{Cpu, Wall};
    let mark = |most| Some(at_most(most, None));
    let rows = [
        (
            "read of cached data, CPU time: laio_syscall / plain call",
            "cached",
            "plain",
            Cpu,
            mark(1.2),
            None,
        ),
        (
            "read of cached data, CPU time: laio_syscall / POSIX AIO",
            "cached",
            "aio",
            Cpu,
            mark(0.1),
            Some("≤ 0.33"),
        ),
        (
            "read of cached data, CPU time: laio_syscall / io_uring",
            "cached",
            "uring",
            Cpu,
            None,
            None,
        ),
        (
            "blocked read of a pipe, round trip: laio_syscall / POSIX AIO",
            "empty",
            "aio",
            Wall,
            mark(1.0),
            Some("comparable"),
        ),
        (
            "blocked read of a pipe, round trip: laio_syscall / io_uring",
            "empty",
            "uring",
            Wall,
            None,
            None,
        ),
        // Nearly all of it is the disk's.
        (
            "cold read of a file, round trip: laio_syscall / POSIX AIO",
            "cold",
            "aio",
            Wall,
            None,
            Some("comparable"),
        ),
        (
            "cold read of a file, CPU time: laio_syscall / POSIX AIO",
            "cold",
            "aio",
            Cpu,
            None,
            None,
        ),
        (
            "cold read of a file, CPU time: laio_syscall / io_uring",
            "cold",
            "uring",
            Cpu,
            None,
            None,
        ),
    ];
    let claim = |(name, operation, to, clock, mark, paper)| {
        let rounds = results.ratios((operation, 1), "laio", to, clock);
        Some(Claim {
            mark,
            paper,
            ..Claim::new(name, median(rounds.clone())?, rounds)
        })
    };
    rows.into_iter().filter_map(claim).collect()
}

/// The best server with LAIO against the best without.
fn disk_bound(results: &Results) -> Vec<Claim> {
    let of_part = |part: Part| {
        let best = |lazy| {
            let those = Contender::ALL
                .into_iter()
                .filter(move |one| one.is_lazy() == lazy);
            let peaks = those.filter_map(|one| Some((one, results.peak(part, one)?.1)));
            peaks.max_by(|one, other| one.1.total_cmp(&other.1))
        };
        let ((lazy, most), (other, next)) = (best(true)?, best(false)?);
        let figure = format!(
            "{}, peak throughput: best with LAIO ({}) / best without ({})",
            part.title(),
            lazy.name(),
            other.name()
        );
        let rounds = by_round(
            &best_peaks(results, part, true),
            &best_peaks(results, part, false),
        );
        let claim = Claim::new(figure, most / next, rounds);
        Some(claim.must_be(at_least(1.24, None)).paper("1.24"))
    };
    let parts = [Part::Disk, Part::Deep, Part::DiskCold];
    let best = parts.into_iter().filter_map(of_part);
    let lazy = Contender::plain(Strategy::NbLaio);
    let aio = Contender::plain(Strategy::NbAio);
    let others = parts
        .into_iter()
        .filter_map(|part| of_peaks(results, part, lazy, aio));
    best.chain(others).collect()
}

/// What a server sends at most against what another one does, in the middle of the rounds.
fn of_peaks(results: &Results, part: Part, one: Contender, other: Contender) -> Option<Claim> {
    let rounds = by_round(&results.peaks(part, one), &results.peaks(part, other));
    let (one, other) = (one.name(), other.name());
    let figure = format!("{}, peak throughput: {one} / {other}", part.title());
    Some(Claim::new(figure, median(rounds.clone())?, rounds))
}

/// The most that any server with LAIO, or without, sent in each round.
fn best_peaks(results: &Results, part: Part, lazy: bool) -> BTreeMap<u32, f64> {
    let mut best: BTreeMap<u32, f64> = BTreeMap::new();
    for contender in Contender::ALL {
        if contender.is_lazy() == lazy {
            for (round, peak) in results.peaks(part, contender) {
                let most = best.entry(round).or_insert(peak);
                *most = most.max(peak);
            }
        }
    }
    best
}

/// Each server with LAIO against the one that blocks, where nothing ever blocks.
fn in_memory(results: &Results) -> Vec<Claim> {
    let part = Part::Memory;
    let plain = Contender::plain(Strategy::NbB);
    let lazy = Contender::ALL.into_iter().filter(|one| one.is_lazy());
    let claims = lazy.filter_map(|contender| {
        let claim = of_peaks(results, part, contender, plain)?;
        // Another loop differs in more than how it waits.
        let claim = match contender.strategy {
            Strategy::Libevent => claim,
            _ => claim.must_be(at_least(0.98, None)),
        };
        Some(claim.paper("comparable"))
    });
    claims.collect()
}

fn by_round(these: &BTreeMap<u32, f64>, those: &BTreeMap<u32, f64>) -> Vec<f64> {
    let these = these.iter();
    these
        .filter_map(|(round, value)| Some(value / those.get(round)?))
        .collect()
}

/// The code of the server that uses LAIO against that of the one with helpers.
fn lines(results: &Results) -> Option<Claim> {
    let lines = |strategy: Strategy| {
        let mut servers = results.lines.iter();
        let server = servers.find(|one| one.server == strategy.name())?;
        Some(server.lines as f64)
    };
    let (lazy, amped) = (lines(Strategy::NbLaio)?, lines(Strategy::NbAmped)?);
    let name =
        format!("lines of code that are only of nb-laio ({lazy}) / only of nb-amped ({amped})");
    let claim = Claim::new(name, lazy / amped, Vec::new());
    // Fewer, of whole numbers.
    let must = (amped - 1.0) / amped;
    Some(
        claim
            .must_be(at_most(must, None))
            .paper("whole Flash: -9.5 %"),
    )
}

/// All requests of all servers.
fn failed(results: &Results) -> Option<Claim> {
    let completed = results.sum(figure::COMPLETED);
    let name = format!("failed or wrong of {completed} requests");
    let claim = Claim::new(name, results.sum(figure::FAILED), Vec::new());
    (completed > 0.0).then(|| claim.must_be(at_most(0.0, None)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paper::results::tests::loads;

    /// A ratio to any but the best of the others would flatter.
    #[test]
    fn compares_with_the_best() {
        let of = |strategy, mbits| (Part::Disk, Contender::plain(strategy), 0, 64, mbits);
        let results = loads(&[
            of(Strategy::NbB, 10.0),
            of(Strategy::NbAmped, 100.0),
            of(Strategy::NbAio, 80.0),
            of(Strategy::NbLaio, 125.0),
            of(Strategy::LaioLaio, 90.0),
        ]);
        let claims = all(&results);
        let values: Vec<_> = claims
            .iter()
            .map(|claim| (claim.value, claim.is_met()))
            .collect();
        assert_eq!(values, [(1.25, Some(true)), (125.0 / 80.0, None)]);
        assert_eq!(claims[0].rounds, [1.25]);
        assert!(claims[0].figure.contains("(nb-laio)"));
        assert!(claims[0].figure.contains("(nb-amped)"));
    }
}
