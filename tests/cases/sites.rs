//! Many sites and users in directories of their own, files that are spread over directories by their names, and links with tokens: few
//! of their requests stall, by the counters.

use anyhow::ensure;
use laio_tests::cold::SlowDisk;
use laio_tests::http::{request, Connection};
use laio_tests::server::{Config, Kind, Server};
use laio_tests::stats::Stats;
use laio_tests::{docroot, run, Need, Preload, Result, Test};
use std::process::ExitCode;

const LENGTH: usize = 6_000;

/// Requests that are under way at once.
const AT_ONCE: usize = 8;

/// What is asked for, of which host, and the file that it is.
struct Asked {
    host: String,
    target: String,
    file: String,
}

/// The host's own directory.
fn of_host(number: usize, name: &str) -> Asked {
    let host = format!("h{number}.test");
    Asked {
        target: format!("/pages/{name}"),
        file: format!("hosts/{host}/pages/{name}"),
        host,
    }
}

/// A user's.
fn of_user(number: usize, name: &str) -> Asked {
    Asked {
        host: "users.test".into(),
        target: format!("/~user{number}/{name}"),
        file: format!("home/user{number}/public_html/{name}"),
    }
}

/// One that is named by a hash, and lies in a directory that is named by its beginning.
fn hashed(number: usize, _: &str) -> Asked {
    let hash = hash(number);
    Asked {
        host: "images.test".into(),
        target: format!("/img/{hash}.jpg"),
        file: format!("images/{}/{}/{hash}.jpg", &hash[..2], &hash[2..4]),
    }
}

/// One behind a token and the time until which that is good.
fn with_token(number: usize, _: &str) -> Asked {
    Asked {
        host: "links.test".into(),
        target: format!(
            "/dl/{}/{}/file{number}.bin",
            hash(number),
            1_800_000_000 + number
        ),
        file: format!("files/file{number}.bin"),
    }
}

/// Sixteen digits that look like a hash.
fn hash(number: usize) -> String {
    format!(
        "{:016x}",
        (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    )
}

/// How nginx finds these.
const SERVER: &str = "
location / { root ROOT/hosts/$host; }
location ~ ^/~(\\w+)/(.*)$ { alias ROOT/home/$1/public_html/$2; }
location ~ ^/img/((\\w\\w)(\\w\\w).*)$ { alias ROOT/images/$2/$3/$1; }
location ~ ^/dl/\\w+/\\d+/(.*)$ { alias ROOT/files/$1; }";

/// Asks for these, some at a time, and looks at what comes.
fn ask(lines: &mut [Connection], all: &[Asked]) -> Result {
    for some in all.chunks(lines.len()) {
        for (line, it) in lines.iter_mut().zip(some) {
            line.send(&request("GET", &it.target, &it.host, ""))?;
        }
        for (line, it) in lines.iter_mut().zip(some) {
            let answer = line.response(false)?;
            let is_right = answer.body == docroot::content(&it.file, LENGTH);
            ensure!(
                answer.status == 200 && is_right,
                "{}: it differs",
                it.target
            );
        }
    }
    Ok(())
}

/// The first file of each of so many, then the second: how many stalls may come with the first, and with the second.
fn served(of: fn(usize, &str) -> Asked, count: usize, names: &[&str], may_stall: &[u64]) -> Result {
    let disk = SlowDisk::up()?;
    let rounds: Vec<Vec<Asked>> = names
        .iter()
        .map(|name| (0..count).map(|number| of(number, name)).collect())
        .collect();
    for it in rounds.iter().flatten() {
        docroot::write(&disk.root(), &it.file, LENGTH)?;
    }
    let config = Config {
        server: SERVER.replace("ROOT", &disk.root().to_string_lossy()),
        ..Config::default()
    };
    let preload = Preload::on()?.with("LAIO_BREAK_EVEN_US", "0");
    let server = Server::start(Kind::Nginx, &config, &disk.root(), &preload)?;
    let serving = server.settled(Kind::Nginx, &config)?;
    disk.chill()?;
    let mut lines = (0..AT_ONCE)
        .map(|_| Connection::open(server.address))
        .collect::<Result<Vec<_>>>()?;
    let mut before = 0;
    for (number, (round, most)) in rounds.iter().zip(may_stall).enumerate() {
        ask(&mut lines, round)?;
        let stats = Stats::of(&serving)?;
        let stalls = stats.stalls() - before;
        println!(
            "round {number}: {stalls} stalls of {} requests",
            round.len()
        );
        ensure!(stalls <= *most, "round {number}: {stalls} stalls\n{stats}");
        before = stats.stalls();
    }
    Ok(())
}

fn main() -> ExitCode {
    type Body = fn() -> Result;
    const PAGES: &[&str] = &["a.html", "b.html"];
    // Without these, each site, user and name of many would cost a server stalls of its own.
    let tests: [(&str, Body); 4] = [
        ("200 hosts", || served(of_host, 200, PAGES, &[20, 2])),
        ("200 users", || served(of_user, 200, PAGES, &[20, 2])),
        ("hashed names", || served(hashed, 300, &[""], &[20])),
        ("tokens", || served(with_token, 300, &[""], &[20])),
    ];
    let tests = tests.map(|(name, body)| {
        Test::new(name, body)
            .needs(Need::SlowDisk)
            .needs(Kind::Nginx.need())
            .limit(120)
    });
    run(tests.into())
}
