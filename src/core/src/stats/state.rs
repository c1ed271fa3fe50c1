//! How a process and its loops stand at a moment: what is published beside the counters.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Whether the library acts in a process, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum State {
    /// Its constructor has not run yet.
    NotStarted,
    /// It acts.
    On,
    /// It measures and holds nothing back.
    Observe,
    /// `LAIO=off`.
    Off,
    /// `LAIO_ONLY` names other programs.
    NotMeant,
    /// The program runs with more rights than whoever started it.
    Secure,
    /// The process is behind a seccomp filter of its own, or ends.
    Asleep,
    /// A signal handler has jumped out of the library where it cannot go on.
    GaveUp,
}

impl State {
    const ALL: [(State, &'static str); 8] = [
        (State::NotStarted, "not_started"),
        (State::On, "on"),
        (State::Observe, "observe"),
        (State::Off, "off"),
        (State::NotMeant, "not_meant"),
        (State::Secure, "secure"),
        (State::Asleep, "asleep"),
        (State::GaveUp, "gave_up"),
    ];

    /// The word in the statistics.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    pub(super) fn name_of(number: u64) -> &'static str {
        let place = usize::try_from(number).ok();
        place
            .and_then(|place| Self::ALL.get(place))
            .map_or("unknown", |(_, name)| name)
    }
}

/// A text of bounded length that others read while it is written: eight bytes in a word.
#[derive(Debug)]
#[repr(C)]
pub struct Text<const WORDS: usize> {
    length: AtomicU64,
    words: [AtomicU64; WORDS],
}

impl<const WORDS: usize> Text<WORDS> {
    pub(super) const fn empty() -> Text<WORDS> {
        Text {
            length: AtomicU64::new(0),
            words: [const { AtomicU64::new(0) }; WORDS],
        }
    }

    /// Adds a line, as far as there is room. Two threads that do so at once may spoil each other's.
    pub fn add_line(&self, line: &str) {
        let mut length = self.length.load(Relaxed) as usize;
        for byte in line.bytes().chain([b'\n']) {
            let Some(word) = self.words.get(length / 8) else {
                break;
            };
            let before = word.load(Relaxed);
            word.store(before | u64::from(byte) << (8 * (length % 8)), Relaxed);
            length += 1;
        }
        self.length.store(length as u64, Relaxed);
    }

    /// The lines that stand whole in the bytes of such a text.
    pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
        let (length, text) = bytes.split_at_checked(8).unwrap_or_default();
        let length = length.try_into().map_or(0, u64::from_le_bytes);
        let length = usize::try_from(length)
            .unwrap_or(usize::MAX)
            .min(text.len());
        let lines = text[..length].split_inclusive(|&byte| byte == b'\n');
        lines.filter_map(|line| line.strip_suffix(b"\n"))
    }
}

/// What is published of a process.
#[derive(Debug)]
#[repr(C)]
pub struct Process {
    pub(super) state: AtomicU64,
    /// Settings that were set and accepted, one a line.
    pub settings: Text<128>,
    /// System calls that were refused, one a line.
    pub refused: Text<32>,
}

impl Process {
    pub(super) const fn new() -> Process {
        Process {
            state: AtomicU64::new(State::NotStarted as u64),
            settings: Text::empty(),
            refused: Text::empty(),
        }
    }

    /// How it stands from now on.
    pub fn is(&self, state: State) {
        self.state.store(state as u64, Relaxed);
    }
}

/// Seconds that are told apart of those at which something was held back.
pub(super) const SECONDS: usize = 16;

/// What is held back, by the second at which it was: how many (low half), and when (high half). A place that is in use
/// keeps its second when its turn comes again, so what is old does not look young.
#[derive(Debug)]
#[repr(C)]
pub struct Held(pub(super) [AtomicU64; SECONDS]);

const ONE: u64 = 1;
const COUNT: u64 = 0xffff_ffff;

impl Held {
    pub(super) const fn nothing() -> Held {
        Held([const { AtomicU64::new(0) }; SECONDS])
    }

    /// Something is held back from now on, by the monotonic clock. Returns the place for [`Held::ends`].
    pub fn begins(&self, milliseconds: u64) -> u8 {
        let second = milliseconds / 1000;
        let place = second as usize % SECONDS;
        let _ = self.0[place].fetch_update(Relaxed, Relaxed, |word| {
            Some(match word & COUNT {
                0 => (second << 32) | ONE,
                _ => word + ONE,
            })
        });
        place as u8
    }

    /// It is held back no more.
    pub fn ends(&self, place: u8) {
        if let Some(place) = self.0.get(usize::from(place)) {
            let _ = place.fetch_update(Relaxed, Relaxed, |word| {
                (word & COUNT > 0).then(|| word - ONE)
            });
        }
    }

    /// Nothing is held back any more.
    pub fn clear(&self) {
        self.0.iter().for_each(|place| place.store(0, Relaxed));
    }

    /// How many, and since which second the oldest.
    pub(super) fn summary(words: impl Iterator<Item = u64>) -> (u64, Option<u64>) {
        let used = words.filter(|word| word & COUNT > 0);
        used.fold((0, None), |(count, oldest), word| {
            let second = word >> 32;
            let oldest = oldest.map_or(second, |oldest: u64| oldest.min(second));
            (count + (word & COUNT), Some(oldest))
        })
    }
}

/// Upper bounds of the classes of stalls, in microseconds; the last class has none.
pub const STALL_BOUNDS: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 5_000_000,
];

/// Stalls by how long they took.
#[derive(Debug)]
#[repr(C)]
pub struct StallTimes(pub(super) [AtomicU64; STALL_BOUNDS.len() + 1]);

impl StallTimes {
    pub(super) const fn new() -> StallTimes {
        StallTimes([const { AtomicU64::new(0) }; STALL_BOUNDS.len() + 1])
    }

    pub(super) fn enter(&self, nanoseconds: u64) {
        let class = STALL_BOUNDS.partition_point(|bound| *bound < nanoseconds / 1000);
        self.0[class].fetch_add(1, Relaxed);
    }

    pub(super) fn clear(&self) {
        self.0.iter().for_each(|class| class.store(0, Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(held: &Held) -> (u64, Option<u64>) {
        Held::summary(held.0.iter().map(|place| place.load(Relaxed)))
    }

    #[test]
    fn the_oldest_is_told_also_when_its_place_is_used_again() {
        let held = Held::nothing();
        assert_eq!(now(&held), (0, None));
        let first = held.begins(5_000);
        let other = held.begins(7_900);
        let same_place = held.begins(5_000 + 1000 * SECONDS as u64);
        assert_eq!((first, now(&held)), (same_place, (3, Some(5))));
        held.ends(first);
        held.ends(same_place);
        assert_eq!(now(&held), (1, Some(7)));
        held.ends(other);
        // A job that was counted before a fork.
        held.ends(other);
        held.ends(200);
        assert_eq!(now(&held), (0, None));
    }

    #[test]
    fn every_state_has_its_name() {
        for (number, (state, name)) in State::ALL.iter().enumerate() {
            assert_eq!((*state as usize, state.name()), (number, *name));
            assert_eq!(State::name_of(number as u64), *name);
        }
        assert_eq!(State::name_of(99), "unknown");
    }

    #[test]
    fn stalls_are_classed_by_their_upper_bound() {
        let times = StallTimes::new();
        for nanoseconds in [0, 100_000, 100_999, 101_000, 5_000_000_000, u64::MAX] {
            times.enter(nanoseconds);
        }
        let counts: Vec<u64> = times.0.iter().map(|class| class.load(Relaxed)).collect();
        assert_eq!((counts[0], counts[1]), (3, 1));
        assert_eq!((counts[13], counts[14]), (1, 1));
    }

    #[test]
    fn a_text_that_is_full_keeps_its_whole_lines() {
        let text: Text<2> = Text::empty();
        text.add_line("LAIO=on");
        text.add_line("LAIO_MAP=/=/srv");
        let words = text.words.iter().map(|word| word.load(Relaxed));
        let mut bytes = text.length.load(Relaxed).to_le_bytes().to_vec();
        bytes.extend(words.flat_map(u64::to_le_bytes));
        let lines: Vec<_> = Text::<2>::lines(&bytes).collect();
        assert_eq!(lines, [b"LAIO=on"]);
        assert_eq!(Text::<2>::lines(&[0xff; 24]).count(), 0);
        assert_eq!(Text::<2>::lines(b"x").count(), 0);
    }
}
