//! Many cold requests: one after the other and many at once on a connection, and on several connections.

use crate::site::{get, visit_all, Served, Site, COLD, LINES};
use anyhow::{bail, Context as _};
use laio_tests::server::Kind;
use laio_tests::Result;

/// How many streams are open at once, and how many documents are asked for so.
const STREAMS: [(usize, usize); 4] = [(1, 8), (4, 16), (16, 32), (100, 110)];

fn visit(served: &Served) -> Result {
    for (at_once, count) in STREAMS {
        let mut client = served.connect()?;
        let numbers = served.colds(count)?;
        visit_all(&mut client, COLD, numbers, at_once, |n| get(COLD, n))
            .with_context(|| format!("{at_once} at once"))?;
    }
    std::thread::scope(|scope| {
        let each = (0..6).map(|_| {
            scope.spawn(|| -> Result {
                let mut client = served.connect()?;
                let numbers = served.colds(10)?;
                visit_all(&mut client, COLD, numbers, 8, |n| get(COLD, n))
            })
        });
        let clients: Vec<_> = each.collect();
        clients.into_iter().try_for_each(|client| {
            let joined = client.join();
            joined.unwrap_or_else(|_| bail!("a client panicked"))
        })
    })
    .context("six connections at once")
}

/// All of it on one server.
pub fn streams(kind: Kind) -> Result {
    let site = Site::up()?;
    site.same(kind, &LINES, &site.ways()?, 10, visit)
}
