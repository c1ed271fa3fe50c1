//! Clients that speak TLS: real servers and programs, with and without the library. Whatever was agreed upon, and however the
//! ciphertext comes, the answers are the same; cold requests are held back where they can be understood, and counted where not.

mod held;
mod matrix;
mod programs;
mod requests;
mod site;
mod straight;

use laio_tests::server::{Config, Kind};
use laio_tests::{run, Need, Result, Test};
use site::SERVERS;
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
    // Without these, a version, a suite, a session that goes on or a client's new keys could cost a client its answer, or have it
    // served as without the library.
    on_servers(&mut tests, "matrix", &SERVERS, matrix::combinations);
    // Without these, a record that comes in two parts could be judged by its first one, or never.
    on_servers(&mut tests, "splits", &SERVERS, matrix::splits);
    // Without these, what clients do beside asking and waiting could come out otherwise by TLS.
    on_servers(&mut tests, "mixture", &SERVERS, matrix::mixture);
    // Without these, a body could be taken for requests, and a head that is long or in crumbs for none; and what was read unseen could
    // cost a connection its place in the order of its records.
    on_servers(&mut tests, "shapes", &SERVERS[..4], requests::shapes);
    on_servers(
        &mut tests,
        "moments of looking",
        &SERVERS,
        requests::moments_of_looking,
    );
    let some = [Kind::Nginx, Kind::Lighttpd, Kind::H2o, Kind::Asyncio];
    // Without these, a client that cannot be understood could be held back by what its bytes happen to look like, or a user not know
    // why nothing is gained.
    on_servers(&mut tests, "other suites", &some, straight::cbc);
    on_servers(&mut tests, "LAIO_HTTP2=off", &some[..3], straight::http2);
    on_servers(&mut tests, "LAIO_TLS=off", &some, straight::off);
    let nginx = Kind::Nginx.need();
    let alone = [
        ("early data", straight::early_data as fn() -> Result, nginx),
        ("client certificates", requests::client_certificates, nginx),
        (
            "GnuTLS",
            straight::gnutls,
            Need::Package("lighttpd-mod-gnutls"),
        ),
        (
            "OpenSSL linked statically",
            straight::linked_statically,
            Need::Package("libssl-dev"),
        ),
    ];
    for (name, body, need) in alone {
        let test = Test::new(name, body);
        tests.push(test.needs(Need::SlowDisk).needs(need));
    }
    for state in ["idle", "engaged"] {
        // Without it, a program could be told by its own callback what it did not ask for, or be told nothing.
        let test = Test::new(format!("contexts {state}"), move || {
            programs::contexts(state)
        });
        tests.push(test.needs(Need::Package("libssl-dev")));
    }
    for (name, is_held) in programs::MOMENTS {
        // Without these, what a client or a server does while a request is held back could end otherwise by TLS.
        let test = Test::new(format!("moment: {name}"), move || {
            programs::moment(name, is_held)
        });
        tests.push(
            test.needs(Need::SlowDisk)
                .needs(Need::Package("libssl-dev")),
        );
    }
    for suite in [
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
    ] {
        // Without these, what a client has sent could be read by who finds a core dump or has a child of the server's.
        let test = Test::new(format!("secrets: {suite}"), move || {
            programs::secrets(suite)
        });
        tests.push(
            test.needs(Need::SlowDisk)
                .needs(Need::Package("libssl-dev")),
        );
    }
    let impatient = Config {
        server: "keepalive_timeout 2s; client_header_timeout 2s;".into(),
        ..Config::default()
    };
    for (kind, config, seconds) in [
        (Kind::Lighttpd, Config::default(), 8),
        (Kind::Nginx, impatient, 5),
        (Kind::Asyncio, Config::default(), 5),
    ] {
        // Without these, a connection whose request is held back would look idle, or what keeps it alive look like a broken record.
        let test = Test::new(format!("a hang of {seconds} s: {kind:?}"), move || {
            held::nothing_is_lost(kind, &config, seconds)
        });
        tests.push(test.needs(Need::Root).needs(kind.need()).limit(120));
    }
    run(tests)
}
