//! The counters of a process at one moment, as they are written in JSON.

use super::names::{Call, Counter};
use crate::escape::Escaped;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::iter::Sum;

/// Version of the JSON format.
pub const VERSION: u32 = 1;

/// A row's call, count, sum and maximum, and path.
pub(super) type RawRow = (u32, [u64; 3], Vec<u8>);

/// One call and path that blocked.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Blocked {
    /// The operation's plain name.
    pub call: String,
    /// The path, or the host name, cut to 192 bytes; what cannot be printed is escaped.
    pub path: String,
    /// How often.
    pub count: u64,
    /// Microseconds in all.
    pub total_us: u64,
    /// Microseconds of the longest.
    pub max_us: u64,
}

/// The counters of a process at one moment, as they are written in JSON.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Snapshot {
    /// [`VERSION`].
    pub version: u32,
    /// The process.
    pub pid: u32,
    /// Its program's file name.
    pub program: String,
    /// `on`, `observe`, `off`, or `unknown` for a process seen from outside.
    pub mode: String,
    /// How often each lane was taken.
    pub lanes: BTreeMap<String, u64>,
    /// Why.
    pub reasons: BTreeMap<String, u64>,
    /// What the helpers did.
    pub jobs: BTreeMap<String, u64>,
    /// Clients that speak TLS.
    pub tls: BTreeMap<String, u64>,
    /// Clients that speak HTTP/2.
    pub http2: BTreeMap<String, u64>,
    /// Nanoseconds that event loops were blocked in file operations.
    pub stall_time_ns: u64,
    /// The heaviest stalls, by total time.
    pub stalls: Vec<Blocked>,
    /// Nanoseconds that event loops were blocked in what the library does not hold back.
    pub ungated_time_ns: u64,
    /// The heaviest of those.
    pub ungated_calls: Vec<Blocked>,
}

impl Snapshot {
    pub(super) fn new(
        pid: u32,
        program: &str,
        mode: &str,
        totals: &[u64],
        [stalls, ungated_calls]: [impl Iterator<Item = RawRow>; 2],
    ) -> Snapshot {
        let group = |wanted: &str| {
            let labelled = Counter::ALL
                .iter()
                .zip(totals)
                .map(|(c, total)| (c.label(), *total));
            let within = labelled.filter(|((group, _), _)| *group == wanted);
            within
                .map(|((_, name), total)| (name.to_owned(), total))
                .collect()
        };
        Snapshot {
            version: VERSION,
            pid,
            program: Escaped(program.as_bytes()).to_string(),
            mode: mode.to_owned(),
            lanes: group("lanes"),
            reasons: group("reasons"),
            jobs: group("jobs"),
            tls: group("tls"),
            http2: group("http2"),
            stall_time_ns: totals[Counter::StallTime as usize],
            stalls: by_weight(stalls),
            ungated_time_ns: totals[Counter::UngatedTime as usize],
            ungated_calls: by_weight(ungated_calls),
        }
    }

    /// File operations that blocked.
    pub fn stalled(&self) -> u64 {
        self.lanes.get("stall").copied().unwrap_or(0)
    }

    /// What happened since `before`, an earlier moment. The lists stay those of the process's whole life.
    pub fn since(mut self, before: &Snapshot) -> Snapshot {
        let groups = [
            (&mut self.lanes, &before.lanes),
            (&mut self.reasons, &before.reasons),
            (&mut self.jobs, &before.jobs),
            (&mut self.tls, &before.tls),
            (&mut self.http2, &before.http2),
        ];
        for (group, before) in groups {
            for (name, count) in group {
                *count = count.saturating_sub(before.get(name).copied().unwrap_or(0));
            }
        }
        let time = u64::saturating_sub;
        self.stall_time_ns = time(self.stall_time_ns, before.stall_time_ns);
        self.ungated_time_ns = time(self.ungated_time_ns, before.ungated_time_ns);
        self
    }
}

/// Of several processes of one program: it keeps the first one's names.
impl Sum for Snapshot {
    fn sum<I: Iterator<Item = Snapshot>>(each: I) -> Snapshot {
        each.reduce(|mut sum, other| {
            let groups = [
                (&mut sum.lanes, other.lanes),
                (&mut sum.reasons, other.reasons),
                (&mut sum.jobs, other.jobs),
                (&mut sum.tls, other.tls),
                (&mut sum.http2, other.http2),
            ];
            for (group, other) in groups {
                for (name, count) in other {
                    let sum = group.entry(name).or_default();
                    *sum = sum.saturating_add(count);
                }
            }
            sum.stall_time_ns = sum.stall_time_ns.saturating_add(other.stall_time_ns);
            sum.ungated_time_ns = sum.ungated_time_ns.saturating_add(other.ungated_time_ns);
            sum.stalls.extend(other.stalls);
            sum.ungated_calls.extend(other.ungated_calls);
            sum
        })
        .unwrap_or_default()
    }
}

fn by_weight(rows: impl Iterator<Item = RawRow>) -> Vec<Blocked> {
    let mut blocked: Vec<Blocked> = rows
        .filter(|(_, [count, ..], _)| *count > 0)
        .map(|(call, [count, total, max], path)| Blocked {
            call: Call::NAMES
                .get(call as usize)
                .copied()
                .unwrap_or("unknown")
                .to_owned(),
            path: Escaped(&path).to_string(),
            count,
            total_us: total / 1000,
            max_us: max / 1000,
        })
        .collect();
    blocked.sort_by_key(|blocked| core::cmp::Reverse(blocked.total_us));
    blocked
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The library that is read may be older or newer than its reader.
    #[test]
    fn fields_may_be_missing_and_unknown() {
        let text = r#"{"version":1,"pid":1,"lanes":{"straight":5,"stall":3},"new":{"a":[]},
            "stalls":[{"call":"open","path":"/x","count":1,"total_us":2,"max_us":2,"more":0}]}"#;
        let after: Snapshot = serde_json::from_str(text).unwrap();
        let before: Snapshot = serde_json::from_str(r#"{"lanes":{"stall":1}}"#).unwrap();
        let since = after.clone().since(&before);
        assert_eq!((since.stalled(), since.lanes["straight"]), (2, 5));
        let sum: Snapshot = [after, before].into_iter().sum();
        assert_eq!((sum.stalled(), sum.pid, sum.stalls.len()), (4, 1, 1));
    }
}
