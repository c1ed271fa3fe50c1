//! Warm and cold requests beside each other, on the same connection and on others; and large bodies that share one.

use crate::site::{all_understood, check, get, visit, Line, Served, Site, COLD, LINES, WARM};
use anyhow::{bail, ensure, Context as _};
use laio_tests::http2::{Client, Settings};
use laio_tests::server::Kind;
use laio_tests::tally::Documents;
use laio_tests::Result;

/// Asks for these documents in one write, and reads all answers in the order in which they come.
fn together(client: &mut Client, documents: &[(Documents, usize)]) -> Result {
    let mut bytes = Vec::new();
    let mut asked = std::collections::BTreeMap::new();
    for (documents, number) in documents {
        let (stream, frames) = client.open(&get(*documents, *number))?;
        bytes.extend(frames);
        asked.insert(stream, (*documents, *number));
    }
    client.send(&bytes)?;
    while !asked.is_empty() {
        let (stream, answer) = client.any_answer()?;
        let (documents, number) = asked.remove(&stream).context("nobody waits for it")?;
        check(documents, number, &answer).with_context(|| documents.directory)?;
    }
    Ok(())
}

fn mixed(served: &Served) -> Result {
    let mut client = served.connect()?;
    for round in 0..8 {
        // Behind a few cold ones, before them, and in the middle.
        let warm = (WARM, round % WARM.count);
        let mut documents: Vec<_> = served.colds(7)?.map(|number| (COLD, number)).collect();
        documents.insert(round, warm);
        together(&mut client, &documents).with_context(|| format!("round {round}"))?;
        visit(&mut client, WARM, round % WARM.count)?;
    }
    // In writes of their own.
    for round in 0..4 {
        let number = served.cold()?;
        let cold = client.ask(&get(COLD, number))?;
        let warm = client.ask(&get(WARM, round))?;
        check(WARM, round, &client.answer(warm)?)?;
        check(COLD, number, &client.answer(cold)?)?;
    }
    // Others, which ask for nothing cold, meanwhile.
    std::thread::scope(|scope| {
        let warm = scope.spawn(|| -> Result {
            let mut client = served.connect()?;
            (0..60).try_for_each(|at| visit(&mut client, WARM, at % WARM.count))
        });
        for _ in 0..6 {
            let documents: Vec<_> = served.colds(8)?.map(|number| (COLD, number)).collect();
            together(&mut client, &documents)?;
        }
        let joined = warm.join();
        joined.unwrap_or_else(|_| bail!("a client panicked"))
    })
}

/// All of it on one server.
pub fn warm_and_cold(kind: Kind) -> Result {
    let site = Site::up()?;
    site.same(kind, &LINES, &[site.pinned()?], 20, mixed)
}

const LARGE: Documents = Documents {
    directory: "large/",
    count: 6,
    length: 4_000_000,
};

/// Six large documents at once on one connection, with large windows and with those of a client that says nothing.
fn large(served: &Served, window: u32) -> Result {
    let settings = Settings {
        window,
        extends: true,
    };
    let mut client = served.connect_with(&settings)?;
    // From here on somebody looks, where anybody does.
    for _ in 0..3 {
        visit(&mut client, COLD, served.cold()?)?;
    }
    if window > 1 << 16 {
        client.send(&laio_tests::http2::frames::window_update(0, window))?;
    }
    let documents: Vec<_> = (0..LARGE.count).map(|number| (LARGE, number)).collect();
    together(&mut client, &documents)
}

/// Few of the calls that bring a body wait for the disk: less than eight a body. Where one source is remembered for a loop it is 107, and
/// on a busy machine, where helpers come late, it is up to 34 in all.
const STALLS: u64 = 47;

/// Bodies that share a connection.
pub fn bodies(kind: Kind) -> Result {
    let site = Site::with(&[LARGE])?;
    for (line, window) in [
        (Line::Tls, 1 << 16),
        (Line::Tls, 1 << 22),
        (Line::Clear, 1 << 20),
    ] {
        let what = format!("{line:?}, windows of {window}");
        let served = site.serve(kind, line, &site.pinned()?)?;
        let came = large(&served, window);
        let stats = served.stats()?;
        came.with_context(|| format!("{what}\n{stats}"))?;
        all_understood(&stats, 1).with_context(|| what.clone())?;
        ensure!(
            stats.stalls() <= STALLS,
            "{what}: {} stalls\n{stats}",
            stats.stalls()
        );
        println!("{what}: {} stalls", stats.stalls());
    }
    Ok(())
}
