//! Everything cached: what does the library cost a server that never needs it?
//!
//! The difference looked for is below what a machine's speed drifts within a minute, so both servers stay up and take turns
//! with short bursts, and each pair of bursts is compared by itself. The server has a core and the client has another.

use std::thread;
use std::time::Duration;

use anyhow::{anyhow, Result};

use super::ask;
use crate::disks::Disk;
use crate::load::Outcome;
use crate::plan::{Configuration, Program, Section};
use crate::results::{figure, Run};
use crate::servers::{process, Server};
use crate::trial::Trial;

const CONNECTIONS: usize = 16;

/// Bursts of each server in one pair.
const BURSTS: u32 = 4;

/// All pairs, for both programs.
pub fn run(trial: &mut Trial, disk: &Disk) -> Result<()> {
    // Read by us, before any server runs: these must never see a cold file.
    disk.warm(&disk.sets.small)?;
    for program in Program::MAIN {
        let mut servers = Vec::new();
        for configuration in trial.configurations(Section::Cpu) {
            if configuration.program == program {
                let server = trial.start(configuration.server(1), disk)?;
                pin(&server)?;
                servers.push((configuration, server));
            }
        }
        run_pairs(trial, disk, &servers)?;
        for (_, server) in servers {
            server.stop()?;
        }
    }
    Ok(())
}

fn run_pairs(trial: &mut Trial, disk: &Disk, servers: &[(Configuration, Server)]) -> Result<()> {
    let requests = if trial.options.quick { 2_000 } else { 5_000 };
    let files: Vec<u32> = (0..requests)
        .map(|index| disk.sets.small.file(index))
        .collect();
    for (_, server) in servers {
        burst(server, disk, &files)?;
    }
    let pairs = trial.options.rounds(Section::Cpu);
    for pair in 0..pairs {
        let mut runs: Vec<Run> = servers
            .iter()
            .map(|(configuration, _)| Run::new(Section::Cpu, *configuration, pair))
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
                trial.announce(Section::Cpu, *configuration, pair);
                let before = server.cpu_time()?;
                outcomes[index].push(burst(server, disk, &files)?);
                used[index] += server.cpu_time()? - before;
            }
        }
        for ((run, used), outcomes) in runs.iter_mut().zip(&used).zip(&outcomes) {
            run.set_outcomes(&outcomes.iter().collect::<Vec<_>>());
            let completed = run.figures[figure::COMPLETED].max(1.0);
            run.set(figure::CPU, used.as_secs_f64() * 1e6 / completed);
        }
        runs.into_iter().for_each(|run| trial.record_quietly(run));
    }
    for (configuration, _) in servers {
        let median = trial
            .results
            .median(Section::Cpu, *configuration, figure::CPU)
            .unwrap_or(0.0);
        trial.say(
            Section::Cpu,
            pairs,
            *configuration,
            &format!("{median:>7.2} us of CPU per request"),
        );
    }
    Ok(())
}

fn burst(server: &Server, disk: &Disk, files: &[u32]) -> Result<Outcome> {
    // In a thread of its own, which keeps to its core and ends: the trial's own thread stays free.
    thread::scope(|scope| {
        let client = scope.spawn(|| {
            if cores() > 1 {
                process::pin(0, 1)?;
            }
            ask(server, CONNECTIONS, &disk.sets.small, files, None)
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
