//! Everything cached: which system calls does a request take, with the library and without? Counted, not timed.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use anyhow::{ensure, Context, Result};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

use super::load_on;
use crate::disks::Disk;
use crate::load::{self, Open};
use crate::plan::{Configuration, Part, Section};
use crate::results::{figure, Run};
use crate::servers::Server;
use crate::trial::Trial;

/// Requests a second: one arrives when the server waits for it. Where it comes sooner, a server that reads once more before
/// it waits finds it there, or just does not, and that would be counted.
const RATE: u32 = 500;

/// Enough requests that a wake-up once a second does not show.
const TIME: Duration = Duration::from_secs(4);

/// Every configuration once; counts do not vary.
pub fn run(trial: &mut Trial, part: Part, disk: &Disk) -> Result<()> {
    disk.warm(&disk.sets.small)?;
    for configuration in trial.configurations(part) {
        trial.announce(part, configuration, 0);
        // Where nobody may be traced nothing is counted; that is no failure of a server.
        if let Err(error) = run_one(trial, disk, configuration) {
            crate::interrupt::check()?;
            trial.results.note(format!(
                "system calls of {} were not counted: {error:#}",
                configuration.name()
            ));
        }
    }
    Ok(())
}

fn run_one(trial: &mut Trial, disk: &Disk, configuration: Configuration) -> Result<()> {
    let small = &disk.sets.small;
    let ask = |server: &Server, time| {
        let mut source = Open::new(small, 1, RATE, time);
        load::run(&load_on(server, 1, small), &mut source)
    };
    // One before, so that none of the server's own pages is read from a disk: traced, all calls look slow, and one of
    // them would be blamed.
    let first = trial.start(configuration.server(1), disk)?;
    ask(&first, TIME / 4)?;
    first.stop()?;
    let server = trial.start(configuration.server(1), disk)?;
    ask(&server, TIME / 4)?;
    // One connection: with several, how many are ready at each wait would be counted as well, and that varies.
    let summary = tempfile::NamedTempFile::new()?;
    let before = trial.stats(&server);
    let tracer = Tracer::attach(&server, summary.path())?;
    let outcome = ask(&server, TIME);
    tracer.detach()?;
    let outcome = outcome?;
    if let (Some(before), Some(after)) = (before, trial.stats(&server)) {
        if after.since(&before).stalled() > 0 {
            let name = configuration.name();
            trial.results.note(format!(
                "a call of {name} was slow while its system calls were counted: some are those of an armed loop"
            ));
        }
    }

    let mut run = Run::new(Section::Syscalls, configuration, 0);
    run.calls = parse(&std::fs::read_to_string(summary.path())?);
    ensure!(!run.calls.is_empty(), "strace counted nothing");
    let calls: u64 = run.calls.values().sum();
    run.set(
        figure::CALLS,
        calls as f64 / outcome.completed.max(1) as f64,
    );
    run.set_outcomes(&[&outcome]);
    run.complaints = server.stop()?;
    let summary = format!(
        "{:>7.3} system calls per request{}",
        run.figures[figure::CALLS],
        super::trouble(&run)
    );
    trial.record(run, &summary);
    Ok(())
}

/// strace, attached to a server's workers.
struct Tracer {
    child: Child,
    /// Held on to: it says something about each new thread, and would not survive that nobody can hear it.
    messages: BufReader<ChildStderr>,
}

impl Tracer {
    fn attach(server: &Server, summary: &Path) -> Result<Self> {
        let mut command = Command::new("strace");
        command
            .args(["-c", "-f", "-U", "calls,name", "-o"])
            .arg(summary);
        for worker in server.workers() {
            command.arg("-p").arg(worker.to_string());
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("cannot start strace")?;
        let messages = child.stderr.take().context("strace has no messages")?;
        let mut tracer = Self {
            child,
            messages: BufReader::new(messages),
        };
        // It says so once it is attached; a count begun earlier would miss the beginning.
        let mut line = String::new();
        tracer.messages.read_line(&mut line)?;
        ensure!(
            line.contains("attached"),
            "strace did not attach: {}",
            line.trim()
        );
        Ok(tracer)
    }

    /// Lets the server run on, and has the summary written.
    fn detach(mut self) -> Result<()> {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGINT)?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // Killed, it lets go of its tracees as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lines of a count and a name, between a heading and a total.
fn parse(summary: &str) -> BTreeMap<String, u64> {
    let lines = summary.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (count, name) = (words.next()?.parse().ok()?, words.next()?);
        (name != "total").then(|| (name.to_owned(), count))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The heading, the rule and the total must not be taken for system calls.
    #[test]
    fn only_calls_are_counted() {
        let text = "    calls syscall\n--------- ----------------\n        3 openat\n       12 read\n--------- ----------------\n       15 total\n";
        let calls = parse(text);
        assert_eq!(
            calls.into_iter().collect::<Vec<_>>(),
            [("openat".into(), 3), ("read".into(), 12)]
        );
    }
}
