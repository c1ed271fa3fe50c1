//! A site of cold documents behind a server that speaks TLS.

use anyhow::{bail, ensure};
use laio_tests::cold::SlowDisk;
use laio_tests::identity::{Identity, Key};
use laio_tests::library::{check_loaded, fresh_dir};
use laio_tests::server::{Config, Kind, Server};
use laio_tests::stats::Stats;
use laio_tests::tally::Documents;
use laio_tests::{Preload, Result};
use std::path::{Path, PathBuf};

/// Servers that speak TLS by OpenSSL.
pub const SERVERS: [Kind; 5] = [
    Kind::Nginx,
    Kind::Lighttpd,
    Kind::H2o,
    Kind::Asyncio,
    Kind::Selectors("epoll"),
];

/// Documents that stay in memory.
pub const WARM: Documents = Documents {
    directory: "warm/",
    count: 8,
    length: 3000,
};

/// Documents that are cold, each until it is asked for.
pub const COLD: Documents = Documents {
    directory: "cold/",
    count: 700,
    length: 9000,
};

/// Counters of connections that could not be understood.
pub const REFUSALS: [&str; 5] = [
    "/tls/no_keys",
    "/tls/suite",
    "/tls/protocol",
    "/tls/lost",
    "/tls/tag",
];

/// The site, and what servers show.
pub struct Site {
    disk: SlowDisk,
    pub ecdsa: Identity,
    pub rsa: Identity,
}

impl Site {
    pub fn up() -> Result<Self> {
        let disk = SlowDisk::up()?;
        for documents in [WARM, COLD] {
            documents.write(&disk.root().join(documents.directory))?;
        }
        let dir = fresh_dir("identities")?;
        Ok(Self {
            disk,
            ecdsa: Identity::make(&dir, Key::Ecdsa)?,
            rsa: Identity::make(&dir, Key::Rsa)?,
        })
    }

    pub fn root(&self) -> PathBuf {
        self.disk.root()
    }

    /// All is cold but the documents that are not.
    pub fn chill(&self) -> Result {
        self.disk.chill()?;
        for number in 0..WARM.count {
            std::fs::read(self.root().join(format!("warm/f{number}.html")))?;
        }
        Ok(())
    }

    /// The library, which has the rule for the documents from the beginning, and looks from the beginning.
    pub fn pinned(&self) -> Result<Preload> {
        let root = self.root();
        let mut preload = Preload::on()?.with("LAIO_MAP", format!("/={}/", root.display()));
        preload.name = "the library, with a pinned rule".into();
        Ok(preload)
    }

    /// Starts a server.
    pub fn serve(&self, kind: Kind, more: &Config, preload: &Preload) -> Result<Served> {
        let mut config = more.clone();
        if config.identities.is_empty() {
            config.identities = vec![self.ecdsa.clone()];
        }
        Served::start(kind, &config, &self.root(), preload)
    }
}

/// A server that runs.
pub struct Served {
    pub server: Server,
    pub serving: Vec<u32>,
}

impl Served {
    /// Starts one that speaks TLS.
    pub fn start(kind: Kind, config: &Config, root: &Path, preload: &Preload) -> Result<Self> {
        let mut config = config.clone();
        if kind == Kind::Nginx {
            config.http += "ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:sessions:1m;\n";
        }
        let server = Server::start_untouched(kind, &config, root, preload)?;
        let serving = server.settled(kind, &config)?;
        if !preload.is_stock() {
            serving.iter().try_for_each(|pid| check_loaded(*pid))?;
        }
        Ok(Self { server, serving })
    }

    /// Ends it, and waits until it has; what it has said.
    pub fn end(self) -> Result<String> {
        let pid = self.server.pid();
        Ok(self.server.stop(pid, libc::SIGTERM)?.log)
    }

    pub fn stats(&self) -> Result<Stats> {
        Stats::of(&self.serving)
    }
}

/// Fails unless all clients could be understood, and requests were held back.
pub fn all_understood(stats: &Stats, least: u64) -> Result {
    if let Some(refusal) = REFUSALS.iter().find(|name| stats.sum(name) > 0) {
        bail!("{refusal} is not 0\n{stats}");
    }
    ensure!(
        stats.sum("/tls/opened") > 0,
        "no record was opened\n{stats}"
    );
    ensure!(
        stats.gated() >= least,
        "{} requests were held back, fewer than {least}\n{stats}",
        stats.gated()
    );
    Ok(())
}

/// The bytes of a request for a document.
pub fn request(documents: Documents, number: usize) -> Vec<u8> {
    let target = format!("/{}f{number}.html", documents.directory);
    laio_tests::http::request("GET", &target, "localhost", "")
}
