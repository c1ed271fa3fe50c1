//! Real servers that take readiness for a promise: EventMachine and thin, CPython's asyncore, waitress close a connection that was
//! reported readable and brings nothing. And uvloop, which registers connections by io_uring.

use anyhow::{bail, Context as _};
use laio_tests::cold::SlowDisk;
use laio_tests::library::check_loaded;
use laio_tests::server::{Config, Kind, Server};
use laio_tests::stats::Stats;
use laio_tests::tally::{ask_for, Documents};
use laio_tests::{run, Need, Preload, Result, Test};
use std::process::ExitCode;

const CLIENTS: usize = 32;
const DOCUMENTS: Documents = Documents {
    directory: "",
    count: 600,
    length: 8000,
};

fn serve(kind: Kind, pinned: bool) -> Result {
    let disk = SlowDisk::up()?;
    let root = disk.root().join("documents");
    DOCUMENTS.write(&root)?;
    disk.chill()?;
    let config = Config::default();
    let mut preload = Preload::on()?;
    if pinned {
        preload = preload.with("LAIO_MAP", format!("/={}/", root.display()));
    }
    let server = Server::start(kind, &config, &root, &preload)?;
    let serving = server.settled(kind, &config)?;
    serving.iter().try_for_each(|pid| check_loaded(*pid))?;
    // Connections that stay, and connections that do not.
    let half = DOCUMENTS.count / 2;
    let kept = ask_for(DOCUMENTS, 0..half, server.address, CLIENTS, 20);
    let fresh = ask_for(DOCUMENTS, half..DOCUMENTS.count, server.address, CLIENTS, 1);
    let stats = Stats::of(&serving)?;
    kept.all_right(half)
        .with_context(|| format!("kept connections\n{stats}"))?;
    fresh
        .all_right(DOCUMENTS.count - half)
        .with_context(|| format!("fresh connections\n{stats}"))?;
    // On a busy machine a rule may be learnt late.
    let least = DOCUMENTS.count as u64 / if pinned { 4 } else { 20 };
    // uvloop's registrations may be left alone.
    if kind != Kind::Uvloop && stats.gated() < least {
        bail!("too few requests were held back\n{stats}");
    }
    drop(server);
    // The documents are in memory now: this only shows that the server alone answers what it is asked.
    let server = Server::start(kind, &config, &root, &Preload::stock())?;
    ask_for(DOCUMENTS, 0..half, server.address, CLIENTS, 20)
        .all_right(half)
        .context("without the library")?;
    println!("{stats}");
    Ok(())
}

fn main() -> ExitCode {
    let kinds = [
        // Without these, a request that is held back could look like the end of its connection.
        Kind::Thin,
        Kind::EventMachine(""),
        Kind::EventMachine("--epoll"),
        Kind::Asyncore(""),
        Kind::Asyncore("--poll"),
        Kind::Waitress,
        // Without it, a connection that no call of the C library has registered could be lost.
        Kind::Uvloop,
        // Without it, a file that is read whole before the first write would be taken for one that is not.
        Kind::Tornado,
    ];
    let tests = kinds.into_iter().flat_map(|kind| {
        [false, true].into_iter().map(move |pinned| {
            let rule = if pinned { "pinned" } else { "learnt" };
            let name = match kind {
                Kind::EventMachine("") => "EventMachine in select".into(),
                Kind::EventMachine(_) => "EventMachine in epoll".into(),
                Kind::Asyncore("") => "asyncore in select".into(),
                Kind::Asyncore(_) => "asyncore in poll".into(),
                other => format!("{other:?}"),
            };
            Test::new(format!("{name}, {rule}"), move || serve(kind, pinned))
                .needs(Need::SlowDisk)
                .needs(kind.need())
                .limit(120)
        })
    });
    run(tests.collect())
}
