//! A site of cold documents behind a server that speaks HTTP/2, by TLS and in the clear.

use anyhow::{bail, ensure, Context as _};
use laio_tests::cold::{drop_pages, SlowDisk};
use laio_tests::http::Connection;
use laio_tests::http2::{Answer, Client, Request, Settings};
use laio_tests::identity::{Identity, Key};
use laio_tests::library::{check_loaded, fresh_dir};
use laio_tests::server::{Config, Kind, Server};
use laio_tests::stats::Stats;
use laio_tests::tally::Documents;
use laio_tests::tls::{self, Suite, Version, Wishes};
use laio_tests::{Preload, Result};
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Servers that speak HTTP/2.
pub const SERVERS: [Kind; 4] = [Kind::Nginx, Kind::Lighttpd, Kind::H2o, Kind::Hypercorn];

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
const REFUSALS: [&str; 5] = [
    "/tls/no_keys",
    "/tls/suite",
    "/tls/protocol",
    "/tls/lost",
    "/tls/tag",
];

/// What clients speak HTTP/2 by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    Tls,
    Clear,
}

/// Both.
pub const LINES: [Line; 2] = [Line::Tls, Line::Clear];

/// The site, and what its server shows.
pub struct Site {
    disk: SlowDisk,
    identity: Identity,
}

impl Site {
    pub fn up() -> Result<Self> {
        Self::with(&[])
    }

    /// The same, with more documents.
    pub fn with(more: &[Documents]) -> Result<Self> {
        let disk = SlowDisk::up()?;
        for documents in [WARM, COLD].iter().chain(more) {
            documents.write(&disk.root().join(documents.directory))?;
        }
        let identity = Identity::make(&fresh_dir("identities")?, Key::Ecdsa)?;
        Ok(Self { disk, identity })
    }

    /// Where its documents are.
    pub fn root(&self) -> PathBuf {
        self.disk.root()
    }

    /// All is cold but the documents that are not.
    pub fn chill(&self) -> Result {
        self.disk.chill()?;
        for number in 0..WARM.count {
            std::fs::read(self.disk.root().join(format!("warm/f{number}.html")))?;
        }
        Ok(())
    }

    /// These documents are cold once more, while a server runs.
    pub fn cool(&self, mut numbers: std::ops::Range<usize>) -> Result {
        let directory = self.disk.root().join(COLD.directory);
        numbers.try_for_each(|number| drop_pages(&directory.join(format!("f{number}.html"))))
    }

    /// Without the library, with it from the first stall on, and with it and a rule for the documents from the beginning.
    pub fn ways(&self) -> Result<[Preload; 3]> {
        let mut learning = Preload::on()?;
        learning.name = "the library, which learns".into();
        Ok([Preload::stock(), learning, self.pinned()?])
    }

    /// The library, with a rule for the documents from the beginning.
    pub fn pinned(&self) -> Result<Preload> {
        let root = self.disk.root();
        let mut preload = Preload::on()?.with("LAIO_MAP", format!("/={}/", root.display()));
        preload.name = "the library, with a pinned rule".into();
        Ok(preload)
    }

    /// Makes everything cold and starts a server.
    pub fn serve(&self, kind: Kind, line: Line, preload: &Preload) -> Result<Served> {
        self.chill()?;
        Served::start(
            kind,
            line,
            &self.identity,
            &Config::default(),
            &self.disk.root(),
            preload,
        )
    }

    /// Visits a server in each of these ways over each of these lines; what is seen is the same. At least so many requests are held
    /// back.
    pub fn same<T: PartialEq + Debug>(
        &self,
        kind: Kind,
        lines: &[Line],
        ways: &[Preload],
        least: u64,
        visit: impl Fn(&Served) -> Result<T>,
    ) -> Result {
        for &line in lines {
            let mut stock = None;
            for preload in ways {
                let what = format!("{line:?}, {}", preload.name);
                let served = self.serve(kind, line, preload)?;
                let seen = visit(&served);
                let stats = served.stats()?;
                let seen = seen.with_context(|| format!("{what}\n{stats}"))?;
                if preload.is_stock() {
                    stock = Some(seen);
                    continue;
                }
                all_understood(&stats, least).with_context(|| what.clone())?;
                println!(
                    "{what}: {} held back, {} stalls",
                    stats.gated(),
                    stats.stalls()
                );
                if let Some(stock) = stock.as_ref().filter(|stock| **stock != seen) {
                    bail!(
                        "{what}, stock and with the library:\n{}\n{stats}",
                        lines_that_differ(stock, &seen)
                    );
                }
            }
        }
        Ok(())
    }
}

/// The lines of what was seen that are not the same.
fn lines_that_differ<T: Debug>(one: &T, other: &T) -> String {
    let (one, other) = (format!("{one:#?}"), format!("{other:#?}"));
    let lines = one.lines().zip(other.lines()).filter(|(a, b)| a != b);
    let lines = lines.map(|(a, b)| format!("- {a}\n+ {b}\n"));
    lines.collect()
}

/// Fails unless all clients could be understood, and requests were held back.
pub fn all_understood(stats: &Stats, least: u64) -> Result {
    if let Some(refusal) = REFUSALS.iter().find(|name| stats.sum(name) > 0) {
        bail!("{refusal} is not 0\n{stats}");
    }
    ensure!(
        stats.gated() >= least,
        "{} requests were held back, fewer than {least}\n{stats}",
        stats.gated()
    );
    Ok(())
}

/// Fails unless nearly all of so many requests for cold documents were recognised: what was not waits for the disk in the server itself.
/// A few of the first may wait before anybody looks.
pub fn all_recognised(stats: &Stats, requests: u64) -> Result {
    let most = 5 + requests / 1000;
    ensure!(
        stats.stalls() <= most,
        "{} calls of {requests} requests waited for the disk, more than {most}\n{stats}",
        stats.stalls()
    );
    Ok(())
}

/// A server that runs.
pub struct Served {
    pub server: Server,
    pub kind: Kind,
    serving: Vec<u32>,
    is_stock: bool,
    client: Option<tls::Client>,
    next: AtomicUsize,
}

impl Served {
    pub fn start(
        kind: Kind,
        line: Line,
        identity: &Identity,
        more: &Config,
        root: &Path,
        preload: &Preload,
    ) -> Result<Self> {
        let mut config = more.clone();
        config.http2 = true;
        config.http += match kind {
            Kind::Nginx => "ssl_protocols TLSv1.2 TLSv1.3;\n",
            // A connection may be idle while others are asked.
            Kind::Lighttpd if more.http.is_empty() => "server.max-keep-alive-idle = 60\n",
            Kind::H2o if more.http.is_empty() => "http2-idle-timeout: 60\n",
            _ => "",
        };
        let mut client = None;
        if line == Line::Tls {
            config.identities = vec![identity.clone()];
            let wishes = Wishes {
                protocols: &["h2"],
                ..Wishes::plain(Version::Tls13, Suite::Aes128)
            };
            client = Some(tls::Client::new(&[identity], &wishes)?);
        }
        let server = Server::start_untouched(kind, &config, root, preload)?;
        let serving = server.settled(kind, &config)?;
        if !preload.is_stock() {
            serving.iter().try_for_each(|pid| check_loaded(*pid))?;
        }
        Ok(Self {
            server,
            kind,
            serving,
            is_stock: preload.is_stock(),
            client,
            next: AtomicUsize::new(0),
        })
    }

    /// What has been counted; nothing without the library.
    pub fn stats(&self) -> Result<Stats> {
        match self.is_stock {
            true => Ok(Stats::default()),
            false => Stats::of(&self.serving),
        }
    }

    /// A window of this size, or the smallest that the server sends anything into.
    pub fn window(&self, size: u32) -> u32 {
        match self.kind {
            Kind::Lighttpd => size.max(4096),
            _ => size,
        }
    }

    /// A connection on which nothing of HTTP/2 was sent yet.
    pub fn line(&self) -> Result<Connection> {
        match &self.client {
            None => Connection::open(self.server.address),
            Some(client) => {
                let mut line = client.connect(self.server.address)?;
                let protocol = line.sealed()?.protocol();
                ensure!(protocol == Some(b"h2"), "the server speaks {protocol:?}");
                Ok(line)
            }
        }
    }

    /// A client that has sent its preface and its settings.
    pub fn connect(&self) -> Result<Client> {
        self.connect_with(&Settings::default())
    }

    /// The same, with these settings.
    pub fn connect_with(&self, settings: &Settings) -> Result<Client> {
        Client::connect(self.line()?, settings)
    }

    /// The number of a document that is cold.
    pub fn cold(&self) -> Result<usize> {
        Ok(self.colds(1)?.start)
    }

    /// The numbers of so many documents that are cold.
    pub fn colds(&self, count: usize) -> Result<std::ops::Range<usize>> {
        let first = self.next.fetch_add(count, Ordering::Relaxed);
        ensure!(first + count <= COLD.count, "too few documents");
        Ok(first..first + count)
    }
}

/// A request for a document.
pub fn get(documents: Documents, number: usize) -> Request {
    Request::get(&documents.target(number))
}

/// Fails unless this is all of the document.
pub fn check(documents: Documents, number: usize, answer: &Answer) -> Result {
    ensure!(
        answer.status == 200 && answer.reset.is_none(),
        "document {number}: status {}, ended by error {:?}",
        answer.status,
        answer.reset
    );
    ensure!(
        answer.body == documents.content(number),
        "document {number}: another body than the document's, {} bytes",
        answer.body.len()
    );
    Ok(())
}

/// Reads the answer to a request for a document.
pub fn receive(client: &mut Client, stream: u32, documents: Documents, number: usize) -> Result {
    let answer = client.answer(stream);
    check(
        documents,
        number,
        &answer.with_context(|| format!("document {number}"))?,
    )
}

/// Asks for one document.
pub fn visit(client: &mut Client, documents: Documents, number: usize) -> Result {
    let stream = client.ask(&get(documents, number))?;
    receive(client, stream, documents, number)
}

/// Asks for these documents, so many at once as wished for and allowed. What is asked for together goes in one write.
pub fn visit_all(
    client: &mut Client,
    documents: Documents,
    numbers: impl IntoIterator<Item = usize>,
    at_once: usize,
    request: impl Fn(usize) -> Request,
) -> Result {
    let at_once = at_once.min(client.allowed()?);
    let mut numbers = numbers.into_iter();
    let mut asked = std::collections::BTreeMap::new();
    let mut again = Vec::new();
    loop {
        let mut bytes = Vec::new();
        while asked.len() < at_once {
            let Some(number) = again.pop().or_else(|| numbers.next()) else {
                break;
            };
            let (stream, frames) = client.open(&request(number))?;
            bytes.extend(frames);
            asked.insert(stream, number);
        }
        if !bytes.is_empty() {
            client.send(&bytes)?;
        }
        if asked.is_empty() {
            return Ok(());
        }
        let (stream, answer) = client.any_answer()?;
        let number = asked.remove(&stream);
        let number = number.context("an answer that nobody waits for")?;
        match answer.is_refused() {
            true => again.push(number),
            false => check(documents, number, &answer)?,
        }
    }
}
