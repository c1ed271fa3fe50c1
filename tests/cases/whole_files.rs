//! Servers that read a whole file before they send the first byte, or in one turn: how far they read is learnt.

use anyhow::{ensure, Context as _};
use laio_tests::cold::SlowDisk;
use laio_tests::http::{request, Connection};
use laio_tests::library::check_loaded;
use laio_tests::server::{Config, Kind, Server};
use laio_tests::stats::Stats;
use laio_tests::tally::Documents;
use laio_tests::{run, Need, Preload, Result, Test};
use std::io::Read as _;
use std::ops::Range;
use std::process::ExitCode;

const LARGE: Documents = Documents {
    directory: "large/",
    count: 16,
    length: 4_000_000,
};
/// From which it is learnt.
const LEARNING: usize = 3;

/// What clients of a server send, and what it is told.
#[derive(Clone)]
struct Served {
    kind: Kind,
    config: Config,
    headers: &'static str,
    /// Files are read by other threads, whose waiting counts as theirs.
    elsewhere: bool,
}

fn of(kind: Kind) -> Served {
    Served {
        kind,
        config: Config::default(),
        headers: "",
        elsewhere: false,
    }
}

/// nginx with a filter for bodies.
fn nginx(filter: &str, headers: &'static str) -> Served {
    let http = format!("sendfile on; {filter}\n");
    Served {
        config: Config {
            http,
            ..Config::default()
        },
        headers,
        ..of(Kind::Nginx)
    }
}

/// Asks for these, one after the other, and looks at what comes.
fn ask(server: &Server, headers: &str, range: Range<usize>) -> Result {
    let mut connection = Connection::open(server.address)?;
    for number in range {
        let target = LARGE.target(number);
        connection.send(&request("GET", &target, "localhost", headers))?;
        let answer = connection.response(false)?;
        let mut body = answer.body.clone();
        let is_coded = answer.header("content-encoding") == Some("gzip");
        ensure!(
            is_coded == headers.contains("gzip"),
            "it is coded, or is not"
        );
        if is_coded {
            body.clear();
            flate2::read::GzDecoder::new(answer.body.as_slice()).read_to_end(&mut body)?;
        }
        let is_right = answer.status == 200 && body == LARGE.content(number);
        ensure!(is_right, "{target}: it differs");
    }
    Ok(())
}

/// Without it, each of them would stall at every part behind the first window.
fn learns(served: &Served) -> Result {
    let disk = SlowDisk::up()?;
    LARGE.write(&disk.root().join(LARGE.directory))?;
    disk.chill()?;
    let count = (LARGE.count - LEARNING) as u64;
    // How often it waits for these files behind the first ones.
    let waits = |preload: Preload| -> Result<(u64, u64, Stats)> {
        let preload = preload.with("LAIO_BREAK_EVEN_US", "0");
        let server = Server::start(served.kind, &served.config, &disk.root(), &preload)?;
        let serving = server.settled(served.kind, &served.config)?;
        serving.iter().try_for_each(|pid| check_loaded(*pid))?;
        let waited = |range: Range<usize>| -> Result<(u64, Stats)> {
            ask(&server, served.headers, range).context("bodies")?;
            let stats = Stats::of(&serving)?;
            let waited = match served.elsewhere {
                true => stats.sum("/reasons/elsewhere"),
                false => stats.stalls(),
            };
            Ok((waited, stats))
        };
        let (before, _) = waited(0..LEARNING)?;
        let (after, stats) = waited(LEARNING..LARGE.count)?;
        Ok((before, after - before, stats))
    };
    if !served.elsewhere {
        let (_, alone, stats) = waits(Preload::mode("observe")?)?;
        println!("{alone} stalls of {count} without help");
        ensure!(
            alone >= count,
            "it does not wait for them: this tested nothing\n{stats}"
        );
        disk.chill()?;
    }
    let (before, stalls, stats) = waits(Preload::on()?)?;
    println!("{before} stalls of {LEARNING} files, {stalls} of {count}");
    ensure!(before > 0, "nothing was cold: this tested nothing\n{stats}");
    ensure!(
        stalls <= count / 2,
        "{stalls} stalls of {count} files\n{stats}"
    );
    Ok(())
}

fn main() -> ExitCode {
    let in_threads = |kind| Served {
        elsewhere: true,
        ..of(kind)
    };
    let gzip = "gzip on; gzip_comp_level 1;";
    let servers = [
        ("Tornado", of(Kind::Tornado)),
        ("asyncio, one call", of(Kind::AsyncioWhole(""))),
        ("asyncio, hashes", of(Kind::AsyncioWhole("--how hash"))),
        ("asyncio, from here", of(Kind::AsyncioWhole("--here"))),
        (
            "asyncio, a thread",
            in_threads(Kind::AsyncioWhole("--how thread")),
        ),
        ("node, readFileSync", of(Kind::NodeWhole(""))),
        ("node, readFile", in_threads(Kind::NodeWhole("--pool"))),
        ("nginx, gzip", nginx(gzip, "Accept-Encoding: gzip\r\n")),
        ("nginx, sub_filter", nginx("sub_filter nowhere x;", "")),
    ];
    let tests = servers.map(|(name, served)| {
        let need = served.kind.need();
        Test::new(name, move || learns(&served))
            .needs(need)
            .needs(Need::SlowDisk)
            .limit(120)
    });
    run(tests.into())
}
