//! Files that lie beside others, coded: a client that takes the coding is sent that one, and another one the plain file. Each has brought
//! in what it is sent, and not the other one.

use anyhow::{ensure, Context as _};
use laio_tests::cold::SlowDisk;
use laio_tests::http::{request, Connection};
use laio_tests::library::check_loaded;
use laio_tests::server::{Config, Kind, Server};
use laio_tests::stats::Stats;
use laio_tests::{docroot, run, Need, Preload, Result, Test};
use std::process::ExitCode;

const FILES: usize = 120;
const LENGTH: usize = 60_000;
/// From which it is learnt.
const LEARNING: usize = 12;

/// Files lie some in a directory: of a directory that is read as a whole all names are known.
const IN_DIRECTORY: usize = 4;

fn name(number: usize) -> String {
    format!("d{}/f{number}.html", number / IN_DIRECTORY)
}

/// Every third file is not there coded.
fn is_coded(number: usize) -> bool {
    !number.is_multiple_of(3)
}

/// Every other client takes the coding.
fn takes(number: usize) -> bool {
    (number / 3).is_multiple_of(2)
}

/// Which of its files a server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sends {
    /// The coded one to those who take it.
    ByClient,
    /// The coded one to all.
    Coded,
}

/// Without it, both files would be read for every request, or rules be silenced by the clients of the other kind, so that each stalls.
fn sends(kind: Kind, config: &Config, sends: Sends, coding: (&str, &str)) -> Result {
    let (coding, suffix) = coding;
    let disk = SlowDisk::up()?;
    for number in 0..FILES {
        let (plain, name) = (number, name(number));
        docroot::write(&disk.root(), &name, LENGTH)?;
        if is_coded(plain) || sends == Sends::Coded {
            docroot::write(&disk.root(), &format!("{name}{suffix}"), LENGTH)?;
        }
    }
    disk.chill()?;
    let preload = Preload::on()?.with("LAIO_BREAK_EVEN_US", "0");
    let server = Server::start(kind, config, &disk.root(), &preload)?;
    let serving = server.settled(kind, config)?;
    serving.iter().try_for_each(|pid| check_loaded(*pid))?;
    let mut connection = Connection::open(server.address)?;
    let mut ask = |number: usize| -> Result {
        let headers = match takes(number) {
            true => format!("Accept-Encoding: {coding}\r\n"),
            false => String::new(),
        };
        let target = format!("/{}", name(number));
        connection.send(&request("GET", &target, "localhost", &headers))?;
        let answer = connection.response(false)?;
        let coded = match sends {
            Sends::ByClient => takes(number) && is_coded(number),
            Sends::Coded => true,
        };
        let file = format!("{}{}", name(number), if coded { suffix } else { "" });
        ensure!(answer.status == 200, "{target}: {}", answer.status);
        ensure!(
            answer.header("content-encoding") == coded.then_some(coding),
            "{target}: {:?}",
            answer.header("content-encoding")
        );
        ensure!(
            answer.body == docroot::content(&file, LENGTH),
            "{target}: it differs"
        );
        Ok(())
    };
    (0..LEARNING).try_for_each(&mut ask)?;
    let before = Stats::of(&serving)?;
    (LEARNING..FILES).try_for_each(&mut ask).context("bodies")?;
    let after = Stats::of(&serving)?;
    let (count, stalls) = ((FILES - LEARNING) as u64, after.stalls() - before.stalls());
    let read = after.sum("/jobs/bytes") - before.sum("/jobs/bytes");
    println!(
        "{stalls} stalls of {count} requests, {read} bytes read for {}",
        count * LENGTH as u64
    );
    ensure!(
        before.stalls() > 0,
        "nothing was cold: this tested nothing\n{before}"
    );
    ensure!(
        stalls <= count / 20,
        "{stalls} stalls of {count} requests\n{after}"
    );
    ensure!(
        read >= count * LENGTH as u64 / 2,
        "nothing was brought in: this tested nothing\n{after}"
    );
    ensure!(
        read <= count * LENGTH as u64 * 5 / 4,
        "{read} bytes were read for {count} bodies of {LENGTH}\n{after}"
    );
    Ok(())
}

fn main() -> ExitCode {
    let nginx = |server: &str| Config {
        server: server.into(),
        ..Config::default()
    };
    let h2o = Config {
        http: "file.send-compressed: ON\n".into(),
        ..Config::default()
    };
    let gzip = ("gzip", ".gz");
    let tests = [
        (
            "nginx",
            Kind::Nginx,
            nginx("gzip_static on;"),
            Sends::ByClient,
            gzip,
        ),
        (
            "nginx, the plain file is looked for first",
            Kind::Nginx,
            nginx("gzip_static on; try_files $uri =404;"),
            Sends::ByClient,
            gzip,
        ),
        (
            "nginx, always",
            Kind::Nginx,
            nginx("gzip_static always;"),
            Sends::Coded,
            gzip,
        ),
        ("h2o", Kind::H2o, h2o.clone(), Sends::ByClient, gzip),
        (
            "h2o, brotli",
            Kind::H2o,
            h2o,
            Sends::ByClient,
            ("br", ".br"),
        ),
    ];
    let tests = tests.map(|(name, kind, config, which, coding)| {
        Test::new(name, move || sends(kind, &config, which, coding))
            .needs(kind.need())
            .needs(Need::SlowDisk)
            .limit(120)
    });
    run(tests.into())
}
