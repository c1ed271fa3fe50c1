//! Versions, suites, sessions that go on, new keys, and when the loop begins to look: on each server, with and without the library.

use crate::site::{all_understood, request, Served, Site, COLD, WARM};
use anyhow::{bail, ensure, Context as _};
use laio_tests::cold::SlowDisk;
use laio_tests::http::Connection;
use laio_tests::identity::Identity;
use laio_tests::library::check_loaded;
use laio_tests::server::{Config, Kind, Server};
use laio_tests::site;
use laio_tests::stats::Stats;
use laio_tests::tls::{shake, Client, Version, Wishes, COMBINATIONS};
use laio_tests::workload::{same_answers, Mixture, Outcome};
use laio_tests::{Preload, Result};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How requests are put on the line.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// One in a record.
    Single,
    /// Two in one record.
    Two,
    /// One in three records and three writes.
    Torn,
    /// Three records in one write: two requests, the first of which is cut.
    Joined,
    /// A request after new keys, in two writes.
    Update,
    /// The same in one.
    UpdateJoined,
    /// New keys in the middle of a request, in one write.
    UpdateWithin,
}

const WAYS: [Way; 7] = [
    Way::Single,
    Way::Two,
    Way::Torn,
    Way::Joined,
    Way::Update,
    Way::UpdateJoined,
    Way::UpdateWithin,
];

impl Way {
    fn needs_updates(self) -> bool {
        matches!(self, Way::Update | Way::UpdateJoined | Way::UpdateWithin)
    }

    fn requests(self) -> usize {
        1 + usize::from(matches!(self, Way::Two | Way::Joined))
    }

    /// Writes, for these documents, what the client sends.
    fn writes(self, connection: &mut Connection, numbers: &[usize]) -> Result<Vec<Vec<u8>>> {
        let requests: Vec<_> = numbers.iter().map(|&n| request(COLD, n)).collect();
        let all = requests.concat();
        let sealed = connection.sealed()?;
        let mut seal = |range: std::ops::Range<usize>| sealed.seal(&all[range]);
        Ok(match self {
            Way::Single | Way::Two => vec![seal(0..all.len())?],
            Way::Torn => vec![seal(0..3)?, seal(3..20)?, seal(20..all.len())?],
            Way::Joined => {
                let end = requests[0].len();
                vec![[seal(0..9)?, seal(9..end)?, seal(end..all.len())?].concat()]
            }
            Way::Update => vec![sealed.update_keys()?, sealed.seal(&all)?],
            Way::UpdateJoined => vec![[sealed.update_keys()?, sealed.seal(&all)?].concat()],
            Way::UpdateWithin => {
                let first = sealed.seal(&all[..11])?;
                let update = sealed.update_keys()?;
                vec![[first, update, sealed.seal(&all[11..])?].concat()]
            }
        })
    }
}

/// A connection, what it is, and what it was asked for and has not answered.
struct Line {
    connection: Connection,
    version: Version,
    what: String,
    /// What is still to be sent of the handshake.
    last: Vec<u8>,
    asked: Vec<usize>,
}

/// Asks in this way for the next documents, if the connection can; nothing is read yet.
fn ask(line: &mut Line, way: Way, next: &AtomicUsize) -> Result {
    if way.needs_updates() && line.version == Version::Tls12 {
        return Ok(());
    }
    let first = next.fetch_add(way.requests(), Ordering::Relaxed);
    let numbers: Vec<_> = (first..first + way.requests()).collect();
    ensure!(first + way.requests() <= COLD.count, "too few documents");
    let mut writes = way.writes(&mut line.connection, &numbers)?;
    // With the last message of the handshake, where that is the client's and is not sent yet.
    let last = std::mem::take(&mut line.last);
    writes[0].splice(0..0, last);
    for (at, write) in writes.iter().enumerate() {
        if at > 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
        line.connection.send_raw(write)?;
    }
    line.asked = numbers;
    Ok(())
}

fn receive(line: &mut Line) -> Result {
    for number in std::mem::take(&mut line.asked) {
        let received = COLD.receive(&mut line.connection, number);
        received.with_context(|| format!("{}, document {number}", line.what))?;
    }
    Ok(())
}

/// Asks over each connection in this way, then reads all answers.
fn round(lines: &mut [Line], way: Way, next: &AtomicUsize) -> Result {
    for line in lines.iter_mut() {
        ask(line, way, next).with_context(|| format!("{}, {way:?}", line.what))?;
    }
    for line in lines.iter_mut() {
        receive(line).with_context(|| format!("{way:?}"))?;
    }
    Ok(())
}

/// Clients of every kind.
struct Clients(Vec<(Version, String, Client)>);

impl Clients {
    fn new(identity: &Identity) -> Result<Self> {
        let mut clients = Vec::new();
        for (at, (version, suite)) in COMBINATIONS.into_iter().enumerate() {
            for tickets in [true, false] {
                if !tickets && version == Version::Tls13 {
                    continue;
                }
                let wishes = Wishes {
                    tickets,
                    protocols: if at % 2 == 0 { &["http/1.1"] } else { &[] },
                    ..Wishes::plain(version, suite)
                };
                let what = format!("{version:?} {suite:?}, tickets: {tickets}");
                clients.push((version, what, Client::new(&[identity], &wishes)?));
            }
        }
        Ok(Self(clients))
    }

    /// A connection of each, whose handshake is done up to the client's last message.
    fn dial(&self, served: &Served, when: &str) -> Result<Vec<Line>> {
        let each = self.0.iter().map(|(version, what, client)| {
            let what = format!("{when}: {what}");
            let mut connection = client.dial(served.server.address)?;
            let last = shake(&mut connection).with_context(|| what.clone())?;
            Ok(Line {
                connection,
                version: *version,
                what,
                last,
                asked: Vec::new(),
            })
        });
        each.collect()
    }
}

fn is_resumed(lines: &mut [Line]) -> Result<Vec<bool>> {
    let each = lines.iter_mut();
    each.map(|line| Ok(line.connection.sealed()?.is_resumed()))
        .collect()
}

/// Which connections went on with a session.
type Resumed = Vec<bool>;

/// All of it at one server.
fn visit(served: &Served, identity: &Identity) -> Result<Resumed> {
    let next = AtomicUsize::new(0);
    let clients = Clients::new(identity)?;
    let mut resumed = Vec::new();
    // Nothing has been cold yet: nobody looks. Keys change meanwhile, too.
    let mut after = clients.dial(served, "armed after the handshake")?;
    for (at, line) in after.iter_mut().enumerate() {
        let last = std::mem::take(&mut line.last);
        line.connection.send_raw(&last)?;
        if at % 2 == 0 && line.version == Version::Tls13 {
            let update = line.connection.sealed()?.update_keys()?;
            line.connection.send_raw(&update)?;
        }
        WARM.ask(&mut line.connection, at % WARM.count)?;
        WARM.receive(&mut line.connection, at % WARM.count)
            .with_context(|| format!("{}, warm", line.what))?;
    }
    let mut during = clients.dial(served, "armed during the handshake")?;
    // From here on somebody does.
    let mut first = clients.dial(served, "armed by this")?;
    for _ in 0..3 {
        round(&mut first, Way::Single, &next).context("to arm the loop")?;
    }
    for lines in [&mut during, &mut after] {
        for way in WAYS {
            round(lines, way, &next)?;
        }
        resumed.extend(is_resumed(lines)?);
    }
    for when in ["armed before", "armed before, again"] {
        let mut before = clients.dial(served, when)?;
        for way in [Way::Joined, Way::Update, Way::Single] {
            round(&mut before, way, &next)?;
        }
        resumed.extend(is_resumed(&mut before)?);
    }
    Ok(resumed)
}

/// Versions, suites, sessions that go on, new keys, and all moments to begin to look.
pub fn combinations(kind: Kind) -> Result {
    let site = Site::up()?;
    for identity in [&site.ecdsa, &site.rsa] {
        let config = Config {
            identities: vec![identity.clone()],
            ..Config::default()
        };
        site.chill()?;
        let preload = Preload::on()?;
        let served = site.serve(kind, &config, &preload)?;
        let resumed = visit(&served, identity);
        let stats = served.stats()?;
        let resumed = resumed.with_context(|| format!("{stats}"))?;
        all_understood(&stats, 60)?;
        served.end()?;
        let served = site.serve(kind, &config, &Preload::stock())?;
        let stock = visit(&served, identity).context("without the library")?;
        if stock != resumed {
            bail!("sessions went on: stock {stock:?}, with the library {resumed:?}\n{stats}");
        }
        let count = resumed.iter().filter(|it| **it).count();
        println!("{count} of {} went on\n{stats}", resumed.len());
    }
    Ok(())
}

/// Connections that a loop keeps a part of a record of at once are 16.
const AT_ONCE: usize = 12;

/// Asks for a document in a record that is cut there; the rest is returned, if the record is so long.
fn ask_cut(connection: &mut Connection, number: usize, cut: usize) -> Result<Option<Vec<u8>>> {
    let record = connection.sealed()?.seal(&request(COLD, number))?;
    let Some((first, rest)) = record.split_at_checked(cut) else {
        return Ok(None);
    };
    connection.send_raw(first)?;
    Ok(Some(rest.to_vec()))
}

/// A record that comes in two parts, for each place to cut it, over as many connections.
pub fn splits(kind: Kind) -> Result {
    let site = Site::up()?;
    let visit = |served: &Served| -> Result {
        let mut number = 0;
        for (version, suite) in [COMBINATIONS[0], COMBINATIONS[5]] {
            let client = Client::new(&[&site.ecdsa], &Wishes::plain(version, suite))?;
            let mut cuts = (1..24).chain((24..1000).step_by(5)).peekable();
            while cuts.peek().is_some_and(|&cut| cut < 1000) {
                let mut lines = Vec::new();
                for cut in cuts.by_ref().take(AT_ONCE) {
                    let mut connection = client.connect(served.server.address)?;
                    match ask_cut(&mut connection, number, cut)? {
                        Some(rest) => lines.push((connection, number, rest)),
                        None => break,
                    }
                    number += 1;
                }
                std::thread::sleep(Duration::from_millis(10));
                for (connection, _, rest) in &mut lines {
                    connection.send_raw(rest)?;
                }
                for (connection, number, _) in &mut lines {
                    let received = COLD.receive(connection, *number);
                    received.with_context(|| format!("{version:?}, cut {number}"))?;
                }
                if lines.len() < AT_ONCE {
                    break;
                }
            }
        }
        // All of a connection, byte by byte.
        for (version, suite) in COMBINATIONS {
            let client = Client::new(&[&site.ecdsa], &Wishes::plain(version, suite))?;
            let mut connection = client.dial(served.server.address)?;
            let hello = connection.sealed()?.pending()?;
            for byte in hello {
                connection.send_raw(&[byte])?;
            }
            let last = shake(&mut connection)?;
            for byte in last {
                connection.send_raw(&[byte])?;
            }
            for _ in 0..3 {
                number += 1;
                connection.dribble(&request(COLD, number))?;
                COLD.receive(&mut connection, number)?;
            }
        }
        Ok(())
    };
    site.chill()?;
    let served = site.serve(kind, &Config::default(), &site.pinned()?)?;
    let visited = visit(&served);
    let stats = served.stats()?;
    visited.with_context(|| format!("{stats}"))?;
    all_understood(&stats, 60)?;
    served.end()?;
    visit(&site.serve(kind, &Config::default(), &Preload::stock())?)
        .context("without the library")?;
    println!("{stats}");
    Ok(())
}

/// All that clients do, by TLS.
pub fn mixture(kind: Kind) -> Result {
    const REQUESTS: usize = 1000;
    let documents = site::Site {
        documents: REQUESTS,
    };
    let mut abilities = kind.abilities();
    abilities.aliases = false;
    let mixture = Mixture::new(documents, REQUESTS, abilities);
    let disk = SlowDisk::up()?;
    documents.write(&disk.root())?;
    let dir = laio_tests::library::fresh_dir("identities")?;
    let identity = Identity::make(&dir, laio_tests::identity::Key::Ecdsa)?;
    let mut config = Config {
        identities: vec![identity.clone()],
        ..Config::default()
    };
    match kind {
        Kind::Nginx => {
            config.server = "autoindex on; ssl_protocols TLSv1.2 TLSv1.3;".into();
        }
        Kind::Lighttpd => {
            config.http = "server.modules = ( \"mod_indexfile\", \"mod_dirlisting\" )\n\
                           dir-listing.activate = \"enable\"\nserver.max-fds = 16384\n"
                .into();
        }
        _ => {}
    }
    let serve = |preload: &Preload| -> Result<(Outcome, u16, Stats)> {
        disk.chill()?;
        let server = Server::start(kind, &config, &disk.root().join("main"), preload)?;
        let serving = server.settled(kind, &config)?;
        let clients: Vec<_> = COMBINATIONS
            .into_iter()
            .map(|(version, suite)| Client::new(&[&identity], &Wishes::plain(version, suite)))
            .collect::<Result<_>>()?;
        let next = AtomicUsize::new(0);
        let open = || {
            let number = next.fetch_add(1, Ordering::Relaxed);
            clients[number % clients.len()].connect(server.address)
        };
        let outcome = mixture.run_over(&open, 32);
        let stats = match preload.is_stock() {
            true => Stats::default(),
            false => {
                serving.iter().try_for_each(|pid| check_loaded(*pid))?;
                Stats::of(&serving)?
            }
        };
        let outcome = outcome.with_context(|| format!("{}\n{stats}", preload.name))?;
        Ok((outcome, server.address.port(), stats))
    };
    let (on, on_port, stats) = serve(&Preload::on()?)?;
    all_understood(&stats, 50)?;
    let (stock, stock_port, _) = serve(&Preload::stock())?;
    same_answers((&stock, stock_port), (&on, on_port)).with_context(|| format!("{stats}"))?;
    println!("{stats}");
    Ok(())
}
