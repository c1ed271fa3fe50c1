//! Files that were never read, none twice: how many requests a second does a server answer?

use std::time::Duration;

use anyhow::Result;

use super::{ask_cold, COLD_CONNECTIONS};
use crate::disks::Disk;
use crate::opaque::Place;
use crate::plan::{Configuration, Part, Program, Section};
use crate::results::{figure, Run};
use crate::trial::Trial;

/// All rounds of the section `cold`, `overlay`, `fuse`, `fast` or `local`, or of the part `cold-clear`.
pub fn run(trial: &mut Trial, part: Part, disk: &Disk) -> Result<()> {
    let section = match part.section {
        // What the configuration says already.
        Section::ColdClear => Section::Cold,
        section => section,
    };
    for round in 0..trial.options.rounds(part) {
        for configuration in trial.order(part, round) {
            trial.announce(part, configuration, round);
            let ran = run_one(trial, section, disk, configuration, round);
            trial.outlive(section, Some(configuration), round, ran)?;
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
    let workers = super::workers(section);
    disk.make_cold()?;
    let place = Place::of(section, disk, &trial.options)?;
    let mut server = trial.start_at(configuration.server(workers), &place.docroot)?;
    let cold = &place.cold;
    let (learnt, mut files) = super::learn(&server, cold, workers)?;
    if configuration.program == Program::Lighttpd {
        // It keeps every file open for some seconds: on a fast disk, until it can open no more and answers 403.
        files.truncate((trial.descriptors as usize).saturating_sub(1000));
    }

    let before = trial.stats_before(&server);
    let limit = Duration::from_secs(trial.options.seconds().into());
    let outcome = ask_cold(&trial.tools, &server, COLD_CONNECTIONS, cold, &files, limit)?;
    server.check_alive()?;
    let after = trial.stats(&server);

    let mut run = Run::new(section, configuration, round);
    run.set(figure::COLD_RATE, outcome.rate());
    run.set_outcomes(&[&learnt, &outcome]);
    if let (Some(before), Some(after)) = (before, after) {
        run.set_stats(after.since(&before), outcome.completed);
    }
    run.complaints = server.stop()?;
    let summary = format!("{:>7.0} cold req/s{}", outcome.rate(), super::trouble(&run));
    trial.record(run, &summary);
    Ok(())
}
