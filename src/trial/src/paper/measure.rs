//! Servers under load: closed-loop clients without think time on keep-alive connections, more and more of them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::linux::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{ensure, Context, Result};
use nix::sys::stat::{major, minor};

use super::evaluation::Paper;
use super::limit::Limit;
use super::plan::{Contender, Part};
use super::results::{figure, Load};
use super::workload::Mix;
use crate::disks::Disk;
use crate::files::FileSet;
use crate::interrupt;
use crate::load::{self, Closed};
use crate::sections::load_on;
use crate::servers::{process, Server};

/// Requests that the memory is filled with before a disk-bound server is measured: more than fit, so that it holds what it
/// would hold after any long time.
const FILLING: usize = 8000;

/// How many files are read at once for that; the disk takes ten reads at once.
const READERS: &str = "16";

/// How long a server is under load before it is measured.
const WARM_UP: Duration = Duration::from_secs(1);

/// Clients of that load.
const WARM_UP_CLIENTS: usize = 16;

/// Which server in which round of which part.
#[derive(Clone, Copy)]
struct Turn {
    part: Part,
    contender: Contender,
    round: u32,
}

/// All rounds of a part.
pub fn run(paper: &mut Paper, part: Part, disk: &Disk<FileSet>) -> Result<()> {
    let set = paper.set(part);
    let mix = Mix::new(&set);
    if part == Part::Memory {
        return run_together(paper, part, disk, &mix);
    }
    for round in 0..paper.options.rounds(part) {
        for contender in paper.order(round) {
            let turn = Turn {
                part,
                contender,
                round,
            };
            paper.announce(part, contender.name(), round);
            let result = run_one(paper, turn, disk, &mix);
            note_failure(paper, turn, result)?;
            paper.step();
        }
    }
    Ok(())
}

/// All servers at once, with each number of clients one after the other: the processor is all that they need, and how much of it
/// there is differs from minute to minute.
fn run_together(paper: &mut Paper, part: Part, disk: &Disk<FileSet>, mix: &Mix<'_>) -> Result<()> {
    disk.make_cold()?;
    let mut servers = BTreeMap::new();
    for contender in paper.contenders() {
        paper.announce(part, contender.name(), 0);
        let server = paper.start(contender, disk)?;
        warm(None, &server, disk, mix)?;
        servers.insert(contender, server);
    }
    for round in 0..paper.options.rounds(part) {
        for clients in paper.options.clients(part) {
            paper.announce(part, &format!("{clients} clients"), round);
            for contender in paper.order(round) {
                let turn = Turn {
                    part,
                    contender,
                    round,
                };
                let Some(server) = servers.get_mut(&contender) else {
                    continue;
                };
                let result = load_under(paper, turn, server, disk, mix, clients).and_then(|load| {
                    paper.record(load);
                    server.check_alive()
                });
                if result.is_err() {
                    servers.remove(&contender);
                }
                note_failure(paper, turn, result)?;
            }
        }
        (0..servers.len()).for_each(|_| paper.step());
    }
    for (contender, server) in servers {
        stop(paper, contender, server)?;
    }
    Ok(())
}

/// Goes on after a server has failed: the others' figures are still wanted.
fn note_failure(paper: &mut Paper, turn: Turn, result: Result<()>) -> Result<()> {
    if let Err(error) = result {
        interrupt::check()?;
        paper.results.broken += 1;
        let (server, part) = (turn.contender.name(), turn.part.name());
        let round = turn.round + 1;
        paper.note(format!(
            "{server} failed in round {round} of {part}: {error:#}"
        ));
    }
    Ok(())
}

/// Ends a server, and notes what it had to say.
fn stop(paper: &mut Paper, contender: Contender, server: Server) -> Result<()> {
    if let Some(first) = server.stop()?.first() {
        paper.note(format!("{} complained: {first}", contender.name()));
    }
    Ok(())
}

/// One server, with all numbers of clients.
fn run_one(paper: &mut Paper, turn: Turn, disk: &Disk<FileSet>, mix: &Mix<'_>) -> Result<()> {
    let clients = paper.options.clients(turn.part);
    // From one load to the next, memory stays as it is. Where that is not wanted, each has a start of its own.
    let starts: Vec<&[u32]> = match turn.part.is_cold() {
        true => clients.chunks(1).collect(),
        false => vec![&clients],
    };
    for clients in starts {
        disk.make_cold()?;
        // Before the server, so that it is removed after it.
        let limit = match turn.part.is_disk_bound() {
            true => Some(Limit::new(paper.options.memory << 20)?),
            false => None,
        };
        let mut server = paper.start(turn.contender, disk)?;
        if let Some(limit) = &limit {
            for process in processes(&server) {
                limit.adopt(process)?;
            }
        }
        if !turn.part.is_cold() {
            warm(limit.as_ref(), &server, disk, mix)?;
        }
        for clients in clients {
            let load = load_under(paper, turn, &server, disk, mix, *clients)?;
            paper.record(load);
            server.check_alive()?;
        }
        stop(paper, turn.contender, server)?;
    }
    Ok(())
}

/// Brings about the state of a server that has run for long.
fn warm(limit: Option<&Limit>, server: &Server, disk: &Disk<FileSet>, mix: &Mix<'_>) -> Result<()> {
    match limit {
        Some(limit) => fill_memory(limit, disk.docroot(), mix)?,
        None => disk.warm(mix.set())?,
    }
    // The server has caches of its own.
    let load = load_on(server, WARM_UP_CLIENTS, mix.set());
    load::run(&load, &mut Closed::new(mix.seeded(0), Some(WARM_UP)))?;
    Ok(())
}

/// So many clients for the time that was asked for.
fn load_under(
    paper: &Paper,
    turn: Turn,
    server: &Server,
    disk: &Disk<FileSet>,
    mix: &Mix<'_>,
    clients: u32,
) -> Result<Load> {
    // All servers of a round are asked for the same.
    let seed = u64::from(turn.round) << 32 | u64::from(clients);
    let requests = mix.seeded(seed + 1);
    let load = load_on(server, clients as usize, mix.set());
    let (cpu, reads) = (cpu_time(server)?, disk_reads(disk.docroot()));
    let outcome = load::run(
        &load,
        &mut Closed::new(requests, Some(paper.options.time(turn.part))),
    )?;
    let cpu = cpu_time(server)?.saturating_sub(cpu);

    let ms = |nanoseconds: f64| nanoseconds / 1e6;
    let at = |quantile| ms(outcome.latency.value_at_quantile(quantile) as f64);
    let completed = outcome.completed.max(1) as f64;
    let mut figures = BTreeMap::from([
        (figure::MBITS, outcome.megabits_per_second()),
        (figure::RATE, outcome.rate()),
        (figure::MEAN, ms(outcome.latency.mean())),
        (figure::P50, at(0.5)),
        (figure::P99, at(0.99)),
        (figure::CPU, cpu.as_secs_f64() * 1e6 / completed),
        (figure::COMPLETED, outcome.completed as f64),
        (figure::FAILED, outcome.failures.total() as f64),
    ]);
    if let (Some(before), Some(after)) = (reads, disk_reads(disk.docroot())) {
        figures.insert(
            figure::READS,
            after.saturating_sub(before) as f64 / completed,
        );
    }
    Ok(Load {
        part: turn.part,
        server: turn.contender.name(),
        round: turn.round,
        clients,
        figures,
        failures: outcome.failures.by_kind().clone(),
    })
}

/// The server's processes: some have helpers of their own.
fn processes(server: &Server) -> Vec<i32> {
    let workers = server.workers().iter();
    workers
        .flat_map(|worker| [vec![*worker], process::children(*worker)].concat())
        .collect()
}

fn cpu_time(server: &Server) -> Result<Duration> {
    processes(server).into_iter().map(process::cpu_time).sum()
}

/// Reads what the mix asks for, on the server's account, until its memory holds what it would hold after any long time.
///
/// The server itself could be asked for all that, but one that waits for each read would take ten times as long as others, or
/// hold less when it is measured.
fn fill_memory(limit: &Limit, docroot: &Path, mix: &Mix<'_>) -> Result<()> {
    let mut reader = Command::new("xargs")
        .args(["-0", "-n", "16", "-P", READERS, "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .context("cannot start xargs")?;
    let list = reader.stdin.take();
    let result = limit.adopt(reader.id() as i32).and_then(|()| {
        let mut list = std::io::BufWriter::new(list.context("xargs has no input")?);
        for request in mix.seeded(0).take(FILLING) {
            let path = mix.set().path(docroot, request.file);
            write!(list, "{}\0", path.display())?;
        }
        Ok(list.flush()?)
    });
    // Its input is closed by now: it ends in either case.
    let status = reader.wait()?;
    result?;
    ensure!(status.success(), "the files could not be read: {status}");
    Ok(())
}

/// Reads that the disk of a docroot has done, where the kernel counts them for one device.
fn disk_reads(docroot: &Path) -> Option<u64> {
    let device = fs::metadata(docroot).ok()?.st_dev();
    let statistics = format!("/sys/dev/block/{}:{}/stat", major(device), minor(device));
    let text = fs::read_to_string(statistics).ok()?;
    text.split_whitespace().next()?.parse().ok()
}
