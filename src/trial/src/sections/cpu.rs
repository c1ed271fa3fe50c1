//! Everything cached, small files or large ones: what does the library cost a server that never needs it?
//!
//! The difference looked for is below what a machine's speed drifts within a minute, so both servers stay up and take turns
//! with short bursts, and each pair of bursts is compared by itself. The server has a core and the client has another.

use std::thread;
use std::time::Duration;

use anyhow::{anyhow, Result};

use super::ask;
use crate::disks::Disk;
use crate::files::FileSet;
use crate::load::Outcome;
use crate::plan::{Configuration, Program, Section};
use crate::results::{figure, Run};
use crate::servers::{process, Server};
use crate::trial::Trial;

const CONNECTIONS: usize = 16;

/// Bursts of each server in one pair.
const BURSTS: u32 = 4;

/// Large files that are asked for again and again.
const LARGE: u32 = 8;

/// All pairs of the section `cpu` or `bodies-cpu`, one program after the other.
pub fn run(trial: &mut Trial, section: Section, disk: &Disk) -> Result<()> {
    let (set, requests) = match (section, trial.options.quick) {
        (Section::BodiesCpu, true) => (disk.sets.large.first(LARGE), 40),
        (Section::BodiesCpu, false) => (disk.sets.large.first(LARGE), 100),
        (_, true) => (disk.sets.small.clone(), 2_000),
        (_, false) => (disk.sets.small.clone(), 5_000),
    };
    // Read by us, before any server runs: these must never see a cold file.
    disk.warm(&set)?;
    for program in Program::all() {
        let mut configurations = trial.configurations(section);
        configurations.retain(|configuration| configuration.program == program);
        if let Some(last) = configurations.last() {
            let ran = run_program(trial, section, disk, &configurations, (&set, requests));
            trial.outlive(section, Some(*last), 0, ran)?;
        }
    }
    Ok(())
}

fn run_program(
    trial: &mut Trial,
    section: Section,
    disk: &Disk,
    configurations: &[Configuration],
    (set, requests): (&FileSet, u32),
) -> Result<()> {
    let mut servers = Vec::new();
    for configuration in configurations {
        let server = trial.start(configuration.server(1), disk)?;
        pin(&server)?;
        servers.push((*configuration, server));
    }
    run_pairs(trial, section, set, requests, &servers)?;
    for (_, server) in servers {
        server.stop()?;
    }
    Ok(())
}

fn run_pairs(
    trial: &mut Trial,
    section: Section,
    set: &FileSet,
    requests: u32,
    servers: &[(Configuration, Server)],
) -> Result<()> {
    let files: Vec<u32> = (0..requests).map(|index| set.file(index)).collect();
    for (_, server) in servers {
        burst(server, set, &files)?;
    }
    let pairs = trial.options.rounds(section);
    for pair in 0..pairs {
        let mut runs: Vec<Run> = servers
            .iter()
            .map(|(configuration, _)| Run::new(section, *configuration, pair))
            .collect();
        let mut used = vec![Duration::ZERO; servers.len()];
        let mut outcomes: Vec<Vec<Outcome>> = vec![Vec::new(); servers.len()];
        // Forth and back, so that a drift within the pair is shared out evenly: stock, laio, laio, stock, ...
        for turn in 0..BURSTS {
            for place in 0..servers.len() {
                let index = if (turn + pair) % 2 == 0 {
                    place
                } else {
                    servers.len() - 1 - place
                };
                let (configuration, server) = &servers[index];
                trial.announce(section, *configuration, pair);
                let before = server.cpu_time()?;
                outcomes[index].push(burst(server, set, &files)?);
                used[index] += server.cpu_time()? - before;
            }
        }
        for ((run, used), outcomes) in runs.iter_mut().zip(&used).zip(&outcomes) {
            run.set_outcomes(&outcomes.iter().collect::<Vec<_>>());
            let completed = run.figures[figure::COMPLETED].max(1.0);
            run.set(figure::CPU, used.as_secs_f64() * 1e6 / completed);
            let megabytes = outcomes.iter().map(|outcome| outcome.bytes).sum::<u64>() as f64 / 1e6;
            run.set(
                figure::CPU_PER_MB,
                used.as_secs_f64() * 1e6 / megabytes.max(1.0),
            );
        }
        runs.into_iter().for_each(|run| trial.record_quietly(run));
    }
    for (configuration, _) in servers {
        let median = trial
            .results
            .median(section, *configuration, figure::CPU)
            .unwrap_or(0.0);
        trial.say(
            section,
            pairs,
            *configuration,
            &format!("{median:>7.2} us of CPU per request"),
        );
    }
    Ok(())
}

fn burst(server: &Server, set: &FileSet, files: &[u32]) -> Result<Outcome> {
    // In a thread of its own, which keeps to its core and ends: the trial's own thread stays free.
    thread::scope(|scope| {
        let client = scope.spawn(|| {
            if cores() > 1 {
                process::pin(0, 1)?;
            }
            ask(server, CONNECTIONS, set, files, None)
        });
        client.join().map_err(|_| anyhow!("the client panicked"))?
    })
}

fn pin(server: &Server) -> Result<()> {
    if cores() > 1 {
        for worker in server.workers() {
            process::pin(*worker, 0)?;
        }
    }
    Ok(())
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get())
}
