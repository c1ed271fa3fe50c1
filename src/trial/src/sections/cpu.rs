//! Everything cached, small files or large ones: what does the library cost a server that does not need it?
//!
//! The difference looked for is below what a machine's speed drifts within a minute, so both servers stay up and take turns
//! with short bursts, and each pair of bursts is compared by itself. The server has a core and the client has another.

use std::thread;
use std::time::Duration;

use anyhow::{anyhow, ensure, Result};

use super::{ask_by_protocol, http2, load_on, LEARNING};
use crate::disks::Disk;
use crate::files::FileSet;
use crate::load::{self, Closed, Kind, Outcome, Request};
use crate::plan::{Configuration, Part, Program, Section};
use crate::results::{figure, Run};
use crate::servers::{process, Server};
use crate::trial::Trial;

/// Over HTTP/2 as many requests at a time, on fewer connections.
const CONNECTIONS: usize = 16;

/// Bursts of each server in one pair.
const BURSTS: u32 = 4;

/// Large files that are asked for again and again.
const LARGE: u32 = 8;

/// All pairs of the section `cpu` or `bodies-cpu`, or of the parts `armed` and `handshakes`, one program after the other.
pub fn run(trial: &mut Trial, part: Part, disk: &Disk) -> Result<()> {
    for program in Program::all() {
        let mut configurations = trial.configurations(part);
        configurations.retain(|configuration| configuration.program == program);
        if let Some(last) = configurations.last() {
            let burst = Burst::of(part.section, program, trial.options.quick, disk);
            let ran = run_program(trial, part, disk, &configurations, &burst);
            trial.outlive(part.section, Some(*last), 0, ran)?;
        }
    }
    Ok(())
}

/// What is asked for at a time.
struct Burst {
    set: FileSet,
    requests: u32,
    kind: Kind,
}

impl Burst {
    fn of(section: Section, program: Program, quick: bool, disk: &Disk) -> Self {
        let (set, kind, requests) = match section {
            Section::BodiesCpu => (disk.sets.large.first(LARGE), Kind::Whole, 100),
            Section::Handshakes => (disk.sets.small.clone(), Kind::Last, 250),
            _ => (disk.sets.small.clone(), Kind::Whole, 5_000),
        };
        let requests = match (quick, program) {
            // A request takes it as much longer.
            (_, Program::Asyncio) if kind == Kind::Whole => requests / 2,
            (true, _) => requests * 2 / 5,
            (false, _) => requests,
        };
        Self {
            set,
            requests,
            kind,
        }
    }

    fn send(&self, server: &Server) -> Result<Outcome> {
        let requests = (0..self.requests).map(|index| Request {
            file: self.set.file(index),
            kind: self.kind,
        });
        // In a thread of its own, which keeps to its core and ends: the trial's own thread stays free.
        thread::scope(|scope| {
            let client = scope.spawn(|| {
                if cores() > 1 {
                    process::pin(0, 1)?;
                }
                if server.scheme().is_http2() {
                    let files: Vec<u32> = requests.map(|request| request.file).collect();
                    let connections = CONNECTIONS / http2::STREAMS;
                    return http2::ask(server, connections, http2::STREAMS, &self.set, &files);
                }
                let load = load_on(server, CONNECTIONS, &self.set);
                load::run(&load, &mut Closed::new(requests, None))
            });
            client.join().map_err(|_| anyhow!("the client panicked"))?
        })
    }
}

fn run_program(
    trial: &mut Trial,
    part: Part,
    disk: &Disk,
    configurations: &[Configuration],
    burst: &Burst,
) -> Result<()> {
    if part.section == Section::Armed {
        disk.make_cold()?;
    }
    // Read by us, before any server runs: these must never be a cold file.
    disk.warm(&burst.set)?;
    let mut servers = Vec::new();
    for configuration in configurations {
        let server = trial.start(configuration.server(1), disk)?;
        pin(&server)?;
        servers.push((*configuration, server));
    }
    run_pairs(trial, part, disk, burst, &servers)?;
    for (_, server) in servers {
        server.stop()?;
    }
    Ok(())
}

fn run_pairs(
    trial: &mut Trial,
    part: Part,
    disk: &Disk,
    burst: &Burst,
    servers: &[(Configuration, Server)],
) -> Result<()> {
    let section = part.section;
    let cold = disk.sets.cold.shuffled();
    let mut cold = cold.chunks(LEARNING as usize);
    for (_, server) in servers {
        burst.send(server)?;
    }
    let pairs = trial.options.rounds(part);
    for pair in 0..pairs {
        if section == Section::Armed {
            for (_, server) in servers {
                let files = cold.next().unwrap_or_default();
                let outcome = ask_by_protocol(server, 1, &disk.sets.cold, files)?;
                ensure!(outcome.failures.total() == 0, "a cold request failed");
            }
        }
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
                trial.announce(part, *configuration, pair);
                let before = server.cpu_time()?;
                outcomes[index].push(burst.send(server)?);
                used[index] += server.cpu_time()? - before;
            }
        }
        for ((run, used), outcomes) in runs.iter_mut().zip(&used).zip(&outcomes) {
            set_figures(run, *used, outcomes);
        }
        runs.into_iter().for_each(|run| trial.record_quietly(run));
    }
    let (figure, unit) = match section {
        Section::Handshakes => (figure::HANDSHAKES, "handshakes/s"),
        _ => (figure::CPU, "us of CPU per request"),
    };
    for (configuration, _) in servers {
        let median = trial.results.median(section, *configuration, figure);
        let what = format!("{:>7.2} {unit}", median.unwrap_or(0.0));
        trial.say(section, pairs, *configuration, &what);
    }
    Ok(())
}

fn set_figures(run: &mut Run, used: Duration, outcomes: &[Outcome]) {
    run.set_outcomes(&outcomes.iter().collect::<Vec<_>>());
    let completed = run.figures[figure::COMPLETED];
    let used = used.as_secs_f64() * 1e6;
    if run.section == Section::Handshakes {
        // The first on each connection were made before the clock began.
        let before = (outcomes.len() * CONNECTIONS) as f64;
        let elapsed: Duration = outcomes.iter().map(|outcome| outcome.elapsed).sum();
        let rate = (completed - before).max(0.0) / elapsed.as_secs_f64().max(1e-9);
        run.set(figure::HANDSHAKES, rate);
    }
    run.set(figure::CPU, used / completed.max(1.0));
    let megabytes = outcomes.iter().map(|outcome| outcome.bytes).sum::<u64>() as f64 / 1e6;
    run.set(figure::CPU_PER_MB, used / megabytes.max(1.0));
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
