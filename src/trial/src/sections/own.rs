//! A cached file that is asked for at once with others that were never read, behind them and on the same connection, over HTTP/2:
//! how long does it take?

use std::time::Duration;

use anyhow::Result;

use super::http2::{load_on, BEFORE};
use crate::disks::Disk;
use crate::load::http2;
use crate::plan::{Configuration, Part, Section};
use crate::results::{figure, Run};
use crate::trial::Trial;

/// All rounds of the part `own`.
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

fn run_one(
    trial: &mut Trial,
    section: Section,
    disk: &Disk,
    configuration: Configuration,
    round: u32,
) -> Result<()> {
    disk.make_cold()?;
    let mut server = trial.start(configuration.server(1), disk)?;
    let (cold, hot) = (&disk.sets.cold, &disk.sets.hot);
    disk.warm(hot)?;
    let warmed = super::ask_by_protocol(&server, 1, hot, &hot.shuffled())?;
    let (learnt, files) = super::learn(&server, cold, 1)?;

    let before = trial.stats_before(&server);
    let limit = Duration::from_secs(trial.options.seconds().into());
    let bursts = files.chunks_exact(BEFORE as usize);
    let outcome = http2::behind(&load_on(&server, 1, cold), bursts, hot, limit)?;
    server.check_alive()?;
    let after = trial.stats(&server);

    let mut run = Run::new(section, configuration, round);
    run.set_latency(&outcome.latency);
    run.set_outcomes(&[&warmed, &learnt, &outcome]);
    if let (Some(before), Some(after)) = (before, after) {
        let cached = outcome.latency.len();
        run.set_stats(
            after.since(&before),
            outcome.completed - cached.min(outcome.completed),
        );
    }
    run.complaints = server.stop()?;
    let summary = format!(
        "cached behind {BEFORE} cold: p50 {:.2} ms, p99 {:.2} ms, of {}{}",
        run.figures[figure::P50],
        run.figures[figure::P99],
        outcome.latency.len(),
        super::trouble(&run)
    );
    trial.record(run, &summary);
    Ok(())
}
