//! What each counter means.

use laio_core::stats::{Counter, STALL_BOUNDS};
use std::fmt::Write as _;

/// Numbers that stand beside the counters, and what they are.
pub(super) const OTHERS: &[(&str, &str)] = &[
    ("version", "Version of this format."),
    ("library", "Version of the library that the process has loaded."),
    ("mode", "`on`, `observe`, `off`, or `unknown` where the library does not act."),
    ("state", "Whether it acts, and why not: `on`, `observe`, `off` (`LAIO=off`), `not_meant` (`LAIO_ONLY` names other programs), `secure` (secure execution), `asleep` (behind a seccomp filter of its own), `gave_up` (a signal handler has jumped out of the library where it cannot go on)."),
    ("settings", "Settings that were set and accepted."),
    ("refused", "System calls of the library's that a sandbox or the kernel refuses."),
    ("stall_time_ns", "Nanoseconds that event loops were blocked in file operations."),
    ("ungated_time_ns", "Nanoseconds that they were blocked in what the library does not hold back."),
    ("stalls", "The 32 heaviest stalls by call and path: how often, microseconds in all and of the longest."),
    ("ungated_calls", "The same of calls that are not held back."),
    ("observed", "What `laio observe` shows: all that blocked, by call (`calls`: of how much a request was known that explains it, as `gateable`), by directory of four names at most (`directories`; `inherited_ns` may have been of others that had to give way), by time (`times`: class *n* is below 2ⁿ nanoseconds), and the `worst` of late. Only with `LAIO=observe`: `iterations` of event loops and events that `waited` for a blocked one, in the same classes, and the `stacks` of the calls that blocked."),
    ("loops", "One for each event loop: whether it is `armed` (looks at requests before they are read), connections `held` now, `oldest_ms` since when (to the second), `rules` learnt, and its share of the counters. Only of a running process."),
];

/// The document of all counters, in Markdown.
pub fn markdown() -> String {
    let mut page = String::from("| counter | what it counts |\n|---|---|\n");
    for counter in Counter::ALL {
        let (group, name) = counter.label();
        let meaning = counter.meaning();
        let _ = writeln!(page, "| `{group}.{name}` | {meaning} |");
    }
    page += "\n## Beside the counters\n\n| field | what it is |\n|---|---|\n";
    for (name, meaning) in OTHERS {
        let _ = writeln!(page, "| `{name}` | {meaning} |");
    }
    let bounds: Vec<_> = STALL_BOUNDS.iter().map(u64::to_string).collect();
    let _ = writeln!(
        page,
        "| `stall_times` | Stalls by how long they took, in classes of at most {} microseconds, and longer. |",
        bounds.join(", ")
    );
    page
}

/// The same for a terminal.
pub fn text(width: usize) -> String {
    let mut text = String::new();
    for counter in Counter::ALL {
        let (group, name) = counter.label();
        let _ = write!(text, "{group}.{name}\n    ");
        let meaning = counter.meaning().replace('`', "");
        crate::report::wrap(&mut text, &meaning, "    ", width, 4);
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_document_is_what_the_table_says() {
        let page = include_str!("../../../../docs/counters.md");
        assert!(
            page.contains(&super::markdown()),
            "run scripts/generate-docs"
        );
    }
}
