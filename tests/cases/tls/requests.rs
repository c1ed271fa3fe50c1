//! Requests that are more, or less, than one in a record: bodies, long heads, crumbs, many at once; and loops that stop to look and
//! begin again in the middle of a record.

use crate::site::{all_understood, request, Served, Site, COLD, WARM};
use anyhow::{ensure, Context as _};
use laio_tests::http::Connection;
use laio_tests::server::{Config, Kind};
use laio_tests::tls::{Client, Version, Wishes, COMBINATIONS};
use laio_tests::{Preload, Result};
use std::time::Duration;

/// What came of each step: statuses, and whether the connection stayed.
type Seen = Vec<(String, u16, bool)>;

struct Visit<'a> {
    served: &'a Served,
    client: Client,
    number: usize,
    seen: Seen,
}

impl Visit<'_> {
    fn connect(&self) -> Result<Connection> {
        self.client.connect(self.served.server.address)
    }

    /// Asks for a cold document on a connection on which something else has been.
    fn ask(&mut self, connection: &mut Connection) -> Result {
        self.number += 1;
        COLD.ask(connection, self.number)?;
        COLD.receive(connection, self.number)?;
        Ok(())
    }

    /// A request with a body, in records of this size, and one for a cold document at once.
    fn body(&mut self, chunked: bool, length: usize, piece: usize) -> Result {
        let what = format!("chunked: {chunked}, {length} in {piece}");
        let mut connection = self.connect()?;
        self.ask(&mut connection)?;
        // What looks like requests in it.
        let inside = request(COLD, 650).repeat(length / 40 + 1);
        let inside = &inside[..length];
        let mut bytes = Vec::new();
        if chunked {
            bytes.extend(b"POST /warm/f0.html HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
            for part in inside.chunks(3000) {
                bytes.extend(format!("{:x}\r\n", part.len()).bytes());
                bytes.extend(part);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
        } else {
            let head = "POST /warm/f0.html HTTP/1.1\r\nHost: localhost\r\nContent-Length: ";
            bytes.extend(format!("{head}{length}\r\n\r\n").bytes());
            bytes.extend(inside);
        }
        self.number += 1;
        bytes.extend(request(COLD, self.number));
        for part in bytes.chunks(piece) {
            // The server may have closed.
            if connection.send(part).is_err() {
                break;
            }
        }
        let mut status = 0;
        let mut stays = false;
        if let Ok(Some(response)) = connection.response_if_any(false) {
            status = response.status;
            stays = !response.closes();
        }
        if stays {
            stays = COLD.receive(&mut connection, self.number).is_ok();
        }
        if stays {
            self.ask(&mut connection)?;
        }
        self.seen.push((what, status, stays));
        Ok(())
    }

    /// A request with so long a head, in records of this size.
    fn long_head(&mut self, length: usize, piece: usize) -> Result {
        let mut connection = self.connect()?;
        self.number += 1;
        let target = format!("/cold/f{}.html", self.number);
        let more = format!("Cookie: {}\r\n", "c".repeat(length));
        let bytes = laio_tests::http::request("GET", &target, "localhost", &more);
        let mut records = Vec::new();
        for part in bytes.chunks(piece) {
            records.extend(connection.sealed()?.seal(part)?);
        }
        connection.send_raw(&records)?;
        COLD.receive(&mut connection, self.number)
            .with_context(|| format!("a head of {length} in {piece}"))?;
        self.ask(&mut connection)
    }

    /// So many requests in one record.
    fn many(&mut self, count: usize) -> Result {
        let mut connection = self.connect()?;
        let first = self.number + 1;
        self.number += count;
        let bytes: Vec<u8> = (first..first + count)
            .flat_map(|number| request(COLD, number))
            .collect();
        connection.send(&bytes)?;
        for number in first..first + count {
            COLD.receive(&mut connection, number)
                .with_context(|| format!("of {count}, document {number}"))?;
        }
        self.ask(&mut connection)
    }
}

/// All of it on one server.
fn visit(kind: Kind, served: &Served, site: &Site) -> Result<Seen> {
    let mut seen = Vec::new();
    for (at, (version, suite)) in [COMBINATIONS[1], COMBINATIONS[3]].into_iter().enumerate() {
        let client = Client::new(&[&site.ecdsa], &Wishes::plain(version, suite))?;
        let mut visit = Visit {
            served,
            client,
            number: at * 320,
            seen: Vec::new(),
        };
        for chunked in [false, true] {
            for (length, piece) in [(0, 9000), (10, 9000), (6000, 700), (40_000, 16_000)] {
                let body = visit.body(chunked, length, piece);
                body.with_context(|| format!("{version:?}, a body of {length} in {piece}"))?;
            }
        }
        for (length, piece) in [
            (2000, 1),
            (3900, 9000),
            (5500, 9000),
            (6500, 40),
            (6500, 3000),
        ] {
            visit.long_head(length, piece)?;
        }
        if kind.abilities().pipelines {
            for count in [8, 20, 70] {
                visit.many(count)?;
            }
        }
        seen.append(&mut visit.seen);
    }
    Ok(seen)
}

/// Bodies, long heads, crumbs, many at once.
pub fn shapes(kind: Kind) -> Result {
    let site = Site::up()?;
    site.chill()?;
    let served = site.serve(kind, &Config::default(), &site.pinned()?)?;
    let seen = visit(kind, &served, &site);
    let stats = served.stats()?;
    let seen = seen.with_context(|| format!("{stats}"))?;
    all_understood(&stats, 20)?;
    served.end()?;
    let served = site.serve(kind, &Config::default(), &Preload::stock())?;
    let stock = visit(kind, &served, &site).context("without the library")?;
    ensure!(
        seen == stock,
        "stock {stock:#?}\nwith the library {seen:#?}\n{stats}"
    );
    println!("{stats}");
    Ok(())
}

/// A loop that looks only for a moment after something was cold: records are read seen and unseen, and cut in between.
pub fn moments_of_looking(kind: Kind) -> Result {
    const PAUSE: Duration = Duration::from_millis(60);
    let site = Site::up()?;
    site.chill()?;
    let preload = site.pinned()?.with("LAIO_ARMED_MS", "20");
    let served = site.serve(kind, &Config::default(), &preload)?;
    let visit = || -> Result {
        let mut lines = Vec::new();
        for (version, suite) in COMBINATIONS {
            let client = Client::new(&[&site.ecdsa], &Wishes::plain(version, suite))?;
            lines.push((version, client.connect(served.server.address)?));
        }
        let mut number = 0;
        for round in 0..8 {
            // Nobody looks: the first part of a record, after others and after new keys.
            std::thread::sleep(PAUSE);
            let mut rests = Vec::new();
            for (at, (version, connection)) in lines.iter_mut().enumerate() {
                WARM.ask(connection, at)?;
                WARM.receive(connection, at)?;
                if *version == Version::Tls13 && (round + at) % 2 == 0 {
                    let update = connection.sealed()?.update_keys()?;
                    connection.send_raw(&update)?;
                }
                number += 1;
                let record = connection.sealed()?.seal(&request(COLD, number))?;
                let cut = [1, 4, 5, 6, 30, 50, 60, record.len()][(round + at) % 8];
                connection.send_raw(&record[..cut])?;
                rests.push((number, record[cut..].to_vec()));
            }
            std::thread::sleep(Duration::from_millis(5));
            // Somebody does, for a moment.
            for _ in 0..2 {
                number += 1;
                let (version, suite) = COMBINATIONS[round % 6];
                let client = Client::new(&[&site.ecdsa], &Wishes::plain(version, suite))?;
                let mut other = client.connect(served.server.address)?;
                COLD.ask(&mut other, number)?;
                COLD.receive(&mut other, number)?;
            }
            for ((_, connection), (_, rest)) in lines.iter_mut().zip(&rests) {
                connection.send_raw(rest)?;
            }
            for ((version, connection), (number, _)) in lines.iter_mut().zip(&rests) {
                COLD.receive(connection, *number)
                    .with_context(|| format!("round {round}, {version:?}, document {number}"))?;
            }
            for (_, connection) in &mut lines {
                number += 1;
                COLD.ask(connection, number)?;
                COLD.receive(connection, number)?;
            }
        }
        Ok(())
    };
    let visited = visit();
    let stats = served.stats()?;
    visited.with_context(|| format!("{stats}"))?;
    all_understood(&stats, 10)?;
    println!("{stats}");
    Ok(())
}

/// Clients that have to show who they are.
pub fn client_certificates() -> Result {
    let site = Site::up()?;
    let more = Config {
        server: format!(
            "ssl_client_certificate {}; ssl_verify_client on;",
            site.rsa.certificate.display()
        ),
        ..Config::default()
    };
    let visit = |served: &Served| -> Result {
        let mut number = 0;
        for (version, suite) in COMBINATIONS {
            let wishes = Wishes {
                shows: Some(site.rsa.clone()),
                ..Wishes::plain(version, suite)
            };
            let client = Client::new(&[&site.ecdsa], &wishes)?;
            for _ in 0..2 {
                let mut connection = client.connect(served.server.address)?;
                for _ in 0..3 {
                    number += 1;
                    COLD.ask(&mut connection, number)?;
                    COLD.receive(&mut connection, number)
                        .with_context(|| format!("{version:?} {suite:?}"))?;
                }
            }
            // One that shows nothing is told so.
            let client = Client::new(&[&site.ecdsa], &Wishes::plain(version, suite))?;
            let mut connection = client.connect(served.server.address)?;
            WARM.ask(&mut connection, 0)?;
            let status = connection.response(false)?.status;
            ensure!(status == 400, "without a certificate: status {status}");
        }
        Ok(())
    };
    site.chill()?;
    let served = site.serve(Kind::Nginx, &more, &site.pinned()?)?;
    let visited = visit(&served);
    let stats = served.stats()?;
    visited.with_context(|| format!("{stats}"))?;
    all_understood(&stats, 20)?;
    served.end()?;
    visit(&site.serve(Kind::Nginx, &more, &Preload::stock())?).context("without the library")
}
