//! The counters: what there is to count, where it lies in memory, and how it is written.
//!
//! A [`Block`] is plain memory with a fixed layout, so that a process can be read from outside
//! (`laio stats PID`) without its knowledge; [`Snapshot`] is the same as JSON.

use core::mem::{offset_of, size_of};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Name of the section of `liblaio.so` that holds the [`Block`].
pub const SECTION: &str = ".laio.stats";

/// First bytes of a [`Block`]: the format and its version.
pub const MAGIC: [u8; 8] = *b"LAIOST01";

/// Version of the JSON format.
pub const VERSION: u32 = 1;

/// Event loops that count for themselves; further ones share the last place.
pub const LOOPS: usize = 32;

/// Rows of the list of stalls.
pub const STALLS: usize = 32;

const PATH: usize = 192;

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $variant:ident => $group:literal / $name:literal,)+) => {
        /// Everything that is counted: lanes, the reasons for them, and jobs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Counter { $($(#[doc = $doc])+ $variant,)+ }

        impl Counter {
            /// All counters, in the order of their numbers.
            pub const ALL: &'static [Counter] = &[$(Counter::$variant,)+];

            /// The group and the name under which it is written.
            pub fn label(self) -> (&'static str, &'static str) {
                match self { $(Counter::$variant => ($group, $name),)+ }
            }

            /// What it counts.
            pub fn meaning(self) -> &'static str {
                match self { $(Counter::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

counters! {
    /// Reads of client connections and file operations that were let through unchanged.
    Straight => "lanes" / "straight",
    /// Requests whose readiness was held back.
    RequestGate => "lanes" / "request_gate",
    /// Writes of a body that were held back, or cut short, because its next part was not in memory.
    BodyGate => "lanes" / "body_gate",
    /// File operations that blocked the event loop.
    Stall => "lanes" / "stall",
    /// Reads not looked at, because nothing has been cold for a while.
    Quiet => "reasons" / "quiet",
    /// Bytes that are no request of a known protocol.
    Foreign => "reasons" / "foreign",
    /// Requests whose target could lead out of the document root, or is too long.
    Refused => "reasons" / "refused",
    /// Requests for which no rule is known yet.
    Unpredicted => "reasons" / "unpredicted",
    /// Requests whose predicted files were all in memory.
    Warm => "reasons" / "warm",
    /// Requests that were read straight because the device answers faster than a gate.
    BelowBreakEven => "reasons" / "below_break_even",
    /// Requests that were read straight because the queue of jobs was full.
    QueueFull => "reasons" / "queue_full",
    /// Requests that were read straight because helpers cannot run here.
    NoHelpers => "reasons" / "no_helpers",
    /// Requests that were read straight because the connection's readiness is not ours to hold
    /// back: a blocking socket, or one registered in several epoll instances.
    Ungateable => "reasons" / "ungateable",
    /// Gates opened early, because the client went away.
    ClientGone => "reasons" / "client_gone",
    /// Reads of a connection whose gate was closed, answered with `EAGAIN`.
    ReadWhileClosed => "reasons" / "read_while_closed",
    /// Writes to a connection whose gate was closed, answered with `EAGAIN`.
    WriteWhileClosed => "reasons" / "write_while_closed",
    /// Operations that were slow without blocking: another program had the processor.
    Preempted => "reasons" / "preempted",
    /// Stalls with no request before them that explains their path.
    Unexplained => "reasons" / "unexplained",
    /// Requests for which the library looked whether the files are in memory.
    Probes => "jobs" / "probes",
    /// Jobs handed to helpers.
    Jobs => "jobs" / "started",
    /// Jobs for parts of bodies that will be sent next, which nobody waits for yet.
    JobsAhead => "jobs" / "ahead",
    /// Jobs done.
    JobsDone => "jobs" / "completed",
    /// Jobs in front of the queue, because their files were in memory a moment ago.
    JobsUrgent => "jobs" / "urgent",
    /// Jobs that found everything in memory after all.
    JobsWarm => "jobs" / "found_warm",
    /// Paths that a helper did not find, or was not allowed to open.
    PathsRefused => "jobs" / "paths_refused",
    /// Bytes of files that helpers read.
    BytesWarmed => "jobs" / "bytes",
    /// Nanoseconds that helpers worked, waiting included.
    JobTime => "jobs" / "time_ns",
    /// Helper threads started.
    Helpers => "jobs" / "helpers_started",
    /// Times that all helpers left because the process restricted itself.
    Restricted => "jobs" / "helpers_sent_away",
    /// Nanoseconds that event loops were blocked.
    StallTime => "time" / "stall_ns",
}

/// The calls that can stall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Call {
    /// The `open` family.
    Open,
    /// The `stat` family.
    Stat,
    /// `opendir`.
    Opendir,
    /// `readdir`.
    Readdir,
    /// `read` and `readv` of a file.
    Read,
    /// The `pread` family.
    Pread,
    /// `sendfile`.
    Sendfile,
    /// `splice` from a file.
    Splice,
}

impl Call {
    const NAMES: [&'static str; 8] = [
        "open", "stat", "opendir", "readdir", "read", "pread", "sendfile", "splice",
    ];

    /// The operation's plain name.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// The counters of one event loop. Only its thread and its helpers write here.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Counters([AtomicU64; Counter::ALL.len()]);

impl Counters {
    const fn zero() -> Counters {
        Counters([const { AtomicU64::new(0) }; Counter::ALL.len()])
    }

    /// Counts one.
    #[inline]
    pub fn count(&self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Counts `amount`.
    #[inline]
    pub fn add(&self, counter: Counter, amount: u64) {
        self.0[counter as usize].fetch_add(amount, Relaxed);
    }

    /// Counts one where only one thread does: no locked instruction.
    #[inline]
    pub fn count_alone(&self, counter: Counter) {
        let place = &self.0[counter as usize];
        place.store(place.load(Relaxed).wrapping_add(1), Relaxed);
    }
}

/// One row of the list of stalls. Written under a lock by one thread, read by anybody.
#[derive(Debug)]
#[repr(C)]
struct Row {
    count: AtomicU64,
    total_ns: AtomicU64,
    max_ns: AtomicU64,
    call: AtomicU32,
    length: AtomicU32,
    path: [AtomicU64; PATH / 8],
}

impl Row {
    const fn zero() -> Row {
        Row {
            count: AtomicU64::new(0),
            total_ns: AtomicU64::new(0),
            max_ns: AtomicU64::new(0),
            call: AtomicU32::new(0),
            length: AtomicU32::new(0),
            path: [const { AtomicU64::new(0) }; PATH / 8],
        }
    }
}

/// All counters of a process, in one piece of memory.
#[derive(Debug)]
#[repr(C)]
pub struct Block {
    magic: [u8; 8],
    loops: [Counters; LOOPS],
    stalls: [Row; STALLS],
}

impl Block {
    /// A block with nothing counted.
    #[allow(clippy::new_without_default)] // It is a static's initial value; there is no other use.
    pub const fn new() -> Block {
        Block {
            magic: MAGIC,
            loops: [const { Counters::zero() }; LOOPS],
            stalls: [const { Row::zero() }; STALLS],
        }
    }

    /// The counters of the event loop with this number.
    pub fn counters(&self, number: usize) -> &Counters {
        &self.loops[number.min(LOOPS - 1)]
    }

    /// Forgets everything: the numbers were another process's, before a fork.
    pub fn clear(&self) {
        for place in self.loops.iter().flat_map(|counters| &counters.0) {
            place.store(0, Relaxed);
        }
        for row in &self.stalls {
            row.count.store(0, Relaxed);
        }
    }

    /// Enters a stall in the bounded list of the heaviest; the caller sees to it that no other
    /// thread does so at the same time. When the list is full, the lightest row gives way and the
    /// newcomer inherits nothing.
    pub fn stalled(&self, call: Call, path: &[u8], nanoseconds: u64) {
        let path = &path[..path.len().min(PATH)];
        let mut lightest = (&self.stalls[0], u64::MAX);
        for row in &self.stalls {
            let count = row.count.load(Relaxed);
            if count != 0 && row.call.load(Relaxed) == call as u32 && row.path_is(path) {
                row.count.store(count + 1, Relaxed);
                row.total_ns.fetch_add(nanoseconds, Relaxed);
                row.max_ns.fetch_max(nanoseconds, Relaxed);
                return;
            }
            let weight = if count == 0 {
                0
            } else {
                row.total_ns.load(Relaxed)
            };
            if weight < lightest.1 {
                lightest = (row, weight);
            }
        }
        let (row, weight) = lightest;
        if weight > nanoseconds {
            return;
        }
        row.call.store(call as u32, Relaxed);
        row.total_ns.store(nanoseconds, Relaxed);
        row.max_ns.store(nanoseconds, Relaxed);
        row.length.store(path.len() as u32, Relaxed);
        for (place, chunk) in row.path.iter().zip(path.chunks(8)) {
            place.store(word(chunk), Relaxed);
        }
        row.count.store(1, Relaxed);
    }

    /// Reads the block of this process.
    pub fn snapshot(&self, pid: u32, program: &str, mode: &str) -> Snapshot {
        let counted = |counter: &Counter| {
            self.loops
                .iter()
                .map(|counters| counters.0[*counter as usize].load(Relaxed))
                .sum()
        };
        let totals: Vec<u64> = Counter::ALL.iter().map(counted).collect();
        let stalls = self.stalls.iter().map(|row| {
            let words = row
                .path
                .iter()
                .flat_map(|place| place.load(Relaxed).to_le_bytes());
            let path: Vec<u8> = words.take(row.length.load(Relaxed) as usize).collect();
            let numbers = [&row.count, &row.total_ns, &row.max_ns].map(|place| place.load(Relaxed));
            (row.call.load(Relaxed), numbers, path)
        });
        Snapshot::new(pid, program, mode, &totals, stalls)
    }
}

impl Row {
    fn path_is(&self, path: &[u8]) -> bool {
        self.length.load(Relaxed) as usize == path.len()
            && path
                .chunks(8)
                .zip(&self.path)
                .all(|(chunk, place)| place.load(Relaxed) == word(chunk))
    }
}

/// Up to eight bytes of a path as one little-endian word.
fn word(chunk: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes[..chunk.len()].copy_from_slice(chunk);
    u64::from_le_bytes(bytes)
}

/// One stalled call and path.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Stall {
    /// The operation's plain name.
    pub call: String,
    /// The path, cut to 192 bytes; bytes that are not UTF-8 are replaced.
    pub path: String,
    /// How often.
    pub count: u64,
    /// Microseconds in all.
    pub total_us: u64,
    /// Microseconds of the longest.
    pub max_us: u64,
}

/// The counters of a process at one moment, as they are written in JSON.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
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
    /// Nanoseconds that event loops were blocked in file operations.
    pub stall_time_ns: u64,
    /// The heaviest stalls, by total time.
    pub stalls: Vec<Stall>,
}

impl Snapshot {
    fn new(
        pid: u32,
        program: &str,
        mode: &str,
        totals: &[u64],
        stalls: impl Iterator<Item = (u32, [u64; 3], Vec<u8>)>,
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
        let mut stalls: Vec<Stall> = stalls
            .filter(|(_, [count, ..], _)| *count > 0)
            .map(|(call, [count, total, max], path)| Stall {
                call: Call::NAMES
                    .get(call as usize)
                    .copied()
                    .unwrap_or("unknown")
                    .to_owned(),
                path: String::from_utf8_lossy(&path).into_owned(),
                count,
                total_us: total / 1000,
                max_us: max / 1000,
            })
            .collect();
        stalls.sort_by_key(|stall| core::cmp::Reverse(stall.total_us));
        Snapshot {
            version: VERSION,
            pid,
            program: program.to_owned(),
            mode: mode.to_owned(),
            lanes: group("lanes"),
            reasons: group("reasons"),
            jobs: group("jobs"),
            stall_time_ns: totals[Counter::StallTime as usize],
            stalls,
        }
    }

    /// Reads a [`Block`] out of another process's memory, given as bytes.
    ///
    /// Returns nothing where the bytes are not a block of this version.
    pub fn decode(bytes: &[u8], pid: u32, program: &str) -> Option<Snapshot> {
        if bytes.len() < size_of::<Block>() || bytes[..8] != MAGIC {
            return None;
        }
        let at = |offset: usize| {
            let field = bytes.get(offset..offset + 8);
            field.map_or(0, |field| {
                u64::from_le_bytes(field.try_into().unwrap_or([0; 8]))
            })
        };
        let counted = |counter: &Counter| {
            let place = offset_of!(Block, loops) + *counter as usize * 8;
            (0..LOOPS)
                .map(|number| at(place + number * size_of::<Counters>()))
                .sum()
        };
        let totals: Vec<u64> = Counter::ALL.iter().map(counted).collect();
        let stalls = (0..STALLS).map(|number| {
            let row = offset_of!(Block, stalls) + number * size_of::<Row>();
            let numbers = [
                offset_of!(Row, count),
                offset_of!(Row, total_ns),
                offset_of!(Row, max_ns),
            ];
            let call = at(row + offset_of!(Row, call)) as u32;
            let length = (at(row + offset_of!(Row, call)) >> 32) as usize;
            let path = row + offset_of!(Row, path);
            let path = bytes.get(path..path + length.min(PATH)).unwrap_or_default();
            (call, numbers.map(|offset| at(row + offset)), path.to_vec())
        });
        Some(Snapshot::new(pid, program, "unknown", &totals, stalls))
    }
}

const _: () =
    assert!(offset_of!(Row, length) == offset_of!(Row, call) + 4 && cfg!(target_endian = "little"));

#[cfg(test)]
mod tests {
    use super::*;

    static BLOCK: Block = Block::new();

    #[test]
    fn a_snapshot_adds_up_all_loops_and_sorts_stalls() {
        BLOCK.counters(0).count(Counter::Stall);
        BLOCK.counters(1).add(Counter::Stall, 2);
        BLOCK.counters(LOOPS + 7).count_alone(Counter::Warm);
        BLOCK.stalled(Call::Open, b"/srv/a", 5_000);
        BLOCK.stalled(Call::Sendfile, b"/srv/a-long-name", 9_000);
        BLOCK.stalled(Call::Open, b"/srv/a", 6_000);
        let snapshot = BLOCK.snapshot(1, "server", "on");
        assert_eq!(snapshot.lanes["stall"], 3);
        assert_eq!(snapshot.reasons["warm"], 1);
        assert_eq!(snapshot.stalls[0].path, "/srv/a");
        assert_eq!(
            (snapshot.stalls[0].count, snapshot.stalls[0].max_us),
            (2, 6)
        );
        assert_eq!(snapshot.stalls[1].path, "/srv/a-long-name");
        let json = serde_json::to_string(&snapshot).unwrap();
        assert_eq!(serde_json::from_str::<Snapshot>(&json).unwrap(), snapshot);
    }

    #[test]
    fn the_list_of_stalls_is_bounded_and_keeps_the_heaviest() {
        static FULL: Block = Block::new();
        for n in 0..2 * STALLS as u64 {
            FULL.stalled(Call::Open, format!("/{n}").as_bytes(), (n + 1) * 1000);
        }
        FULL.stalled(Call::Open, b"/light", 1);
        let stalls = FULL.snapshot(1, "server", "on").stalls;
        assert_eq!(stalls.len(), STALLS);
        assert_eq!(stalls[0].path, format!("/{}", 2 * STALLS - 1));
        assert!(stalls.iter().all(|stall| stall.path != "/light"));
    }

    #[test]
    fn bytes_that_are_no_block_are_refused() {
        assert_eq!(Snapshot::decode(&[0; size_of::<Block>()], 1, "x"), None);
        assert_eq!(Snapshot::decode(b"LAIOST01", 1, "x"), None);
    }

    #[test]
    fn every_counter_has_its_own_label() {
        let mut labels: Vec<_> = Counter::ALL.iter().map(|counter| counter.label()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Counter::ALL.len());
    }
}
