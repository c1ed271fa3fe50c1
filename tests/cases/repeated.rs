//! Requests that are asked for again and again are not looked into each time, and what is slow for another reason than the disk is
//! no stall.

use anyhow::{ensure, Context as _};
use laio_tests::cold::SlowDisk;
use laio_tests::http::{request, Connection};
use laio_tests::library::fresh_dir;
use laio_tests::server::{Config, Kind, Server};
use laio_tests::stats::Stats;
use laio_tests::{docroot, run, Need, Preload, Result, Test};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, ExitCode};
use std::time::{Duration, Instant};

const FILES: usize = 20;
const LENGTH: usize = 10_000;
const SERVERS: [(&str, Kind); 4] = [
    ("nginx", Kind::Nginx),
    ("lighttpd", Kind::Lighttpd),
    ("h2o", Kind::H2o),
    ("asyncio", Kind::Asyncio),
];

fn name(number: usize) -> String {
    format!("f{}.html", number % FILES)
}

/// Asks for so many files, one after the other, and looks at what comes.
fn ask(connection: &mut Connection, numbers: impl IntoIterator<Item = usize>) -> Result {
    for number in numbers {
        let name = name(number);
        connection.send(&request("GET", &format!("/{name}"), "h", ""))?;
        let answer = connection.response(false)?;
        ensure!(
            answer.status == 200 && answer.body == docroot::content(&name, LENGTH),
            "{name}: status {}, or it differs",
            answer.status
        );
    }
    Ok(())
}

fn write(root: &Path) -> Result {
    (0..FILES).try_for_each(|number| docroot::write(root, &name(number), LENGTH))
}

/// From the first request on it looks at what it is asked for.
fn looking(root: &Path) -> Result<Preload> {
    let rule = format!("/={}/", root.display());
    Ok(Preload::on()?
        .with("LAIO_MAP", rule)
        .with("LAIO_BREAK_EVEN_US", "0"))
}

/// All is in memory: each file is asked about once or twice, and so is each request looked into.
fn in_memory(kind: Kind) -> Result {
    const REQUESTS: u64 = 2_000;
    let root = fresh_dir("documents")?;
    write(&root)?;
    let config = Config::default();
    let server = Server::start(kind, &config, &root, &looking(&root)?)?;
    let serving = server.settled(kind, &config)?;
    let mut connection = Connection::open(server.address)?;
    ask(&mut connection, 0..REQUESTS as usize)?;
    let stats = Stats::of(&serving)?;
    let repeated = stats.sum("/reasons/repeated");
    ensure!(
        repeated > REQUESTS / 2 && stats.sum("/jobs/probes") < REQUESTS / 4,
        "{repeated} of {REQUESTS} were known\n{stats}"
    );
    Ok(())
}

/// Memory is taken from files that are asked for all the time: all bodies are right, and what is gone is found.
fn taken_away(kind: Kind) -> Result {
    const ROUNDS: usize = 3;
    let disk = SlowDisk::up()?;
    let root = disk.root().join("documents");
    write(&root)?;
    let config = Config::default();
    let server = Server::start(kind, &config, &root, &looking(&root)?)?;
    let serving = server.settled(kind, &config)?;
    let mut connection = Connection::open(server.address)?;
    let mut asked_often = 0;
    for _ in 0..ROUNDS {
        ask(&mut connection, 0..4 * FILES)?;
        let before = Stats::of(&serving)?;
        disk.chill()?;
        // What was served just now is taken to be there, and may stall: once.
        ask(&mut connection, 0..4 * FILES)?;
        let between = Stats::of(&serving)?;
        asked_often += between.stalls() - before.stalls();
        std::thread::sleep(Duration::from_millis(2_500));
        disk.chill()?;
        // Nobody has asked for a while: it is looked for, and brought in.
        ask(&mut connection, 0..FILES)?;
        let after = Stats::of(&serving)?;
        let gated = after.gated() - between.gated();
        let stalls = after.stalls() - between.stalls();
        ensure!(
            gated as usize >= FILES / 2 && stalls <= 4,
            "{gated} of {FILES} cold requests were held back, {stalls} stalled\n{after}"
        );
    }
    // Its name and its data each.
    ensure!(
        asked_often as usize <= ROUNDS * 3 * FILES,
        "a file stalls again and again: {asked_often}\n{}",
        Stats::of(&serving)?
    );
    Ok(())
}

/// A debugger stops each call, which is slow then, and counts as a sleep.
fn traced(kind: Kind) -> Result {
    let root = fresh_dir("documents")?;
    write(&root)?;
    let output = fresh_dir("trace")?.join("trace");
    let server = Server::start_with(
        kind,
        &Config::default(),
        &root,
        &looking(&root)?,
        |preload, program| preload.traced(program, &["-f", "-qq"], &output),
    )?;
    let traced = *server
        .children()?
        .first()
        .context("the tracer runs nothing")?;
    ask(&mut Connection::open(server.address)?, 0..300)?;
    let ended = server.stop(traced, libc::SIGTERM)?;
    let stats = ended.stats.context(ended.log)?;
    let looked = stats.sum("/reasons/repeated") + stats.sum("/reasons/warm");
    ensure!(looked > 100, "nobody looked: this tested nothing\n{stats}");
    ensure!(stats.stalls() == 0, "nothing was cold\n{stats}");
    Ok(())
}

/// A program that is ended when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How many pages the server of `page_faults.py` reads by faults, at the most.
const PAGES: usize = 60;

/// That server, with a cold file to map, and what else it reads.
fn faults(disk: &SlowDisk, read: &Path) -> Result<(Running, Connection)> {
    let mapped = disk.root().join("mapped");
    std::fs::write(&mapped, vec![1; PAGES * 64 * 4096])?;
    disk.chill()?;
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let preload = Preload::on()?.with("LAIO_BREAK_EVEN_US", "0");
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/page_faults.py");
    let mut command = preload.command(Path::new("/usr/bin/python3"));
    command
        .arg(program)
        .arg(address.port().to_string())
        .args([&*mapped, read]);
    let server = Running(command.spawn()?);
    Ok((server, connect(address)?))
}

fn get(connection: &mut Connection, target: &str) -> Result {
    connection.send(&request("GET", target, "h", ""))?;
    let answer = connection.response(false)?;
    ensure!(answer.status == 200, "status {}", answer.status);
    Ok(())
}

/// What a server reads by faults of pages that it has mapped is not what its next slow call has waited for.
fn faulting() -> Result {
    let disk = SlowDisk::up()?;
    let read = fresh_dir("read")?.join("file");
    std::fs::write(&read, vec![2; 4 << 20])?;
    let (server, mut connection) = faults(&disk, &read)?;
    for _ in 0..PAGES {
        get(&mut connection, "/")?;
    }
    let stats = Stats::of(&[server.0.id()])?;
    ensure!(
        stats.sum("/reasons/preempted") > 0,
        "no call was slow: this tested nothing\n{stats}"
    );
    ensure!(stats.stalls() == 0, "no call has waited\n{stats}");
    Ok(())
}

/// Nor do such faults, one behind each request, hide that its look-up has waited.
fn cold_and_faulting() -> Result {
    let disk = SlowDisk::up()?;
    let root = disk.root().join("documents");
    // A directory each, so that each look-up waits.
    let name = |number: usize| format!("d{number}/c.html");
    (0..PAGES).try_for_each(|number| docroot::write(&root, &name(number), LENGTH))?;
    let (server, mut connection) = faults(&disk, &root)?;
    // Nothing cold, and then each request behind another one's fault.
    (0..3).try_for_each(|_| get(&mut connection, "/"))?;
    for number in 0..PAGES - 3 {
        get(&mut connection, &format!("/{}", name(number)))?;
    }
    let stats = Stats::of(&[server.0.id()])?;
    ensure!(
        stats.gated() as usize > PAGES / 2,
        "names are not seen to be cold\n{stats}"
    );
    Ok(())
}

/// Connects as soon as the program listens.
fn connect(address: SocketAddr) -> Result<Connection> {
    let begin = Instant::now();
    loop {
        match Connection::open(address) {
            Err(_) if begin.elapsed() < Duration::from_secs(20) => {
                std::thread::sleep(Duration::from_millis(20));
            }
            result => return result,
        }
    }
}

fn main() -> ExitCode {
    let mut tests = Vec::new();
    for (word, kind) in SERVERS {
        let memory = Test::new(format!("in_memory {word}"), move || in_memory(kind));
        tests.push(memory.needs(kind.need()));
        let taken = Test::new(format!("taken_away {word}"), move || taken_away(kind));
        tests.push(taken.needs(kind.need()).needs(Need::SlowDisk));
    }
    tests.push(
        Test::new("traced", || traced(Kind::Nginx))
            .needs(Kind::Nginx.need())
            .needs(Need::Command("strace", "strace")),
    );
    let faults: [(_, fn() -> Result); 2] = [
        ("faulting", faulting),
        ("cold and faulting", cold_and_faulting),
    ];
    for (name, test) in faults {
        let test = Test::new(name, test).needs(Need::SlowDisk);
        tests.push(test.needs(Need::Command("/usr/bin/python3", "python3")));
    }
    run(tests)
}
