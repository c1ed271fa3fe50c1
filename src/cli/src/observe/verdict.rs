//! What an observation comes to: one line in plain words.

use super::facts::{part, Facts, Verdict};
use crate::format::{share, time};
use crate::process::Standing;
use laio_core::stats::CallSum;
use std::time::Duration;

/// The gate is worth it where it takes away so much of what is blocked.
const WORTH: f64 = 0.5;

/// What these facts come to.
pub fn of(facts: &Facts) -> Verdict {
    let (word, text) = if facts.loops == 0 {
        ("not_observed", not_observed(facts))
    } else if facts.is_on {
        ("on", on(facts))
    } else if !facts.is_blocked() {
        let text = "nothing blocks it: leave it off".to_owned();
        ("leave_off", text)
    } else {
        off(facts)
    };
    Verdict { word, text }
}

fn not_observed(facts: &Facts) -> String {
    match facts.standing {
        Some(Standing::Inactive(why)) => {
            format!("not observed: the library does nothing in it ({why})")
        }
        _ => "not observed: it never waited in an event loop with a client".to_owned(),
    }
}

fn on(facts: &Facts) -> String {
    match facts.is_blocked() {
        false => "it is on, and nothing blocks".to_owned(),
        true => format!(
            "it is on, and blocked {} of the time all the same: {}",
            share(facts.share()),
            heaviest(facts, |sum| sum.total_ns)
        ),
    }
}

fn off(facts: &Facts) -> (&'static str, String) {
    let taken = part(facts.gateable_ns, facts.blocked_ns);
    if taken >= WORTH {
        let text = format!(
            "enable it; expected blocked time with the gate: {}",
            at_most(facts.share_left())
        );
        return ("enable", text);
    }
    let rest = |sum: &CallSum| sum.total_ns.saturating_sub(sum.gateable_ns);
    if taken >= WORTH / 5.0 {
        let text = format!(
            "would help a little: {} of the time blocked would go; the most of the rest is {}",
            share(taken),
            heaviest(facts, rest)
        );
        return ("partly", text);
    }
    (
        "useless",
        format!("would not help: {}", heaviest(facts, rest)),
    )
}

/// `< 1 %`, `< 13 %`.
fn at_most(share: f64) -> String {
    format!("< {} %", (100.0 * share).floor() as u64 + 1)
}

/// `94 % in fsync of /var/lib/redis/a.aof`.
fn heaviest(facts: &Facts, weight: impl Fn(&CallSum) -> u64) -> String {
    let Some(sum) = facts.calls.iter().max_by_key(|sum| weight(sum)) else {
        return "nothing".to_owned();
    };
    let share = share(part(sum.total_ns, facts.blocked_ns));
    let path = place(facts, &sum.call);
    let path = path.map_or_else(String::new, |path| format!(" of {path}"));
    let why = match (is_helped(&sum.call), sum.gateable == 0) {
        (true, true) => ", which no request explains",
        _ => "",
    };
    format!("{share} in {}{path}{why}", plain(&sum.call))
}

/// The file in which a call blocked most.
pub fn place(facts: &Facts, call: &str) -> Option<String> {
    if call == "page_fault" {
        return match &*facts.mapped {
            [] => None,
            [one] => Some(one.clone()),
            [one, rest @ ..] => Some(format!(
                "one of {} mapped files, such as {one}",
                rest.len() + 1
            )),
        };
    }
    let sum = facts.calls.iter().find(|sum| sum.call == call)?;
    let mut files = facts.files.iter().filter(|file| file.call == call);
    let file = files.next().filter(|file| !file.path.is_empty())?;
    let is_most = 2 * file.total_us >= sum.total_ns / 1000;
    let others = if is_most { "" } else { " and others" };
    Some(format!("{}{others}", file.path))
}

/// Whether the gate takes away such calls where a request explains them.
pub fn is_helped(call: &str) -> bool {
    advice(call).is_empty()
}

/// What a call is called in a sentence.
pub fn plain(call: &str) -> &str {
    match call {
        "page_fault" => "page faults",
        "elsewhere" => "sleeps elsewhere",
        _ => call,
    }
}

/// What would help against a call that the gate cannot hold back; nothing for others.
pub fn advice(call: &str) -> &'static str {
    match call {
        "write" | "pwrite" => "buffer it (nginx: access_log … buffer=64k), or log to syslog or a pipe",
        "fsync" => "sync less often, or in a thread (Redis: appendfsync everysec)",
        "getaddrinfo" => "an address instead of a name, a caching resolver on this machine, or one that does not block (c-ares)",
        "truncate" | "rename" | "unlink" | "link" | "mkdir" => "do it in a thread, or on a faster disk",
        "page_fault" => "read the file (pread, sendfile) instead of mapping it, or keep it in memory (mlock)",
        "elsewhere" => "a lock, a socket that blocks, sleep: no call that is timed; a debugger's stack in such a moment tells",
        _ => "",
    }
}

/// A time of so many nanoseconds.
pub fn shown(nanoseconds: u64) -> String {
    time(Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_rounded_up() {
        assert_eq!(
            [0.0, 0.0099, 0.01, 0.123].map(at_most),
            ["< 1 %", "< 1 %", "< 2 %", "< 13 %"]
        );
    }

    #[test]
    fn what_is_never_held_back_has_its_advice() {
        for call in [
            "open", "stat", "opendir", "readdir", "read", "pread", "sendfile", "splice",
        ] {
            assert!(is_helped(call), "{call}");
        }
        for call in [
            "write",
            "fsync",
            "getaddrinfo",
            "page_fault",
            "rename",
            "elsewhere",
        ] {
            assert!(!is_helped(call), "{call}");
        }
    }
}
