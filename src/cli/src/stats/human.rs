//! The counters of one process as text.

use crate::format::{bytes, count, many, time};
use crate::process::{Attached, Standing};
use crate::report::{wrap, Style};
use laio_core::stats::{Blocked, Snapshot};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

const INDENT: &str = "            ";

/// Rows of a list that are shown.
const ROWS: usize = 8;

/// All that there is to tell of a process.
pub fn text(attached: &Attached, snapshot: &Snapshot, style: Style) -> String {
    let mut text = String::new();
    let kernel = attached.kernel;
    let role = kernel
        .role()
        .map_or_else(String::new, |role| format!(" ({role})"));
    let name = format!("{} {}{role}", attached.program, kernel.0);
    let up = kernel
        .uptime()
        .map_or_else(String::new, |up| format!("up {}, ", time(up)));
    let right = format!("{up}liblaio {}", snapshot.published.library);
    let gap = style
        .width
        .saturating_sub(name.chars().count() + right.len())
        .max(2);
    let _ = writeln!(
        text,
        "{}{:gap$}{}",
        style.bold(&name),
        "",
        style.dim(&right)
    );
    for (label, value) in lines(attached, snapshot) {
        let _ = write!(text, "  {label:<10}");
        wrap(&mut text, &value, INDENT, style.width, INDENT.len());
    }
    list(&mut text, "heaviest stalls", &snapshot.stalls, style);
    list(
        &mut text,
        "heaviest calls that are not held back",
        &snapshot.ungated_calls,
        style,
    );
    counters(&mut text, snapshot, style);
    text
}

fn lines(attached: &Attached, snapshot: &Snapshot) -> Vec<(&'static str, String)> {
    let standing = Standing::of(snapshot);
    let mut lines = vec![("state", standing.meaning())];
    if attached.is_replaced {
        lines.push((
            "library",
            "its file was replaced since: a restart loads the new one".into(),
        ));
    }
    if !snapshot.published.settings.is_empty() {
        lines.push(("settings", snapshot.published.settings.join(" ")));
    }
    let loops = &snapshot.published.loops;
    if loops.is_empty() {
        return lines;
    }
    let sum = |of: fn(&laio_core::stats::LoopNow) -> u64| loops.iter().map(of).sum::<u64>();
    let held = sum(|each| each.held);
    let oldest = loops.iter().map(|each| each.oldest_ms).max().unwrap_or(0);
    lines.push((
        "held now",
        match held {
            0 => "none".into(),
            1 => format!("1, for {}", time(Duration::from_millis(oldest))),
            _ => format!(
                "{}, the oldest for {}",
                count(held),
                time(Duration::from_millis(oldest))
            ),
        },
    ));
    lines.push((
        "requests",
        format!(
            "{} seen, {} held back",
            count(sum(|each| each.requests)),
            count(sum(|each| each.request_gate)),
        ),
    ));
    let parts = sum(|each| each.body_gate);
    if parts > 0 {
        lines.push((
            "bodies",
            format!("held back {}", many(parts, "time", "times")),
        ));
    }
    lines.push((
        "stalls",
        blocked(snapshot.stalled(), snapshot.stall_time_ns),
    ));
    let ungated = snapshot.lanes.get("ungated_call").copied().unwrap_or(0);
    if ungated > 0 {
        lines.push(("not held", blocked(ungated, snapshot.ungated_time_ns)));
    }
    lines.push(("helpers", helpers(attached, &snapshot.jobs)));
    let rules = sum(|each| each.rules);
    lines.push((
        "learnt",
        format!(
            "{} in {}",
            many(rules, "rule", "rules"),
            many(loops.len() as u64, "event loop", "event loops")
        ),
    ));
    lines
}

fn blocked(calls: u64, nanoseconds: u64) -> String {
    match calls {
        0 => "none".into(),
        _ => format!(
            "{}, {} in all",
            many(calls, "call", "calls"),
            time(Duration::from_nanos(nanoseconds))
        ),
    }
}

fn helpers(attached: &Attached, jobs: &BTreeMap<String, u64>) -> String {
    let of = |name: &str| jobs.get(name).copied().unwrap_or(0);
    let done = of("completed");
    let running = attached.kernel.helpers();
    if done == 0 {
        return format!("{running} running, no job yet");
    }
    format!(
        "{running} running; {}, {} read, {} each",
        many(done, "job", "jobs"),
        bytes(of("bytes")),
        time(Duration::from_nanos(of("time_ns") / done))
    )
}

fn list(text: &mut String, title: &str, rows: &[Blocked], style: Style) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(text, "  {}", style.bold(title));
    let _ = writeln!(text, "{}", style.dim("       time    calls    worst  call"));
    for row in rows.iter().take(ROWS) {
        let total = time(Duration::from_micros(row.total_us));
        let worst = time(Duration::from_micros(row.max_us));
        let room = style.width.saturating_sub(43).max(20);
        let path = shortened(&row.path, room);
        let calls = count(row.count);
        let _ = writeln!(
            text,
            "  {total:>9}{calls:>9}{worst:>9}  {:<11} {path}",
            row.call
        );
    }
    if rows.len() > ROWS {
        let _ = writeln!(text, "  and {} more: --json", rows.len() - ROWS);
    }
}

/// The end of a path is what tells it apart.
pub fn shortened(path: &str, room: usize) -> String {
    let length = path.chars().count();
    if length <= room {
        return path.to_owned();
    }
    let end: String = path.chars().skip(length + 1 - room).collect();
    format!("…{end}")
}

/// Those that are not zero, in two columns.
fn counters(text: &mut String, snapshot: &Snapshot, style: Style) {
    let groups = [
        ("lanes", &snapshot.lanes),
        ("reasons", &snapshot.reasons),
        ("tls", &snapshot.tls),
        ("http2", &snapshot.http2),
        ("jobs", &snapshot.jobs),
    ];
    let all = groups.iter().flat_map(|(group, counters)| {
        let counted = counters.iter().filter(|(_, count)| **count > 0);
        counted.map(move |(name, number)| (format!("{group}.{name}"), count(*number)))
    });
    let all: Vec<_> = all.collect();
    if all.is_empty() {
        return;
    }
    let title = style.bold("counters");
    let _ = writeln!(
        text,
        "  {title} {}",
        style.dim("(`laio counters` says what each means)")
    );
    let half = all.len().div_ceil(2);
    for row in 0..half {
        let mut line = String::new();
        for (name, number) in [all.get(row), all.get(half + row)].into_iter().flatten() {
            let _ = write!(line, "  {name:<25}{number:>11}");
        }
        let _ = writeln!(text, "{line}");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_long_path_keeps_its_end() {
        assert_eq!(super::shortened("/srv/img/a.bin", 20), "/srv/img/a.bin");
        assert_eq!(super::shortened("/srv/größe/a.bin", 8), "…e/a.bin");
    }
}
