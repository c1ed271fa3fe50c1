//! A server with a cache on a slow disk, the application behind it, and clients that ask for what is cached and what is not.

use anyhow::{ensure, Context as _};
use laio_tests::backend::{answer, Backend, Protocol};
use laio_tests::cold::SlowDisk;
use laio_tests::http::{request, Connection, Response};
use laio_tests::library::check_loaded;
use laio_tests::server::{Config, Kind, Server};
use laio_tests::stats::Stats;
use laio_tests::tally::Tally;
use laio_tests::{Preload, Result};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;

const CLIENTS: usize = 16;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Ask {
    pub target: String,
    pub host: &'static str,
    /// Further header lines.
    pub more: String,
    /// The kind of answer that the application gives.
    pub kind: String,
    /// What the application is asked for, where that is something else.
    pub asked: Option<String>,
}

impl Ask {
    pub fn get(target: String) -> Self {
        Self {
            target,
            host: "main.test",
            more: String::new(),
            kind: String::new(),
            asked: None,
        }
    }

    pub fn body(&self) -> Vec<u8> {
        answer(self.asked.as_ref().unwrap_or(&self.target), &self.kind)
    }

    /// Asks over a connection of HTTP/1.x.
    pub fn send(&self, connection: &mut Connection) -> Result<Response> {
        connection.send(&request("GET", &self.target, self.host, &self.more))?;
        connection.response(false)
    }

    /// Fails unless an answer is right, and came from the cache or did not.
    pub fn check(&self, status: u16, body: &[u8], cache: Option<&str>, wanted: &str) -> Result {
        ensure!(status == 200, "{self:?}: status {status}");
        ensure!(body == self.body(), "{self:?}: another body");
        ensure!(cache == Some(wanted), "{self:?}: {cache:?}, not {wanted}");
        Ok(())
    }
}

/// How a site is configured.
#[derive(Clone)]
pub struct Plan {
    pub protocol: Protocol,
    /// Lines for the `http` block: `@DISK@` is the slow disk, `@BACKEND@` the application.
    pub http: String,
    /// Lines for the `server` block.
    pub server: String,
    /// What is asked for of that number.
    pub ask: fn(usize) -> Ask,
}

/// The site.
pub struct Site {
    disk: SlowDisk,
    pub backend: Backend,
    pub config: Config,
}

impl Site {
    pub fn up(plan: &Plan) -> Result<Self> {
        let disk = SlowDisk::up()?;
        let backend = Backend::listen(plan.protocol)?;
        let fill = |lines: &str| {
            lines
                .replace("@DISK@", &disk.root().to_string_lossy())
                .replace("@BACKEND@", &backend.address.to_string())
        };
        let config = Config {
            http: format!(
                "add_header X-Cache $upstream_cache_status;\n{}",
                fill(&plan.http)
            ),
            server: fill(&plan.server),
            ..Config::default()
        };
        Ok(Self {
            disk,
            backend,
            config,
        })
    }

    pub fn serve(&self, preload: &Preload) -> Result<Served> {
        let server =
            Server::start_untouched(Kind::Nginx, &self.config, &self.disk.root(), preload)?;
        let serving = server.settled(Kind::Nginx, &self.config)?;
        if !preload.is_stock() {
            serving.iter().try_for_each(|pid| check_loaded(*pid))?;
        }
        Ok(Served { server, serving })
    }

    /// Has all answers cached, and cold.
    pub fn fill(&self, asks: &[Ask]) -> Result {
        let served = self.serve(&Preload::stock())?;
        served
            .visit(asks, "MISS")
            .context("nothing is cached yet")?;
        served.end()?;
        self.chill()
    }

    /// All that is cached is cold; no server runs.
    pub fn chill(&self) -> Result {
        self.disk.chill()
    }
}

/// A server that runs.
pub struct Served {
    pub server: Server,
    pub serving: Vec<u32>,
}

/// Asks for all of these by some clients, each of which has a connection of its own.
pub fn visit_by<C>(
    asks: &[Ask],
    open: impl Fn() -> Result<C> + Sync,
    send: impl Fn(&Ask, &mut C) -> Result + Sync,
) -> Result {
    let (next, tally) = (AtomicUsize::new(0), Mutex::new(Tally::default()));
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut connection = open();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(ask) = asks.get(number) else {
                        return;
                    };
                    let outcome = match &mut connection {
                        Ok(connection) => send(ask, connection),
                        Err(error) => Err(anyhow::anyhow!("{error:#}")),
                    };
                    let mut tally = tally.lock().unwrap_or_else(|e| e.into_inner());
                    tally.count(number, outcome);
                }
            });
        }
    });
    let tally = tally.into_inner().unwrap_or_else(|e| e.into_inner());
    tally.all_right(asks.len())
}

impl Served {
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Asks for all of these, whose answers come from the cache or do not.
    pub fn visit(&self, asks: &[Ask], wanted: &str) -> Result {
        let open = || Connection::open(self.address());
        visit_by(asks, open, |ask, connection| {
            let it = ask.send(connection)?;
            ask.check(it.status, &it.body, it.header("x-cache"), wanted)
        })
    }

    pub fn stats(&self) -> Result<Stats> {
        Stats::of(&self.serving)
    }

    /// Ends it, and waits until it has.
    pub fn end(self) -> Result<Option<Stats>> {
        let pid = self.server.pid();
        let ended = self.server.stop(pid, libc::SIGTERM)?;
        for word in ["[alert]", "[crit]", "[emerg]"] {
            ensure!(
                !ended.log.contains(word),
                "the server noticed something\n{}",
                ended.log
            );
        }
        Ok(ended.stats)
    }
}
