//! Requests for parts of files, and servers that read the end of a file first: what they read is there.

use anyhow::{ensure, Context as _};
use laio_tests::cold::SlowDisk;
use laio_tests::http::{request, Connection, Response};
use laio_tests::library::check_loaded;
use laio_tests::server::{Config, Kind, Server};
use laio_tests::stats::Stats;
use laio_tests::{docroot, run, Need, Preload, Result, Test};
use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;

const FILES: usize = 24;
const LENGTH: usize = 6_000_000;
/// From which it is learnt.
const LEARNING: usize = 6;

/// What is asked for of each file, in turns.
const RANGES: [&str; 3] = [
    "bytes=-20000",
    "bytes=0-99,5000000-5000099",
    "bytes=1000-1999,3000000-3000999,-500",
];

fn name(number: usize) -> String {
    format!("f{number}.mp4")
}

/// A box of an MP4 file: its length, its kind, what is in it.
fn atom(kind: &str, content: &[u8]) -> Vec<u8> {
    let length = (8 + content.len()) as u32;
    [&length.to_be_bytes(), kind.as_bytes(), content].concat()
}

fn words(words: impl IntoIterator<Item = u32>) -> Vec<u8> {
    words.into_iter().flat_map(u32::to_be_bytes).collect()
}

/// A film of one track, whose index stands behind all that is shown.
fn film(number: usize) -> Vec<u8> {
    const SAMPLES: u32 = 30_000;
    let shown = docroot::content(&name(number), LENGTH);
    let size = LENGTH as u32 / SAMPLES;
    let kind = atom("ftyp", b"isom\0\0\0\0isom");
    let first = (kind.len() + 8) as u32;
    // Of each header the fields that matter: the time scale, a thousandth of a second, and the duration.
    let header = |kind, before: usize, after: usize| {
        let times = words([1000, SAMPLES]);
        atom(kind, &[vec![0; before], times, vec![0; after]].concat())
    };
    let table = [
        atom("stsd", &words([0, 1, 8, 0])),
        atom("stts", &words([0, 1, SAMPLES, 1])),
        atom("stsc", &words([0, 1, 1, 1, 1])),
        atom(
            "stsz",
            &words(
                [0, 0, SAMPLES]
                    .into_iter()
                    .chain((0..SAMPLES).map(|_| size)),
            ),
        ),
        atom(
            "stco",
            &words(
                [0, SAMPLES]
                    .into_iter()
                    .chain((0..SAMPLES).map(|n| first + n * size)),
            ),
        ),
    ];
    let information = atom(
        "minf",
        &[atom("vmhd", &[0; 12]), atom("stbl", &table.concat())].concat(),
    );
    let media = [header("mdhd", 12, 4), atom("hdlr", &[0; 25]), information];
    let place = [vec![0; 20], words([SAMPLES]), vec![0; 60]];
    let track = [atom("tkhd", &place.concat()), atom("mdia", &media.concat())];
    let index = [header("mvhd", 12, 80), atom("trak", &track.concat())];
    [kind, atom("mdat", &shown), atom("moov", &index.concat())].concat()
}

/// An answer without what is another one each time: where several parts meet.
fn body(answer: &Response) -> Vec<u8> {
    let kind = answer.header("content-type").unwrap_or_default();
    let Some((_, mark)) = kind.split_once("boundary=") else {
        return answer.body.clone();
    };
    let text: String = answer.body.iter().map(|byte| char::from(*byte)).collect();
    let text = text.replace(mark.trim_matches('"'), "BOUNDARY");
    text.chars().map(|char| char as u8).collect()
}

/// Asks for these: all answers.
fn ask(
    server: &Server,
    what: fn(usize) -> (String, String),
    range: Range<usize>,
) -> Result<Vec<(u16, Vec<u8>)>> {
    let mut connection = Connection::open(server.address)?;
    let answers = range.map(|number| {
        let (target, headers) = what(number);
        connection.send(&request("GET", &target, "localhost", &headers))?;
        let answer = connection.response(false)?;
        Ok((answer.status, body(&answer)))
    });
    answers.collect()
}

/// A part of a file, or several.
fn parts(number: usize) -> (String, String) {
    let range = RANGES[number % RANGES.len()];
    (format!("/{}", name(number)), format!("Range: {range}\r\n"))
}

/// A film from its third second on.
fn from_the_third_second(number: usize) -> (String, String) {
    (format!("/{}?start=3", name(number)), String::new())
}

/// Without it, all but the first part of several, what is counted from the end, and an index at the end would stall.
fn serves(
    kind: Kind,
    config: &Config,
    make: fn(&Path, usize) -> Result,
    what: fn(usize) -> (String, String),
    status: u16,
) -> Result {
    let disk = SlowDisk::up()?;
    (0..FILES).try_for_each(|number| make(&disk.root(), number))?;
    let stock = Server::start(kind, config, &disk.root(), &Preload::stock())?;
    let right = ask(&stock, what, 0..FILES)?;
    drop(stock);
    for (number, (found, body)) in right.iter().enumerate() {
        let is_less = body.len() < LENGTH * 9 / 10 || what(number).1.is_empty();
        ensure!(
            *found == status && is_less,
            "{number}: {found}, {} bytes",
            body.len()
        );
    }
    disk.chill()?;
    let preload = Preload::on()?.with("LAIO_BREAK_EVEN_US", "0");
    let server = Server::start(kind, config, &disk.root(), &preload)?;
    let serving = server.settled(kind, config)?;
    serving.iter().try_for_each(|pid| check_loaded(*pid))?;
    let mut answers = ask(&server, what, 0..LEARNING)?;
    let before = Stats::of(&serving)?;
    answers.extend(ask(&server, what, LEARNING..FILES).context("bodies")?);
    let after = Stats::of(&serving)?;
    ensure!(
        answers == right,
        "the answers differ from those without the library"
    );
    ensure!(
        before.stalls() > 0,
        "nothing was cold: this tested nothing\n{before}"
    );
    let (count, stalls) = ((FILES - LEARNING) as u64, after.stalls() - before.stalls());
    println!("{stalls} stalls of {count} requests");
    ensure!(
        stalls <= count / 6,
        "{stalls} stalls of {count} requests\n{after}"
    );
    Ok(())
}

fn write(root: &Path, number: usize) -> Result {
    docroot::write(root, &name(number), LENGTH)
}

fn write_film(root: &Path, number: usize) -> Result {
    Ok(std::fs::write(root.join(name(number)), film(number))?)
}

fn main() -> ExitCode {
    let nginx = |http: &str, server: &str| Config {
        http: format!("{http}\n"),
        server: server.into(),
        ..Config::default()
    };
    let servers = [
        ("nginx", Kind::Nginx, Config::default()),
        (
            "nginx, sendfile off",
            Kind::Nginx,
            nginx("sendfile off;", ""),
        ),
        ("lighttpd", Kind::Lighttpd, Config::default()),
        ("h2o", Kind::H2o, Config::default()),
    ];
    let mut tests: Vec<_> = servers
        .into_iter()
        .map(|(name, kind, config)| {
            Test::new(format!("ranges, {name}"), move || {
                serves(kind, &config, write, parts, 206)
            })
            .needs(kind.need())
        })
        .collect();
    let films = nginx("", "location ~ \\.mp4$ { mp4; }");
    tests.push(
        Test::new("an index at the end, nginx", move || {
            serves(Kind::Nginx, &films, write_film, from_the_third_second, 200)
        })
        .needs(Kind::Nginx.need()),
    );
    let tests = tests
        .into_iter()
        .map(|test| test.needs(Need::SlowDisk).limit(120));
    run(tests.collect())
}
