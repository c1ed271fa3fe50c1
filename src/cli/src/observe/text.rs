//! An observation as text: to read, and to paste into a ticket.

use super::facts::{part, Facts, Named};
use super::figures::{most, percentile};
use super::verdict::{advice, is_helped, place, plain, shown};
use crate::format::{count, many, share};
use crate::report::{wrap, Style};
use crate::stats::shortened;
use std::fmt::Write as _;

/// Where the text of a line begins.
const INDENT: &str = "              ";

/// Rows of each list.
const ROWS: usize = 5;

/// Functions of a stack.
const FUNCTIONS: usize = 12;

/// All that a person wants to know of it first.
pub fn text(facts: &Facts, style: Style) -> String {
    let mut text = String::new();
    let mut begin = style.bold(&title(facts));
    if facts.loops > 0 {
        let _ = write!(
            begin,
            ", {}: blocked {} = {} of the time, {}",
            shown(facts.time_ns),
            shown(facts.blocked_ns),
            share(facts.share()),
            many(facts.stalls, "stall", "stalls")
        );
    }
    text += &format!("{begin}\n");
    for (label, value) in lines(facts, style.width) {
        let _ = write!(text, "  {label:<12}");
        for (number, line) in value.split('\n').enumerate() {
            if number > 0 {
                text += INDENT;
            }
            wrap(&mut text, line, INDENT, style.width, INDENT.len());
        }
    }
    let _ = write!(text, "  {}  ", style.bold("verdict"));
    wrap(
        &mut text,
        &facts.verdict.text,
        "           ",
        style.width,
        11,
    );
    text
}

/// `nginx 815 (worker process)`, `nginx 815 816`.
pub fn title(facts: &Facts) -> String {
    const MOST: usize = 4;
    let pids: Vec<_> = facts.pids.iter().take(MOST).map(u32::to_string).collect();
    let more = facts.pids.len().saturating_sub(MOST);
    let more = match more {
        0 => String::new(),
        _ => format!(" and {more} more"),
    };
    let role = facts.role.as_ref();
    let role = role.map_or_else(String::new, |role| format!(" ({role})"));
    format!("{} {}{more}{role}", facts.program, pids.join(" "))
}

fn lines(facts: &Facts, width: usize) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if facts.loops > 1 {
        lines.push((
            "loops",
            format!("{}: the share is of the time of all", facts.loops),
        ));
    }
    if facts.is_on {
        lines.push((
            "held back",
            many(
                facts.held_back,
                "request or part of a body",
                "requests and parts of bodies",
            ),
        ));
    }
    if let Some(waited) = &facts.waited {
        lines.push((
            "clients",
            format!(
                "{} waited p50 {}, p99 {} because of it (an estimate)",
                many(waited.events, "event of others", "events of others"),
                shown(waited.p50_ns),
                shown(waited.p99_ns)
            ),
        ));
    }
    let whole = facts.blocked_ns;
    let parts = facts.calls.iter().take(2 * ROWS);
    let parts = parts.map(|sum| format!("{} {}", sum.call, share(part(sum.total_ns, whole))));
    push_list(&mut lines, "by call", parts.collect());
    let sure =
        |row: &&laio_core::stats::Directory| row.total_ns.saturating_sub(row.inherited_ns) > 0;
    let parts = facts.directories.iter().filter(sure).take(ROWS).map(|row| {
        let sum = row.total_ns.saturating_sub(row.inherited_ns);
        format!("{} {}", row.path, share(part(sum, whole)))
    });
    push_list(&mut lines, "by dir", parts.collect());
    let room = width.saturating_sub(INDENT.len() + 32).max(20);
    let files = facts.files.iter().filter(|file| !file.path.is_empty());
    let files: Vec<_> = files
        .take(ROWS)
        .map(|file| {
            format!(
                "{:<5} {} {} ({})",
                share(part(file.total_us.saturating_mul(1000), whole)),
                file.call,
                shortened(&file.path, room),
                many(file.count, "call", "calls"),
            )
        })
        .collect();
    if !files.is_empty() {
        lines.push(("by file", files.join("\n")));
    }
    if let Some(worst) = facts.worst.first() {
        lines.push(("worst", one(worst)));
        if !worst.stack.is_empty() {
            lines.push(("called by", calls(worst)));
        }
    }
    lines.extend(histogram("stalls", &facts.times));
    lines.extend(histogram("iterations", &facts.iterations));
    if facts.gateable_ns > 0 && !facts.is_on {
        let taken = part(facts.gateable_ns, facts.blocked_ns);
        lines.push((
            "gate",
            format!(
                "would take away {} of that: files that requests ask for",
                share(taken)
            ),
        ));
    }
    let others = facts.calls.iter().filter(|sum| !is_helped(&sum.call));
    let others: Vec<_> = others
        .map(|sum| {
            let place = place(facts, &sum.call);
            let place = place.map_or_else(String::new, |place| {
                format!(" of {}", shortened(&place, room))
            });
            format!(
                "{} {}{place}: {}",
                shown(sum.total_ns),
                plain(&sum.call),
                advice(&sum.call)
            )
        })
        .collect();
    if !others.is_empty() {
        lines.push(("cannot help", others.join("\n")));
    }
    lines
}

fn push_list(lines: &mut Vec<(&'static str, String)>, label: &'static str, parts: Vec<String>) {
    if !parts.is_empty() {
        // What belongs together stays on one line.
        lines.push((label, parts.join("  ")));
    }
}

/// `79 ms in sendfile of /srv/img/data7.bin, asked for by /img/data7.bin`.
pub fn one(worst: &Named) -> String {
    let mut text = format!("{} in {}", shown(worst.ns), plain(&worst.call));
    if !worst.path.is_empty() {
        let _ = write!(text, " of {}", worst.path);
    }
    if !worst.target.is_empty() {
        let _ = write!(text, ", asked for by {}", worst.target);
    }
    text
}

fn calls(worst: &Named) -> String {
    let functions = worst.stack.iter().rev().take(FUNCTIONS);
    functions
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(" < ")
}

fn histogram(label: &'static str, classes: &[u64]) -> Option<(&'static str, String)> {
    let total: u64 = classes.iter().sum();
    let [p50, p99] = [0.5, 0.99].map(|share| percentile(classes, share));
    Some((
        label,
        format!(
            "{}: p50 {}, p99 {}, none above {}",
            count(total),
            shown(p50?),
            shown(p99?),
            shown(most(classes))
        ),
    ))
}
