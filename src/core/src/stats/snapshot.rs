//! The counters of a process at one moment, as they are written in JSON.

use super::names::{Call, Counter};
use super::observation::Observation;
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

/// How one event loop stands, and the sums of it that are shown.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct LoopNow {
    /// Its place among the loops of the process.
    pub number: u64,
    /// Whether it looks at requests before they are read.
    pub armed: bool,
    /// How many connections are held back now.
    pub held: u64,
    /// Milliseconds since the oldest of them was, to the second.
    pub oldest_ms: u64,
    /// Rules that it had learnt when something was cold last.
    pub rules: u64,
    /// Requests that it has read, as far as they were counted.
    pub requests: u64,
    /// Requests that were held back.
    pub request_gate: u64,
    /// Parts of bodies that were.
    pub body_gate: u64,
    /// File operations that blocked it.
    pub stalls: u64,
    /// Nanoseconds that it was blocked in them.
    pub stall_time_ns: u64,
    /// Nanoseconds that it was blocked in what the library does not hold back.
    pub ungated_time_ns: u64,
    /// Reads of clients that brought something.
    pub reads: u64,
    /// Those of clients that speak TLS.
    pub tls_reads: u64,
    /// Those of clients that speak HTTP/2.
    pub http2_reads: u64,
}

/// Each is one request, as far as the library looks: reads while nothing is cold, and looks while something was.
const REQUESTS: [Counter; 11] = [
    Counter::Disarmed,
    Counter::Warm,
    Counter::Repeated,
    Counter::RequestGate,
    Counter::Unpredicted,
    Counter::Refused,
    Counter::BelowBreakEven,
    Counter::QueueFull,
    Counter::Unstaffed,
    Counter::NoHelpers,
    Counter::Full,
];

impl LoopNow {
    pub(super) fn new(
        number: usize,
        counted: impl Fn(Counter) -> u64,
        (held, oldest): (u64, Option<u64>),
        now: u64,
    ) -> LoopNow {
        let requests = REQUESTS.iter().map(|counter| counted(*counter));
        LoopNow {
            number: number as u64,
            held,
            oldest_ms: oldest.map_or(0, |second| now.saturating_sub(second.saturating_mul(1000))),
            requests: requests.fold(0, u64::wrapping_add),
            request_gate: counted(Counter::RequestGate),
            body_gate: counted(Counter::BodyGate),
            stalls: counted(Counter::Stall),
            stall_time_ns: counted(Counter::StallTime),
            ungated_time_ns: counted(Counter::UngatedTime),
            reads: counted(Counter::ClearReads).wrapping_add(counted(Counter::TlsReads)),
            tls_reads: counted(Counter::TlsReads),
            http2_reads: counted(Counter::Http2Reads),
            ..LoopNow::default()
        }
    }

    pub(super) fn armed(mut self, armed: bool, rules: u64) -> LoopNow {
        self.armed = armed;
        self.rules = rules;
        self
    }
}

/// What a process publishes of itself beside the counters.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Published {
    /// The library's version.
    pub library: String,
    /// Whether it acts, and why not: the names of [`State`](super::State).
    pub state: String,
    /// Settings that were set and accepted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<String>,
    /// System calls of the library's that were refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
    /// Stalls by how long they took: the classes of [`STALL_BOUNDS`](super::STALL_BOUNDS), and one more.
    pub stall_times: Vec<u64>,
    /// The loops that there are; none at the end of a process.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub loops: Vec<LoopNow>,
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
    /// What blocked, by call, directory, time and stack.
    #[serde(skip_serializing_if = "Observation::is_empty")]
    pub observed: Observation,
    /// How the process stands.
    #[serde(flatten)]
    pub published: Published,
}

impl Snapshot {
    pub(super) fn new(
        pid: u32,
        program: &str,
        mode: &str,
        totals: &[u64],
        [stalls, ungated_calls]: [impl Iterator<Item = RawRow>; 2],
        (observed, published): (Observation, Published),
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
            observed,
            published,
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
            sum.observed.add(other.observed);
            sum.published.add(other.published);
            sum
        })
        .unwrap_or_default()
    }
}

impl Published {
    /// Of another process of the same program: its loops, and what its stalls took.
    fn add(&mut self, other: Published) {
        self.loops.extend(other.loops);
        let classes = self.stall_times.iter_mut().zip(other.stall_times);
        classes.for_each(|(sum, count)| *sum = sum.saturating_add(count));
    }
}

fn by_weight(rows: impl Iterator<Item = RawRow>) -> Vec<Blocked> {
    let mut blocked: Vec<Blocked> = rows
        .filter(|(_, [count, ..], _)| *count > 0)
        .map(|(call, [count, total, max], path)| Blocked {
            call: Call::name_of(call as usize),
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
