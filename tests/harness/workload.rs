//! A mixture of requests for a real server: mostly cold files, each asked for once, among everything else that clients
//! do. Every answer is checked against what the documents are made of, and kept so that two servers can be compared.

use crate::ask::{Abilities, Ask, Step, Wanted};
use crate::http::{Connection, Response};
use crate::site::{document, Site, ASIDE};
use crate::Result;
use anyhow::{bail, Context as _};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;

struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit
    }
}

/// What one answer was: enough to compare two servers.
pub type Answer = (u16, Vec<(String, String)>, u64);

/// What a run of the mixture saw.
pub struct Outcome {
    /// How many requests were sent.
    pub requests: usize,
    /// Answers by the number of the step and the place in it.
    pub answers: BTreeMap<(usize, usize), Answer>,
}

/// A list of steps; the same seed gives the same list.
pub struct Mixture {
    steps: Vec<Step>,
    /// Whether every request has a connection of its own, instead of going on with the last one.
    pub fresh_connections: bool,
    /// How many requests it has.
    pub requests: usize,
}

impl Mixture {
    /// About `requests` requests to `site`, each document asked for at most once, that a server of these abilities can
    /// answer.
    pub fn new(site: Site, requests: usize, can: Abilities) -> Self {
        let mut dice = Dice(20_04);
        let mut steps = Vec::new();
        let mut count = 0;
        // In an order that has nothing to do with where they are on the disk.
        let mut documents: Vec<usize> = (0..site.documents).collect();
        for i in (1..documents.len()).rev() {
            documents.swap(i, dice.below(i + 1));
        }
        let mut fresh = documents.into_iter().cycle();
        let mut aside = [0usize; 4];
        while count < requests {
            let mut next = || {
                let mut documents = fresh.by_ref().map(document);
                let wanted = |(_, length): &(String, usize)| can.empty_documents || *length > 0;
                let (name, length) = documents.find(wanted).unwrap_or_default();
                Ask::document(&name, length)
            };
            let mut another = |which: usize| {
                aside[which] += 1;
                aside[which] % ASIDE
            };
            let choice = match dice.below(100) {
                64..70 if !can.ranges => 0,
                84..88 if !can.aliases => 0,
                88..94 if !can.pipelines => 0,
                choice => choice,
            };
            let step = match choice {
                0..58 => Step::Ask(vec![next()]),
                58..64 => Step::Ask(vec![Ask {
                    head: true,
                    ..next()
                }]),
                64..70 => {
                    let mut ask = next();
                    if let Wanted::Bytes { length, range, .. } = &mut ask.wanted {
                        if *length > 100 {
                            let from = dice.below(*length - 50);
                            let to = from + 1 + dice.below(*length - from);
                            let (to, field) = match dice.below(3) {
                                0 => (to, format!("{from}-{}", to - 1)),
                                2 if can.suffix_ranges => (*length, format!("-{}", *length - from)),
                                _ => (*length, format!("{from}-")),
                            };
                            ask.more = format!("Range: bytes={field}\r\n");
                            *range = Some((from, to));
                        }
                    }
                    Step::Ask(vec![ask])
                }
                70..72 => Step::Ask(vec![Ask {
                    old: true,
                    ..next()
                }]),
                72..75 => Step::Ask(vec![Ask::document("warm.html", 9000)]),
                75..80 => Step::Ask(vec![Ask {
                    target: format!("/d{}/missing-{count}.html", count % 7),
                    wanted: Wanted::Status(404),
                    ..next()
                }]),
                80..82 => {
                    let n = another(0);
                    Step::Ask(vec![Ask {
                        target: format!("/index{n}/"),
                        ..Ask::document(&format!("index{n}/index.html"), 3000 + n)
                    }])
                }
                82..83 => {
                    let n = another(1);
                    Step::Ask(vec![Ask {
                        target: format!("/list{n}/"),
                        wanted: Wanted::Status(can.listing),
                        ..next()
                    }])
                }
                83..84 => Step::Ask(vec![Ask {
                    target: format!("/list{}", count % ASIDE),
                    wanted: Wanted::Status(can.unfinished),
                    ..next()
                }]),
                84..86 => {
                    let n = another(2);
                    Step::Ask(vec![Ask {
                        target: format!("/pictures/i{n}.png"),
                        ..Ask::document(&format!("images/i{n}.png"), 7000 + n)
                    }])
                }
                86..88 => {
                    let n = another(3);
                    Step::Ask(vec![Ask {
                        host: "other.test",
                        ..Ask::document(&format!("o/f{n}.html"), 5000 + n)
                    }])
                }
                88..94 => Step::Ask((0..2 + dice.below(4)).map(|_| next()).collect()),
                94..96 => Step::Dribble(next()),
                96..98 => Step::Reset(next(), [0, 0, 1, 400][dice.below(4)]),
                _ => Step::Half(next()),
            };
            count += match &step {
                Step::Ask(asks) => asks.len(),
                _ => 1,
            };
            steps.push(step);
        }
        Self {
            steps,
            fresh_connections: false,
            requests: count,
        }
    }

    /// Carries it out over `connections` connections at once. Every failure is reported, none is forgiven.
    pub fn run(&self, address: SocketAddr, connections: usize) -> Result<Outcome> {
        self.run_over(&|| Connection::open(address), connections)
    }

    /// The same over connections that are opened so.
    pub fn run_over(
        &self,
        open: &(impl Fn() -> Result<Connection> + Sync),
        connections: usize,
    ) -> Result<Outcome> {
        let next = AtomicUsize::new(0);
        let answers = Mutex::new(BTreeMap::new());
        let failures = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..connections {
                scope.spawn(|| {
                    let mut connection = None;
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let Some(step) = self.steps.get(number) else {
                            return;
                        };
                        if self.fresh_connections {
                            connection = None;
                        }
                        match self.step(step, open, &mut connection) {
                            Ok(responses) => {
                                let mut answers = answers.lock().unwrap_or_else(|e| e.into_inner());
                                for (place, response) in responses.into_iter().enumerate() {
                                    answers.insert((number, place), summary(response));
                                }
                            }
                            Err(error) => {
                                connection = None;
                                let mut failures =
                                    failures.lock().unwrap_or_else(|e| e.into_inner());
                                failures.push(format!("step {number}: {error:#}"));
                            }
                        }
                    }
                });
            }
        });
        let failures = failures.into_inner().unwrap_or_else(|e| e.into_inner());
        if !failures.is_empty() {
            let shown: Vec<_> = failures.iter().take(20).cloned().collect();
            bail!(
                "{} of {} requests failed:\n{}",
                failures.len(),
                self.requests,
                shown.join("\n")
            );
        }
        let answers = answers.into_inner().unwrap_or_else(|e| e.into_inner());
        Ok(Outcome {
            requests: self.requests,
            answers,
        })
    }

    fn step(
        &self,
        step: &Step,
        open: &(impl Fn() -> Result<Connection> + Sync),
        kept: &mut Option<Connection>,
    ) -> Result<Vec<Response>> {
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => open()?,
        };
        match step {
            // A server that is about to end connections may do so between two pipelined requests.
            Step::Ask(asks) if self.fresh_connections => {
                let mut responses = Vec::new();
                for ask in asks {
                    let mut connection = open()?;
                    connection.send(&ask.bytes())?;
                    responses.extend(Self::answers(std::slice::from_ref(ask), connection, kept)?);
                }
                Ok(responses)
            }
            Step::Ask(asks) => {
                let bytes: Vec<u8> = asks.iter().flat_map(Ask::bytes).collect();
                connection.send(&bytes)?;
                Self::answers(asks, connection, kept)
            }
            Step::Dribble(ask) => {
                connection.dribble(&ask.bytes())?;
                Self::answers(std::slice::from_ref(ask), connection, kept)
            }
            Step::Reset(ask, after) => {
                connection.send(&ask.bytes())?;
                if *after > 0 {
                    connection.taste((*after).min(100))?;
                }
                connection.reset()?;
                Ok(Vec::new())
            }
            Step::Half(ask) => {
                let bytes = ask.bytes();
                connection.send(&bytes[..bytes.len() / 2])?;
                connection.finish_sending()?;
                // Some servers answer 400, some say nothing: all end the connection.
                connection.rest();
                Ok(Vec::new())
            }
        }
    }

    fn answers(
        asks: &[Ask],
        mut connection: Connection,
        kept: &mut Option<Connection>,
    ) -> Result<Vec<Response>> {
        let mut responses = Vec::new();
        let mut closes = false;
        for (place, ask) in asks.iter().enumerate() {
            if closes {
                bail!("the server said `Connection: close` before the last pipelined answer");
            }
            let mut response = connection
                .response(ask.head)
                .with_context(|| format!("answer {place} to {}", ask.target))?;
            ask.check(&response)?;
            if matches!(ask.wanted, Wanted::Status(_)) {
                blank(&mut response, connection.port()?);
            }
            closes = response.closes();
            responses.push(response);
        }
        if !closes {
            *kept = Some(connection);
        }
        Ok(responses)
    }
}

/// Takes from a page that the server made up what differs between two runs: its port, and the time of day.
fn blank(response: &mut Response, port: u16) {
    let text = String::from_utf8_lossy(&response.body);
    let mut body = text.replace(&port.to_string(), "PORT").into_bytes();
    for start in 0..body.len().saturating_sub(7) {
        let time = &mut body[start..start + 8];
        let is_time = |(at, byte): (usize, &u8)| match at {
            2 | 5 => *byte == b':',
            _ => byte.is_ascii_digit(),
        };
        if time.iter().enumerate().all(is_time) {
            time.fill(b'0');
        }
    }
    response.body = body;
    response.headers.retain(|(name, _)| name != "last-modified");
}

fn summary(response: Response) -> Answer {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in &response.body {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    }
    let headers = response
        .headers
        .into_iter()
        .filter(|(name, _)| name != "date")
        .collect();
    (response.status, headers, hash)
}

/// Fails unless two servers gave the same answers: status, header fields but the date, and body. A server's redirection
/// names its port, which is blanked.
pub fn same_answers(stock: (&Outcome, u16), other: (&Outcome, u16)) -> Result {
    let ((stock, stock_port), (other, other_port)) = (stock, other);
    let blanked = |answer: &Answer, port: u16| {
        let mut answer = answer.clone();
        for (_, value) in &mut answer.1 {
            *value = value.replace(&format!(":{port}"), ":PORT");
        }
        answer
    };
    let mut different = 0;
    let mut shown = String::new();
    for (place, answer) in &stock.answers {
        let wanted = blanked(answer, stock_port);
        let got = other.answers.get(place).map(|a| blanked(a, other_port));
        if got.as_ref() != Some(&wanted) {
            different += 1;
            if different <= 5 {
                let _ = writeln!(
                    shown,
                    "step {place:?}: stock {wanted:?}\n  with the library {got:?}"
                );
            }
        }
    }
    if different > 0 || stock.answers.len() != other.answers.len() {
        bail!(
            "{different} answers of {} differ ({} with the library)\n{shown}",
            stock.answers.len(),
            other.answers.len()
        );
    }
    Ok(())
}
