//! What is published for whoever observes: sums by call and by directory, how long things took, the worst with their
//! stacks. All of it is words, one behind the other, so that whoever reads it finds in memory what a process finds in
//! its own.

use super::names::Call;
use super::texts::{word, PATH};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Classes of a histogram: the last begins at some nine minutes.
pub const CLASSES: usize = 40;

/// Directories whose sums are kept.
pub const DIRECTORIES: usize = 64;

/// How many of the worst are kept.
pub const WORST: usize = 16;

/// Stacks whose sums are kept.
pub const STACKS: usize = 32;

/// Calls of a stack that are kept, the innermost first.
pub const FRAMES: usize = 32;

/// A directory is told by so many names: caches spread their files over thousands.
const NAMES: usize = 4;

/// What is remembered of a directory's path, and of a request's target.
pub(super) const DIRECTORY: usize = 96;
pub(super) const TARGET: usize = 128;

/// After so many milliseconds one of the worst counts for half as much: those of today are of interest as well.
const HALF_LIFE: u64 = 16_000;

/// Words of a row: numbers first, texts and addresses behind them.
pub(super) const CALL_ROW: usize = 5;
pub(super) const DIRECTORY_ROW: usize = 5 + DIRECTORY / 8;
pub(super) const WORST_ROW: usize = 3 + (PATH + TARGET) / 8 + FRAMES;
pub(super) const STACK_ROW: usize = 4 + FRAMES;

/// Something that blocked an event loop.
#[derive(Clone, Copy, Debug)]
pub struct Blocking<'b> {
    /// The call.
    pub call: Call,
    /// The path, or the host name.
    pub path: &'b [u8],
    /// How long it took, all times together.
    pub nanoseconds: u64,
    /// How often it did: page faults are counted by the kernel, and timed together.
    pub times: u64,
    /// When it was over, in milliseconds of the monotonic clock.
    pub now: u64,
    /// What the request asked for that explains it; empty for none.
    pub target: &'b [u8],
    /// Whether the gate would have held that request back.
    pub is_gateable: bool,
    /// Who called, the innermost first; empty where nobody looked.
    pub stack: &'b [u64],
}

type Row<const WORDS: usize> = [AtomicU64; WORDS];

const fn rows<const ROWS: usize, const WORDS: usize>() -> [Row<WORDS>; ROWS] {
    [const { [const { AtomicU64::new(0) }; WORDS] }; ROWS]
}

/// How often things took how long: by the number of binary digits of their nanoseconds.
#[derive(Debug)]
#[repr(C)]
pub struct Histogram(Row<CLASSES>);

impl Histogram {
    const fn new() -> Histogram {
        Histogram([const { AtomicU64::new(0) }; CLASSES])
    }

    /// So many took so long.
    pub fn enter(&self, nanoseconds: u64, times: u64) {
        let class = (u64::BITS - nanoseconds.leading_zeros()) as usize;
        self.0[class.min(CLASSES - 1)].fetch_add(times, Relaxed);
    }
}

/// What is published for whoever observes. But for the histograms of loops, it is written under a lock by one thread, and
/// read by anybody.
#[derive(Debug)]
#[repr(C)]
pub struct Observed {
    calls: [Row<CALL_ROW>; Call::NAMES.len()],
    times: Histogram,
    /// How long iterations of loops took; only while observing.
    pub iterations: Histogram,
    /// Events that became ready while a loop was blocked, by how long it was; only while observing.
    pub waited: Histogram,
    directories: [Row<DIRECTORY_ROW>; DIRECTORIES],
    worst: [Row<WORST_ROW>; WORST],
    stacks: [Row<STACK_ROW>; STACKS],
}

impl Observed {
    pub(super) const fn new() -> Observed {
        Observed {
            calls: rows(),
            times: Histogram::new(),
            iterations: Histogram::new(),
            waited: Histogram::new(),
            directories: rows(),
            worst: rows(),
            stacks: rows(),
        }
    }

    /// All words in the order in which they lie in memory.
    pub(super) fn words(&self) -> impl Iterator<Item = &AtomicU64> {
        let times = [&self.times, &self.iterations, &self.waited];
        let times = times.into_iter().flat_map(|histogram| &histogram.0);
        let calls = self.calls.as_flattened().iter().chain(times);
        let lists = [
            self.directories.as_flattened(),
            self.worst.as_flattened(),
            self.stacks.as_flattened(),
        ];
        calls.chain(lists.into_iter().flatten())
    }

    pub(super) fn enter(&self, blocking: &Blocking<'_>) {
        let each = blocking.nanoseconds / blocking.times.max(1);
        self.times.enter(each, blocking.times);
        let gateable = u64::from(blocking.is_gateable);
        let sums = [
            blocking.times,
            blocking.nanoseconds,
            0,
            gateable * blocking.times,
            gateable * blocking.nanoseconds,
        ];
        let row = &self.calls[blocking.call as usize];
        add(row, &sums);
        row[2].fetch_max(each, Relaxed);
        self.enter_directory(blocking, each);
        self.enter_worst(blocking, each);
        if !blocking.stack.is_empty() {
            self.enter_stack(blocking);
        }
    }

    /// Count, sum, maximum, what was inherited, and the name. Where all rows are taken, the lightest gives way, and what it
    /// had the newcomer inherits (space-saving counts): what a row has more than that is its own for sure.
    fn enter_directory(&self, blocking: &Blocking<'_>, each: u64) {
        let Some(name) = directory(blocking.path) else {
            return;
        };
        let same = |row: &&Row<DIRECTORY_ROW>| row[0].load(Relaxed) > 0 && is(&row[4..], name);
        let row = self.directories.iter().find(same).unwrap_or_else(|| {
            let row = lightest(&self.directories, |row| row[1].load(Relaxed));
            row[0].store(0, Relaxed);
            row[2].store(0, Relaxed);
            row[3].store(row[1].load(Relaxed), Relaxed);
            put(&row[4..], name);
            row
        });
        add(row, &[blocking.times, blocking.nanoseconds]);
        row[2].fetch_max(each, Relaxed);
    }

    /// When, how long, the call and the lengths of what follows: path, target and stack.
    fn enter_worst(&self, blocking: &Blocking<'_>, each: u64) {
        let weight = |row: &Row<WORST_ROW>| {
            let age = blocking.now.saturating_sub(row[0].load(Relaxed)) / HALF_LIFE;
            let halvings = u32::try_from(age).unwrap_or(u32::MAX);
            row[1].load(Relaxed).checked_shr(halvings).unwrap_or(0)
        };
        let row = lightest(&self.worst, weight);
        if weight(row) >= each {
            return;
        }
        let (path, target) = (cut(blocking.path, PATH), cut(blocking.target, TARGET));
        let stack = cut(blocking.stack, FRAMES);
        let lengths = [
            blocking.call as usize,
            path.len(),
            target.len(),
            stack.len(),
        ];
        // Who reads it meanwhile takes it for an empty one.
        row[1].store(0, Relaxed);
        row[0].store(blocking.now, Relaxed);
        row[2].store(pack(lengths), Relaxed);
        let (texts, addresses) = row[3..].split_at((PATH + TARGET) / 8);
        store(texts, path);
        store(&texts[PATH / 8..], target);
        fill(addresses, stack);
        row[1].store(each, Relaxed);
    }

    /// Count, sum, what was inherited as for a directory, the call and the number of addresses.
    fn enter_stack(&self, blocking: &Blocking<'_>) {
        let stack = cut(blocking.stack, FRAMES);
        let kind = pack([blocking.call as usize, stack.len(), 0, 0]);
        let same = |row: &&Row<STACK_ROW>| {
            let addresses = row[4..].iter().map(|word| word.load(Relaxed));
            row[3].load(Relaxed) == kind && stack.iter().copied().eq(addresses.take(stack.len()))
        };
        let row = self.stacks.iter().find(same).unwrap_or_else(|| {
            let row = lightest(&self.stacks, |row| row[1].load(Relaxed));
            row[0].store(0, Relaxed);
            row[2].store(row[1].load(Relaxed), Relaxed);
            row[3].store(kind, Relaxed);
            fill(&row[4..], stack);
            row
        });
        add(row, &[blocking.times, blocking.nanoseconds]);
    }

    pub(super) fn clear(&self) {
        self.words().for_each(|word| word.store(0, Relaxed));
    }
}

/// The directory of an absolute path, of so many names at most.
fn directory(path: &[u8]) -> Option<&[u8]> {
    let path = cut(path, DIRECTORY);
    if path.first() != Some(&b'/') {
        return None;
    }
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    let (end, _) = slashes.take(NAMES + 1).last()?;
    Some(&path[..end.max(1)])
}

fn cut<T>(all: &[T], most: usize) -> &[T] {
    &all[..all.len().min(most)]
}

fn add(row: &[AtomicU64], amounts: &[u64]) {
    for (word, amount) in row.iter().zip(amounts) {
        word.fetch_add(*amount, Relaxed);
    }
}

fn lightest<const ROWS: usize, const WORDS: usize>(
    rows: &[Row<WORDS>; ROWS],
    weight: impl Fn(&Row<WORDS>) -> u64,
) -> &Row<WORDS> {
    rows.iter()
        .min_by_key(|row| weight(row))
        .unwrap_or(&rows[0])
}

/// Four small numbers in a word.
fn pack(numbers: [usize; 4]) -> u64 {
    let halves = numbers.map(|number| number as u64 & 0xffff);
    halves.iter().rev().fold(0, |word, half| word << 16 | half)
}

pub(super) fn unpack(word: u64) -> [usize; 4] {
    [0, 16, 32, 48].map(|shift| (word >> shift) as usize & 0xffff)
}

fn fill(words: &[AtomicU64], values: &[u64]) {
    for (word, value) in words.iter().zip(values) {
        word.store(*value, Relaxed);
    }
}

/// Bytes in words, eight in each.
fn store(words: &[AtomicU64], bytes: &[u8]) {
    for (place, chunk) in words.iter().zip(bytes.chunks(8)) {
        place.store(word(chunk), Relaxed);
    }
}

/// A text behind its length.
fn put(words: &[AtomicU64], bytes: &[u8]) {
    words[0].store(bytes.len() as u64, Relaxed);
    store(&words[1..], bytes);
}

fn is(words: &[AtomicU64], bytes: &[u8]) -> bool {
    let chunks = bytes.chunks(8).map(word);
    words[0].load(Relaxed) == bytes.len() as u64
        && chunks
            .zip(&words[1..])
            .all(|(chunk, place)| chunk == place.load(Relaxed))
}

#[cfg(test)]
mod tests {
    use super::super::observation::Observation;
    use super::*;

    fn blocking(path: &[u8]) -> Blocking<'_> {
        Blocking {
            call: Call::Open,
            path,
            nanoseconds: 1000,
            times: 1,
            now: 7,
            target: b"",
            is_gateable: false,
            stack: &[],
        }
    }

    fn read(observed: &Observed) -> Observation {
        let words: Vec<u64> = observed.words().map(|word| word.load(Relaxed)).collect();
        assert_eq!(words.len() * 8, size_of::<Observed>());
        Observation::decode(&words)
    }

    #[test]
    fn what_was_entered_is_read() {
        let observed = Observed::new();
        observed.enter(&Blocking {
            target: b"/a?b",
            is_gateable: true,
            stack: &[5, 6],
            ..blocking(b"/srv/www/img/a.bin")
        });
        observed.enter(&Blocking {
            call: Call::Fault,
            nanoseconds: 9000,
            times: 3,
            ..blocking(b"")
        });
        let read = read(&observed);
        let names: Vec<_> = read.calls.iter().map(|sum| &*sum.call).collect();
        assert_eq!(names, ["page_fault", "open"]);
        let [fault, open] = &*read.calls else {
            panic!("{read:?}")
        };
        assert_eq!((fault.count, fault.total_ns, fault.max_ns), (3, 9000, 3000));
        assert_eq!(
            (open.gateable, open.gateable_ns, fault.gateable),
            (1, 1000, 0)
        );
        assert_eq!(read.directories.len(), 1);
        assert_eq!(read.directories[0].path, "/srv/www/img");
        assert_eq!((read.times[10], read.times[12]), (1, 3));
        let worst = &read.worst[1];
        assert_eq!(
            (&*worst.path, &*worst.target),
            ("/srv/www/img/a.bin", "/a?b")
        );
        assert_eq!((worst.stack.as_slice(), worst.at_ms), (&[5, 6][..], 7));
        assert_eq!((read.stacks[0].count, &*read.stacks[0].call), (1, "open"));
    }

    #[test]
    fn directories_are_few_and_told_by_few_names() {
        assert_eq!(directory(b"/a"), Some(&b"/"[..]));
        assert_eq!(directory(b"relative/a"), None);
        assert_eq!(
            directory(b"/var/cache/nginx/c/0/1/x"),
            Some(&b"/var/cache/nginx/c"[..])
        );
        let observed = Observed::new();
        for number in 0..1000 {
            let path = format!("/{number}/x");
            observed.enter(&blocking(path.as_bytes()));
            observed.enter(&blocking(b"/heavy/x"));
        }
        let read = read(&observed);
        assert_eq!(read.directories.len(), DIRECTORIES);
        let heavy = &read.directories[0];
        assert_eq!(
            (&*heavy.path, heavy.total_ns, heavy.inherited_ns),
            ("/heavy", 1_000_000, 0)
        );
        let sure = |row: &super::super::observation::Directory| row.total_ns - row.inherited_ns;
        assert!(read.directories[1..].iter().all(|row| sure(row) == 1000));
    }

    #[test]
    fn the_worst_grow_old() {
        let observed = Observed::new();
        for number in 1..=3 * WORST as u64 {
            observed.enter(&Blocking {
                nanoseconds: 1000 * number,
                ..blocking(b"/x")
            });
        }
        let worst = read(&observed).worst;
        assert_eq!((worst[0].ns, worst[WORST - 1].ns), (48_000, 33_000));
        observed.enter(&Blocking {
            now: 7 + 10 * HALF_LIFE,
            ..blocking(b"/young")
        });
        assert!(read(&observed)
            .worst
            .iter()
            .any(|worst| worst.path == "/young"));
    }
}
