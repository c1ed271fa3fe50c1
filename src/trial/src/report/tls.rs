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
    let stock = laio.variant(Variant::Stock);
    let contenders = [Variant::AioThreads, Variant::Workers16].map(|other| laio.variant(other));
    let to_contenders = ratio(
        results,
        format!("{name} cold req/s, slow disk: laio / best of aio threads, 16 workers"),
        (Section::Cold, figure::COLD_RATE),
        &contenders,
        at_least(0.97, None),
    );
    let to_floor = [(
        "cached p99 beside cold: laio / floor",
        (Section::Mixed, figure::P99),
        at_most(3.0, None),
    )];
    let to_stock = [
        (
            "cold req/s, slow disk: laio / stock",
            (Section::Cold, figure::COLD_RATE),
            at_least(10.0, None),
        ),
        (
            "MB/s of cold bodies, slow disk: laio / stock",
            (Section::Bodies, figure::BODY_RATE),
            at_least(3.0, None),
        ),
    ];
    let pairs = [
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
    [
        ratios_to(results, stock, &to_stock),
        to_contenders.into_iter().collect(),
        ratios_to(results, laio.variant(Variant::Floor), &to_floor),
        of_pairs(results, stock, &pairs),
    ]
    .concat()
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
    let few = at_most(5.0, Some(0.0));
    let stalls = [
        ("stalls per 1000 cold requests, cold", Section::Cold),
        ("stalls per 1000 cold requests, mixed", Section::Mixed),
        ("stalls per 1000 cold requests, bodies", Section::Bodies),
    ]
    .map(|(what, section)| (what, (section, figure::STALLS), few));
    extra
        .into_iter()
        .chain(of_rounds(results, laio, &stalls))
        .collect()
}
