//! Clients that speak HTTP/2: real servers, with and without the library, by TLS and in the clear. Whatever clients do, and however
//! their bytes are divided, the answers are the same; cold requests are held back.

mod beside;
mod browser;
mod clients;
mod division;
mod held;
mod indexing;
mod methods;
mod plain;
mod programs;
mod site;
mod storm;
mod upgrade;

use laio_tests::server::{Config, Kind};
use laio_tests::{run, Need, Result, Test};
use site::{Line, SERVERS};
use std::process::ExitCode;

fn on_servers(tests: &mut Vec<Test>, what: &str, servers: &[Kind], body: fn(Kind) -> Result) {
    for &kind in servers {
        let mut test = Test::new(format!("{what}: {kind:?}"), move || body(kind))
            .needs(Need::SlowDisk)
            .needs(Need::Command("openssl", "openssl"))
            .needs(kind.need())
            .limit(120);
        if kind == Kind::Lighttpd {
            test = test.needs(Need::Package("lighttpd-mod-openssl"));
        }
        tests.push(test);
    }
}

fn main() -> ExitCode {
    let mut tests = Vec::new();
    // Without these, one of many requests on a connection could be lost, or be answered with another one's document.
    on_servers(&mut tests, "streams", &SERVERS, plain::streams);
    // Without these, a request in parts, or one among other frames, could be judged by what is there of it, or never.
    on_servers(&mut tests, "division", &SERVERS, division::of_bytes);
    // Without these, an index could be taken for another field's than the server takes it for.
    on_servers(&mut tests, "indexing", &SERVERS, indexing::of_fields);
    // Without these, a body could be taken for requests, and what is no request for a document for one.
    on_servers(&mut tests, "methods", &SERVERS, methods::all);
    // Without these, a stream or a connection that its client gives up, or leaves without room, could cost others their answers.
    on_servers(
        &mut tests,
        "clients that give up",
        &SERVERS,
        clients::that_give_up,
    );
    // Without these, a warm document beside cold ones could be lost, and several bodies on one connection each wait for the disk.
    on_servers(&mut tests, "warm and cold", &SERVERS, beside::warm_and_cold);
    on_servers(&mut tests, "bodies", &SERVERS, beside::bodies);
    // Without these, a connection that changes its protocol could be followed as if it had not.
    on_servers(&mut tests, "upgrade", &SERVERS[1..], upgrade::from_http1);
    // Without these, something of all this that happens together could cost a body.
    let mut storms = Vec::new();
    on_servers(&mut storms, "storm", &SERVERS, storm::of_bodies);
    tests.extend(storms.into_iter().map(|test| test.limit(storm::limit())));
    for (name, body, need) in [
        (
            "curl",
            programs::curl as fn(Kind) -> Result,
            Need::Command("curl", "curl"),
        ),
        (
            "h2load",
            programs::h2load,
            Need::Command("h2load", "nghttp2-client"),
        ),
        ("Python's h2", programs::python, Need::Package("python3-h2")),
        ("browser", browser::page, Need::Program(browser::BROWSER)),
    ] {
        // Without these, what no client of our own does could be missed.
        let mut these = Vec::new();
        on_servers(&mut these, name, &SERVERS[..3], body);
        tests.extend(these.into_iter().map(|test| test.needs(need)));
    }
    let impatient = Config {
        server: "keepalive_timeout 2s; client_header_timeout 2s;".into(),
        ..Config::default()
    };
    let with_lines = |lines: &str| Config {
        http: lines.into(),
        ..Config::default()
    };
    for (kind, line, config, seconds) in [
        (Kind::Nginx, Line::Tls, impatient, 5),
        (
            Kind::H2o,
            Line::Clear,
            with_lines("http2-idle-timeout: 3\n"),
            5,
        ),
        (Kind::Lighttpd, Line::Tls, Config::default(), 5),
    ] {
        // Without these, a connection whose requests are held back would look idle, or what keeps it alive look like a broken frame.
        let test = Test::new(format!("a hang of {seconds} s: {kind:?}"), move || {
            held::nothing_is_lost(kind, line, &config, seconds)
        });
        tests.push(test.needs(Need::Root).needs(kind.need()).limit(120));
    }
    run(tests)
}
