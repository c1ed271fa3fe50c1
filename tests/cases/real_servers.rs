//! Real servers over a cold docroot: a mixture of requests over real sockets, every body compared, the same
//! answers as without the library, and nothing left behind.

use anyhow::{bail, Context as _};
use laio_tests::cold::SlowDisk;
use laio_tests::library::{check_loaded, descriptors, threads};
use laio_tests::server::{Config, Kind, Server};
use laio_tests::site::Site;
use laio_tests::stats::Stats;
use laio_tests::workload::{same_answers, Mixture};
use laio_tests::{run, Need, Preload, Result, Test};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

const CONNECTIONS: usize = 64;

/// What the mixture needs of each server: a listing, an index, an aliased directory, a second host.
fn configuration(kind: Kind, root: &Path, more: Config) -> Config {
    let elsewhere = root.join("elsewhere/images");
    let other = root.join("other");
    let (elsewhere, other) = (elsewhere.display(), other.display());
    match kind {
        Kind::Lighttpd => Config {
            http: format!(
                "server.modules = ( \"mod_indexfile\", \"mod_alias\", \"mod_dirlisting\" )\n\
                 alias.url = ( \"/pictures/\" => \"{elsewhere}/\" )\ndir-listing.activate = \"enable\"\n\
                 server.max-fds = 16384\n\
                 $HTTP[\"host\"] == \"other.test\" {{ server.document-root = \"{other}\" }}\n{}",
                more.http
            ),
            ..more
        },
        Kind::Nginx => Config {
            http: format!(
                "server {{ listen 127.0.0.1:LISTEN; server_name other.test; root {other}; }}\n{}",
                more.http
            ),
            server: format!(
                "server_name main.test; autoindex on; location /pictures/ {{ alias {elsewhere}/; }}\n{}",
                more.server
            ),
            ..more
        },
        _ => more,
    }
}

struct Run {
    outcome: laio_tests::workload::Outcome,
    /// Read while it served, for not every server ends in a way that writes them.
    stats: Stats,
    port: u16,
    ended: laio_tests::server::Ended,
}

/// One server, from its start to its end.
fn serve(
    kind: Kind,
    config: &Config,
    root: &Path,
    preload: &Preload,
    mixture: &Mixture,
    signal: i32,
) -> Result<Run> {
    let server = Server::start(kind, config, &root.join("main"), preload)?;
    let serving = server.settled(kind, config)?;
    if !preload.is_stock() {
        serving.iter().try_for_each(|pid| check_loaded(*pid))?;
    }
    for pid in &serving {
        if threads(*pid)?
            .iter()
            .any(|(_, name)| name.starts_with("laio-"))
        {
            bail!("a helper was started before the first request");
        }
    }
    // A cache of open files is still full after the clients have gone.
    let keeps = if config.http.contains("open_file_cache max=500") {
        500
    } else {
        0
    };
    let count = || -> Result<Vec<usize>> { serving.iter().map(|pid| descriptors(*pid)).collect() };
    let before = count()?;
    let outcome = mixture
        .run(server.address, CONNECTIONS)
        .with_context(|| preload.name.clone())?;
    // The clients have gone; the server notices within a second or two.
    let mut after = count()?;
    for _ in 0..1500 {
        if after.iter().zip(&before).all(|(a, b)| *a <= b + keeps) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
        after = count()?;
    }
    if after.iter().zip(&before).any(|(a, b)| *a > b + keeps) {
        let list = std::process::Command::new("ls")
            .arg("-l")
            .arg(format!("/proc/{}/fd", serving[0]))
            .output()?;
        bail!(
            "{}: descriptors before {before:?}, afterwards {after:?}\n{}",
            preload.name,
            String::from_utf8_lossy(&list.stdout)
        );
    }
    if server.serving(kind)? != serving {
        bail!(
            "{}: a serving process was replaced: it must have died",
            preload.name
        );
    }
    let stats = match preload.is_stock() {
        true => Stats::default(),
        false => Stats::of(&serving)?,
    };
    let port = server.address.port();
    let pid = server.pid();
    // It has just closed its last connection. A signal between Python's look for signals and its `select` would wait for the end of that,
    // with the library and without: asyncore's lasts 30 s.
    std::thread::sleep(Duration::from_millis(200));
    let ended = server.stop(pid, signal)?;
    Ok(Run {
        outcome,
        stats,
        port,
        ended,
    })
}

fn case(kind: Kind, more: Config, requests: usize, signal: i32) -> Result {
    let site = Site {
        documents: requests,
    };
    let mixture = Mixture::new(site, requests, kind.abilities());
    let disk = SlowDisk::up()?;
    let root = disk.root();
    site.write(&root)?;
    disk.chill()?;
    let config = configuration(kind, &root, more);
    let on = serve(kind, &config, &root, &Preload::on()?, &mixture, signal)?;
    let stats = &on.stats;
    if on.ended.stats.is_none() {
        bail!("the server did not write its counters\n{}", on.ended.log);
    }
    let seen = format!(
        "{} requests\n{stats}{}",
        on.outcome.requests,
        on.ended
            .log
            .lines()
            .filter(|l| l.contains("[alert]") || l.contains("[crit]"))
            .collect::<String>()
    );
    if stats.gated() == 0 {
        bail!("no request was held back: this tested nothing\n{seen}");
    }
    if requests >= 2_000
        && matches!(kind, Kind::Lighttpd | Kind::Nginx)
        && stats.sum("/lanes/body_gate") == 0
    {
        bail!("no body was held back: this tested little\n{seen}");
    }
    if on.ended.log.contains("[alert]") || on.ended.log.contains("[crit]") {
        bail!("the server noticed something\n{seen}");
    }
    // What was cold is cached now, which is all that a stock server needs to be quick.
    let stock = serve(kind, &config, &root, &Preload::stock(), &mixture, signal)?;
    same_answers((&stock.outcome, stock.port), (&on.outcome, on.port)).context(seen)?;
    if stock.ended.ending != on.ended.ending {
        bail!(
            "on signal {signal}: stock {}, with the library {}",
            stock.ended.ending,
            on.ended.ending
        );
    }
    println!("{stats}");
    Ok(())
}

/// New workers take over while requests are held back in the old ones, three times.
fn reload() -> Result {
    let site = Site { documents: 2_500 };
    let mut mixture = Mixture::new(site, 2_500, Kind::Nginx.abilities());
    // A worker that leaves may end an idle connection at any time: clients that reuse one must expect that.
    mixture.fresh_connections = true;
    let disk = SlowDisk::up()?;
    let root = disk.root();
    site.write(&root)?;
    disk.chill()?;
    let config = configuration(Kind::Nginx, &root, Config::default());
    let server = Server::start(Kind::Nginx, &config, &root.join("main"), &Preload::on()?)?;
    server.settled(Kind::Nginx, &config)?;
    let master = server.pid();
    let outcome = std::thread::scope(|scope| {
        let running = scope.spawn(|| mixture.run(server.address, CONNECTIONS));
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(400));
            // SAFETY: a child of ours that was not reaped.
            unsafe { libc::kill(master as libc::pid_t, libc::SIGHUP) };
        }
        running
            .join()
            .map_err(|_| anyhow::anyhow!("a client panicked"))?
    })?;
    // Old workers leave by themselves once their connections are done.
    server.settled(Kind::Nginx, &config)?;
    let ended = server.stop(master, libc::SIGQUIT)?;
    let stats = ended.stats.context("no counters were written")?;
    if stats.gated() == 0 || stats.files.len() < 4 {
        bail!("{} processes wrote counters\n{stats}", stats.files.len());
    }
    if ended.ending != "exit status 0" || ended.log.contains("[alert]") {
        bail!("{}\n{stats}", ended.ending);
    }
    println!("{} requests\n{stats}", outcome.requests);
    Ok(())
}

fn main() -> ExitCode {
    let lighttpd = |http: &str| {
        (
            Kind::Lighttpd,
            Config {
                http: http.into(),
                ..Config::default()
            },
        )
    };
    let nginx = |http: &str, workers| {
        (
            Kind::Nginx,
            Config {
                http: http.into(),
                workers,
                ..Config::default()
            },
        )
    };
    let other = |kind| (kind, Config::default());
    let cases = [
        // Without these, a held-back request could fail, or be answered with another file, on the servers that the
        // library is made for.
        ("lighttpd", lighttpd(""), 10_000, libc::SIGTERM),
        ("nginx", nginx("", 1), 10_000, libc::SIGTERM),
        // Without these, what a server remembers about files could be mixed up by what the library does beside it.
        ("lighttpd without a stat cache", lighttpd("server.stat-cache-engine = \"disable\"\n"), 2_000, libc::SIGINT),
        (
            "nginx with open_file_cache",
            nginx("open_file_cache max=500 inactive=2s; open_file_cache_valid 1s; open_file_cache_errors on;\n", 1),
            2_500,
            libc::SIGQUIT,
        ),
        // Without this, one worker's helpers or counters could be taken for another's.
        ("nginx with two workers", nginx("", 2), 2_500, libc::SIGQUIT),
        // Without these, bodies that are read instead of sent from the file could be cut or repeated.
        ("nginx without sendfile", nginx("sendfile off;\n", 1), 2_500, libc::SIGTERM),
        ("lighttpd without sendfile", lighttpd("server.network-backend = \"writev\"\n"), 2_000, libc::SIGTERM),
        // Without these, what holds for lighttpd and nginx would be taken to hold for every way to wait, open, read and send:
        // bodies by pread, files opened an iteration after the request was read, a server that waits in poll or select.
        ("h2o", other(Kind::H2o), 2_500, libc::SIGTERM),
        ("asyncio", other(Kind::Asyncio), 2_500, libc::SIGINT),
        ("selectors epoll", other(Kind::Selectors("epoll")), 2_500, libc::SIGINT),
        ("selectors poll", other(Kind::Selectors("poll")), 1_000, libc::SIGINT),
        ("selectors select", other(Kind::Selectors("select")), 1_000, libc::SIGINT),
        ("EventMachine in select", other(Kind::EventMachine("")), 1_000, libc::SIGTERM),
        ("EventMachine in epoll", other(Kind::EventMachine("--epoll")), 1_000, libc::SIGTERM),
        ("asyncore", other(Kind::Asyncore("")), 1_000, libc::SIGINT),
        ("merecat", other(Kind::Merecat), 1_000, libc::SIGTERM),
        ("webfs", other(Kind::Webfs), 1_000, libc::SIGTERM),
        ("thttpd", other(Kind::Thttpd), 1_000, libc::SIGTERM),
        ("darkhttpd", other(Kind::Darkhttpd), 1_000, libc::SIGTERM),
    ];
    let mut tests: Vec<Test> = cases
        .into_iter()
        .map(|(name, (kind, config), requests, signal)| {
            Test::new(name, move || case(kind, config, requests, signal))
                .needs(Need::SlowDisk)
                .needs(kind.need())
                .limit(150)
        })
        .collect();
    // Without it, a worker that leaves could take held-back requests with it, or never leave.
    tests.push(
        Test::new("nginx reload", reload)
            .needs(Need::SlowDisk)
            .needs(Kind::Nginx.need())
            .limit(150),
    );
    run(tests)
}
