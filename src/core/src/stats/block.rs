//! Where the counters lie in memory.
//!
//! A [`Block`] is plain memory with a fixed layout, so that a process can be read from outside
//! (`laio stats PID`) without its knowledge; [`Snapshot`] is the same as JSON.

use super::names::Counter;
use super::observation::Observation;
use super::observed::{Blocking, Observed};
use super::snapshot::{Published, RawRow, Snapshot};
use super::state::{Held, Process, StallTimes, State};
use super::texts::{word, PATH};
use core::mem::size_of;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Name of the section of `liblaio.so` that holds the [`Block`].
pub const SECTION: &str = ".laio.stats";

/// First bytes of a [`Block`]: the format and its version.
pub const MAGIC: [u8; 8] = *b"LAIOST04";

/// Bytes of a [`Block`].
pub const SIZE: usize = size_of::<Block>();

/// Event loops that count for themselves; further ones share the last place.
pub const LOOPS: usize = 32;

/// Rows of the list of stalls, and of that of ungated calls.
pub const ROWS: usize = 32;

/// The library's version, wherever a block lies: behind its first eight bytes in every format.
const VERSION: [u8; 16] = {
    let (text, mut version, mut at) = (env!("CARGO_PKG_VERSION").as_bytes(), [0; 16], 0);
    while at < text.len() && at < version.len() {
        version[at] = text[at];
        at += 1;
    }
    version
};

/// The counters and the state of one event loop. Only its thread and its helpers write here.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Counters {
    pub(super) counts: [AtomicU64; Counter::ALL.len()],
    /// Whether a loop has this place.
    pub(super) in_use: AtomicU64,
    /// Until when requests are looked at, in milliseconds of the monotonic clock.
    pub(super) armed_until: AtomicU64,
    /// Rules that it knows, as of the last cold file.
    pub(super) rules: AtomicU64,
    /// What it holds back.
    pub held: Held,
}

impl Counters {
    const fn zero() -> Counters {
        Counters {
            counts: [const { AtomicU64::new(0) }; Counter::ALL.len()],
            in_use: AtomicU64::new(0),
            armed_until: AtomicU64::new(0),
            rules: AtomicU64::new(0),
            held: Held::nothing(),
        }
    }

    /// A loop has this place from now on, and looks at requests until then.
    pub fn begin(&self, armed_until: u64, rules: usize) {
        self.in_use.store(1, Relaxed);
        self.is_armed_until(armed_until, rules);
    }

    /// Its loop looks at requests until then, and knows so many rules.
    pub fn is_armed_until(&self, milliseconds: u64, rules: usize) {
        self.armed_until.store(milliseconds, Relaxed);
        self.rules.store(rules as u64, Relaxed);
    }

    /// Its loop has ended.
    pub fn end(&self) {
        for place in [&self.in_use, &self.armed_until, &self.rules] {
            place.store(0, Relaxed);
        }
        self.held.clear();
    }

    /// Counts one.
    #[inline]
    pub fn count(&self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Counts `amount`.
    #[inline]
    pub fn add(&self, counter: Counter, amount: u64) {
        self.counts[counter as usize].fetch_add(amount, Relaxed);
    }

    /// Counts one where only one thread does: no locked instruction.
    #[inline]
    pub fn count_alone(&self, counter: Counter) {
        let place = &self.counts[counter as usize];
        place.store(place.load(Relaxed).wrapping_add(1), Relaxed);
    }
}

/// One row of a list. Written under a lock by one thread, read by anybody.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Row {
    pub(super) count: AtomicU64,
    pub(super) total_ns: AtomicU64,
    pub(super) max_ns: AtomicU64,
    pub(super) call: AtomicU32,
    pub(super) length: AtomicU32,
    pub(super) path: [AtomicU64; PATH / 8],
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

/// The heaviest blocked calls by call and path: a bounded list.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Heaviest([Row; ROWS]);

impl Heaviest {
    const fn empty() -> Heaviest {
        Heaviest([const { Row::zero() }; ROWS])
    }

    /// Adds to the row of this call and path. When the list is full, the lightest row gives way and
    /// the newcomer inherits nothing.
    fn enter(&self, blocking: &Blocking<'_>) {
        let Blocking {
            call,
            path,
            nanoseconds,
            times,
            ..
        } = *blocking;
        let path = &path[..path.len().min(PATH)];
        let longest = nanoseconds / times.max(1);
        let mut lightest = (&self.0[0], u64::MAX);
        for row in &self.0 {
            let count = row.count.load(Relaxed);
            if count != 0 && row.call.load(Relaxed) == call as u32 && row.path_is(path) {
                row.count.store(count + times, Relaxed);
                row.total_ns.fetch_add(nanoseconds, Relaxed);
                row.max_ns.fetch_max(longest, Relaxed);
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
        row.max_ns.store(longest, Relaxed);
        row.length.store(path.len() as u32, Relaxed);
        for (place, chunk) in row.path.iter().zip(path.chunks(8)) {
            place.store(word(chunk), Relaxed);
        }
        row.count.store(times, Relaxed);
    }

    /// The rows as a [`Snapshot`] takes them: call, numbers and path.
    fn rows(&self) -> impl Iterator<Item = RawRow> + '_ {
        self.0.iter().map(|row| {
            let words = row
                .path
                .iter()
                .flat_map(|place| place.load(Relaxed).to_le_bytes());
            let path: Vec<u8> = words.take(row.length.load(Relaxed) as usize).collect();
            let numbers = [&row.count, &row.total_ns, &row.max_ns].map(|place| place.load(Relaxed));
            (row.call.load(Relaxed), numbers, path)
        })
    }
}

/// All counters of a process, in one piece of memory.
#[derive(Debug)]
#[repr(C)]
pub struct Block {
    magic: [u8; 8],
    version: [u8; 16],
    /// How the process stands.
    pub process: Process,
    pub(super) stall_times: StallTimes,
    pub(super) loops: [Counters; LOOPS],
    pub(super) stalls: Heaviest,
    pub(super) ungated_calls: Heaviest,
    /// What is published for whoever observes.
    pub observed: Observed,
}

impl Block {
    /// A block with nothing counted.
    #[allow(clippy::new_without_default)] // It is a static's initial value; there is no other use.
    pub const fn new() -> Block {
        Block {
            magic: MAGIC,
            version: VERSION,
            process: Process::new(),
            stall_times: StallTimes::new(),
            loops: [const { Counters::zero() }; LOOPS],
            stalls: Heaviest::empty(),
            ungated_calls: Heaviest::empty(),
            observed: Observed::new(),
        }
    }

    /// The counters of the event loop with this number.
    pub fn counters(&self, number: usize) -> &Counters {
        &self.loops[number.min(LOOPS - 1)]
    }

    /// Forgets everything: the numbers were another process's, before a fork.
    pub fn clear(&self) {
        for counters in &self.loops {
            for place in &counters.counts {
                place.store(0, Relaxed);
            }
            counters.end();
        }
        self.stall_times.clear();
        self.observed.clear();
        for row in self.stalls.0.iter().chain(&self.ungated_calls.0) {
            row.count.store(0, Relaxed);
        }
    }

    /// Enters a stall in its list; the caller sees to it that no other thread does so, nor calls
    /// [`Block::waited`], at the same time.
    pub fn stalled(&self, blocking: &Blocking<'_>) {
        self.stall_times.enter(blocking.nanoseconds);
        self.stalls.enter(blocking);
        self.observed.enter(blocking);
    }

    /// Enters what blocked without being the library's to hold back, in the same way.
    pub fn waited(&self, blocking: &Blocking<'_>) {
        self.ungated_calls.enter(blocking);
        self.observed.enter(blocking);
    }

    /// Reads the block of this process.
    pub fn snapshot(&self, pid: u32, program: &str, mode: &str) -> Snapshot {
        let counted = |counter: &Counter| {
            self.loops
                .iter()
                .map(|counters| counters.counts[*counter as usize].load(Relaxed))
                .fold(0, u64::wrapping_add)
        };
        let totals: Vec<u64> = Counter::ALL.iter().map(counted).collect();
        let lists = [self.stalls.rows(), self.ungated_calls.rows()];
        let published = Published {
            library: env!("CARGO_PKG_VERSION").to_owned(),
            state: State::name_of(self.process.state.load(Relaxed)).to_owned(),
            stall_times: self.stall_times.0.iter().map(|n| n.load(Relaxed)).collect(),
            ..Published::default()
        };
        let words = self.observed.words().map(|word| word.load(Relaxed));
        let observed = Observation::decode(&words.collect::<Vec<_>>());
        Snapshot::new(pid, program, mode, &totals, lists, (observed, published))
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

#[cfg(test)]
mod tests {
    use super::super::names::Call;
    use super::*;

    static BLOCK: Block = Block::new();

    fn blocking(call: Call, path: &[u8], nanoseconds: u64) -> Blocking<'_> {
        Blocking {
            call,
            path,
            nanoseconds,
            times: 1,
            now: 0,
            target: b"",
            is_gateable: false,
            stack: &[],
        }
    }

    #[test]
    fn a_snapshot_adds_up_all_loops_and_sorts_stalls() {
        BLOCK.counters(0).count(Counter::Stall);
        BLOCK.counters(1).add(Counter::Stall, 2);
        BLOCK.counters(LOOPS + 7).count_alone(Counter::Warm);
        BLOCK.stalled(&blocking(Call::Open, b"/srv/a", 5_000));
        BLOCK.stalled(&blocking(Call::Sendfile, b"/srv/a-long-name", 9_000));
        BLOCK.stalled(&blocking(Call::Open, b"/srv/a", 6_000));
        BLOCK.waited(&blocking(Call::Fsync, b"/srv/a", 7_000));
        let snapshot = BLOCK.snapshot(1, "server", "on");
        assert_eq!(snapshot.lanes["stall"], 3);
        assert_eq!(snapshot.reasons["warm"], 1);
        assert_eq!(snapshot.stalls[0].path, "/srv/a");
        assert_eq!(
            (snapshot.stalls[0].count, snapshot.stalls[0].max_us),
            (2, 6)
        );
        assert_eq!(snapshot.stalls[1].path, "/srv/a-long-name");
        assert_eq!(snapshot.ungated_calls.len(), 1);
        assert_eq!(snapshot.ungated_calls[0].call, "fsync");
        let json = serde_json::to_string(&snapshot).unwrap();
        assert_eq!(serde_json::from_str::<Snapshot>(&json).unwrap(), snapshot);
    }

    #[test]
    fn the_list_of_stalls_is_bounded_and_keeps_the_heaviest() {
        static FULL: Block = Block::new();
        for n in 0..2 * ROWS as u64 {
            FULL.stalled(&blocking(
                Call::Open,
                format!("/{n}").as_bytes(),
                (n + 1) * 1000,
            ));
        }
        FULL.stalled(&blocking(Call::Open, b"/light", 1));
        let stalls = FULL.snapshot(1, "server", "on").stalls;
        assert_eq!(stalls.len(), ROWS);
        assert_eq!(stalls[0].path, format!("/{}", 2 * ROWS - 1));
        assert!(stalls.iter().all(|stall| stall.path != "/light"));
    }

    /// Without it, a path could make the terminal of whoever asks for the counters do what it says.
    #[test]
    fn paths_are_escaped() {
        static HOSTILE: Block = Block::new();
        HOSTILE.stalled(&blocking(Call::Open, b"/srv/\x1b]0;owned\x07\xff", 1));
        HOSTILE.waited(&blocking(Call::Resolve, b"host\r\n", 1));
        let snapshot = HOSTILE.snapshot(1, "server", "on");
        assert_eq!(snapshot.stalls[0].path, "/srv/\\u{1b}]0;owned\\u{7}\\xff");
        assert_eq!(snapshot.ungated_calls[0].path, "host\\r\\n");
    }

    #[test]
    fn every_counter_has_its_own_label() {
        let mut labels: Vec<_> = Counter::ALL.iter().map(|counter| counter.label()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Counter::ALL.len());
    }
}
