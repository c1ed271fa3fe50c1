//! Requests that are held back for longer than a server's own idle timers: none is lost that the server alone would have answered.

use crate::site::{all_understood, get, receive, visit, Line, Served};
use anyhow::{bail, Context as _};
use laio_tests::http2::Client;
use laio_tests::identity::{Identity, Key};
use laio_tests::library::fresh_dir;
use laio_tests::mounts::FuseFiles;
use laio_tests::server::{Config, Kind};
use laio_tests::stats::Stats;
use laio_tests::tally::{Documents, Tally};
use laio_tests::{Preload, Result};
use std::time::Duration;

/// Connections that were there before, each with so many requests; and connections that come while nothing is read.
const KEPT: usize = 4;
const STREAMS: usize = 3;
const FRESH: usize = 3;
const WARM: Documents = Documents {
    directory: "",
    count: 4,
    length: 8000,
};
const HUNG: Documents = Documents {
    directory: "hung/",
    count: 1 + KEPT * STREAMS + FRESH,
    length: 8000,
};

/// Asks over connections that were kept and over fresh ones, while the documents' file system hangs.
fn hang(
    kind: Kind,
    line: Line,
    more: &Config,
    seconds: u64,
    (kept, fresh): (usize, usize),
    preloaded: bool,
) -> Result<(Tally, Stats)> {
    let identity = Identity::make(&fresh_dir("identities")?, Key::Ecdsa)?;
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
    let served = Served::start(kind, line, &identity, more, &root, &preload)?;
    let mut first = served.connect()?;
    visit(&mut first, WARM, 0)?;
    visit(&mut first, HUNG, 0)?;
    // What the kernel knows of the file system's names lasts for a second.
    std::thread::sleep(Duration::from_millis(1500));
    let mut clients = Vec::new();
    for _ in 0..kept {
        let mut client = served.connect()?;
        visit(&mut client, WARM, 2)?;
        clients.push(client);
    }
    files.signal(libc::SIGSTOP);
    let mut number = 0;
    let mut ask = |client: &mut Client| -> Result<(u32, usize)> {
        number += 1;
        Ok((client.ask(&get(HUNG, number))?, number))
    };
    let mut asked = Vec::new();
    for client in &mut clients {
        let streams: Result<Vec<_>> = (0..STREAMS).map(|_| ask(client)).collect();
        asked.push(streams?);
    }
    // They are read, as far as the server reads them, before the others come.
    std::thread::sleep(Duration::from_millis(500));
    let numbers = 1 + kept * STREAMS..1 + kept * STREAMS + fresh;
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let fresh: Vec<_> = numbers
            .map(|number| {
                let served = &served;
                let ask = move || visit(&mut served.connect()?, HUNG, number);
                (number, scope.spawn(ask))
            })
            .collect();
        std::thread::sleep(Duration::from_millis(500));
        let mut beside = Ok(());
        if preloaded {
            let warm = |mut client| visit(&mut client, WARM, 3);
            beside = served.connect().and_then(warm);
        }
        if beside.is_err() {
            beside = beside.with_context(|| {
                served
                    .stats()
                    .map_or_else(|error| error.to_string(), |stats| stats.to_string())
            });
        }
        std::thread::sleep(Duration::from_secs(seconds - 1));
        files.signal(libc::SIGCONT);
        for (client, streams) in clients.iter_mut().zip(asked) {
            for (stream, number) in streams {
                tally.count(number, receive(client, stream, HUNG, number));
            }
        }
        for (number, thread) in fresh {
            let received = thread.join().unwrap_or_else(|_| bail!("a client panicked"));
            tally.count(number, received);
        }
        beside.context("a warm document, while others are held back")
    })?;
    let stats = served.stats()?;
    Ok((tally, stats))
}

/// A hang of so many seconds.
pub fn nothing_is_lost(kind: Kind, line: Line, more: &Config, seconds: u64) -> Result {
    // The server alone stops at its first cold file. What it has not read then, of another kept connection or of a fresh one, may be
    // idle for too long when it goes on: that is lost without the library, too.
    let (alone, _) = hang(kind, line, more, seconds, (1, 0), false)?;
    alone
        .all_right(STREAMS)
        .context("the server alone: this compares nothing")?;
    let (tally, stats) = hang(kind, line, more, seconds, (KEPT, FRESH), true)?;
    tally
        .all_right(KEPT * STREAMS + FRESH)
        .with_context(|| format!("with the library\n{stats}"))?;
    all_understood(&stats, (KEPT + FRESH) as u64)?;
    println!("{stats}");
    Ok(())
}
