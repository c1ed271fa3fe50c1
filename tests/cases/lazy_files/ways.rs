//! The ways in which the servers are run.

use anyhow::{bail, ensure, Context as _};
use laio_tests::http::{request, Connection, Response};
use laio_tests::library::{check_loaded, descriptors};
use laio_tests::server::{Config, Kind, Server};
use laio_tests::{demo, Preload, Result};
use std::path::Path;
use std::time::Duration;

/// How many files the servers keep open (`Kind::arguments`).
pub const CACHE: usize = 20;

pub const LARGE: usize = 8 << 20;

/// A way to run a server: its name in the list of tests, the server, and the library's mode, where the hooks act.
#[derive(Clone, Copy)]
pub struct Way {
    pub name: &'static str,
    pub kind: Kind,
    pub hooks: bool,
}

pub const WAYS: [Way; 9] = [
    Way::new("nb-b", Kind::Lazy("nb-b"), false),
    Way::new("nb-laio", Kind::Lazy("nb-laio"), false),
    Way::new("laio-laio", Kind::Lazy("laio-laio"), false),
    Way::new("nb-aio", Kind::Lazy("nb-aio"), false),
    Way::new("nb-amped", Kind::Lazy("nb-amped"), false),
    Way::new("libevent", Kind::LazyLibevent, false),
    // The library's two sides in one process: what a server calls itself, and what the hooks make of its sockets.
    Way::new("nb-b under the preload", Kind::Lazy("nb-b"), true),
    Way::new("nb-laio with hooks", Kind::Lazy("nb-laio"), true),
    Way::new("laio-laio with hooks", Kind::Lazy("laio-laio"), true),
];

impl Way {
    const fn new(name: &'static str, kind: Kind, hooks: bool) -> Self {
        Self { name, kind, hooks }
    }

    pub fn preload(self) -> Result<Preload> {
        match self.hooks {
            true => Preload::on(),
            false => Ok(Preload::linked("off")),
        }
    }

    pub fn start(self, root: &Path) -> Result<Server> {
        self.start_limited(root, None)
    }

    /// With at most so many descriptors.
    pub fn start_limited(self, root: &Path, limit: Option<usize>) -> Result<Server> {
        demo::build()?;
        let config = Config::default();
        let preload = self.preload()?;
        let server = Server::start_with(self.kind, &config, root, &preload, |preload, program| {
            let Some(limit) = limit else {
                return preload.command(program);
            };
            let mut command = preload.command(Path::new("/bin/sh"));
            command
                .args(["-c", &format!("ulimit -n {limit}; exec \"$0\" \"$@\"")])
                .arg(program);
            command
        })?;
        server.settled(self.kind, &config)?;
        check_loaded(server.pid())?;
        Ok(server)
    }
}

/// Ends a server, which has to go in peace and to have said no more than where it listens.
pub fn stop(server: Server) -> Result {
    let pid = server.pid();
    let ended = server.stop(pid, libc::SIGTERM)?;
    ensure!(
        ended.ending == "exit status 0" && ended.log.lines().count() == 1,
        "on SIGTERM: {}\n{}",
        ended.ending,
        ended.log
    );
    Ok(())
}

/// Waits for something that comes of itself.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result {
    for _ in 0..1500 {
        if is_so()? {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("still not after 30 s: {what}")
}

/// Waits until no more than `most` descriptors are open: a server notices in its next iteration that clients have gone.
pub fn descriptors_at_most(pid: u32, most: usize) -> Result {
    let mut last = 0;
    eventually("descriptors are closed", || {
        last = descriptors(pid)?;
        Ok(last <= most)
    })
    .with_context(|| format!("{last} descriptors instead of {most}"))
}

pub fn get(connection: &mut Connection, target: &str) -> Result<Response> {
    connection.send(&request("GET", target, "h", ""))?;
    connection.response(false).context(target.to_owned())
}
