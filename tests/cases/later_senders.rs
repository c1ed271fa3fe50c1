//! Servers that read a part of a body in one iteration of their loop and send it in a later one: the next part is there when they read
//! it.

use anyhow::ensure;
use laio_tests::cold::SlowDisk;
use laio_tests::http::{request, Connection};
use laio_tests::server::{Config, Kind, Server};
use laio_tests::stats::Stats;
use laio_tests::{docroot, run, Need, Preload, Result, Test};
use std::process::ExitCode;

const FILES: usize = 6;
const LENGTH: usize = 3_000_000;

fn name(number: usize) -> String {
    format!("f{number}.bin")
}

/// Cold bodies, all at once.
fn bodies(kind: Kind) -> Result {
    let disk = SlowDisk::up()?;
    let root = disk.root().join("documents");
    for number in 0..=FILES {
        docroot::write(&root, &name(number), LENGTH)?;
    }
    let preload = Preload::on()?
        .with("LAIO_MAP", format!("/={}/", root.display()))
        .with("LAIO_BREAK_EVEN_US", "0");
    let config = Config::default();
    let server = Server::start(kind, &config, &root, &preload)?;
    let serving = server.settled(kind, &config)?;
    let ask = |number: usize| -> Result<Connection> {
        let mut connection = Connection::open(server.address)?;
        connection.send(&request("GET", &format!("/{}", name(number)), "h", ""))?;
        Ok(connection)
    };
    let receive = |connection: &mut Connection, number: usize| -> Result {
        let answer = connection.response(false)?;
        let is_right = answer.body == docroot::content(&name(number), LENGTH);
        ensure!(answer.status == 200 && is_right, "{number}: it differs");
        Ok(())
    };
    // What the server itself reads for the first time, and where helpers start.
    receive(&mut ask(FILES)?, FILES)?;
    disk.chill()?;
    let before = Stats::of(&serving)?;
    let mut clients = (0..FILES).map(ask).collect::<Result<Vec<_>>>()?;
    for (number, connection) in clients.iter_mut().enumerate() {
        receive(connection, number)?;
    }
    let stats = Stats::of(&serving)?;
    let stalls = stats.stalls() - before.stalls();
    println!("{stalls} stalls of {FILES} bodies");
    // Of each body some 11 windows are read, and without help twice as many parts wait for the disk.
    ensure!(stalls <= 3 * FILES as u64, "{stalls} stalls\n{stats}");
    Ok(())
}

fn main() -> ExitCode {
    let kinds = [Kind::Twisted, Kind::Selectors("epoll")];
    let tests = kinds.map(|kind| {
        // Without the first, what was read and not sent in the same iteration was nobody's.
        Test::new(format!("cold bodies: {kind:?}"), move || bodies(kind))
            .needs(Need::SlowDisk)
            .needs(kind.need())
    });
    run(tests.into())
}
