//! The figures that decide, each against what it must be.

use super::http2;
use super::mark::*;
use super::ratios::*;
use super::tls;
use crate::plan::{Configuration, Program, Section, Variant};
use crate::results::{figure, Results};
use crate::sections::mixed::HUNG_CONNECTIONS;

/// Anonymous memory that a server may have gained over a run and still count as flat, in KiB: an allocator's slack, far
/// less than one small object for each request would add up to.
const MEMORY_SLACK_KIB: f64 = 256.0;

/// All that the results allow.
pub fn all(results: &Results) -> Vec<Verdict> {
    let mut all = [
        rates(results),
        bodies(results),
        opaque(results),
        latencies(results),
        pools(results),
        readers(results),
        costs(results),
        counts(results),
        tls::all(results),
        http2::all(results),
    ]
    .concat();
    // On another disk the comparison stands, the marks do not.
    let of_slow_disk = |section| {
        matches!(
            section,
            Section::Cold
                | Section::Mixed
                | Section::Bodies
                | Section::BodiesMixed
                | Section::Own
                | Section::Page
        )
    };
    all.retain(|verdict| results.slow_disk || !of_slow_disk(verdict.section));
    all
}

fn nginx(variants: &[Variant]) -> Vec<Configuration> {
    variants
        .iter()
        .map(|variant| of(Program::Nginx, *variant))
        .collect()
}

/// Cold requests per second.
fn rates(results: &Results) -> Vec<Verdict> {
    let rate = figure::COLD_RATE;
    let mut all = Vec::new();
    for program in Program::all() {
        let name = format!("{} cold req/s, slow disk: laio / stock", program.name());
        let stock = [of(program, Variant::Stock)];
        let mark = at_least(12.0, Some(20.0));
        all.extend(ratio(results, name, (Section::Cold, rate), &stock, mark));
    }
    let others = nginx(&[Variant::Stock, Variant::AioThreads, Variant::Workers16]);
    for (section, disk, mark) in [
        (Section::Cold, "slow disk", at_least(0.97, None)),
        (Section::Local, "local disk", at_least(1.0, Some(1.24))),
    ] {
        let name = format!("nginx cold req/s, {disk}: laio / best of the others");
        all.extend(ratio(results, name, (section, rate), &others, mark));
    }
    for (variant, least) in [(Variant::AioThreads, 6.0), (Variant::Workers16, 0.97)] {
        let name = format!(
            "nginx-cache cold hits/s, slow disk: laio / {}",
            variant.name()
        );
        let others = [of(Program::NginxCache, variant)];
        let mark = at_least(least, None);
        all.extend(ratio(results, name, (Section::Cold, rate), &others, mark));
    }
    for program in Program::MAIN {
        let name = format!(
            "{} cold req/s, fast disk: laio / stock, median of rounds",
            program.name()
        );
        let rounds = paired(
            results,
            (Section::Fast, rate),
            &[of(program, Variant::Stock)],
        );
        all.extend(median_of(
            Section::Fast,
            name,
            rounds,
            at_least(0.95, Some(1.0)),
        ));
    }
    let others = nginx(&[Variant::AioThreads, Variant::Workers16]);
    for (section, disk) in [(Section::Mixed, "slow disk"), (Section::Deep, "deep disk")] {
        let name = format!(
            "nginx cold req/s beside cached, {disk}: laio / best of aio threads, 16 workers"
        );
        let mark = at_least(1.25, Some(1.5));
        let of_what = (section, rate);
        all.extend(ratio(results, name, of_what, &others, mark));
    }
    all
}

/// Large bodies: megabytes per second, what cached clients wait beside them, and CPU time per megabyte.
fn bodies(results: &Results) -> Vec<Verdict> {
    let mut all = Vec::new();
    for (section, disk) in [
        (Section::Bodies, "slow disk"),
        (Section::BodiesLocal, "local disk"),
    ] {
        let of_what = (section, figure::BODY_RATE);
        for program in Program::OF_BODIES {
            let stock = [of(program, Variant::Stock)];
            let name = format!(
                "{} MB/s of cold bodies, {disk}: laio / stock",
                program.name()
            );
            let mark = at_least(3.0, None);
            all.extend(ratio(results, name, of_what, &stock, mark));
            let others = [Variant::AioThreads, Variant::Workers16].map(|other| of(program, other));
            let name = format!(
                "{} MB/s of cold bodies, {disk}: laio / best of aio threads, 16 workers",
                program.name()
            );
            let mark = at_least(0.97, Some(1.24));
            all.extend(ratio(results, name, of_what, &others, mark));
        }
    }
    for program in Program::OF_BODIES {
        let floor = [of(program, Variant::Floor)];
        let name = format!(
            "{} cached p99 beside cold bodies: laio / floor",
            program.name()
        );
        let of_what = (Section::BodiesMixed, figure::P99);
        let mark = at_most(4.0, Some(2.0));
        all.extend(ratio(results, name, of_what, &floor, mark));
    }
    for program in Program::OF_BODIES {
        let name = format!(
            "{} CPU per MB of cached bodies: laio / stock, median of pairs",
            program.name()
        );
        let of_what = (Section::BodiesCpu, figure::CPU_PER_MB);
        let pairs = paired(results, of_what, &[of(program, Variant::Stock)]);
        let mark = at_most(1.02, Some(1.01));
        all.extend(median_of(Section::BodiesCpu, name, pairs, mark));
    }
    all
}

/// File systems that cannot say what they hold in memory.
fn opaque(results: &Results) -> Vec<Verdict> {
    let mut all = Vec::new();
    for (section, file_system) in [(Section::Overlay, "overlayfs"), (Section::Fuse, "FUSE")] {
        for program in Program::MAIN {
            let name = format!("{} cold req/s, {file_system}: laio / stock", program.name());
            let stock = [of(program, Variant::Stock)];
            let of_what = (section, figure::COLD_RATE);
            let mark = at_least(8.0, None);
            all.extend(ratio(results, name, of_what, &stock, mark));
        }
    }
    let name = "nginx cached p99 beside a hung file system: laio / floor".into();
    let of_what = (Section::Hung, figure::P99);
    let floor = nginx(&[Variant::Floor]);
    let mark = at_most(3.0, None);
    all.extend(ratio(results, name, of_what, &floor, mark));
    let laio = of(Program::Nginx, Variant::Laio);
    let answered = results.by_round(Section::Hung, laio, figure::HUNG);
    let name =
        format!("nginx requests that hung, of {HUNG_CONNECTIONS}, and were answered rightly");
    let rounds = answered.into_values().collect();
    let mark = at_least(HUNG_CONNECTIONS as f64, None);
    all.extend(median_of(Section::Hung, name, rounds, mark));
    all
}

/// Cached latency beside cold traffic.
fn latencies(results: &Results) -> Vec<Verdict> {
    let one = |(section, disk): (Section, &str), program: Program| {
        let name = format!(
            "{} cached p99 beside cold{disk}: laio / floor",
            program.name()
        );
        let floor = [of(program, Variant::Floor)];
        let mark = at_most(3.0, Some(1.5));
        ratio(results, name, (section, figure::P99), &floor, mark)
    };
    let deep = one((Section::Deep, ", deep disk"), Program::Nginx);
    Program::all()
        .filter_map(|program| one((Section::Mixed, ""), program))
        .chain(deep)
        .collect()
}

/// Servers that leave their files to a pool of threads.
fn pools(results: &Results) -> Vec<Verdict> {
    let one = |program: Program| {
        let (rate, p99) = match program {
            Program::Node => (2.0, 0.02),
            _ => (1.0, 0.1),
        };
        let rows = [
            (
                "cold req/s beside cached: laio / stock",
                (Section::Mixed, figure::COLD_RATE),
                at_least(rate, None),
            ),
            (
                "cached p99 beside cold: laio / stock",
                (Section::Mixed, figure::P99),
                at_most(p99, None),
            ),
        ];
        ratios_to(results, of(program, Variant::Stock), &rows)
    };
    Program::OF_POOLS.into_iter().flat_map(one).collect()
}

/// Servers that read a whole file before they send it, or a part and send it later.
fn readers(results: &Results) -> Vec<Verdict> {
    let reads = |program: Program| {
        let row = (
            "cached p99 beside cold files that are read whole: laio / stock",
            (Section::BodiesMixed, figure::P99),
            at_most(0.03, None),
        );
        ratios_to(results, of(program, Variant::Stock), &[row])
    };
    let sends = |program: Program| {
        let row = (
            "MB/s of cold bodies: laio / stock",
            (Section::Bodies, figure::BODY_RATE),
            at_least(3.0, None),
        );
        ratios_to(results, of(program, Variant::Stock), &[row])
    };
    let senders = Program::SENDERS.into_iter().flat_map(sends);
    Program::READERS
        .into_iter()
        .flat_map(reads)
        .chain(senders)
        .collect()
}

/// What the library costs where it is not needed.
fn costs(results: &Results) -> Vec<Verdict> {
    let calls = Program::MAIN.into_iter().filter_map(|program| {
        let count =
            |variant| results.median(Section::Syscalls, of(program, variant), figure::CALLS);
        let extra = count(Variant::Laio)? - count(Variant::Stock)?;
        let name = format!("{} extra system calls per cached request", program.name());
        Some(single(
            Section::Syscalls,
            name,
            extra,
            at_most(0.1, Some(0.0)),
        ))
    });
    let cpu = Program::MAIN.into_iter().filter_map(|program| {
        let name = format!(
            "{} CPU per cached request: laio / stock, median of pairs",
            program.name()
        );
        let pairs = paired(
            results,
            (Section::Cpu, figure::CPU),
            &[of(program, Variant::Stock)],
        );
        median_of(Section::Cpu, name, pairs, at_most(1.03, Some(1.02)))
    });
    calls.chain(cpu).collect()
}

/// What must not be, or be left over.
fn counts(results: &Results) -> Vec<Verdict> {
    let mut all = Vec::new();
    for section in [
        Section::Cold,
        Section::Mixed,
        Section::Deep,
        Section::Bodies,
        Section::BodiesMixed,
        Section::Overlay,
        Section::Fuse,
        Section::Hung,
    ] {
        for program in Program::all() {
            let name = format!(
                "{} stalls per 1000 cold requests, {}",
                program.name(),
                section.name()
            );
            let by_round = results.by_round(section, of(program, Variant::Laio), figure::STALLS);
            all.extend(median_of(
                section,
                name,
                by_round.into_values().collect(),
                at_most(5.0, Some(0.0)),
            ));
        }
    }
    all.extend(failed(results));
    for program in Program::MAIN {
        all.extend(flat(results, program));
    }
    all
}

/// All requests of all sections that a preloaded server failed.
fn failed(results: &Results) -> Option<Verdict> {
    let runs = || {
        results
            .runs
            .iter()
            .filter(|run| run.configuration.variant == Variant::Laio)
    };
    let sum = |figure| {
        runs()
            .filter_map(|run| run.figures.get(figure))
            .sum::<f64>()
    };
    let completed = sum(figure::COMPLETED);
    let name = format!("failed or wrong of {completed} requests");
    (completed > 0.0).then(|| {
        single(
            Section::Faults,
            name,
            sum(figure::FAILED),
            at_most(0.0, None),
        )
    })
}

fn flat(results: &Results, program: Program) -> Vec<Verdict> {
    let line = |what: &str, [before, after]: [&'static str; 2], must| {
        let value = |figure| results.median(Section::Flat, of(program, Variant::Laio), figure);
        let name = format!("{} {what} gained over a cold run", program.name());
        Some(single(
            Section::Flat,
            name,
            value(after)? - value(before)?,
            at_most(must, None),
        ))
    };
    let descriptors = line("descriptors", figure::DESCRIPTORS, 0.0);
    let memory = line("KiB of memory", figure::MEMORY, MEMORY_SLACK_KIB);
    descriptors.into_iter().chain(memory).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Run;

    fn results(values: &[(Variant, u32, f64)]) -> Results {
        let mut results = Results {
            slow_disk: true,
            ..Results::default()
        };
        for (variant, round, value) in values {
            let mut run = Run::new(Section::Cold, of(Program::Nginx, *variant), *round);
            run.set(figure::COLD_RATE, *value);
            results.runs.push(run);
        }
        results
    }

    /// The ratio is to the best contender; a ratio to any other would flatter.
    #[test]
    fn compares_with_the_best() {
        let results = results(&[
            (Variant::Stock, 0, 10.0),
            (Variant::AioThreads, 0, 100.0),
            (Variant::Workers16, 0, 200.0),
            (Variant::Laio, 0, 190.0),
        ]);
        let all = all(&results);
        let find = |text: &str| {
            all.iter()
                .find(|verdict| verdict.figure.contains(text))
                .unwrap()
        };
        let best = find("best of the others");
        assert_eq!((best.value, best.is_met()), (0.95, false));
        assert_eq!(find("laio / stock").value, 19.0);
    }

    /// What was not measured must not appear as met.
    #[test]
    fn nothing_measured_says_nothing() {
        assert!(all(&results(&[(Variant::Stock, 0, 10.0)])).is_empty());
    }
}
