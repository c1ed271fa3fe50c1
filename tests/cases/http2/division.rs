//! How a client's bytes are divided: header blocks among frames, frames among records, records among segments; and what comes in
//! between.

use crate::site::{check, get, receive, Served, Site, COLD, LINES};
use anyhow::Context as _;
use laio_tests::http2::frames::{self, frame};
use laio_tests::http2::{Client, Coding, Framing, Request, Settings};
use laio_tests::server::Kind;
use laio_tests::Result;
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(2);

/// How bytes are put on the line.
#[derive(Clone, Copy, Debug)]
enum Put {
    /// In one write, and in one record.
    Whole,
    /// In one write, in records of so many bytes.
    Records(usize),
    /// In writes of so many bytes, each a record, with pauses.
    Pieces(usize),
    /// In two writes, cut there.
    Cut(usize),
    /// In a record that comes in two writes, cut there.
    CutRecord(usize),
    /// Byte by byte.
    Crumbs,
}

impl Put {
    fn send(self, client: &mut Client, bytes: &[u8]) -> Result {
        let is_sealed = client.line.sealed().is_ok();
        match self {
            Put::Records(size) if is_sealed => {
                let mut records = Vec::new();
                for piece in bytes.chunks(size) {
                    records.extend(client.line.sealed()?.seal(piece)?);
                }
                client.line.send_raw(&records)
            }
            Put::CutRecord(at) if is_sealed => {
                let record = client.line.sealed()?.seal(bytes)?;
                let (first, rest) = record.split_at(at.min(record.len()));
                client.line.send_raw(first)?;
                std::thread::sleep(PAUSE);
                client.line.send_raw(rest)
            }
            Put::Whole | Put::Records(_) => client.send(bytes),
            Put::Pieces(size) => bytes.chunks(size).try_for_each(|piece| {
                std::thread::sleep(PAUSE);
                client.send(piece)
            }),
            Put::Cut(at) | Put::CutRecord(at) => {
                let (first, rest) = bytes.split_at(at.min(bytes.len()));
                client.send(first)?;
                std::thread::sleep(PAUSE);
                client.send(rest)
            }
            Put::Crumbs => client.line.dribble(bytes),
        }
    }
}

/// How header blocks are put into frames. Some servers take 64 frames a block at most.
fn framings() -> Vec<Framing> {
    let plain = Framing::default();
    let mut framings = vec![plain.clone()];
    for fragment in [3, 9, 40] {
        framings.push(Framing {
            fragment,
            ..plain.clone()
        });
    }
    for padding in [0, 1, 40, 255] {
        framings.push(Framing {
            padding: Some(padding),
            ..plain.clone()
        });
    }
    for priority in [(0, 15), (1, 255), (0x8000_0000, 0)] {
        framings.push(Framing {
            priority: Some(priority),
            ..plain.clone()
        });
    }
    framings.push(Framing {
        padding: Some(17),
        priority: Some((1, 7)),
        fragment: 11,
    });
    framings
}

const PUTS: [Put; 12] = [
    Put::Whole,
    Put::Records(1),
    Put::Records(5),
    Put::Records(60),
    Put::Pieces(9),
    Put::Pieces(25),
    Put::Cut(1),
    Put::Cut(4),
    Put::Cut(9),
    Put::Cut(10),
    Put::CutRecord(3),
    Put::CutRecord(20),
];

fn request(number: usize, framing: &Framing) -> Request {
    Request {
        framing: framing.clone(),
        ..get(COLD, number)
    }
}

/// Two cold documents at once.
fn pair(served: &Served, client: &mut Client, framing: &Framing, put: Put) -> Result {
    let mut bytes = Vec::new();
    let mut asked = Vec::new();
    for number in served.colds(2)? {
        let (stream, frames) = client.open(&request(number, framing))?;
        bytes.extend(frames);
        asked.push((stream, number));
    }
    put.send(client, &bytes)?;
    for (stream, number) in asked {
        receive(client, stream, COLD, number).with_context(|| format!("{framing:?}, {put:?}"))?;
    }
    Ok(())
}

/// A connection from its first byte on; whether the server goes along, which some do not if the preface comes in tiny records.
fn beginning(served: &Served, put: Put, with_request: bool) -> Result<bool> {
    let (mut client, mut bytes) = Client::new(served.line()?, &Settings::default());
    let number = served.cold()?;
    let (stream, frames) = client.open(&get(COLD, number))?;
    if with_request {
        bytes.extend(&frames);
    }
    let mut sent = put.send(&mut client, &bytes);
    if !with_request {
        sent = sent.and_then(|()| put.send(&mut client, &frames));
    }
    match sent.and_then(|()| client.answer(stream)) {
        Ok(answer) => check(COLD, number, &answer).map(|()| true),
        Err(_) => Ok(false),
    }
}

/// Requests among everything else that a client may send.
fn among_others(served: &Served, client: &mut Client) -> Result {
    let mut bytes = Vec::new();
    let mut asked = Vec::new();
    for (at, number) in served.colds(8)?.enumerate() {
        let kind = 0xa0 + at as u8;
        let (stream, headers) = client.open(&get(COLD, number))?;
        bytes.extend(match at {
            0 => frames::settings(&[(frames::INITIAL_WINDOW_SIZE, 60_000)]),
            1 => frames::ping(1),
            2 => frames::window_update(0, 1000),
            3 => frames::priority(stream, 0, 3),
            4 => frame(kind, 0xff, 0, &[0; 100]),
            5 => frame(kind, 0, stream, &headers),
            // Settings that nobody knows.
            6 => frames::settings(&[(0x1a1a, 7)]),
            _ => frame(kind, 0, 0, &[]),
        });
        bytes.extend(headers);
        bytes.extend(frames::window_update(stream, 100 + at as u32));
        asked.push((stream, number));
    }
    client.send(&bytes)?;
    for (stream, number) in asked {
        let answer = client.answer(stream);
        check(COLD, number, &answer.context("among other frames")?)?;
    }
    client.ping()
}

fn visit(served: &Served) -> Result<Vec<bool>> {
    let mut client = served.connect()?;
    for framing in framings() {
        pair(served, &mut client, &framing, Put::Whole)?;
    }
    for put in PUTS {
        pair(served, &mut client, &Framing::default(), put)?;
    }
    let cut = Framing {
        fragment: 9,
        padding: Some(5),
        ..Framing::default()
    };
    for put in [Put::Records(7), Put::Pieces(20), Put::Crumbs] {
        pair(served, &mut client, &cut, put)?;
    }
    among_others(served, &mut client)?;
    let beginnings = [Put::Whole, Put::Records(7), Put::Pieces(10), Put::Cut(24)];
    let mut seen = vec![beginning(served, Put::Crumbs, true)?];
    for put in beginnings {
        seen.push(beginning(served, put, true)?);
        seen.push(beginning(served, put, false)?);
    }
    long_block(served, &mut client)?;
    Ok(seen)
}

/// A block that is longer than a frame may be, and than a look.
fn long_block(served: &Served, client: &mut Client) -> Result {
    for (length, fragment) in [(3000, 0), (3000, 200), (7000, 3000)] {
        let number = served.cold()?;
        let mut request = get(COLD, number).with("cookie", &"c".repeat(length));
        request.coding = Coding::LITERAL;
        request.framing.fragment = fragment;
        let stream = client.ask(&request)?;
        let received = receive(client, stream, COLD, number);
        received.with_context(|| format!("a field of {length} bytes in {fragment}"))?;
    }
    Ok(())
}

/// All of it on one server.
pub fn of_bytes(kind: Kind) -> Result {
    let site = Site::up()?;
    let ways = site.ways()?;
    let ways = [ways[0].clone(), ways[2].clone()];
    site.same(kind, &LINES, &ways, 20, visit)
}
