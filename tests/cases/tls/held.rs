//! Requests by TLS that are held back for longer than a server's own idle timers: none is lost that the server alone would have
//! answered.

use crate::site::Served;
use anyhow::{bail, Context as _};
use laio_tests::identity::{Identity, Key};
use laio_tests::library::fresh_dir;
use laio_tests::mounts::FuseFiles;
use laio_tests::server::{Config, Kind};
use laio_tests::stats::Stats;
use laio_tests::tally::{Documents, Tally};
use laio_tests::tls::{Client, Wishes, COMBINATIONS};
use laio_tests::{Preload, Result};
use std::time::Duration;

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

/// Asks over connections that were kept and over fresh ones, while the documents' file system hangs.
fn hang(
    kind: Kind,
    more: &Config,
    seconds: u64,
    kept: usize,
    preloaded: bool,
) -> Result<(Tally, Option<Stats>)> {
    let dir = fresh_dir("identities")?;
    let identity = Identity::make(&dir, Key::Ecdsa)?;
    let root = fresh_dir("site")?;
    WARM.write(&root)?;
    let source = fresh_dir("source")?;
    HUNG.write(&source)?;
    let files = FuseFiles::mount(&source, &root.join("hung"), "")?;
    let preload = match preloaded {
        true => Preload::on()?
            .with("LAIO_MAP", format!("/={}/", root.display()))
            .with("LAIO_BREAK_EVEN_US", "0"),
        false => Preload::stock(),
    };
    let config = Config {
        identities: vec![identity.clone()],
        ..more.clone()
    };
    let served = Served::start(kind, &config, &root, &preload)?;
    let clients: Vec<_> = COMBINATIONS
        .into_iter()
        .map(|(version, suite)| Client::new(&[&identity], &Wishes::plain(version, suite)))
        .collect::<Result<_>>()?;
    let connect = |number: usize| clients[number % clients.len()].connect(served.server.address);
    for documents in [WARM, HUNG] {
        let mut connection = connect(0)?;
        documents.ask(&mut connection, 0)?;
        documents.receive(&mut connection, 0)?;
    }
    // What the kernel knows of the file system's names lasts for a second.
    std::thread::sleep(Duration::from_millis(1500));
    let mut lines = Vec::new();
    for client in 0..kept {
        let mut connection = connect(client)?;
        WARM.ask(&mut connection, 2)?;
        WARM.receive(&mut connection, 2)?;
        lines.push(connection);
    }
    files.signal(libc::SIGSTOP);
    for (client, connection) in lines.iter_mut().enumerate() {
        HUNG.ask(connection, 1 + client)?;
    }
    // They are read, as far as the server reads them, before the others come.
    std::thread::sleep(Duration::from_millis(500));
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let fresh: Vec<_> = (kept..kept + FRESH)
            .map(|client| {
                let connect = &connect;
                scope.spawn(move || -> Result {
                    let mut connection = connect(client)?;
                    HUNG.ask(&mut connection, 1 + client)?;
                    HUNG.receive(&mut connection, 1 + client)?;
                    Ok(())
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(500));
        let beside = match preloaded {
            true => connect(1).and_then(|mut connection| {
                WARM.ask(&mut connection, 3)?;
                WARM.receive(&mut connection, 3)
            }),
            false => Ok(true),
        };
        std::thread::sleep(Duration::from_secs(seconds - 1));
        files.signal(libc::SIGCONT);
        for (client, connection) in lines.iter_mut().enumerate() {
            tally.count(client, HUNG.receive(connection, 1 + client));
        }
        for (client, thread) in fresh.into_iter().enumerate() {
            let received = thread.join().unwrap_or_else(|_| bail!("a client panicked"));
            tally.count(kept + client, received);
        }
        beside.context("a warm document, while others are held back")
    })?;
    let stats = match preloaded {
        true => Some(served.stats()?),
        false => None,
    };
    Ok((tally, stats))
}

/// A hang of so many seconds.
pub fn nothing_is_lost(kind: Kind, more: &Config, seconds: u64) -> Result {
    const KEPT: usize = 6;
    let (alone, _) = hang(kind, more, seconds, 1, false)?;
    alone
        .all_right(1 + FRESH)
        .context("the server alone: this compares nothing")?;
    let (tally, stats) = hang(kind, more, seconds, KEPT, true)?;
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
