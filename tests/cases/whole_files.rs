//! Servers that read a whole file before they send the first byte: how far they read is learnt.

use anyhow::{ensure, Context as _};
use laio_tests::cold::SlowDisk;
use laio_tests::library::check_loaded;
use laio_tests::server::{Config, Kind, Server};
use laio_tests::stats::Stats;
use laio_tests::tally::{ask_for, Documents};
use laio_tests::{run, Need, Preload, Result, Test};
use std::process::ExitCode;

const LARGE: Documents = Documents {
    directory: "large/",
    count: 16,
    length: 4_000_000,
};
/// From which it is learnt.
const LEARNING: usize = 3;

/// Without it, each of them would stall at every part behind the first window.
fn learns(kind: Kind) -> Result {
    let disk = SlowDisk::up()?;
    LARGE.write(&disk.root().join(LARGE.directory))?;
    disk.chill()?;
    let config = Config::default();
    let rule = format!("/={}/", disk.root().display());
    let preload = Preload::on()?
        .with("LAIO_MAP", rule)
        .with("LAIO_BREAK_EVEN_US", "0");
    let server = Server::start(kind, &config, &disk.root(), &preload)?;
    let serving = server.settled(kind, &config)?;
    serving.iter().try_for_each(|pid| check_loaded(*pid))?;
    let ask = |range: std::ops::Range<usize>, clients: usize| {
        let tally = ask_for(LARGE, range.clone(), server.address, clients, 100);
        tally.all_right(range.len()).context("bodies")?;
        Stats::of(&serving)
    };
    let before = ask(0..LEARNING, 1)?;
    let after = ask(LEARNING..LARGE.count, 2)?;
    let count = (LARGE.count - LEARNING) as u64;
    let stalls = after.stalls() - before.stalls();
    ensure!(
        before.stalls() > 4,
        "it does not read so far: this tested nothing\n{before}"
    );
    ensure!(stalls <= count, "{stalls} stalls of {count} files\n{after}");
    println!(
        "{} stalls of {LEARNING} files, {stalls} of {count}",
        before.stalls()
    );
    Ok(())
}

fn main() -> ExitCode {
    let kind = Kind::Tornado;
    run(vec![Test::new("Tornado", move || learns(kind))
        .needs(kind.need())
        .needs(Need::SlowDisk)
        .limit(120)])
}
