//! Which system calls of the library's a unit's filter lets through (`SystemCallFilter=`, `systemd.exec`(5)).

use super::unit::Unit;

/// System calls that the library makes and that a server's own filter may lack, each with the sets of systemd's that have it.
/// All are in `@system-service`.
const CALLS: [(&str, &str); 15] = [
    ("clone", "@process"),
    ("clone3", "@process"),
    ("close_range", "@basic-io"),
    ("dup3", "@basic-io"),
    ("epoll_create1", "@io-event"),
    ("fadvise64", ""),
    ("fstatfs", "@file-system"),
    ("getdents64", "@file-system"),
    ("getrusage", "@process"),
    ("madvise", ""),
    ("openat2", "@file-system"),
    ("preadv2", "@basic-io"),
    ("sendfile", ""),
    ("statx", "@file-system"),
    ("tgkill", "@process"),
];

/// What is done about a call that a filter does not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The process is ended.
    Kill,
    /// The call fails.
    Error,
}

/// The calls that are not let through; nothing where there is no filter.
pub fn refused(unit: &Unit) -> Option<Vec<(&'static str, Refusal)>> {
    let values = unit.values("SystemCallFilter");
    let first = values.first()?;
    let is_list_of_allowed = !first.starts_with('~');
    let general = match unit.value("SystemCallErrorNumber") {
        None | Some("kill") => Refusal::Kill,
        Some(_) => Refusal::Error,
    };
    let verdict = |(call, set): &(&'static str, &str)| {
        let mut refusal = is_list_of_allowed.then_some(general);
        for value in &values {
            let (forbids, words) = match value.strip_prefix('~') {
                Some(words) => (true, words),
                None => (false, *value),
            };
            for word in words.split_whitespace() {
                let (name, action) = word.split_once(':').unwrap_or((word, ""));
                let is_it = name == *call || (name == *set && !set.is_empty());
                if is_it || ["@system-service", "@known"].contains(&name) {
                    let how = match action {
                        "" => general,
                        "kill" => Refusal::Kill,
                        _ => Refusal::Error,
                    };
                    refusal = forbids.then_some(how);
                }
            }
        }
        refusal.map(|refusal| (*call, refusal))
    };
    Some(CALLS.iter().filter_map(verdict).collect())
}
