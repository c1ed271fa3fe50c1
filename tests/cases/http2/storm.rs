//! Many bodies at random: resets, windows that are withheld, ends of connections, up to a hundred streams at once. No body is wrong,
//! and none is missing that its client waits for.

use crate::site::{all_understood, check, get, Line, Served, Site, COLD};
use anyhow::{bail, ensure, Context as _};
use laio_tests::http2::frames;
use laio_tests::http2::{Client, Coding, Framing, Request, Settings};
use laio_tests::server::Kind;
use laio_tests::Result;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// How many bodies a server is asked for where nothing else is said; and by how many clients at once.
const BODIES: u64 = 1500;
const CLIENTS: u64 = 4;

/// What a client that gives room by hand gives at a time.
const ROOM: u32 = 5000;

/// What a client gives a connection at its beginning: more than all its streams may use at once. Where that is less, nginx gives it to
/// the streams with more weight, and ends one that has had none for a minute, also without the library.
const ROOM_FOR_ALL: u32 = 1 << 20;

/// Random numbers (xorshift64*).
struct Dice(u64);

impl Dice {
    /// A number below this one.
    fn below(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.below(sides) == 0
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

/// What came of it.
#[derive(Default)]
struct Count {
    /// Bodies that were compared.
    right: AtomicUsize,
    /// Streams that their client has given up.
    given_up: AtomicUsize,
    /// Streams that ended with their connection, which the client has ended.
    cut: AtomicUsize,
    /// Connections.
    connections: AtomicUsize,
}

fn request(dice: &mut Dice) -> Request {
    let mut request = get(COLD, dice.below(COLD.count as u64) as usize);
    request.coding = match dice.below(4) {
        0 => Coding::INDEXED,
        1 => Coding::LITERAL,
        _ => Coding::BROWSER,
    };
    request.framing = Framing {
        padding: dice.one_in(6).then(|| dice.below(60) as u8),
        priority: dice.one_in(3).then(|| (0, dice.below(256) as u8)),
        fragment: if dice.one_in(6) { 12 } else { 0 },
    };
    request
}

/// One of the connections, from its beginning to its end.
struct Life<'a> {
    dice: &'a mut Dice,
    count: &'a Count,
    client: Client,
    settings: Settings,
    asked: BTreeMap<u32, Request>,
    again: Vec<Request>,
}

impl Life<'_> {
    /// Asks for more, in one write or several.
    fn ask(&mut self, at_once: usize, left: &mut usize) -> Result {
        let mut bytes = Vec::new();
        while self.asked.len() < at_once && (*left > 0 || !self.again.is_empty()) {
            let request = match self.again.pop() {
                Some(request) => request,
                None => {
                    *left -= 1;
                    request(self.dice)
                }
            };
            let (stream, frames) = self.client.open(&request)?;
            bytes.extend(frames);
            // Given up at once, now and then.
            if self.dice.one_in(40) {
                bytes.extend(frames::reset(stream, frames::CANCEL));
                self.client.forget(stream);
                self.count.given_up.fetch_add(1, Ordering::Relaxed);
            } else {
                self.asked.insert(stream, request);
            }
            match self.dice.below(12) {
                0 => bytes.extend(frames::ping(1)),
                1 => bytes.extend(frames::priority(stream, 0, 9)),
                2 => bytes.extend(frames::frame(0xbe, 0, 0, b"nothing")),
                3 => self.client.send(&std::mem::take(&mut bytes))?,
                _ => {}
            }
        }
        match bytes.is_empty() {
            true => Ok(()),
            false => self.client.send(&bytes),
        }
    }

    /// Gives room where it is not given all the time: on the connection as much as all streams may use.
    fn give_room(&mut self) -> Result {
        let streams = self.asked.len().max(1) as u32;
        let mut bytes = frames::window_update(0, ROOM * streams);
        for stream in self.asked.keys() {
            bytes.extend(frames::window_update(*stream, ROOM));
        }
        self.client.send(&bytes)
    }

    /// Reads one complete answer, or gives up one.
    fn receive(&mut self) -> Result {
        if self.dice.one_in(30) {
            if let Some((stream, _)) = self.asked.pop_first() {
                self.count.given_up.fetch_add(1, Ordering::Relaxed);
                return self.client.cancel(stream);
            }
        }
        if !self.settings.extends {
            // What is asked for is less than that.
            (0..3).try_for_each(|_| self.give_room())?;
        }
        let (stream, answer) = self.client.any_answer()?;
        let request = self.asked.remove(&stream);
        let request = request.context("an answer that nobody waits for")?;
        if answer.is_refused() {
            self.again.push(request);
            return Ok(());
        }
        let path = request.path.unwrap_or_default();
        let number = path.strip_prefix("/cold/f");
        let number = number.and_then(|it| it.strip_suffix(".html"));
        check(COLD, number.unwrap_or_default().parse()?, &answer)?;
        self.count.right.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Ends in one of the ways to do so; streams may be open.
    fn end(mut self) -> Result {
        self.count
            .cut
            .fetch_add(self.asked.len(), Ordering::Relaxed);
        match self.dice.below(3) {
            0 => self.client.send(&frames::goaway(0)),
            1 => self.client.line.reset(),
            _ => Ok(()),
        }
    }
}

/// One connection after the other, until there is nothing left to be asked for.
fn client(served: &Served, dice: &mut Dice, count: &Count, mut left: usize) -> Result {
    while left > 0 {
        let settings = match dice.below(4) {
            0 => Settings {
                window: served.window(1000),
                extends: true,
            },
            1 => Settings {
                window: dice.of(&[0, 100, 5000]),
                extends: false,
            },
            _ => Settings::default(),
        };
        let mut connection = served.connect_with(&settings)?;
        count.connections.fetch_add(1, Ordering::Relaxed);
        connection.send(&frames::window_update(0, ROOM_FOR_ALL))?;
        // lighttpd 1.4.69, which allows 8, counts streams that were given up for a while, and answers others wrongly beyond that.
        let most = match served.kind {
            Kind::Lighttpd => 4,
            _ => connection.allowed()?,
        };
        let at_once = dice.of(&[1, 4, 8, 30, 100]).min(most);
        let mut life = Life {
            dice: &mut *dice,
            count,
            client: connection,
            settings,
            asked: BTreeMap::new(),
            again: Vec::new(),
        };
        loop {
            life.ask(at_once, &mut left)?;
            if life.asked.is_empty() || life.dice.one_in(60 + 2 * at_once as u64) {
                life.end()?;
                break;
            }
            life.receive()?;
        }
    }
    Ok(())
}

/// A number from the environment.
fn number(name: &str, otherwise: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(value) => value.parse().with_context(|| format!("{name}={value}")),
        Err(_) => Ok(otherwise),
    }
}

/// How many bodies a server is asked for.
pub fn bodies() -> Result<u64> {
    number("LAIO_H2_BODIES", BODIES)
}

/// How long that may take, in seconds.
pub fn limit() -> u64 {
    120 + bodies().unwrap_or(BODIES) / 10
}

/// So many bodies as `LAIO_H2_BODIES` says, on one server, by TLS and in the clear. `LAIO_H2_SEED` repeats what another run has done.
pub fn of_bodies(kind: Kind) -> Result {
    let site = Site::up()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let seed = number("LAIO_H2_SEED", u64::from(now.subsec_nanos()))?;
    let bodies = bodies()? as usize;
    println!("{kind:?}: LAIO_H2_SEED={seed}");
    for (first, line) in [(1, Line::Tls), (1 + CLIENTS, Line::Clear)] {
        let served = site.serve(kind, line, &site.pinned()?)?;
        let count = Count::default();
        let share = (bodies / 2).div_ceil(CLIENTS as usize);
        let come = std::thread::scope(|scope| {
            let clients: Vec<_> = (first..first + CLIENTS)
                .map(|at| {
                    let (served, count) = (&served, &count);
                    scope.spawn(move || {
                        let mut dice = Dice((seed + at).wrapping_mul(0x9e37_79b9_7f4a_7c15));
                        client(served, &mut dice, count, share)
                    })
                })
                .collect();
            // Documents are cold again and again.
            while clients.iter().any(|client| !client.is_finished()) {
                std::thread::sleep(std::time::Duration::from_millis(700));
                site.cool(0..COLD.count)?;
            }
            clients.into_iter().try_for_each(|client| {
                let joined = client.join();
                joined.unwrap_or_else(|_| bail!("a client panicked"))
            })
        });
        let stats = served.stats()?;
        let what = format!("{kind:?}, {line:?}, LAIO_H2_SEED={seed}");
        come.with_context(|| format!("{what}\n{stats}"))?;
        all_understood(&stats, 10).with_context(|| what.clone())?;
        let [right, given_up, cut, connections] = [
            &count.right,
            &count.given_up,
            &count.cut,
            &count.connections,
        ]
        .map(|it| it.load(Ordering::Relaxed));
        println!(
            "{line:?}: {right} bodies right, {given_up} given up, {cut} cut, {connections} connections, {} held back",
            stats.gated()
        );
        ensure!(right > bodies / 4, "{what}: only {right} bodies");
    }
    Ok(())
}
