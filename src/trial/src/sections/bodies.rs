//! Large files that were never read, each byte compared: how many megabytes a second does a server send?

use anyhow::Result;

use super::{ask, http2};
use crate::disks::Disk;
use crate::options::Options;
use crate::plan::{Configuration, Part, Section};
use crate::results::{figure, Run};
use crate::trial::Trial;

/// Clients that ask for large files.
pub const CLIENTS: usize = 32;

/// Files that are asked for, once each.
pub const FILES: u32 = 40;

/// How long they are asked for beside cached ones: not longer than there are files, and these fill the slow disk.
pub fn seconds(options: &Options) -> u32 {
    options.seconds().min(3)
}

/// All rounds of the section `bodies` or `bodies-local`.
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
    let workers = super::workers(section);
    let mut server = trial.start(configuration.server(workers), disk)?;
    let large = &disk.sets.large;
    let (learnt, mut files) = super::learn(&server, large, workers)?;
    files.truncate(FILES as usize);

    let before = trial.stats_before(&server);
    let over_http2 = configuration.scheme.is_http2();
    let outcome = match over_http2 {
        true => http2::ask_bodies(&server, large, &files)?,
        false => ask(&server, CLIENTS, large, &files, None)?,
    };
    server.check_alive()?;
    let after = trial.stats(&server);

    let mut run = Run::new(section, configuration, round);
    let rate = outcome.megabytes_per_second();
    run.set(figure::BODY_RATE, rate);
    run.set_outcomes(&[&learnt, &outcome]);
    if let (Some(before), Some(after)) = (before, after) {
        let counted = after.since(&before);
        if over_http2 {
            let connections = f64::from(http2::BODY_CONNECTIONS);
            let each = counted.stalled() as f64 / connections;
            run.set(figure::STALLS_PER_CONNECTION, each);
        }
        run.set_stats(counted, outcome.completed);
    }
    run.complaints = server.stop()?;
    let summary = format!("{rate:>7.0} MB/s of cold bodies{}", super::trouble(&run));
    trial.record(run, &summary);
    Ok(())
}
