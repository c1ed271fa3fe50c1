//! Connections that come by other ways than from the network to the process that serves them, and loops that wait by other ways than the C
//! library's: Unix sockets, connections that a parent accepts and passes on (Node's `cluster`), waits by raw system calls (Danga::Socket).

use anyhow::{ensure, Context as _};
use laio_tests::cold::SlowDisk;
use laio_tests::http::{request, Connection};
use laio_tests::server::{Config, Demo, Kind, Server};
use laio_tests::stats::Stats;
use laio_tests::{docroot, library, run, Need, Preload, Result, Test};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

const FILES: usize = 80;
const LENGTH: usize = 8_000;
const AT_ONCE: usize = 4;

const CLUSTER: Kind = Kind::Demo(Demo {
    command: "node",
    package: "nodejs",
    file: "@DEMO@/cluster_files.js",
});

const DANGA: Kind = Kind::Demo(Demo {
    command: "/usr/bin/perl",
    package: "libdanga-socket-perl",
    file: "@DEMO@/danga_files.pl",
});

fn name(number: usize) -> String {
    format!("d{}/f{number}.bin", number % 3)
}

/// A cold site and a server.
struct Site {
    _disk: SlowDisk,
    server: Server,
    serving: Vec<u32>,
}

impl Site {
    fn up(kind: Kind, config: &Config, mode: &str) -> Result<Site> {
        let disk = SlowDisk::up()?;
        for number in 0..FILES {
            docroot::write(&disk.root(), &name(number), LENGTH)?;
        }
        let preload = Preload::mode(mode)?.with("LAIO_BREAK_EVEN_US", "0");
        let server = Server::start(kind, config, &disk.root(), &preload)?;
        let mut serving = server.settled(kind, config)?;
        if kind == CLUSTER {
            serving = server.children()?;
            ensure!(serving.len() == 1, "workers: {serving:?}");
        }
        disk.chill()?;
        Ok(Site {
            _disk: disk,
            server,
            serving,
        })
    }

    fn stats(&self) -> Result<Stats> {
        Stats::of(&self.serving)
    }
}

/// Some clients at once, each with a part of the files over one connection, twice.
fn by_network(site: &Site) -> Result {
    let address = site.server.address;
    let client = move |first: usize| -> Result {
        let mut connection = Connection::open(address)?;
        for number in (first..FILES).step_by(AT_ONCE) {
            connection.send(&request("GET", &format!("/{}", name(number)), "h", ""))?;
            let answer = connection.response(false)?;
            let is_right = answer.body == docroot::content(&name(number), LENGTH);
            ensure!(answer.status == 200 && is_right, "{number}: it differs");
        }
        Ok(())
    };
    at_once(&client)
}

fn at_once(client: &(dyn Fn(usize) -> Result + Sync)) -> Result {
    std::thread::scope(|scope| {
        let start = |first| scope.spawn(move || client(first));
        let clients: Vec<_> = (0..AT_ONCE).map(start).collect();
        let joined = clients.into_iter().map(|it| it.join().expect("a client"));
        joined.collect()
    })
}

fn by_unix_socket(socket: &Path) -> Result {
    at_once(&|first| {
        for number in (first..FILES).step_by(AT_ONCE) {
            let mut stream = UnixStream::connect(socket)?;
            let target = format!("/{}", name(number));
            stream.write_all(&request("GET", &target, "h", "Connection: close\r\n"))?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            let body = answer.len().checked_sub(LENGTH).context("no body")?;
            ensure!(
                answer.starts_with(b"HTTP/1.1 200")
                    && answer[body..] == docroot::content(&name(number), LENGTH),
                "{number}: it differs"
            );
        }
        Ok(())
    })
}

/// Whether most of the requests were held back, and few stalled.
fn is_helped(stats: &Stats, without: u64) -> Result {
    println!(
        "{} held back, {} stalls, {without} without help",
        stats.gated(),
        stats.stalls()
    );
    ensure!(
        stats.gated() >= FILES as u64 * 3 / 4 && stats.stalls() <= FILES as u64 / 5,
        "{} held back, {} stalls\n{stats}",
        stats.gated(),
        stats.stalls()
    );
    Ok(())
}

fn unix_sockets() -> Result {
    let socket = library::fresh_dir("socket")?.join("nginx");
    let config = Config {
        server: format!("listen unix:{};", socket.display()),
        ..Config::default()
    };
    let site = Site::up(Kind::Nginx, &config, "observe")?;
    by_unix_socket(&socket)?;
    let without = site.stats()?.stalls();
    ensure!(without >= FILES as u64, "{without} stalls without help");
    drop(site);
    let _ = std::fs::remove_file(&socket);
    let site = Site::up(Kind::Nginx, &config, "on")?;
    by_unix_socket(&socket)?;
    is_helped(&site.stats()?, without)
}

/// A worker's files are read by threads, so its loop has no stalls.
fn cluster() -> Result {
    let site = Site::up(CLUSTER, &Config::default(), "on")?;
    by_network(&site)?;
    is_helped(&site.stats()?, 0)?;
    // And again, from memory.
    by_network(&site)
}

fn raw_waits() -> Result {
    let config = Config::default();
    let site = Site::up(DANGA, &config, "observe")?;
    by_network(&site)?;
    let without = site.stats()?.stalls();
    ensure!(without >= FILES as u64, "{without} stalls without help");
    drop(site);
    let site = Site::up(DANGA, &config, "on")?;
    by_network(&site)?;
    is_helped(&site.stats()?, without)?;
    by_network(&site)
}

fn main() -> ExitCode {
    let test = |name: &str, kind: Kind, body: fn() -> Result| {
        let test = Test::new(name, body).needs(Need::SlowDisk);
        test.needs(kind.need()).limit(120)
    };
    // Without these, such a server has no help.
    run(vec![
        test("Unix sockets: nginx", Kind::Nginx, unix_sockets),
        test("passed on: Node's cluster", CLUSTER, cluster),
        test("raw waits: Danga::Socket", DANGA, raw_waits),
    ])
}
