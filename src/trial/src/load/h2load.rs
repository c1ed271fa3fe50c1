//! Cold requests over HTTP/2 by h2load, which many know. It begins at the same place of its list on every connection, so each
//! connection is a process with a list of its own. Bodies are counted, not compared.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};

use super::driver::Load;
use super::outcome::Outcome;
use super::stream::Transport;
use crate::client_program::ClientProgram;

/// h2load ends in time, but not where its session begins only after that: a stock server may be so busy.
const GRACE: Duration = Duration::from_secs(3);

/// Asks for `files`, each once, for so many seconds, with `streams` requests at a time on each of the load's connections.
/// `program` is h2load.
pub fn run(
    program: &Path,
    load: &Load<'_>,
    streams: usize,
    files: &[u32],
    time: Duration,
) -> Result<Outcome> {
    let directory = tempfile::tempdir().context("cannot make a directory for h2load")?;
    let start = Instant::now();
    let mut clients = Vec::new();
    for first in 0..load.connections {
        let files: Vec<u32> = files
            .iter()
            .skip(first)
            .step_by(load.connections)
            .copied()
            .collect();
        let list = directory.path().join(format!("{first}.uris"));
        fs::write(&list, uris(load, &files)).context("cannot write h2load's list")?;
        let mut command = Command::new(program);
        command
            .args(["--clients=1", "--threads=1"])
            .arg(format!("--max-concurrent-streams={streams}"))
            .arg(format!("--duration={}", time.as_secs()))
            .arg("--input-file")
            .arg(list);
        let output = directory.path().join(format!("{first}.output"));
        clients.push((ClientProgram::start(command, output)?, files));
    }
    let mut outcome = Outcome {
        time,
        elapsed: time,
        ..Outcome::default()
    };
    let limit = start + time + GRACE;
    for (client, files) in clients {
        let Some(text) = client.finish(limit)? else {
            outcome
                .failures
                .add("no TLS session in the whole time".into());
            continue;
        };
        let report = Report::parse(&text).with_context(|| format!("h2load printed {text}"))?;
        report.check(&files, load)?;
        outcome.completed += report.succeeded;
        outcome.bytes += report.bytes;
        for (how, count) in report.failures {
            (0..count).for_each(|_| outcome.failures.add(format!("h2load: {how}")));
        }
    }
    outcome.completed_in_time = outcome.completed;
    outcome.bytes_in_time = outcome.bytes;
    Ok(outcome)
}

fn uris(load: &Load<'_>, files: &[u32]) -> String {
    let scheme = match load.transport {
        Transport::Plain => "http",
        Transport::Tls(..) => "https",
    };
    let mut text = String::new();
    for file in files {
        let _ = write!(text, "{scheme}://{}", load.address);
        load.set.push_target(*file, &mut text);
        text.push('\n');
    }
    text
}

/// What h2load prints at its end.
#[derive(Debug, PartialEq, Eq)]
struct Report {
    started: u64,
    succeeded: u64,
    /// How requests failed, and how many.
    failures: Vec<(&'static str, u64)>,
    /// Of bodies, those that had only begun at the end included.
    bytes: u64,
}

impl Report {
    fn parse(text: &str) -> Result<Self> {
        let of = |what: &str, unit: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(what));
            let mut fields = line.unwrap_or_default().split(", ");
            let value = fields.find_map(|field| field.trim().strip_suffix(unit));
            value.with_context(|| format!("no {unit} in its {what}"))
        };
        let number = |what, unit| Ok::<u64, anyhow::Error>(of(what, unit)?.trim().parse()?);
        let requests = |unit| number("requests:", unit);
        // As in "1.50KB (1536) data".
        let (_, bytes) = of("traffic:", " data")?
            .split_once('(')
            .context("no bytes")?;
        let succeeded = requests("succeeded")?;
        let of_status = number("status codes:", "2xx")?;
        // It counts those without an answer as failed, too.
        let without = requests("errored")?;
        let failures = [
            ("no answer", without),
            (
                "a wrong answer",
                requests("failed")?.saturating_sub(without),
            ),
            ("another status", succeeded.saturating_sub(of_status)),
        ];
        let failures: Vec<_> = failures
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect();
        Ok(Self {
            started: requests("started")?,
            succeeded: of_status.min(succeeded),
            failures,
            bytes: bytes.trim_end_matches(')').parse()?,
        })
    }

    /// Were the files enough, and are the bodies as long as they are?
    fn check(&self, files: &[u32], load: &Load<'_>) -> Result<()> {
        let (started, succeeded) = (self.started as usize, self.succeeded as usize);
        ensure!(
            started <= files.len(),
            "h2load needs more than {} files, and asked for some again",
            files.len()
        );
        // Requests are begun in the list's order, and end in any.
        let length = |file: &u32| load.set.content(*file).len() as u64;
        let (least, most) = match files.first().map(length) {
            Some(each) => (each * succeeded as u64, each * started as u64),
            None => (0, 0),
        };
        ensure!(
            (least..=most).contains(&self.bytes) || !self.failures.is_empty(),
            "h2load received {} bytes in {succeeded} answers: it should be {least}, and at most {most} with those that had begun",
            self.bytes
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A count of something else would pass for the rate.
    #[test]
    fn a_report_is_read() {
        let text = "finished in 1.00s, 845.00 req/s, 13.20MB/s\n\
            requests: 845 total, 849 started, 845 done, 844 succeeded, 1 failed, 0 errored, 0 timeout\n\
            status codes: 844 2xx, 0 3xx, 1 4xx, 0 5xx\n\
            traffic: 13.2MB (13871420) total, 2.1KB (2130) headers (space savings 92.18%), 13.19MB (13828096) data\n";
        let report = Report {
            started: 849,
            succeeded: 844,
            failures: vec![("a wrong answer", 1)],
            bytes: 13_828_096,
        };
        assert_eq!(Report::parse(text).unwrap(), report);
        assert!(Report::parse("h2load: cannot connect\n").is_err());
    }
}
