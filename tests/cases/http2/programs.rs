//! Clients that others wrote: curl, h2load, Python's h2, and a browser. All that they ask for is answered.

use crate::site::{all_recognised, all_understood, Line, Served, Site, COLD, LINES};
use anyhow::{ensure, Context as _};
use laio_tests::library::{fresh_dir, workspace};

use laio_tests::server::Kind;
use laio_tests::Result;
use std::path::Path;
use std::process::{Command, Output};

/// How many documents a program asks for.
const COUNT: usize = 60;

/// The address of a document.
fn url(served: &Served, line: Line, number: usize) -> String {
    let scheme = match line {
        Line::Tls => "https",
        Line::Clear => "http",
    };
    format!(
        "{scheme}://{}{}",
        served.server.address,
        COLD.target(number)
    )
}

/// Runs a program to its end.
fn run(command: &mut Command) -> Result<Output> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output)
}

/// Compares files with the documents that they are to be.
fn compare(dir: &Path, numbers: std::ops::Range<usize>) -> Result {
    for number in numbers {
        let body = std::fs::read(dir.join(format!("f{number}.html")))?;
        ensure!(
            body == COLD.content(number),
            "document {number}: another body, {} bytes",
            body.len()
        );
    }
    Ok(())
}

/// What a program does at a server.
type Asks = fn(&Served, Line) -> Result;

/// A program at a server, over each of these lines.
fn asked_by(kind: Kind, lines: &[Line], program: Asks, documents: u64) -> Result {
    let site = Site::up()?;
    for &line in lines {
        let served = site.serve(kind, line, &site.pinned()?)?;
        let asked = program(&served, line);
        let stats = served.stats()?;
        asked.with_context(|| format!("{line:?}\n{stats}"))?;
        all_understood(&stats, 5).with_context(|| format!("{line:?}"))?;
        all_recognised(&stats, documents).with_context(|| format!("{line:?}"))?;
        println!("{line:?}: {} held back", stats.gated());
    }
    Ok(())
}

/// One curl that asks for these documents.
fn curl_for(
    served: &Served,
    line: Line,
    options: &[&str],
    numbers: std::ops::Range<usize>,
) -> Result {
    let dir = fresh_dir("curl")?;
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--insecure", "--fail"]);
    curl.args(options).current_dir(&dir);
    for number in numbers.clone() {
        curl.args(["-O", &url(served, line, number)]);
    }
    run(&mut curl)?;
    compare(&dir, numbers)
}

fn by_curl(served: &Served, line: Line) -> Result {
    // curl 7.88 itself fails with the second request of a connection that begins so.
    if line == Line::Clear {
        for number in served.colds(COUNT / 4)? {
            let options = ["--http2-prior-knowledge"];
            curl_for(served, line, &options, number..number + 1)?;
        }
    }
    // nginx does not change from one protocol to the other.
    if line == Line::Tls || served.kind != Kind::Nginx {
        curl_for(served, line, &["--http2"], served.colds(COUNT)?)?;
    }
    // Nor can this curl bear many that wait for such a change.
    if line == Line::Tls {
        let parallel = ["--http2", "--parallel", "--parallel-max", "30"];
        curl_for(served, line, &parallel, served.colds(COUNT)?)?;
    }
    Ok(())
}

/// curl, one request after the other and many at once.
pub fn curl(kind: Kind) -> Result {
    asked_by(kind, &LINES, by_curl, COUNT as u64 / 4)
}

fn by_h2load(served: &Served, line: Line) -> Result {
    let addresses: String = (0..COLD.count)
        .map(|number| url(served, line, number) + "\n")
        .collect();
    let list = fresh_dir("h2load")?.join("addresses");
    std::fs::write(&list, addresses)?;
    let mut h2load = Command::new("h2load");
    let count = COLD.count.to_string();
    h2load.args(["-n", &count, "-c", "4", "-m", "100", "-i"]);
    let output = run(h2load.arg(list))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let wanted = format!("{count} done, {count} succeeded, 0 failed, 0 errored, 0 timeout");
    let bytes = format!("status codes: {count} 2xx");
    ensure!(said.contains(&wanted) && said.contains(&bytes), "{said}");
    Ok(())
}

/// h2load, which does not compare bodies.
pub fn h2load(kind: Kind) -> Result {
    asked_by(kind, &LINES, by_h2load, COLD.count as u64 / 4)
}

fn by_python(served: &Served, line: Line) -> Result {
    let port = served.server.address.port().to_string();
    let line = match line {
        Line::Tls => "tls",
        Line::Clear => "clear",
    };
    for (at_once, window) in [("1", 65_535), ("20", 65_535), ("50", 9_000)] {
        let dir = fresh_dir("python")?;
        let numbers = served.colds(COUNT)?;
        let mut python = Command::new("/usr/bin/python3");
        let at_once = if served.kind == Kind::Lighttpd && at_once != "1" {
            "8"
        } else {
            at_once
        };
        python.arg(workspace().join("tests/programs/http2_client.py"));
        python.args([line, &port]).arg(&dir);
        python.args([at_once, &window.to_string()]);
        python.args(numbers.clone().map(|number| COLD.target(number)));
        run(&mut python)?;
        compare(&dir, numbers)?;
    }
    Ok(())
}

/// Python's h2.
pub fn python(kind: Kind) -> Result {
    asked_by(kind, &LINES, by_python, 3 * COUNT as u64)
}
