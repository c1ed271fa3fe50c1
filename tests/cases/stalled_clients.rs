//! Clients that ask for large cold bodies and take nothing, or go away in the middle: what they cost a server.

use anyhow::{bail, Context as _};
use laio_tests::cold::SlowDisk;
use laio_tests::http::{request, Connection};
use laio_tests::library::descriptors;
use laio_tests::server::{Config, Kind, Server};
use laio_tests::stats::Stats;
use laio_tests::{docroot, run, Need, Preload, Result, Test};
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

const CLIENTS: usize = 1000;
const LARGE: usize = 40;
const LENGTH: usize = 16 << 20;
const WINDOW: u64 = 256 * 1024;

fn name(number: usize) -> String {
    format!("large{}.bin", number % LARGE)
}

/// How often the processes gave up the processor to wait: a loop that spins, or is woken for nothing, goes on counting. The
/// library's own threads are not part of it: an idle helper leaves after a while.
fn waits(pids: &[u32]) -> Result<u64> {
    pids.iter().try_fold(0, |sum, pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/task/{pid}/status"))?;
        let line = status
            .lines()
            .find_map(|l| l.strip_prefix("voluntary_ctxt_switches:"));
        Ok(sum + line.context("no switches")?.trim().parse::<u64>()?)
    })
}

/// What the server's main threads have used of the processor, in ticks.
fn ticks(pids: &[u32]) -> Result<u64> {
    pids.iter().try_fold(0, |sum, pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/task/{pid}/stat"))?;
        let after = stat.rsplit_once(')').context("stat")?.1;
        let field = |n: usize| -> Result<u64> {
            Ok(after
                .split_whitespace()
                .nth(n)
                .context("a field")?
                .parse()?)
        };
        Ok(sum + field(11)? + field(12)?)
    })
}

fn resident(pids: &[u32]) -> Result<u64> {
    pids.iter().try_fold(0, |sum, pid| {
        let text = fs::read_to_string(format!("/proc/{pid}/statm"))?;
        let pages: u64 = text.split_whitespace().nth(1).context("statm")?.parse()?;
        Ok(sum + pages * 4096)
    })
}

/// Waits until what is counted stands still for a second, in which the server has answered: it may stall as long.
fn settle(server: &Server, serving: &[u32]) -> Result<Stats> {
    let mut last = (0, 0);
    for _ in 0..60 {
        std::thread::sleep(Duration::from_secs(1));
        let mut answered = Connection::open(server.address)?;
        // It touches no file for this.
        answered.send(&request("BREW", "/", "h", ""))?;
        answered.response(false)?;
        let stats = Stats::of(serving)?;
        let now = (
            stats.jobs() + stats.sum("/jobs/ahead"),
            stats.sum("/jobs/completed"),
        );
        if now == last && now.0 == now.1 {
            return Ok(stats);
        }
        last = now;
    }
    bail!("jobs go on for clients that take nothing: {last:?}")
}

fn stall(server: &Server, clients: std::ops::Range<usize>) -> Result<Vec<Connection>> {
    let mut stalled = Vec::new();
    for number in clients {
        let mut connection = Connection::open_narrow(server.address)?;
        connection.send(&request("GET", &format!("/{}", name(number)), "h", ""))?;
        stalled.push(connection);
    }
    Ok(stalled)
}

fn serve(kind: Kind, root: &Path) -> Result {
    let config = Config {
        http: match kind {
            Kind::Lighttpd => "server.max-fds = 4096\nserver.max-connections = 1024\n".into(),
            _ => String::new(),
        },
        ..Config::default()
    };
    let preload = Preload::on()?
        .with("LAIO_MAP", format!("/={}/", root.display()))
        .with("LAIO_WINDOW", WINDOW.to_string());
    let server = Server::start(kind, &config, root, &preload)?;
    let serving = server.settled(kind, &config)?;
    let before = descriptors(serving[0])?;
    let mut memory = None;
    for round in 0..3 {
        let stalled = stall(&server, 0..CLIENTS)?;
        let stats = settle(&server, &serving)?;
        // Nothing happens, and so nothing may be done: no wake-up, no job, no time.
        let (idle, used) = (waits(&serving)?, ticks(&serving)?);
        std::thread::sleep(Duration::from_secs(4));
        let (woken, spent) = (waits(&serving)? - idle, ticks(&serving)? - used);
        let after = settle(&server, &serving)?;
        println!("round {round}: {woken} wake-ups and {spent} ticks while idle\n{after}");
        // A server wakes once a second by itself.
        if woken > 40 || spent > 20 {
            bail!("{woken} wake-ups and {spent} ticks in 4 s although nothing happened");
        }
        if stats.jobs() != after.jobs() || stats.sum("/jobs/ahead") != after.sum("/jobs/ahead") {
            bail!("jobs for clients that take nothing\n{stats}{after}");
        }
        // What a socket takes is less than one megabyte; ahead of that goes a bounded number of windows.
        let bound = (round + 1) * CLIENTS as u64 * (4 << 20);
        if after.sum("/jobs/bytes") > bound || after.sum("/jobs/ahead") == 0 && round == 0 {
            bail!("read ahead for them: more than {bound} bytes, or uncounted\n{after}");
        }
        // Half of them reset, half leave; one of them takes all at last.
        let mut rest = stalled.into_iter().enumerate();
        let (_, mut last) = rest.next().context("nobody is stalled")?;
        for (number, connection) in rest {
            if number % 2 == 0 {
                connection.reset()?;
            }
        }
        let response = last.response(false)?;
        if response.body != docroot::content(&name(0), LENGTH) {
            bail!("the client that took its time has another body");
        }
        drop(last);
        let mut now = descriptors(serving[0])?;
        for _ in 0..1500 {
            if now <= before {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
            now = descriptors(serving[0])?;
        }
        if now > before {
            bail!("{before} descriptors before, {now} when all clients have gone");
        }
        settle(&server, &serving)?;
        let used = resident(&serving)?;
        // The first round has made what stays.
        if *memory.get_or_insert(used) + (16 << 20) < used {
            bail!("memory grows by each round: {memory:?}, {used}");
        }
    }
    Ok(())
}

fn case(kind: Kind) -> Result {
    let disk = SlowDisk::up()?;
    let root = disk.root().join("documents");
    for number in 0..LARGE {
        docroot::write(&root, &name(number), LENGTH)?;
    }
    disk.chill()?;
    serve(kind, &root)
}

fn main() -> ExitCode {
    let tests = [Kind::Nginx, Kind::Lighttpd].map(|kind| {
        // Without it, clients that do not read could make a loop spin, or have the disk read for them without bound.
        Test::new(format!("{kind:?}"), move || case(kind))
            .needs(Need::SlowDisk)
            .needs(kind.need())
            .limit(180)
    });
    run(tests.into_iter().collect())
}
