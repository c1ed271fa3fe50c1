//! 10,000 requests of all kinds, many at a time: cold and cached files, ranges, names that do not exist, and connections that
//! are reset as soon as a request is sent or an answer begins. Every answer that is waited for must be right.

use anyhow::Result;

use super::load_on;
use crate::disks::Disk;
use crate::load::{self, Closed, Kind, Request};
use crate::plan::{Configuration, Part, Section};
use crate::results::Run;
use crate::shuffle::Shuffle;
use crate::trial::Trial;

const REQUESTS: u32 = 10_000;

const CONNECTIONS: usize = 32;

/// Every configuration once.
pub fn run(trial: &mut Trial, part: Part, disk: &Disk) -> Result<()> {
    for configuration in trial.configurations(part) {
        trial.announce(part, configuration, 0);
        let ran = run_one(trial, disk, configuration);
        trial.outlive(Section::Faults, Some(configuration), 0, ran)?;
    }
    Ok(())
}

fn run_one(trial: &mut Trial, disk: &Disk, configuration: Configuration) -> Result<()> {
    disk.make_cold()?;
    let server = trial.start(configuration.server(1), disk)?;
    let requests = requests(disk);
    let load = load_on(&server, CONNECTIONS, &disk.sets.cold);
    let outcome = load::run(&load, &mut Closed::new(requests.into_iter(), None))?;

    let mut run = Run::new(Section::Faults, configuration, 0);
    run.set_outcomes(&[&outcome]);
    run.complaints = server.stop()?;
    let summary = format!(
        "{:>7} requests of all kinds right{}",
        outcome.completed,
        super::trouble(&run)
    );
    trial.record(run, &summary);
    Ok(())
}

/// The requests, the same in every run. A file asked for twice is cold at first and cached then, so both occur.
fn requests(disk: &Disk) -> Vec<Request> {
    let files = disk.sets.cold.shuffled();
    let mut random = Shuffle::new(0xfa17);
    (0..REQUESTS)
        .map(|index| {
            let kind = match random.below(100) {
                0..=64 => Kind::Whole,
                65..=79 => range(&mut random, disk.sets.cold.content(files[0]).len() as u32),
                80..=89 => Kind::Missing,
                90..=94 => Kind::ResetAtOnce,
                _ => Kind::ResetInBody,
            };
            // One in four is for a file that was asked for a moment ago.
            let back = if index > 100 && random.below(4) == 0 {
                random.below(100)
            } else {
                0
            };
            Request {
                file: files[(index - back) as usize % files.len()],
                kind,
            }
        })
        .collect()
}

fn range(random: &mut Shuffle, size: u32) -> Kind {
    let from = random.below(size);
    Kind::Range(from, 1 + random.below(size - from))
}
