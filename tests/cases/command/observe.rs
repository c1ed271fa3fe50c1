//! What blocks a program, as whoever asks is told.

use super::live::{ask, serve};
use super::said::{keep, laio, said};
use anyhow::{ensure, Context as _};
use laio_tests::server::Kind;
use laio_tests::test::scratch;
use laio_tests::{Preload, Result};
use serde_json::Value;
use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

/// Where there is nothing to observe, and what is not understood.
pub fn nothing() -> Result {
    let own = std::process::id().to_string();
    let mut all = String::new();
    for words in [
        &["observe"][..],
        &["observe", "--", "true"],
        &["observe", "--", "sh", "-c", "sleep 1; exit 7"],
        &["observe", "--for", "1s", "--", "sleep", "60"],
        &["observe", "--", "no-such-program"],
        &["observe", "--for", "soon", "--", "true"],
        &["observe", "--report", "1s", &own],
    ] {
        let answer = said(&mut laio(words)?)?;
        all += &format!("$ laio {}\n{}\n", words.join(" "), answer.text());
    }
    let filters = [
        (&*own, "PID"),
        (r"command-[0-9a-f]+", "command"),
        (r"(?m)^(true|sh|sleep) \d+", "$1 PID"),
    ];
    keep("observe nothing", &all, &filters);
    Ok(())
}

/// A server that runs already, in each form.
pub fn running() -> Result {
    let server = serve(Kind::Lighttpd, &Preload::mode("observe")?)?;
    let pid = server.pid().to_string();
    let report = |options: &[&str]| -> Result<String> {
        let words = ["observe", "--report", "2s"];
        let words: Vec<_> = words
            .iter()
            .chain(options)
            .copied()
            .chain([&*pid])
            .collect();
        let observer = laio(&words)?.stdout(Stdio::piped()).spawn()?;
        sleep(Duration::from_millis(700));
        ask(server.address)?;
        let output = observer.wait_with_output()?;
        ensure!(output.status.success(), "{words:?}: {:?}", output.status);
        Ok(String::from_utf8(output.stdout)?)
    };
    let text = report(&["--html", "report.html"])?;
    let title = format!("lighttpd {pid}, ");
    ensure!(text.starts_with(&title), "{text}");
    for part in [" stalls\n", "  by call ", "  iterations ", "  verdict  "] {
        ensure!(text.contains(part), "{part} is missing: {text}");
    }
    ensure!(
        text.lines()
            .all(|line| line.chars().count() <= 80 || line.contains('/')),
        "too wide: {text}"
    );
    let page = fs::read_to_string(scratch().join("report.html"))?;
    ensure!(
        page.contains(&title) && page.contains("<svg") && !page.contains("<script"),
        "{page}"
    );
    let json: Value = serde_json::from_str(&report(&["--json"])?)?;
    ensure!(
        json["pids"][0] == server.pid() && json["stalls"].as_u64() > Some(0),
        "{json:#}"
    );
    ensure!(json["gateable_ns"].as_u64() > Some(0), "{json:#}");
    let folded = report(&["--folded"])?;
    let line = folded.lines().next().context("no stacks")?;
    let (stack, weight) = line.rsplit_once(' ').context("no weight")?;
    ensure!(
        stack.starts_with("lighttpd;") && weight.parse::<u64>().is_ok(),
        "{folded}"
    );
    server.stop(pid.parse()?, libc::SIGTERM).map(|_| ())
}
