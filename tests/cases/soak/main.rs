//! Hours of mixed traffic in seconds, or in minutes (`scripts/soak`): real servers under a memory limit, whose files are replaced,
//! removed and added, on a disk that hangs and fails now and then. No answer is wrong or lost, and nothing grows.

mod clients;
mod limit;
mod picture;
mod site;

use anyhow::{ensure, Context as _};
use clients::Traffic;
use laio_tests::cold::SlowDisk;
use laio_tests::library;
use laio_tests::server::{Config, Kind, Server};
use laio_tests::stats::Stats;
use laio_tests::{run, Need, Preload, Result, Test};
use limit::MemoryLimit;
use site::Site;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Memory for each server and the pages that are read for it: a third of the site's.
const MEMORY: u64 = 24 << 20;

/// How many rounds there are at the least: the first two are not compared with others.
const ROUNDS: u32 = 6;

/// A server that takes part.
struct Served {
    kind: Kind,
    server: Server,
    pid: u32,
    _limit: Option<MemoryLimit>,
}

/// What a server has when all its clients are gone.
#[derive(Clone, Copy, Debug)]
struct Sample {
    descriptors: usize,
    memory_kib: u64,
    threads: u64,
    rules: u64,
    gated: u64,
    stalls: u64,
}

impl Served {
    fn start(kind: Kind, site: &Site) -> Result<Served> {
        let config = Config {
            // A client that was here before the disk failed is served after it.
            server: "lingering_timeout 1s;".into(),
            ..Config::default()
        };
        let config = match kind {
            Kind::Nginx => config,
            _ => Config::default(),
        };
        let preload = Preload::on()?.with("LAIO_BREAK_EVEN_US", "0");
        let server = Server::start(kind, &config, site.root(), &preload)?;
        let pid = *server
            .settled(kind, &config)?
            .first()
            .context("no process")?;
        let limit = MemoryLimit::new(pid, MEMORY)?;
        Ok(Served {
            kind,
            server,
            pid,
            _limit: limit,
        })
    }

    fn sample(&self) -> Result<Sample> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let of = |name: &str| -> Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let word = line.and_then(|line| line.split_whitespace().next());
            Ok(word.context("no such line")?.parse()?)
        };
        let stats = Stats::of(&[self.pid])?;
        Ok(Sample {
            descriptors: library::descriptors(self.pid)?,
            // What it has for itself: pages of files come and go.
            memory_kib: of("RssAnon:")?,
            threads: of("Threads:")?,
            rules: stats.sum("/loops/0/rules"),
            gated: stats.gated(),
            stalls: stats.stalls(),
        })
    }
}

/// For how long, and how long a round is.
fn length() -> Result<(Duration, Duration)> {
    let Some(minutes) = std::env::var_os("LAIO_SOAK") else {
        return Ok((Duration::ZERO, Duration::from_secs(2)));
    };
    let minutes: u64 = minutes.to_string_lossy().parse().context("LAIO_SOAK")?;
    let all = Duration::from_secs(60 * minutes);
    Ok((all, (all / 60).max(Duration::from_secs(10))))
}

/// One round: clients of all servers, while the site changes and its disk has bad moments.
fn traffic(site: &Site, disk: &SlowDisk, served: &[Served], round: Duration) -> Result<Traffic> {
    let is_over = AtomicBool::new(false);
    let traffic = Traffic::default();
    std::thread::scope(|scope| -> Result {
        for it in served {
            for client in 0..clients::CLIENTS {
                let (traffic, is_over, address) = (&traffic, &is_over, it.server.address);
                scope.spawn(move || clients::ask(site, address, client, traffic, is_over));
            }
        }
        let changed = site.change(disk, round);
        is_over.store(true, Ordering::Relaxed);
        changed
    })?;
    Ok(traffic)
}

fn soak() -> Result {
    let (all, round) = length()?;
    let began = Instant::now();
    let disk = SlowDisk::up()?;
    let site = Site::make(&disk)?;
    let served = [Kind::Nginx, Kind::Lighttpd]
        .map(|kind| Served::start(kind, &site))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let mut samples: Vec<(Duration, Vec<Sample>)> = Vec::new();
    let (mut asked, mut failed) = (0, 0);
    println!("minutes  answers  failed  wrong  server    descriptors  KiB  threads  rules  held back  stalls");
    while samples.len() < ROUNDS as usize || began.elapsed() < all {
        let traffic = traffic(&site, &disk, &served, round)?;
        let (right, excused, wrong) = traffic.sums();
        (asked, failed) = (asked + right, failed + excused);
        ensure!(
            wrong.is_empty(),
            "{} wrong or lost:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
        // What helpers hold is let go, and connections are closed.
        std::thread::sleep(Duration::from_secs(3));
        let now = served
            .iter()
            .map(Served::sample)
            .collect::<Result<Vec<_>>>()?;
        for (it, sample) in served.iter().zip(&now) {
            println!(
                "{:7.1} {right:8} {excused:7} {:6}  {:8} {:12} {:4} {:8} {:6} {:10} {:7}",
                began.elapsed().as_secs_f64() / 60.0,
                wrong.len(),
                format!("{:?}", it.kind),
                sample.descriptors,
                sample.memory_kib,
                sample.threads,
                sample.rules,
                sample.gated,
                sample.stalls,
            );
        }
        samples.push((began.elapsed(), now));
    }
    println!("{asked} right, {failed} while the disk failed");
    if let Some(file) = std::env::var_os("LAIO_SOAK_PICTURE").map(PathBuf::from) {
        let lines = served.iter().enumerate().map(|(number, it)| {
            let points = samples.iter().map(|(at, all)| (*at, all[number]));
            (it.kind, points.collect())
        });
        picture::draw(&file, lines.collect())?;
    }
    for (number, it) in served.iter().enumerate() {
        let of = |from: usize, to: usize| samples[from..to].iter().map(move |(_, all)| all[number]);
        let (third, last) = (samples.len() / 3, samples.len());
        let most = |what: fn(&Sample) -> u64, from: usize, to: usize| {
            of(from, to).map(|it| what(&it)).max().unwrap_or(0)
        };
        let descriptors: fn(&Sample) -> u64 = |it| it.descriptors as u64;
        let last_ones = last - third;
        ensure!(
            most(descriptors, last_ones, last) <= most(descriptors, third, last_ones) + 2,
            "{:?}: descriptors were gained",
            it.kind
        );
        let memory: fn(&Sample) -> u64 = |it| it.memory_kib;
        ensure!(
            most(memory, last_ones, last) <= most(memory, third, last_ones) + 1024,
            "{:?}: memory was gained",
            it.kind
        );
        ensure!(
            most(|it| it.rules, 0, last) < 64,
            "{:?}: rules were gained",
            it.kind
        );
        ensure!(
            most(|it| it.gated, 0, last) > 100,
            "{:?}: this tested nothing",
            it.kind
        );
    }
    Ok(())
}

fn main() -> ExitCode {
    let limit = length().map_or(0, |(all, _)| all.as_secs());
    // Without it, something that is forgotten once in a thousand requests would be found by users.
    let test = Test::new("nothing grows", soak)
        .needs(Need::Root)
        .needs(Need::SlowDisk)
        .needs(Kind::Nginx.need())
        .needs(Kind::Lighttpd.need())
        .limit(limit + 180);
    run(vec![test])
}
