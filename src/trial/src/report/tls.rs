//! The figures over TLS that decide.

use super::mark::*;
use super::ratios::*;
use crate::plan::{Configuration, Program, Scheme, Section, Variant};
use crate::results::{figure, Results};

/// What counting itself may add to a request's system calls: a wake-up of nobody's in a run.
const UNCOUNTED: f64 = 0.01;

/// Handshakes that are left of those without the library.
const HANDSHAKES: f64 = 0.92;

/// All that the results allow.
pub fn all(results: &Results) -> Vec<Verdict> {
    Program::OVER_TLS
        .into_iter()
        .map(|program| of(program, Variant::Laio).over(Scheme::Https))
        .flat_map(|laio| [against_stock(results, laio), alone(results, laio)].concat())
        .collect()
}

fn against_stock(results: &Results, laio: Configuration) -> Vec<Verdict> {
    let name = laio.server_name();
    let stock = [laio.variant(Variant::Stock)];
    let contenders = [Variant::AioThreads, Variant::Workers16].map(|other| laio.variant(other));
    let floor = [laio.variant(Variant::Floor)];
    let (rate, bodies) = (figure::COLD_RATE, figure::BODY_RATE);
    let of_medians = [
        (
            "cold req/s, slow disk: laio / stock",
            (Section::Cold, rate),
            &stock[..],
            at_least(10.0, None),
        ),
        (
            "cold req/s, slow disk: laio / best of aio threads, 16 workers",
            (Section::Cold, rate),
            &contenders,
            at_least(0.97, None),
        ),
        (
            "cached p99 beside cold: laio / floor",
            (Section::Mixed, figure::P99),
            &floor,
            at_most(3.0, None),
        ),
        (
            "MB/s of cold bodies, slow disk: laio / stock",
            (Section::Bodies, bodies),
            &stock,
            at_least(3.0, None),
        ),
    ];
    let of_pairs = [
        (
            "full handshakes/s: laio / stock",
            (Section::Handshakes, figure::HANDSHAKES),
            at_least(HANDSHAKES, None),
        ),
        // The client's part of a handshake takes as long: the server is not always busy.
        (
            "CPU per full handshake: laio / stock",
            (Section::Handshakes, figure::CPU),
            at_most(1.0 / HANDSHAKES, None),
        ),
        (
            "CPU per cached request: laio / stock",
            (Section::Cpu, figure::CPU),
            at_most(1.01, None),
        ),
        (
            "CPU per cached request, armed: laio / stock",
            (Section::Armed, figure::CPU),
            at_most(1.08, None),
        ),
    ];
    let of_medians = of_medians
        .into_iter()
        .filter_map(|(what, of_what, others, mark)| {
            ratio(results, format!("{name} {what}"), of_what, others, mark)
        });
    let of_pairs = of_pairs.into_iter().filter_map(|(what, of_what, mark)| {
        let pairs = paired(results, of_what, &stock);
        median_of(
            of_what.0,
            format!("{name} {what}, median of pairs"),
            pairs,
            mark,
        )
    });
    of_medians.chain(of_pairs).collect()
}

fn alone(results: &Results, laio: Configuration) -> Vec<Verdict> {
    let name = laio.server_name();
    let calls = |configuration| results.median(Section::Syscalls, configuration, figure::CALLS);
    let extra = calls(laio).zip(calls(laio.variant(Variant::Stock)));
    let extra = extra.map(|(laio, stock)| {
        let what = format!("{name} extra system calls per cached request");
        single(
            Section::Syscalls,
            what,
            laio - stock,
            at_most(UNCOUNTED, Some(0.0)),
        )
    });
    let stalls = [Section::Cold, Section::Mixed, Section::Bodies].map(|section| {
        let what = format!("{name} stalls per 1000 cold requests, {}", section.name());
        let rounds = results.by_round(section, laio, figure::STALLS);
        median_of(
            section,
            what,
            rounds.into_values().collect(),
            at_most(5.0, Some(0.0)),
        )
    });
    extra
        .into_iter()
        .chain(stalls.into_iter().flatten())
        .collect()
}
