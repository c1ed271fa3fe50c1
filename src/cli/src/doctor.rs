//! Whether the library can do its work in a process that runs, and what is in its way.

use crate::check::disk;
use crate::format::{self, count, many, time};
use crate::process::{select, Attached, Kernel, Standing};
use crate::report::{Level, Report, Style};
use crate::settings;
use anyhow::Result;
use laio_core::stats::Snapshot;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Directories of stalls that are looked at, at most.
const MOST_DIRECTORIES: usize = 4;

/// A request that is held back for longer than this deserves a look at its disk.
const LONG: u64 = 5_000;

/// Prints a report on each process; returns the exit status of the worst.
pub fn doctor(wanted: &[String]) -> Result<u8> {
    let chosen = select(wanted)?;
    if chosen.attached.is_empty() && wanted.is_empty() {
        chosen.complain()?;
    }
    let style = Style::of_output();
    let mut reports: Vec<_> = chosen.attached.iter().filter_map(examine).collect();
    reports.extend(chosen.failed.iter().map(|failed| {
        let mut report = Report::about(format!("process {}", failed.pid()));
        report.add(Level::Fail, failed.to_string(), "");
        report
    }));
    let texts: Vec<_> = reports.iter().map(|report| report.text(style)).collect();
    crate::print(texts.join("\n"))?;
    Ok(reports.iter().map(Report::status).max().unwrap_or(0))
}

/// A report on one process; nothing where it has ended.
fn examine(attached: &Attached) -> Option<Report> {
    let snapshot = attached.read()?;
    let kernel = attached.kernel;
    let role = kernel
        .role()
        .map_or_else(String::new, |role| format!(" ({role})"));
    let mut report = Report::about(format!("{} {}{role}", attached.program, kernel.0));
    loaded(&mut report, attached, &snapshot);
    standing(&mut report, kernel, &snapshot);
    told(&mut report, kernel, &snapshot);
    sandbox(&mut report, kernel, &snapshot);
    limits(&mut report, kernel, &snapshot);
    if !snapshot.published.loops.is_empty() {
        work(&mut report, &snapshot);
        directories(&mut report, &snapshot);
    }
    report.verdict = match (report.worst(), report.of(Level::Warn).count()) {
        (Level::Fail, _) => "verdict: the library cannot do its work here".into(),
        (_, 0) => "verdict: all is well".into(),
        (_, 1) => "verdict: one thing to look at".into(),
        (_, more) => format!("verdict: {more} things to look at"),
    };
    Some(report)
}

fn loaded(report: &mut Report, attached: &Attached, snapshot: &Snapshot) {
    let up = attached
        .kernel
        .uptime()
        .map_or_else(String::new, |up| format!(", up {}", time(up)));
    let version = &snapshot.published.library;
    report.ok(format!(
        "loaded: {} {version}{up}",
        format::path(&attached.library)
    ));
    if attached.is_replaced {
        report.add(
            Level::Warn,
            "the library's file was replaced since the process started",
            "restart the process to have the new one",
        );
    }
}

fn standing(report: &mut Report, kernel: Kernel, snapshot: &Snapshot) {
    let standing = Standing::of(snapshot);
    let text = standing.meaning();
    match standing {
        Standing::Armed | Standing::Disarmed => report.ok(text),
        Standing::Observing => report.note(text),
        Standing::Waiting if kernel.role().is_some_and(|role| role.starts_with("master")) => {
            report.note(format!(
                "{text}; a master process has none: ask its workers"
            ));
        }
        Standing::Waiting => report.note(text),
        Standing::Inactive(_) => {
            let (level, remedy) = match &*snapshot.published.state {
                "off" => (Level::Warn, "start it without LAIO=off"),
                "not_meant" => (Level::Warn, "add its name to LAIO_ONLY"),
                "secure" => (Level::Fail, "start it as the user whose rights it needs"),
                "asleep" => (Level::Fail, "a filter that it gets when it starts is no obstacle (systemd: SystemCallFilter=)"),
                _ => (Level::Fail, "please report it, with the process's standard error"),
            };
            report.add(level, text, remedy);
        }
    }
}

/// What it was told, and what of that means nothing.
fn told(report: &mut Report, kernel: Kernel, snapshot: &Snapshot) {
    match &*snapshot.published.settings {
        [] => report.ok("settings: all are the defaults"),
        settings => report.ok(format!("settings: {}", settings.join(" "))),
    }
    let variables = kernel.environment().into_iter();
    let variables = variables.map(|(name, value)| (name.into(), value.into()));
    for mistake in settings::mistakes(variables) {
        report.add(Level::Warn, mistake.text, "");
    }
}

fn sandbox(report: &mut Report, kernel: Kernel, snapshot: &Snapshot) {
    let refused = &snapshot.published.refused;
    let filters = kernel.status("Seccomp").as_deref() == Some("2");
    if !refused.is_empty() {
        report.add(
            Level::Warn,
            format!("refused system calls of the library's: {}", refused.join(" ")),
            "allow them (systemd: SystemCallFilter=), if what they are for matters: the process's standard \
             error says what that is",
        );
    } else if filters {
        report.ok("a seccomp filter is in force, and has refused nothing of the library's");
    } else {
        report.ok("no seccomp filter");
    }
    if kernel.is_secure() == Some(true) {
        report.add(
            Level::Fail,
            "it runs in secure execution: no setting is read",
            "",
        );
    }
}

fn limits(report: &mut Report, kernel: Kernel, snapshot: &Snapshot) {
    if let (Some(most), Some(open)) = (kernel.limit("Max open files"), kernel.descriptors()) {
        let text = format!("{} of {} descriptors open", count(open as u64), count(most));
        match most < 4096 || open as u64 > most / 2 {
            true => report.add(
                Level::Warn,
                format!("{text}: cold files come much faster with the library, and each takes one"),
                "raise the limit (ulimit -n, systemd: LimitNOFILE=, nginx: worker_rlimit_nofile)",
            ),
            false => report.ok(text),
        }
    }
    let no_helpers = snapshot.reasons.get("no_helpers").copied().unwrap_or(0);
    if no_helpers > 0 {
        report.add(
            Level::Fail,
            format!(
                "{} passed through, for helper threads cannot be had",
                many(no_helpers, "request", "requests")
            ),
            "raise the limit of processes (ulimit -u, systemd: TasksMax=); LAIO_LOG=info says more",
        );
    }
}

/// What it does, and what gets in its way.
fn work(report: &mut Report, snapshot: &Snapshot) {
    let loops = &snapshot.published.loops;
    let held: u64 = loops.iter().map(|each| each.held).sum();
    let oldest = loops.iter().map(|each| each.oldest_ms).max().unwrap_or(0);
    let text = match held {
        0 => "nothing is held back now".to_owned(),
        _ => format!(
            "{} held back now, the oldest for {}",
            many(held, "connection", "connections"),
            time(Duration::from_millis(oldest))
        ),
    };
    match oldest > LONG {
        true => report.add(Level::Warn, text, "look at the disk: does it answer?"),
        false => report.ok(text),
    }
    let rules: u64 = loops.iter().map(|each| each.rules).sum();
    let gates = snapshot.lanes.get("request_gate").copied().unwrap_or(0);
    report.ok(format!(
        "{} learnt; {} held back so far",
        many(rules, "rule", "rules"),
        many(gates, "request", "requests")
    ));
    for (name, text, remedy) in HINTS {
        let (group, name) = name.split_once('.').unwrap_or_default();
        let counters = match group {
            "lanes" => &snapshot.lanes,
            "tls" => &snapshot.tls,
            _ => &snapshot.reasons,
        };
        let counted = counters.get(name).copied().unwrap_or(0);
        if counted > 0 {
            report.add(
                Level::Note,
                format!("{text}: {} ({group}.{name})", count(counted)),
                *remedy,
            );
        }
    }
}

/// Counters that tell of something in the way, what they tell, and what to do.
const HINTS: &[(&str, &str, &str)] = &[
    (
        "reasons.unexplained",
        "stalls that no request explains",
        "laio stats shows the paths; pin a rule with LAIO_MAP",
    ),
    (
        "lanes.ungated_call",
        "calls that block and are not held back",
        "laio stats shows them; log to a pipe, or to a fast disk",
    ),
    (
        "reasons.full",
        "passed through because half of the server's connections are open",
        "nginx: worker_connections at more than twice the number of clients",
    ),
    (
        "reasons.let_through",
        "let through because they were held too long",
        "look at the disk; LAIO_LONGEST_HOLD_MS",
    ),
    (
        "reasons.ungateable",
        "connections that cannot be held back",
        "docs/limitations.md says which these are",
    ),
    (
        "reasons.inflight_address",
        "passed through because one client's address has read enough",
        "behind a proxy raise LAIO_INFLIGHT_ADDRESS",
    ),
    (
        "tls.no_keys",
        "TLS connections whose keys are not known",
        "OpenSSL as a shared library",
    ),
];

/// The file systems of what has stalled, and of pinned rules.
fn directories(report: &mut Report, snapshot: &Snapshot) {
    let stalled = snapshot.stalls.iter().map(|stall| Path::new(&stall.path));
    let stalled = stalled.filter_map(Path::parent).map(Path::to_owned);
    let pinned = snapshot
        .published
        .settings
        .iter()
        .filter_map(|line| line.strip_prefix("LAIO_MAP="));
    let pinned = pinned.flat_map(|map| map.split(','));
    let pinned = pinned.filter_map(|pair| Some(PathBuf::from(pair.split_once('=')?.1)));
    let mut seen: Vec<PathBuf> = Vec::new();
    for directory in pinned.chain(stalled) {
        // One beneath another may be on another disk.
        let is_new = directory.is_absolute() && !seen.contains(&directory);
        if is_new && seen.len() < MOST_DIRECTORIES {
            disk::look(report, &directory);
            seen.push(directory);
        }
    }
}
