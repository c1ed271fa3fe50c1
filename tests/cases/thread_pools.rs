//! Real servers that leave their files to a pool of threads: Node's streams, express, aiohttp, Starlette, waitress, nginx with `aio
//! threads`. What such a thread waits for teaches the loop for which it does so. And threads that wait for each other, and not for a disk.

use anyhow::{ensure, Context as _};
use laio_tests::cold::{drop_pages, SlowDisk};
use laio_tests::http::{request, Connection};
use laio_tests::library::{check_loaded, fresh_dir};
use laio_tests::mounts::FuseFiles;
use laio_tests::server::{Config, Kind, Server};
use laio_tests::stats::Stats;
use laio_tests::tally::{ask_for, Documents};
use laio_tests::{docroot, run, Need, Preload, Result, Test};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, ExitCode};
use std::time::{Duration, Instant};

/// More requests at a time than most of the pools have threads.
const CLIENTS: usize = 16;
/// What is asked for singly at first.
const LEARNING: usize = 10;
/// How often one document is asked for in the end.
const AGAIN: u64 = 60;
const SMALL: Documents = Documents {
    directory: "small/",
    count: 300,
    length: 8000,
};
const LARGE: Documents = Documents {
    directory: "large/",
    count: 4,
    length: 2_000_000,
};

/// What of the documents is not in memory.
#[derive(Clone, Copy, Debug)]
enum Cold {
    /// Names and data.
    All,
    /// Data: what is slow names no path.
    Data,
    /// All, on a file system that counts no blocks.
    OnFuse,
}

/// Servers, and what they are told beside the usual.
fn servers() -> Vec<(&'static str, Kind, Config)> {
    let nginx = |http: &str| Config {
        http: format!("{http}\n"),
        ..Config::default()
    };
    let usual = Config::default;
    vec![
        ("node", Kind::Node, usual()),
        ("express", Kind::Express, usual()),
        ("aiohttp", Kind::Aiohttp, usual()),
        ("starlette", Kind::Starlette, usual()),
        ("waitress", Kind::Waitress, usual()),
        (
            "nginx, aio threads",
            Kind::Nginx,
            nginx("aio threads; sendfile off;"),
        ),
        (
            "nginx, aio threads and sendfile",
            Kind::Nginx,
            nginx("aio threads; sendfile on;"),
        ),
    ]
}

/// Without it, the few threads of a pool are full of waiting, and cached requests wait behind cold ones.
fn learns(kind: Kind, config: &Config, cold: Cold) -> Result {
    let disk = SlowDisk::up()?;
    for documents in [SMALL, LARGE] {
        documents.write(&disk.root().join(documents.directory))?;
    }
    disk.chill()?;
    let mut root = disk.root();
    let mut fuse = None;
    if let Cold::OnFuse = cold {
        let at = fresh_dir("files")?;
        fuse = Some(FuseFiles::mount(&root, &at, "")?);
        root = at;
    }
    let server = Server::start(
        kind,
        config,
        &root,
        &Preload::on()?.with("LAIO_BREAK_EVEN_US", "0"),
    )?;
    let serving = server.settled(kind, config)?;
    serving.iter().try_for_each(|pid| check_loaded(*pid))?;
    if let Cold::Data = cold {
        for (documents, number) in all() {
            drop_pages(&root.join(&documents.target(number)[1..]))?;
        }
    }
    let ask = |documents: Documents, range: std::ops::Range<usize>, clients: usize| {
        let tally = ask_for(documents, range.clone(), server.address, clients, 1000);
        let stats = Stats::of(&serving)?;
        tally
            .all_right(range.len())
            .with_context(|| format!("{range:?} of {}\n{stats}", documents.directory))?;
        Ok::<_, anyhow::Error>(stats)
    };
    let before = ask(SMALL, 0..LEARNING, 1)?;
    let after = ask(SMALL, LEARNING..SMALL.count, CLIENTS)?;
    let cold = (SMALL.count - LEARNING) as u64;
    let gated = after.gated() - before.gated();
    ensure!(
        gated >= cold * 3 / 4,
        "{gated} of {cold} requests were held back\n{after}"
    );
    let stalls = after.stalls() - before.stalls();
    ensure!(stalls <= cold / 4, "there were {stalls} stalls\n{after}");
    // What is in memory and asked for again: a rule that is proven, by what others do, needs no more looks.
    let mut connection = Connection::open(server.address)?;
    for _ in 0..AGAIN {
        SMALL.ask(&mut connection, 0)?;
        SMALL.receive(&mut connection, 0)?;
    }
    let stats = Stats::of(&serving)?;
    ensure!(
        // FUSE is asked at each `open`.
        stats.sum("/reasons/repeated") > AGAIN / 2 || fuse.is_some(),
        "what was learnt is never proven\n{stats}"
    );
    let stats = ask(LARGE, 0..LARGE.count, 2)?;
    println!("{stats}");
    drop((server, fuse));
    Ok(())
}

fn all() -> impl Iterator<Item = (Documents, usize)> {
    let of = |documents: Documents| (0..documents.count).map(move |number| (documents, number));
    of(SMALL).chain(of(LARGE))
}

/// Other threads' slow files that no request names: they teach nothing, and nobody looks at requests because of them.
fn strangers() -> Result {
    let disk = SlowDisk::up()?;
    let other = disk.root().join("other");
    (0..SMALL.count)
        .try_for_each(|n| docroot::write(&other, &format!("other{n}"), SMALL.length))?;
    disk.chill()?;
    let root = fresh_dir("documents")?;
    std::fs::create_dir_all(root.join("small"))?;
    SMALL.write(&root.join("small"))?;
    let (program, mut connection) = threads(&["files", &other.to_string_lossy()], &root)?;
    for number in 0..SMALL.count {
        get(&mut connection, &SMALL.target(number / 2))?;
    }
    let stats = Stats::of(&[program.0.id()])?;
    ensure!(
        stats.sum("/reasons/elsewhere") == 0
            && stats.sum("/reasons/disarmed") >= SMALL.count as u64,
        "what no request names has taught something\n{stats}"
    );
    Ok(())
}

/// A thread that waits for the interpreter's lock, and then sends what is in memory, has not waited for the disk.
fn lock() -> Result {
    let root = fresh_dir("documents")?;
    std::fs::write(root.join("file"), vec![2; 4 << 20])?;
    let (program, mut connection) = threads(&["lock", "-"], &root)?;
    for number in 0..300 {
        get(&mut connection, &format!("/{number}"))?;
    }
    let stats = Stats::of(&[program.0.id()])?;
    ensure!(
        stats.sum("/reasons/preempted") > 0,
        "no call was slow: this tested nothing\n{stats}"
    );
    ensure!(
        stats.stalls() == 0,
        "no call has waited for a disk\n{stats}"
    );
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

/// `tests/programs/threads.py`, and a connection to it.
fn threads(arguments: &[&str], root: &Path) -> Result<(Running, Connection)> {
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let mut preload = Preload::on()?.with("LAIO_BREAK_EVEN_US", "0");
    if arguments[0] == "lock" {
        preload = preload.with("LAIO_MAP", format!("/={}/", root.display()));
    }
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/threads.py");
    let mut command = preload.command(Path::new("/usr/bin/python3"));
    command
        .arg(program)
        .arg(address.port().to_string())
        .arg(root)
        .args(arguments);
    let server = Running(command.spawn()?);
    Ok((server, connect(address)?))
}

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

fn get(connection: &mut Connection, target: &str) -> Result {
    connection.send(&request("GET", target, "h", ""))?;
    let answer = connection.response(false)?;
    ensure!(answer.status == 200, "status {}", answer.status);
    Ok(())
}

fn main() -> ExitCode {
    let mut tests = Vec::new();
    for (name, kind, config) in servers() {
        for (cold, what) in [(Cold::All, "all is cold"), (Cold::Data, "data is cold")] {
            let config = config.clone();
            let test = Test::new(format!("{name}, {what}"), move || {
                learns(kind, &config, cold)
            });
            let test = test.needs(kind.need()).needs(Need::SlowDisk).limit(120);
            tests.push(match kind {
                Kind::Express => test.needs(Kind::Node.need()),
                Kind::Starlette => test.needs(Need::Package("python3-uvicorn")),
                _ => test,
            });
        }
    }
    tests.push(
        Test::new("node, on FUSE", || {
            learns(Kind::Node, &Config::default(), Cold::OnFuse)
        })
        .needs(Kind::Node.need())
        .needs(Need::SlowDisk)
        .limit(120),
    );
    let python = Need::Command("/usr/bin/python3", "python3");
    tests.push(
        Test::new("strangers", strangers)
            .needs(python)
            .needs(Need::SlowDisk),
    );
    tests.push(Test::new("lock", lock).needs(python));
    run(tests)
}
