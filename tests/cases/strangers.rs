//! What a few requests of a stranger can cost: other clients' predictions, and reads of the disk for nothing. Read from
//! the counters.

use anyhow::bail;
use laio_tests::cold::SlowDisk;
use laio_tests::library::fresh_dir;
use laio_tests::program::{compile, observe, Build};
use laio_tests::stats::Stats;
use laio_tests::{run, Need, Preload, Result, Test};
use std::process::ExitCode;

/// Runs a program on a slow disk, and returns what it has counted.
fn counted(disk: &SlowDisk, program: &str, way: &str) -> Result<Stats> {
    let dir = fresh_dir("stats")?;
    let preload = Preload::on()?.with("LAIO_STATS", dir.join("laio-%p.json"));
    let work = disk.root().join(way);
    std::fs::create_dir_all(&work)?;
    let arguments = [&*work.to_string_lossy(), way];
    let ended = observe(&compile(program, Build::Program)?, &arguments, &preload)?;
    if ended.ending != "exit status 0" {
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        bail!("{program} {way}: {}\n{said}", ended.ending);
    }
    Stats::read(&dir)
}

/// A stranger's requests between a victim's: all of the victim's cold files are held back as without them.
fn poisoned(way: &str) -> Result {
    const REQUESTS: u64 = 60;
    let disk = SlowDisk::up()?;
    let alone = counted(&disk, "poison", "none")?;
    let beside = counted(&disk, "poison", way)?;
    println!(
        "stalls: {} alone, {} beside; held back: {} alone, {} beside",
        alone.stalls(),
        beside.stalls(),
        alone.gated(),
        beside.gated()
    );
    if alone.gated() < REQUESTS {
        bail!("the victim alone is not held back: this tests nothing\n{alone}");
    }
    if beside.gated() < REQUESTS || beside.stalls() > alone.stalls() + 1 {
        bail!("the stranger's requests cost the victim its predictions\n{alone}{beside}");
    }
    Ok(())
}

/// Requests that will be answered without a body: names are brought in, and nothing of the files.
fn conditional() -> Result {
    const LARGE: u64 = 20 << 20;
    let disk = SlowDisk::up()?;
    let bytes =
        |way: &str| Ok::<_, anyhow::Error>(counted(&disk, "conditional", way)?.sum("/jobs/bytes"));
    let (plain, conditional) = (bytes("plain")?, bytes("conditional")?);
    println!("bytes read ahead of the server: {plain} without a condition, {conditional} with one");
    if plain < LARGE / 8 {
        bail!("without a condition only {plain} bytes were read: this tests nothing");
    }
    // Those of the first, small files, for which there is no condition.
    if conditional > 64 * 1024 {
        bail!("{conditional} bytes were read for answers without a body");
    }
    Ok(())
}

fn main() -> ExitCode {
    let mut tests = Vec::new();
    for way in ["empty_line", "unknown"] {
        // Without these, a stranger could teach a rule that outranks the right one, and all cold files of a host stall.
        let name = format!("poison: {way}");
        tests.push(Test::new(name, move || poisoned(way)).needs(Need::SlowDisk));
    }
    // Without it, 1.7 KB of requests could have 40 MB read from the disk for nothing.
    tests.push(Test::new("conditional requests", conditional).needs(Need::SlowDisk));
    run(tests)
}
