//! What is held back while a disk hangs, as the command shows it.

use super::said::{laio, said};
use anyhow::{ensure, Context as _};
use laio_tests::http::Connection;
use laio_tests::library::fresh_dir;
use laio_tests::mounts::FuseFiles;
use laio_tests::server::{Config, Kind, Server};
use laio_tests::tally::{ask_for, Documents};
use laio_tests::{Preload, Result};
use serde_json::Value;
use std::thread::sleep;
use std::time::Duration;

const HUNG: Documents = Documents {
    directory: "hung/",
    count: 10,
    length: 8000,
};
const CLIENTS: usize = 5;

/// So many connections are held back, since then; `doctor` names the disk that does not answer, and is not stopped by it.
pub fn held() -> Result {
    let root = fresh_dir("site")?;
    let source = fresh_dir("source")?;
    HUNG.write(&source)?;
    let files = FuseFiles::mount(&source, &root.join("hung"), "")?;
    let map = format!("/={}/,/hung/={}/hung/", root.display(), root.display());
    let preload = Preload::on()?
        .with("LAIO_MAP", map)
        .with("LAIO_BREAK_EVEN_US", "0");
    let server = Server::start(Kind::Lighttpd, &Config::default(), &root, &preload)?;
    let pid = server.pid().to_string();
    ask_for(HUNG, 0..2, server.address, 1, 1).all_right(2)?;
    // What the kernel knows of the file system's names lasts for a second.
    sleep(Duration::from_millis(1500));
    files.signal(libc::SIGSTOP);
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let mut connection = Connection::open(server.address)?;
        HUNG.ask(&mut connection, 2 + client)?;
        clients.push(connection);
    }
    sleep(Duration::from_millis(2500));
    let counters = || -> Result<Value> {
        let json = said(&mut laio(&["stats", "--json", &pid])?)?;
        serde_json::from_str(&json.out).with_context(|| json.text())
    };
    let json = counters()?;
    let number = |json: &Value, field: &str| {
        let loops = json["loops"].as_array().into_iter().flatten();
        loops.filter_map(|each| each[field].as_u64()).sum::<u64>()
    };
    ensure!(number(&json, "held") == CLIENTS as u64, "{json}");
    let oldest = number(&json, "oldest_ms");
    ensure!(
        (1500..20_000).contains(&oldest),
        "since {oldest} ms: {json}"
    );
    let report = said(&mut laio(&["doctor", &pid])?)?;
    for part in [
        "5 connections held back now, the oldest for",
        "does not answer within 2 s",
    ] {
        ensure!(
            report.unbroken().contains(part),
            "{part}: {}",
            report.text()
        );
    }
    ensure!(report.status == 2, "{}", report.text());
    files.signal(libc::SIGCONT);
    for (client, connection) in clients.iter_mut().enumerate() {
        HUNG.receive(connection, 2 + client)?;
    }
    sleep(Duration::from_millis(100));
    let json = counters()?;
    ensure!(
        number(&json, "held") == 0 && number(&json, "oldest_ms") == 0,
        "{json}"
    );
    server.stop(pid.parse()?, libc::SIGTERM).map(|_| ())
}
