//! What a few requests of a stranger can cost: other clients' predictions, and reads of the disk for nothing. Read from
//! the counters.

use anyhow::{bail, Context as _};
use laio_tests::cold::SlowDisk;
use laio_tests::library::{self, fresh_dir};
use laio_tests::machine::wait_within;
use laio_tests::program::{compile, observe, Build};
use laio_tests::stats::Stats;
use laio_tests::test::scratch;
use laio_tests::{run, Need, Preload, Result, Test};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

/// Runs a program on a slow disk, and returns what it has counted.
fn counted(disk: &SlowDisk, program: &str, way: &str) -> Result<Stats> {
    counted_with(disk, program, way, &[])
}

/// The same, with some settings.
fn counted_with(
    disk: &SlowDisk,
    program: &str,
    way: &str,
    settings: &[(&str, u64)],
) -> Result<Stats> {
    let dir = fresh_dir("stats")?;
    let mut preload = Preload::on()?.with("LAIO_STATS", dir.join("laio-%p.json"));
    for (name, value) in settings {
        preload = preload.with(name, value.to_string());
    }
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

/// What stands in a body is no request, and the one behind it is.
fn uploads(way: &str) -> Result {
    /// Of the program's small files: four when it begins to serve, and four behind the body.
    const SMALL: u64 = 8;
    const LARGE: u64 = 4 << 20;
    let disk = SlowDisk::up()?;
    let (plain, body) = (
        counted(&disk, "uploads", "plain")?,
        counted(&disk, "uploads", way)?,
    );
    let bytes = |stats: &Stats| stats.sum("/jobs/bytes");
    println!(
        "bytes read: {} for requests, {} for what stands in a body; held back: {}",
        bytes(&plain),
        bytes(&body),
        body.gated()
    );
    if bytes(&plain) < LARGE {
        bail!("they would not be read as requests: this tests nothing\n{plain}");
    }
    if bytes(&body) > 64 * 1024 {
        bail!("what stands in a body is taken for requests\n{body}");
    }
    if body.gated() < SMALL {
        bail!("what comes behind the body is not held back\n{body}");
    }
    Ok(())
}

/// Requests for single bytes of large files: what is read for them is little, and nothing stalls.
fn single_bytes() -> Result {
    const REQUESTS: u64 = 20;
    let disk = SlowDisk::up()?;
    let stats = counted(&disk, "conditional", "range")?;
    let bytes = stats.sum("/jobs/bytes");
    println!(
        "bytes read ahead of the server: {bytes}; stalls: {}",
        stats.stalls()
    );
    if stats.gated() < REQUESTS || stats.stalls() > 3 {
        bail!("requests for single bytes stall\n{stats}");
    }
    if bytes > REQUESTS * 16 * 1024 + 64 * 1024 {
        bail!("{bytes} bytes were read for {REQUESTS}\n{stats}");
    }
    Ok(())
}

/// Clients that are reset before anything is answered: one window is read for each, whatever they have asked for.
fn abandoned(way: &str) -> Result {
    const CLIENTS: u64 = 12;
    const WINDOW: u64 = 256 * 1024;
    // Requests behind the first of a client.
    const OTHERS: u64 = 7;
    // The first files, for which nobody goes away.
    const FIRST: u64 = 64 * 1024;
    let disk = SlowDisk::up()?;
    let stats = counted(&disk, "abandoned", way)?;
    let bytes = stats.sum("/jobs/bytes");
    println!("bytes read ahead of the server: {bytes}");
    if stats.gated() < CLIENTS {
        bail!("these clients are not held back: this tests nothing\n{stats}");
    }
    if way == "held" {
        // A reset that comes late may find all in memory.
        if stats.sum("/jobs/paths_abandoned") < CLIENTS
            || stats.sum("/reasons/client_gone") < CLIENTS / 2
        {
            bail!("files were read for clients that were gone\n{stats}");
        }
    } else if !(CLIENTS * WINDOW..=CLIENTS * WINDOW + FIRST).contains(&bytes) {
        bail!("{bytes} bytes were read for {CLIENTS} clients, and a window is {WINDOW}\n{stats}");
    }
    // Of one request there may be several candidates, where a busy machine has made the program's files look related.
    if way == "body" && stats.sum("/jobs/paths_left_out") >= CLIENTS * OTHERS {
        bail!("a body was taken for requests\n{stats}");
    }
    Ok(())
}

/// What may be in flight is a setting: by connection, and by address.
fn bounded(way: &str) -> Result {
    const CLIENTS: u64 = 12;
    const WINDOW: u64 = 256 * 1024;
    const FIRST: u64 = 64 * 1024;
    let disk = SlowDisk::up()?;
    // What goes away is charged to its address: the first four clients leave nothing for the others.
    let stats = counted_with(
        &disk,
        "abandoned",
        way,
        &[("LAIO_INFLIGHT_ADDRESS", 4 * WINDOW)],
    )?;
    let [bytes, abandoned, refused] = [
        "/jobs/bytes",
        "/jobs/bytes_abandoned",
        "/reasons/inflight_address",
    ]
    .map(|pointer| stats.sum(pointer));
    println!("four windows for an address: {bytes} bytes read, {abandoned} for nothing, {refused} requests not held back");
    // The bound is forgotten by half every 8 s, which a busy machine may take.
    if !(4 * WINDOW..=8 * WINDOW + FIRST).contains(&bytes) || refused == 0 {
        bail!("{bytes} bytes were read\n{stats}");
    }
    if abandoned != bytes / WINDOW * WINDOW {
        bail!("{abandoned} bytes were counted of {bytes}\n{stats}");
    }
    let stats = counted_with(&disk, "abandoned", way, &[("LAIO_INFLIGHT", WINDOW / 4)])?;
    let bytes = stats.sum("/jobs/bytes");
    println!("a quarter of a window for a connection: {bytes} bytes read");
    if !(CLIENTS * WINDOW / 4..=CLIENTS * WINDOW / 4 + FIRST).contains(&bytes) {
        bail!("{bytes} bytes were read\n{stats}");
    }
    Ok(())
}

/// Clients that are answered are charged nothing, however little is allowed: all are held back.
fn answered() -> Result {
    const REQUESTS: u64 = 3 * 12;
    const WINDOW: u64 = 256 * 1024;
    let disk = SlowDisk::up()?;
    let settings = [("LAIO_INFLIGHT", WINDOW), ("LAIO_INFLIGHT_ADDRESS", WINDOW)];
    let stats = counted_with(&disk, "abandoned", "answered", &settings)?;
    let refused =
        stats.sum("/reasons/inflight_address") + stats.sum("/reasons/inflight_connection");
    let abandoned = stats.sum("/jobs/bytes_abandoned");
    println!(
        "held back: {}; not: {refused}; bytes abandoned: {abandoned}",
        stats.gated()
    );
    if stats.gated() < REQUESTS || refused > 0 || abandoned > 0 {
        bail!("clients that use what is read for them are charged for it\n{stats}");
    }
    Ok(())
}

/// A process that has mapped other files by the library's name, with the library and without.
fn impostors() -> Result {
    let program = compile("impostor", Build::Program)?;
    let library = std::fs::read(library::path()?)?;
    let root = fresh_dir("impostors")?;
    for preload in [Preload::on()?, Preload::stock()] {
        let mut paths = Vec::new();
        let mut write = |name: &str, bytes: &[u8], length: u64| -> Result {
            let path = root.join(name).join("liblaio.so");
            std::fs::create_dir_all(root.join(name))?;
            let _ = std::fs::remove_file(&path);
            std::fs::write(&path, bytes)?;
            File::options().write(true).open(&path)?.set_len(length)?;
            paths.push(path);
            Ok(())
        };
        write("whole", &library, library.len() as u64)?;
        write("half", &library, library.len() as u64 / 2)?;
        write("huge", &library, 1 << 40)?;
        let this = std::fs::read("/proc/self/exe")?;
        write("other", &this, this.len() as u64)?;
        write("text", b"no library", 5000)?;
        let mut child = preload
            .command(&program)
            .args(&paths)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        if line != "mapped\n" {
            bail!("the program itself: {line:?}, {:?}", child.wait()?);
        }
        let mut stats = Command::new(library::command()?)
            .args(["stats", "--json", &child.id().to_string()])
            .stdout(File::create(scratch().join("stats.out"))?)
            .stderr(File::create(scratch().join("stats.err"))?)
            .spawn()?;
        let status = wait_within(&mut stats, Duration::from_secs(20), false);
        drop(child.stdin.take());
        child.wait()?;
        let said = std::fs::read_to_string(scratch().join("stats.err"))?;
        let status = status.context("laio stats was still running after 20 s")?;
        let first = said.lines().next().unwrap_or_default();
        println!("{}: {status}: {first}", preload.name);
        if preload.is_stock() {
            // The copies have nothing behind them, whichever is tried.
            if status.code() != Some(3) || said.is_empty() || said.contains("panicked") {
                bail!("{status}: {said}");
            }
        } else if !status.success() {
            bail!("the library itself was not found: {said}");
        }
    }
    Ok(())
}

/// Requests with a condition that is never met, or a range that is not looked at: the server reads each file, and stalls for
/// the first.
fn unmet(way: &str) -> Result {
    const REQUESTS: u64 = 20;
    let disk = SlowDisk::up()?;
    let stats = counted(&disk, "conditional", way)?;
    // Two stalls come before anything is known: of the first file at all, and of the first with a condition.
    if stats.gated() < REQUESTS || stats.stalls() > 5 {
        bail!("conditions that are not met, or ranges, stall\n{stats}");
    }
    Ok(())
}

fn main() -> ExitCode {
    let mut tests = Vec::new();
    // Without it, a process could keep whoever asks for its counters waiting for ever, or end that command.
    tests.push(Test::new("impostors", impostors));
    for way in ["empty_line", "unknown"] {
        // Without these, a stranger could teach a rule that outranks the right one, and all cold files of a host stall.
        let name = format!("poison: {way}");
        tests.push(Test::new(name, move || poisoned(way)).needs(Need::SlowDisk));
    }
    for way in ["length", "chunks", "get", "parts"] {
        // Without these, each 50 bytes of a body could have a window read for nothing.
        let name = format!("requests in a body: {way}");
        tests.push(Test::new(name, move || uploads(way)).needs(Need::SlowDisk));
    }
    // Without it, 1.7 KB of requests could have 40 MB read from the disk for nothing.
    tests.push(Test::new("conditional requests", conditional).needs(Need::SlowDisk));
    for way in ["pipelined", "held", "body", "one"] {
        // Without these, a client could have eight windows read by 300 bytes and a reset, again and again.
        let name = format!("clients that go away: {way}");
        tests.push(Test::new(name, move || abandoned(way)).needs(Need::SlowDisk));
    }
    for way in ["one", "unix"] {
        // Without these, one host could have any number of windows read for nothing.
        let name = format!("what may be in flight: {way}");
        tests.push(Test::new(name, move || bounded(way)).needs(Need::SlowDisk));
    }
    // Without it, all clients behind a proxy would pass through after a while.
    tests.push(Test::new("what is used is not in flight", answered).needs(Need::SlowDisk));
    // Without it, a client could have a window read by each 100 bytes, and receive next to nothing.
    tests.push(Test::new("single bytes", single_bytes).needs(Need::SlowDisk));
    // Without these, a client could have every cold file stall by a condition or a range that it makes up.
    for (name, way) in [
        ("conditions that are not met", "unmet"),
        ("ranges that are not looked at", "ignored"),
    ] {
        tests.push(Test::new(name, move || unmet(way)).needs(Need::SlowDisk));
    }
    run(tests)
}
