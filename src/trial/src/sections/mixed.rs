//! What a user feels: cached files, asked for on a timetable, beside clients that ask for files that were never read.

use std::thread;
use std::time::Duration;

use anyhow::{anyhow, Result};

use super::{ask, ask_by_protocol, ask_cold, bodies, load_on, COLD_CONNECTIONS, LEARNING};
use crate::disks::Disk;
use crate::interrupt;
use crate::load::{self, Open};
use crate::opaque::Place;
use crate::plan::{Configuration, Part, Section};
use crate::results::{figure, Run};
use crate::trial::Trial;

/// Connections for cached files.
const CACHED_CONNECTIONS: usize = 8;

/// Connections for files that hang: half as many as the library has helpers. With these all hanging, whatever else is cold
/// waits as well (docs/limitations.md), and what is cached may be dropped from memory by others on the machine.
pub const HUNG_CONNECTIONS: usize = 32;

/// How long they are asked for until their file system hangs.
const UNTIL_HUNG: Duration = Duration::from_millis(500);

/// All rounds of the sections `mixed`, `deep`, with large cold files `bodies-mixed`, and with cold files that hang `hung`.
pub fn run(trial: &mut Trial, part: Part, disk: &Disk) -> Result<()> {
    for round in 0..trial.options.rounds(part) {
        for configuration in trial.order(part, round) {
            trial.announce(part, configuration, round);
            let ran = run_one(trial, part.section, disk, configuration, round);
            trial.outlive(part.section, Some(configuration), round, ran)?;
        }
    }
    Ok(())
}

/// One configuration, once.
fn run_one(
    trial: &mut Trial,
    section: Section,
    disk: &Disk,
    configuration: Configuration,
    round: u32,
) -> Result<()> {
    let hot = &disk.sets.hot;
    disk.make_cold()?;
    let place = Place::of(section, disk, &trial.options)?;
    let (cold, cold_connections, seconds) = match section {
        Section::BodiesMixed => (
            &disk.sets.large,
            bodies::CLIENTS,
            bodies::seconds(&trial.options),
        ),
        Section::Hung => (&place.cold, HUNG_CONNECTIONS, trial.options.seconds()),
        _ => (&place.cold, COLD_CONNECTIONS, trial.options.seconds()),
    };
    let mut server = trial.start_at(configuration.server(1), &place.docroot)?;
    let neighbour = configuration
        .neighbour()
        .map(|spec| trial.start_at(spec, &place.docroot))
        .transpose()?;
    let cached_server = neighbour.as_ref().unwrap_or(&server);

    disk.warm(hot)?;
    let twice = [hot.shuffled(), hot.shuffled()].concat();
    let warmed = ask(cached_server, CACHED_CONNECTIONS, hot, &twice, None)?;
    let (learning, files) = cold.split(LEARNING);
    let learnt = ask_by_protocol(&server, 1, cold, &learning)?;

    let before = trial.stats_before(&server);
    let time = Duration::from_secs(seconds.into());
    // What is measured beside a file system that hangs is that, and not also what was before.
    let head_start = match section {
        Section::Hung => UNTIL_HUNG,
        _ => Duration::ZERO,
    };
    let tools = &trial.tools;
    // A thread each: a cached answer must not wait in the client for the comparison of a cold one.
    let (cold_outcome, cached, hung) = thread::scope(|scope| {
        let cold_load = scope.spawn(|| {
            ask_cold(
                tools,
                &server,
                cold_connections,
                cold,
                &files,
                head_start + time,
            )
        });
        // By the clock, not until the cached load is done: a server that hangs as well would never be.
        let hang = scope.spawn(|| place.hang(head_start, time));
        interrupt::sleep(head_start)?;
        let load = load_on(cached_server, CACHED_CONNECTIONS, hot);
        let rate = configuration.program.cached_rate();
        let mut timetable = Open::new(hot, CACHED_CONNECTIONS, rate, time);
        let cached = load::run(&load, &mut timetable);
        let cold = cold_load
            .join()
            .map_err(|_| anyhow!("the cold load panicked"))?;
        let hung = hang.join().map_err(|_| anyhow!("the hang panicked"))?;
        anyhow::Ok((cold?, cached?, hung?))
    })?;
    server.check_alive()?;
    let after = trial.stats(&server);

    let mut run = Run::new(section, configuration, round);
    run.set(figure::COLD_RATE, cold_outcome.rate());
    run.set_latency(&cached.latency);
    run.set_outcomes(&[&warmed, &learnt, &cold_outcome, &cached]);
    if let (Some(before), Some(after)) = (before, after) {
        run.set_stats(after.since(&before), cold_outcome.completed);
    }
    if section == Section::Hung {
        // Nothing else takes nearly as long.
        let long = hung.as_nanos() as u64 * 9 / 10;
        let latency = &cold_outcome.latency;
        let answered = latency.count_between(long, latency.max().max(long));
        run.set(figure::HUNG, answered as f64);
    }
    run.complaints = server.stop()?;
    if let Some(neighbour) = neighbour {
        run.complaints.extend(neighbour.stop()?);
    }
    if section == Section::Mixed {
        let latencies = &mut trial.results.latencies;
        latencies
            .entry(configuration)
            .or_insert_with(load::histogram)
            .add(&cached.latency)
            .map_err(|error| anyhow!("cannot add latencies: {error:?}"))?;
    }
    let summary = format!(
        "{:>7.0} cold req/s, cached p50 {:.2} ms, p99 {:.2} ms, max {:.1} ms{}",
        cold_outcome.rate(),
        run.figures[figure::P50],
        run.figures[figure::P99],
        run.figures[figure::MAX],
        super::trouble(&run)
    );
    trial.record(run, &summary);
    Ok(())
}
