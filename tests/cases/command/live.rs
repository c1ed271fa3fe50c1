//! The commands that look at running processes.

use super::said::{keep, laio, said};
use anyhow::{bail, ensure, Context as _};
use laio_tests::cold::drop_pages;
use laio_tests::http::{request, Connection};
use laio_tests::server::{Config, Kind, Server};
use laio_tests::test::scratch;
use laio_tests::{docroot, Preload, Result};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::Stdio;

const LENGTH: usize = 60_000;

/// A server that has served some cold files.
pub fn serve(kind: Kind, preload: &Preload) -> Result<Server> {
    let root = scratch().join("www");
    for number in 0..40 {
        docroot::write(&root, &format!("f{number}.bin"), LENGTH)?;
    }
    let server = Server::start(kind, &Config::default(), &root, preload)?;
    ask(server.address)?;
    Ok(server)
}

/// Asks for all files, which are not in memory before.
pub fn ask(address: SocketAddr) -> Result {
    let root = scratch().join("www");
    let mut connection = Connection::open(address)?;
    for number in 0..40 {
        let name = format!("f{number}.bin");
        drop_pages(&root.join(&name))?;
        connection.send(&request("GET", &format!("/{name}"), "h", ""))?;
        let answer = connection.response(false)?;
        ensure!(
            answer.body == docroot::content(&name, LENGTH),
            "{name}: another body"
        );
    }
    Ok(())
}

/// What differs from run to run.
const NUMBERS: &[(&str, &str)] = &[
    (r"(nginx|lighttpd) \d+", "$1 PID"),
    (r" LAIO_STATS=\S+", ""),
    (r"up [0-9.]+ (us|ms|s)", "up TIME"),
    (
        r"\d[\d,]* of \d[\d,]* descriptors open.*\n(        > .*\n)?",
        "N of N descriptors open\n",
    ),
    (r"warn  N of N", "ok    N of N"),
    (
        r"(no seccomp filter|a seccomp filter is in force, and .*)",
        "SECCOMP",
    ),
    (
        r"\d+ rules? learnt; [\d,]+ requests? held back",
        "N rules learnt; N requests held back",
    ),
    (r"(armed: looks|disarmed: nothing).*", "armed or not"),
    (
        r"(ok  |note|warn)  /\S+/www is on .*\n(        > .*\n)?",
        "DISK\n",
    ),
    (
        r"verdict: (all is well|one thing to look at)",
        "verdict: VERDICT",
    ),
    (r"exit status [01]", "exit status N"),
    (
        r"note  calls that block and are not held back.*\n(        > .*\n)?",
        "",
    ),
    (
        r"note  stalls that no request explains.*\n(        > .*\n)?",
        "",
    ),
    (r"  DISK\n", ""),
];

/// nginx' master and its worker.
pub fn nginx() -> Result {
    let preload = Preload::on()?.with("LAIO_WINDOW", "1M");
    let server = serve(Kind::Nginx, &preload)?;
    let worker = *server.children()?.first().context("no worker")?;
    let (master, worker) = (server.pid().to_string(), worker.to_string());
    let report = said(&mut laio(&["doctor", &master, &worker])?)?;
    keep("doctor nginx", &report.unbroken(), NUMBERS);
    let text = said(&mut laio(&["stats", &worker])?)?;
    let expected = [
        "(worker process)",
        "LAIO_WINDOW=1M",
        "held now  none",
        "  requests  ",
        "  helpers   ",
        "lanes.request_gate",
    ];
    for part in expected {
        ensure!(
            text.out.contains(part),
            "{part} is missing: {}",
            text.text()
        );
    }
    ensure!(
        text.out
            .lines()
            .all(|line| line.chars().count() <= 80 || line.contains("LAIO_STATS")),
        "too wide: {}",
        text.text()
    );
    let json = said(&mut laio(&["stats", "--json", &worker])?)?;
    let json: Value = serde_json::from_str(&json.out)?;
    let gates = json.pointer("/lanes/request_gate").and_then(Value::as_u64);
    ensure!(
        gates > Some(0) && json["state"] == "on" && json["mode"] == "on",
        "{json}"
    );
    let settings = json["settings"].as_array().context("no settings")?;
    ensure!(settings.iter().any(|it| it == "LAIO_WINDOW=1M"), "{json}");
    ensure!(
        json["loops"][0]["held"] == 0 && json["loops"][0]["rules"].as_u64() > Some(0),
        "{json}"
    );
    server.stop(master.parse()?, libc::SIGTERM).map(|_| ())
}

/// lighttpd, by name and by number, and again and again.
pub fn lighttpd() -> Result {
    let server = serve(Kind::Lighttpd, &Preload::on()?)?;
    let pid = server.pid().to_string();
    let report = said(&mut laio(&["doctor", &pid])?)?;
    keep("doctor lighttpd", &report.unbroken(), NUMBERS);
    // Others may run as well: it is among those of its name.
    let named = said(&mut laio(&["stats", "lighttpd"])?)?;
    ensure!(
        named.out.contains(&format!("lighttpd {pid}")),
        "{}",
        named.text()
    );
    let mut watching = laio(&["stats", "--watch=1", &pid])?
        .stdout(Stdio::piped())
        .spawn()?;
    let output = watching.stdout.take().context("no output")?;
    let mut lines = BufReader::new(output).lines();
    let heading = lines.next().context("it ended")??;
    ensure!(
        heading.starts_with("process ") && heading.len() <= 80,
        "{heading}"
    );
    ask(server.address)?;
    let line = lines.next().context("it ended")??;
    ensure!(line.starts_with(&format!("lighttpd {pid}")), "{line}");
    let number = server.pid();
    server.stop(number, libc::SIGTERM)?;
    let last = lines.map_while(Result::ok).last();
    ensure!(
        last.as_deref() == Some(&*format!("lighttpd {pid} has ended")),
        "{last:?}"
    );
    ensure!(watching.wait()?.success(), "it failed");
    Ok(())
}

/// Processes that are not there, or that the library is not in.
pub fn unreadable() -> Result {
    let own = std::process::id().to_string();
    let mut all = String::new();
    for words in [
        &["stats", "4194304"][..],
        &["stats", "no-such-process"],
        &["stats", &own],
        &["doctor", &own],
        &["doctor", "no-such-process"],
        &["export", &own],
    ] {
        let answer = said(&mut laio(words)?)?;
        ensure!(answer.status > 1, "{words:?}: {}", answer.text());
        all += &format!("$ laio {}\n{}\n", words.join(" "), answer.unbroken());
    }
    let filters = [(&*own, "PID"), (r"command-[0-9a-f]+", "command")];
    keep("unreadable", &all, &filters);
    Ok(())
}

/// `LAIO_ONLY` and `LAIO=off` keep the library out: it is told.
pub fn inactive() -> Result {
    for (preload, word) in [
        (Preload::on()?.with("LAIO_ONLY", "nginx"), "not_meant"),
        (Preload::mode("off")?, "off"),
        (Preload::mode("observe")?, "observe"),
    ] {
        let server = serve(Kind::Lighttpd, &preload)?;
        let pid = server.pid().to_string();
        let json = said(&mut laio(&["stats", "--json", &pid])?)?;
        let json: Value = serde_json::from_str(&json.out)?;
        ensure!(json["state"] == word, "{word}: {json}");
        let report = said(&mut laio(&["doctor", &pid])?)?;
        let expected = if word == "observe" {
            "observing:"
        } else {
            "inactive:"
        };
        ensure!(report.out.contains(expected), "{}", report.text());
        ensure!(word == "observe" || report.status == 1, "{}", report.text());
        server.stop(pid.parse()?, libc::SIGTERM)?;
    }
    Ok(())
}

/// Monitoring: the same numbers by HTTP and in a file, and nothing that a collector would refuse.
pub fn exported() -> Result {
    let server = serve(Kind::Lighttpd, &Preload::on()?)?;
    let pid = server.pid().to_string();
    let file = scratch().join("laio.prom");
    let written = said(&mut laio(&["export", "--file", "laio.prom", &pid])?)?;
    ensure!(written.status == 0, "{}", written.text());
    let text = fs::read_to_string(&file)?;
    let labels = format!("{{program=\"lighttpd\",pid=\"{pid}\",role=\"\"}}");
    for line in [
        format!("liblaio_held_connections{labels} 0.0"),
        format!("liblaio_event_loops{labels} 1.0"),
        "# EOF".into(),
    ] {
        ensure!(
            text.lines().any(|other| other == line),
            "{line} is missing\n{text}"
        );
    }
    let mut serving = laio(&["export", "--listen", "127.0.0.1:0", &pid])?
        .stderr(Stdio::piped())
        .spawn()?;
    let said = serving.stderr.take().context("no standard error")?;
    let line = BufReader::new(said).lines().next().context("it ended")??;
    let address = line
        .strip_prefix("laio: http://")
        .and_then(|rest| rest.strip_suffix("/metrics"));
    let address: SocketAddr = address.with_context(|| line.clone())?.parse()?;
    let mut connection = Connection::open(address)?;
    let mut answers = Vec::new();
    for target in ["/metrics", "/"] {
        connection.send(&request("GET", target, "h", ""))?;
        answers.push(connection.response(false)?);
    }
    serving.kill()?;
    serving.wait()?;
    let body = String::from_utf8_lossy(&answers[0].body).into_owned();
    let names = |text: &str| {
        text.lines()
            .filter(|line| line.starts_with("# TYPE"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    if names(&body) != names(&text) || !body.ends_with("# EOF\n") {
        bail!("{body}");
    }
    let kind = answers[0].header("content-type").unwrap_or_default();
    ensure!(kind.starts_with("application/openmetrics-text"), "{kind}");
    ensure!(answers[1].status == 404, "{}", answers[1].status);
    server.stop(pid.parse()?, libc::SIGTERM).map(|_| ())
}
