//! What cannot be understood goes straight, and is counted: other suites, other protocols, TLS libraries that tell no keys.

use crate::site::{request, Served, Site, COLD, REFUSALS};
use anyhow::{bail, ensure, Context as _};
use laio_tests::library::fresh_dir;
use laio_tests::program::{compile, observe, Build};
use laio_tests::server::{Config, Kind};
use laio_tests::stats::Stats;
use laio_tests::tls::{shake, Client, Suite, Version, Wishes};
use laio_tests::{docroot, Preload, Result};
use std::process::Command;

/// How many documents are asked for.
const COUNT: usize = 12;

/// Asks by curl, which knows what our own client does not, over one connection.
fn curl(served: &Served, options: &[&str]) -> Result {
    let dir = fresh_dir("curl")?;
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--insecure", "--fail"])
        .args(options);
    for number in 0..COUNT {
        let port = served.server.address.port();
        curl.arg("-o").arg(dir.join(number.to_string()));
        curl.arg(format!("https://127.0.0.1:{port}/cold/f{number}.html"));
    }
    let output = curl.output().context("curl")?;
    ensure!(
        output.status.success(),
        "curl: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    for number in 0..COUNT {
        let body = std::fs::read(dir.join(number.to_string()))?;
        let wanted = docroot::content(&format!("f{number}.html"), COLD.length);
        ensure!(body == wanted, "document {number}: another body");
    }
    Ok(())
}

/// Clients that are counted by this name, and by no other.
fn counted(stats: &Stats, name: &str) -> Result {
    for refusal in REFUSALS {
        let count = stats.sum(refusal);
        if (count > 0) != (refusal == name) {
            bail!("{refusal} is {count}\n{stats}");
        }
    }
    ensure!(stats.gated() == 0, "requests were held back\n{stats}");
    ensure!(
        stats.sum("/tls/opened") == 0,
        "records were opened\n{stats}"
    );
    Ok(())
}

fn by_curl(
    (kind, more): (Kind, &Config),
    (setting, value): (&str, &str),
    options: &[&str],
    name: &str,
) -> Result {
    let site = Site::up()?;
    site.chill()?;
    let served = site.serve(kind, more, &site.pinned()?.with(setting, value))?;
    let asked = curl(&served, options);
    let stats = served.stats()?;
    asked.with_context(|| format!("{stats}"))?;
    counted(&stats, name)?;
    // A client that agrees upon something else is looked at.
    site.chill()?;
    curl(&served, &["--http1.1", "--tlsv1.2"])?;
    let after = served.stats()?;
    ensure!(after.gated() > 0, "nothing was held back\n{after}");
    served.end()?;
    curl(&site.serve(kind, more, &Preload::stock())?, options).context("without the library")?;
    println!("{stats}");
    Ok(())
}

/// Suites of version 1.2 that authenticate apart.
pub fn cbc(kind: Kind) -> Result {
    let http = match kind {
        Kind::Lighttpd => "ssl.openssl.ssl-conf-cmd = ( \"CipherString\" => \"ALL\" )\n",
        _ => "",
    };
    let more = Config {
        http: http.into(),
        ..Config::default()
    };
    let suites = "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA384:ECDHE-ECDSA-AES128-SHA";
    let options = ["--http1.1", "--tls-max", "1.2", "--ciphers", suites];
    by_curl((kind, &more), ("LAIO_TLS", "on"), &options, "/tls/suite")
}

/// Another protocol, not wished for.
pub fn http2(kind: Kind) -> Result {
    let more = Config {
        http2: true,
        ..Config::default()
    };
    let off = ("LAIO_HTTP2", "off");
    by_curl((kind, &more), off, &["--http2"], "/tls/protocol")
}

/// Not wished for.
pub fn off(kind: Kind) -> Result {
    let site = Site::up()?;
    site.chill()?;
    let preload = site.pinned()?.with("LAIO_TLS", "off");
    let served = site.serve(kind, &Config::default(), &preload)?;
    let asked = curl(&served, &["--http1.1"]);
    let stats = served.stats()?;
    asked.with_context(|| format!("{stats}"))?;
    counted(&stats, "none")?;
    let log = served.end()?;
    ensure!(!log.contains("liblaio:"), "{log}");
    Ok(())
}

/// Requests that come before the handshake is over.
pub fn early_data() -> Result {
    let site = Site::up()?;
    let more = Config {
        server: "ssl_early_data on;".into(),
        ..Config::default()
    };
    let visit = |served: &Served| -> Result<usize> {
        let wishes = Wishes {
            early: true,
            ..Wishes::plain(Version::Tls13, Suite::Aes128)
        };
        let client = Client::new(&[&site.ecdsa], &wishes)?;
        let (mut early, mut number) = (0, 0);
        for _ in 0..8 {
            let mut connection = client.dial(served.server.address)?;
            let asked = request(COLD, number);
            let taken = connection.sealed()?.seal_early(&asked)?;
            let last = shake(&mut connection)?;
            connection.send_raw(&last)?;
            if connection.sealed()?.is_early_data_accepted() {
                ensure!(taken == asked.len(), "a part of the request was sent");
                early += 1;
            } else {
                connection.send(&asked)?;
            }
            COLD.receive(&mut connection, number)
                .with_context(|| format!("document {number}, before the handshake: {taken}"))?;
            for _ in 0..3 {
                number += 1;
                COLD.ask(&mut connection, number)?;
                COLD.receive(&mut connection, number)
                    .with_context(|| format!("document {number}, after it"))?;
            }
            number += 1;
        }
        Ok(early)
    };
    let stock = visit(&site.serve(Kind::Nginx, &more, &Preload::stock())?)
        .context("without the library")?;
    site.chill()?;
    let served = site.serve(Kind::Nginx, &more, &site.pinned()?)?;
    let early = visit(&served);
    let stats = served.stats()?;
    let early = early.with_context(|| format!("{stats}"))?;
    served.end()?;
    ensure!(
        stock == early && early > 0,
        "before the handshake: stock {stock}, with the library {early}"
    );
    // What is sent before the handshake is read before there are keys; what follows can be understood.
    ensure!(
        stats.gated() >= 20,
        "too few requests were held back\n{stats}"
    );
    println!("{early} requests before the handshake\n{stats}");
    Ok(())
}

/// One line says that nobody tells keys.
fn is_said(log: &str, times: usize) -> Result {
    let said = log.matches("tells no keys").count();
    ensure!(said == times, "it was said {said} times\n{log}");
    Ok(())
}

/// lighttpd with another library.
pub fn gnutls() -> Result {
    let site = Site::up()?;
    site.chill()?;
    let more = Config {
        http: "server.modules += ( \"mod_gnutls\" )\n".into(),
        ..Config::default()
    };
    let served = site.serve(Kind::Lighttpd, &more, &site.pinned()?)?;
    for _ in 0..3 {
        curl(&served, &["--http1.1"])?;
    }
    let stats = served.stats()?;
    ensure!(stats.gated() == 0, "requests were held back\n{stats}");
    is_said(&served.end()?, 1)
}

/// A program with its own OpenSSL inside.
pub fn linked_statically() -> Result {
    let site = Site::up()?;
    let program = compile("openssl_moments", Build::StaticOpenssl)?;
    let documents = site.root().join("documents");
    for number in 0..40 {
        docroot::write(&documents, &format!("moment-{number}.html"), 6000)?;
    }
    let path = documents.to_string_lossy().into_owned();
    let arguments = [&*path, "whole", "1.3", "epoll", "0"];
    let stock = observe(&program, &arguments, &Preload::stock())?;
    site.chill()?;
    let stats = fresh_dir("stats")?;
    let preload = site
        .pinned()?
        .with("LAIO_STATS", stats.join("laio-%p.json"));
    let observed = observe(&program, &arguments, &preload)?;
    ensure!(
        stock.stdout == observed.stdout && stock.ending == observed.ending,
        "{}\n{}",
        String::from_utf8_lossy(&observed.stdout),
        String::from_utf8_lossy(&observed.stderr)
    );
    is_said(&String::from_utf8_lossy(&observed.stderr), 1)?;
    let quiet = observe(&program, &arguments, &preload.with("LAIO_TLS", "off"))?;
    is_said(&String::from_utf8_lossy(&quiet.stderr), 0)
}
