//! Requests for less than a whole answer, for what is not cached, and after the key has changed.

use crate::site::{Ask, Plan, Site};
use crate::{check_held_back, plain, LOCATION, ZONE};
use anyhow::{ensure, Context as _};
use laio_tests::backend::{Protocol, LENGTH};
use laio_tests::http::{request, Connection};
use laio_tests::server::Kind;
use laio_tests::{Preload, Result};
use std::time::Duration;

const CACHED: usize = 90;

fn plan(key: &str) -> Plan {
    Plan {
        protocol: Protocol::Http,
        http: ZONE.into(),
        server: format!("{LOCATION} proxy_cache_key {key};\n"),
        ask: plain,
    }
}

fn preload() -> Result<Preload> {
    Ok(Preload::on()?.with("LAIO_BREAK_EVEN_US", "0"))
}

/// What a client wants of an answer: method, header lines, status, and which of its bytes.
const PARTS: [(&str, &str, u16, std::ops::Range<usize>); 6] = [
    ("GET", "Range: bytes=0-99\r\n", 206, 0..100),
    ("GET", "Range: bytes=5000-5999\r\n", 206, 5000..6000),
    ("GET", "Range: bytes=8000-\r\n", 206, 8000..LENGTH),
    ("HEAD", "", 200, 0..0),
    (
        "GET",
        "If-Modified-Since: Sat, 28 Nov 2026 20:00:00 GMT\r\n",
        304,
        0..0,
    ),
    (
        "GET",
        "If-Modified-Since: Sat, 28 Nov 2020 20:00:00 GMT\r\n",
        200,
        0..LENGTH,
    ),
];

pub fn parts() -> Result {
    let plan = plan("$host$request_uri");
    let site = Site::up(&plan)?;
    let cached: Vec<Ask> = (0..CACHED).map(plain).collect();
    site.fill(&cached)?;
    let served = site.serve(&preload()?)?;
    let mut connection = Connection::open(served.address())?;
    for (number, ask) in cached.iter().enumerate() {
        let (method, more, status, range) = PARTS[number % PARTS.len()].clone();
        connection.send(&request(method, &ask.target, ask.host, more))?;
        let answer = connection.response(method == "HEAD")?;
        ensure!(answer.status == status, "{ask:?} {more}: {}", answer.status);
        ensure!(
            answer.body == ask.body()[range],
            "{ask:?} {more}: another body"
        );
        ensure!(answer.header("x-cache") == Some("HIT"), "{ask:?} {more}");
    }
    let stats = served.stats()?;
    check_held_back(&stats, CACHED)?;
    served.end()?;
    println!("{stats}");
    Ok(())
}

/// New workers make other keys: all that was cached is asked for anew.
pub fn changed_key() -> Result {
    let plan = plan("old$request_uri");
    let site = Site::up(&plan)?;
    let cached: Vec<Ask> = (0..CACHED).map(plain).collect();
    site.fill(&cached)?;
    let served = site.serve(&preload()?)?;
    let (first, rest) = cached.split_at(CACHED / 3);
    served.visit(first, "HIT").context("before")?;
    check_held_back(&served.stats()?, first.len())?;
    let file = served.server.dir.join("server.conf");
    let text = std::fs::read_to_string(&file)?;
    std::fs::write(
        &file,
        text.replace("proxy_cache_key old", "proxy_cache_key new"),
    )?;
    // SAFETY: a child of ours that was not reaped.
    unsafe { libc::kill(served.server.pid() as libc::pid_t, libc::SIGHUP) };
    let old = served.serving.clone();
    for _ in 0..500 {
        let now = served.server.serving(Kind::Nginx)?;
        if !now.is_empty() && now.iter().all(|pid| !old.contains(pid)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    served.server.settled(Kind::Nginx, &site.config)?;
    let before = site.backend.asked();
    served.visit(rest, "MISS").context("after")?;
    ensure!(site.backend.asked() - before == rest.len());
    served.visit(rest, "HIT").context("with the new key")?;
    let stats = served.end()?;
    println!("{}", stats.context("no counters were written")?);
    Ok(())
}

/// One answer is cached, and teaches; the application is asked for all others, once each.
pub fn nothing_cached() -> Result {
    let plan = plan("$host$request_uri");
    let site = Site::up(&plan)?;
    let all: Vec<Ask> = (0..400).map(plain).collect();
    let (cached, others) = all.split_at(8);
    site.fill(cached)?;
    let served = site.serve(&preload()?)?;
    served.visit(cached, "HIT")?;
    let before = site.backend.asked();
    served.visit(others, "MISS")?;
    let asked = site.backend.asked() - before;
    ensure!(
        asked == others.len(),
        "the application was asked {asked} times"
    );
    let stats = served.stats()?;
    served.end()?;
    println!("{stats}");
    Ok(())
}
