//! Requests that are held back for longer than a server's own idle timers, or for longer than it can spare connections: none is
//! lost that the server alone would have answered.

use anyhow::{bail, Context as _};
use laio_tests::cold::SlowDisk;
use laio_tests::http::Connection;
use laio_tests::library::fresh_dir;
use laio_tests::mounts::FuseFiles;
use laio_tests::program::{compare, compile, observe, Build};
use laio_tests::server::{Config, Kind, Server};
use laio_tests::stats::Stats;
use laio_tests::tally::{ask_for, Documents, Tally};
use laio_tests::{run, Need, Preload, Result, Test};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

const KEPT: usize = 5;
const FRESH: usize = 4;
const WARM: Documents = Documents {
    directory: "",
    count: 4,
    length: 8000,
};
const HUNG: Documents = Documents {
    directory: "hung/",
    count: 20,
    length: 8000,
};
/// On another file system, which hangs a little longer.
const LATER: Documents = Documents {
    directory: "later/",
    ..HUNG
};
const LONGER: Duration = Duration::from_millis(300);

/// The library, which knows from the beginning where the documents are and waits for no device.
fn with_library(root: &Path) -> Result<Preload> {
    Ok(Preload::on()?
        .with("LAIO_MAP", format!("/={}/", root.display()))
        .with("LAIO_BREAK_EVEN_US", "0"))
}

/// Asks for cold documents over so many connections that were kept and over fresh ones, while their file system hangs. The counters
/// of a run with the library.
fn hang(
    kind: Kind,
    config: &Config,
    seconds: u64,
    kept: usize,
    preloaded: bool,
) -> Result<(Tally, Option<Stats>)> {
    let root = fresh_dir("site")?;
    WARM.write(&root)?;
    let mount = |documents: Documents| {
        let source = fresh_dir("source")?;
        documents.write(&source)?;
        FuseFiles::mount(&source, &root.join(documents.directory), "")
    };
    let (files, later) = (mount(HUNG)?, mount(LATER)?);
    let preload = match preloaded {
        true => with_library(&root)?,
        false => Preload::stock(),
    };
    let server = Server::start(kind, config, &root, &preload)?;
    let serving = server.settled(kind, config)?;
    ask_for(WARM, 0..2, server.address, 1, 1).all_right(2)?;
    for documents in [HUNG, LATER] {
        ask_for(documents, 0..2, server.address, 1, 1).all_right(2)?;
    }
    // What the kernel knows of the file system's names lasts for a second.
    std::thread::sleep(Duration::from_millis(1500));
    let mut clients = Vec::new();
    for _ in 0..kept {
        let mut connection = Connection::open(server.address)?;
        WARM.ask(&mut connection, 2)?;
        if !WARM.receive(&mut connection, 2)? {
            // merecat ends each connection by itself.
            connection = Connection::open(server.address)?;
        }
        clients.push(connection);
    }
    files.signal(libc::SIGSTOP);
    later.signal(libc::SIGSTOP);
    for (client, connection) in clients.iter_mut().enumerate() {
        LATER.ask(connection, 2 + client)?;
    }
    // They are read, as far as the server reads them, before the others come.
    std::thread::sleep(Duration::from_millis(500));
    for client in kept..kept + FRESH {
        let mut connection = Connection::open(server.address)?;
        HUNG.ask(&mut connection, 2 + client)?;
        clients.push(connection);
    }
    std::thread::sleep(Duration::from_millis(500));
    if preloaded {
        ask_for(WARM, 3..4, server.address, 1, 1)
            .all_right(1)
            .context("a warm document, while others are held back")?;
    }
    std::thread::sleep(Duration::from_secs(seconds - 1));
    // A server that has waited for one of those is told of something as soon as it goes on, while others are not in memory yet.
    let mut other = Connection::open(server.address)?;
    WARM.ask(&mut other, 3)?;
    files.signal(libc::SIGCONT);
    std::thread::sleep(LONGER);
    later.signal(libc::SIGCONT);
    let mut tally = Tally::default();
    for (client, connection) in clients.iter_mut().enumerate() {
        let documents = if client < kept { LATER } else { HUNG };
        tally.count(client, documents.receive(connection, 2 + client));
    }
    WARM.receive(&mut other, 3)?;
    let stats = match preloaded {
        true => Some(Stats::of(&serving)?),
        false => None,
    };
    Ok((tally, stats))
}

fn nothing_is_lost_in_a_hang(kind: Kind, config: &Config, seconds: u64) -> Result {
    // The server alone stops at its first cold file. Another kept connection, whose request it has not read then, may be idle for
    // too long when it goes on: that is lost without the library, too.
    let (alone, _) = hang(kind, config, seconds, 1, false)?;
    alone
        .all_right(1 + FRESH)
        .context("the server alone: this compares nothing")?;
    let (tally, stats) = hang(kind, config, seconds, KEPT, true)?;
    let stats = stats.unwrap_or_default();
    tally
        .all_right(KEPT + FRESH)
        .with_context(|| format!("with the library\n{stats}"))?;
    if stats.gated() < (KEPT + FRESH) as u64 {
        bail!("too few requests were held back\n{stats}");
    }
    println!("{stats}");
    Ok(())
}

/// More fresh connections at once than nginx may have, each with a request for a cold document.
fn short_of_connections() -> Result {
    const KIND: Kind = Kind::Nginx;
    const ROUNDS: usize = 6;
    const AT_ONCE: usize = 100;
    const COLD: Documents = Documents {
        directory: "",
        count: ROUNDS * AT_ONCE,
        length: 8000,
    };
    let disk = SlowDisk::up()?;
    let root = disk.root().join("documents");
    COLD.write(&root)?;
    let config = Config {
        connections: 64,
        ..Config::default()
    };
    let serve = |preload: &Preload| -> Result<(Tally, Option<Stats>)> {
        disk.chill()?;
        let server = Server::start(KIND, &config, &root, preload)?;
        let serving = server.settled(KIND, &config)?;
        let mut tally = Tally::default();
        for round in 0..ROUNDS {
            let numbers = round * AT_ONCE..(round + 1) * AT_ONCE;
            let mut clients = Vec::new();
            for number in numbers {
                // nginx alone may give up a client that has connected and said nothing.
                let mut connection = Connection::open(server.address)?;
                let asked = COLD.ask(&mut connection, number);
                clients.push((number, connection, asked));
            }
            for (number, mut connection, asked) in clients {
                let answered = asked.and_then(|()| COLD.receive(&mut connection, number));
                tally.count(number, answered);
            }
        }
        let stats = match preload.is_stock() {
            true => None,
            false => Some(Stats::of(&serving)?),
        };
        Ok((tally, stats))
    };
    let (alone, _) = serve(&Preload::stock())?;
    alone
        .all_right(COLD.count)
        .context("nginx alone: this compares nothing")?;
    let (tally, stats) = serve(&with_library(&root)?)?;
    let stats = stats.unwrap_or_default();
    tally
        .all_right(COLD.count)
        .with_context(|| format!("with the library\n{stats}"))?;
    if stats.gated() < COLD.count as u64 / 4 {
        bail!("too few requests were held back\n{stats}");
    }
    println!("{stats}");
    Ok(())
}

/// A socket that becomes blocking when a part of its request was reported.
fn part_of_a_blocking_read() -> Result {
    let root = fresh_dir("site")?;
    let source = fresh_dir("source")?;
    HUNG.write(&source)?;
    let files = FuseFiles::mount(&source, &root.join("hung"), "")?;
    let program = compile("part_blocking", Build::Program)?;
    files.signal(libc::SIGSTOP);
    let stats = fresh_dir("stats")?;
    let preload = with_library(&root)?.with("LAIO_STATS", stats.join("laio.json"));
    let observed = observe(&program, &[], &Preload::stock())
        .and_then(|it| Ok((it, observe(&program, &[], &preload)?)));
    files.signal(libc::SIGCONT);
    let (stock, other) = observed?;
    compare(&stock, &other, &preload)?;
    let stats = Stats::read(&stats)?;
    if stats.sum("/reasons/parts") == 0 {
        bail!("no part was handed out\n{stats}");
    }
    println!("{stats}");
    Ok(())
}

fn main() -> ExitCode {
    let impatient = Config {
        server: "keepalive_timeout 2s; client_header_timeout 2s;".into(),
        ..Config::default()
    };
    let cases = [
        // Without these, a connection whose request is held back would look idle to its server, which ends it: lighttpd 5 s after
        // its last answer, nginx when its configuration says so.
        (Kind::Lighttpd, Config::default(), 8),
        (Kind::Nginx, impatient, 5),
        // Without these, what keeps those alive could be taken for the end of a request, or for a broken one, by others.
        (Kind::Merecat, Config::default(), 8),
        (Kind::Webfs, Config::default(), 8),
        (Kind::H2o, Config::default(), 8),
        (Kind::Asyncio, Config::default(), 8),
        (Kind::Tornado, Config::default(), 8),
    ];
    let mut tests: Vec<_> = cases
        .into_iter()
        .map(|(kind, config, seconds)| {
            Test::new(format!("a hang of {seconds} s: {kind:?}"), move || {
                nothing_is_lost_in_a_hang(kind, &config, seconds)
            })
            .needs(Need::Root)
            .needs(kind.need())
            .limit(120)
        })
        .collect();
    // Without it, a server short of connections would sacrifice those whose requests are held back: it has not seen them.
    tests.push(
        Test::new("nginx with fewer connections than clients", || {
            short_of_connections()
        })
        .needs(Need::SlowDisk)
        .needs(Kind::Nginx.need())
        .limit(120),
    );
    // Without it, a program could take a part of a request for all that its blocking read brings.
    tests.push(
        Test::new("a part for a socket that becomes blocking", || {
            part_of_a_blocking_read()
        })
        .needs(Need::Root),
    );
    run(tests)
}
