//! Which parts of a file a client asks for (`Range`, RFC 9110, 14.2).

/// Parts of one request that are told apart. What comes behind is taken together with one of them.
pub(crate) const MAX_SPANS: usize = 4;

/// Parts that are no further apart than this are taken for one, in bytes.
const NEAR: u64 = 16 * 1024;

/// A part of a file, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// All from this byte on.
    From(u64),
    /// From this byte on so many.
    Part(u64, u64),
    /// So many at the end.
    Last(u64),
}

impl Span {
    /// Where it begins in a file of `size` bytes.
    pub fn start(self, size: u64) -> u64 {
        match self {
            Span::From(start) | Span::Part(start, _) => start,
            Span::Last(count) => size.saturating_sub(count),
        }
    }

    /// How long it is, where that is said.
    pub fn length(self) -> Option<u64> {
        match self {
            Span::From(_) => None,
            Span::Part(_, length) | Span::Last(length) => Some(length),
        }
    }

    /// First byte and end, counted from the file's beginning.
    fn bounds(self) -> Option<(u64, u64)> {
        match self {
            Span::From(start) => Some((start, u64::MAX)),
            Span::Part(start, length) => Some((start, start.saturating_add(length))),
            Span::Last(_) => None,
        }
    }

    fn between(start: u64, end: u64) -> Span {
        match end {
            u64::MAX => Span::From(start),
            _ => Span::Part(start, end - start),
        }
    }

    /// What holds both, if they are near each other, or are `joined` wherever they are.
    fn with(self, other: Span, joined: bool) -> Option<Span> {
        if let (Span::Last(count), Span::Last(other)) = (self, other) {
            return Some(Span::Last(count.max(other)));
        }
        let ((start, end), (from, to)) = self.bounds().zip(other.bounds())?;
        let is_near = start <= to.saturating_add(NEAR) && from <= end.saturating_add(NEAR);
        (joined || is_near).then(|| Span::between(start.min(from), end.max(to)))
    }

    /// One of the ranges of a header, without the blanks around it; nothing where servers would not understand it.
    fn of(range: &str) -> Option<Span> {
        let (from, to) = range.split_once('-')?;
        let (from, to) = (from.trim(), to.trim());
        if from.is_empty() {
            return to.parse().ok().map(Span::Last);
        }
        let from: u64 = from.parse().ok()?;
        if to.is_empty() {
            return Some(Span::From(from));
        }
        let last: u64 = to.parse().ok()?;
        let length = last.checked_sub(from)?;
        // No file is so long.
        Some(match length.checked_add(1) {
            Some(length) => Span::Part(from, length),
            None => Span::From(from),
        })
    }
}

/// The parts that a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranges {
    /// Those behind the last one are as if they had not been made.
    spans: [Span; MAX_SPANS],
    count: u8,
}

impl Default for Ranges {
    /// The whole file.
    fn default() -> Ranges {
        Ranges {
            spans: [Span::From(0); MAX_SPANS],
            count: 0,
        }
    }
}

impl Ranges {
    /// What the value of a `Range` header asks for: the whole file where it is not understood.
    pub(crate) fn of(value: &[u8]) -> Ranges {
        let mut ranges = Ranges::default();
        let text = core::str::from_utf8(value).ok();
        let Some(all) = text.and_then(|text| text.trim().strip_prefix("bytes=")) else {
            return ranges;
        };
        for range in all.split(',') {
            match Span::of(range) {
                Some(span) => ranges.add(span),
                None => return Ranges::default(),
            }
        }
        ranges
    }

    /// These parts.
    pub(crate) fn these(spans: impl IntoIterator<Item = Span>) -> Ranges {
        let mut ranges = Ranges::default();
        spans.into_iter().for_each(|span| ranges.add(span));
        ranges
    }

    fn add(&mut self, span: Span) {
        let (known, free) = self.spans.split_at_mut(usize::from(self.count));
        let mut join = |joined: bool| {
            for known in known.iter_mut() {
                if let Some(both) = known.with(span, joined) {
                    *known = both;
                    return true;
                }
            }
            false
        };
        let is_full = free.is_empty();
        if join(false) || is_full && join(true) {
            return;
        }
        if let Some(place) = free.first_mut() {
            *place = span;
            self.count += 1;
        }
    }

    /// Whether they are the whole file.
    pub fn are_all(&self) -> bool {
        self.count == 0
    }

    /// All of them, in the order in which they are asked for; the whole file is one.
    pub fn iter(&self) -> impl Iterator<Item = Span> + Clone + '_ {
        let count = usize::from(self.count).max(1);
        self.spans.iter().take(count).copied()
    }

    /// Whether all of them are not the file to its end.
    pub fn are_less(&self) -> bool {
        self.iter().all(|span| span.length().is_some())
    }

    /// The first byte of all, and how many from there on hold them all; that is not known where one is open, or counts from the end.
    pub fn hull(&self) -> (u64, Option<u64>) {
        let starts = self.iter().filter_map(|span| Some(span.bounds()?.0));
        let start = starts.min().unwrap_or(0);
        let ends = self.iter().map(|span| span.bounds().map(|(_, end)| end));
        let end = ends.reduce(|one, other| Some(one?.max(other?))).flatten();
        let end = end.filter(|&end| end != u64::MAX);
        (start, end.map(|end| end - start))
    }

    /// The same for a server that may send more than is asked for.
    pub fn without_lengths(&self) -> Ranges {
        let first = self.hull().0;
        let mut ranges = Ranges::these([Span::From(first)]);
        let starts_there = |span: &Span| span.bounds().is_some_and(|(start, _)| start == first);
        // They are not joined with the first one, which goes on to the end.
        let others = self.iter().filter(|span| !starts_there(span));
        for (place, span) in ranges.spans.iter_mut().skip(1).zip(others) {
            *place = span;
            ranges.count += 1;
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::Span::{From, Last, Part};
    use super::*;

    fn spans(value: &str) -> Vec<Span> {
        Ranges::of(value.as_bytes()).iter().collect()
    }

    #[test]
    fn one_range() {
        assert_eq!(spans("bytes=0-499"), [Part(0, 500)]);
        assert_eq!(spans("bytes=7-7"), [Part(7, 1)]);
        assert_eq!(spans("bytes= 700 - 800 "), [Part(700, 101)]);
        assert_eq!(spans("bytes=500-"), [From(500)]);
        assert_eq!(spans("bytes=-500"), [Last(500)]);
        let endless = format!("bytes=0-{}", u64::MAX);
        assert_eq!(spans(&endless), [From(0)], "no such length");
    }

    #[test]
    fn what_is_not_understood_is_the_whole_file() {
        for value in [
            "bytes=5",
            "lines=5-",
            "bytes=5-4",
            "bytes=-",
            "bytes=0-1,x",
            "",
        ] {
            assert!(Ranges::of(value.as_bytes()).are_all(), "{value}");
        }
        assert_eq!(spans("bytes=5"), [From(0)]);
    }

    /// Without it, all but the first of several parts would stall.
    #[test]
    fn several_are_told_apart_if_they_are_far_from_each_other() {
        let far = "bytes=0-99,5000000-5000099,-200";
        assert_eq!(spans(far), [Part(0, 100), Part(5_000_000, 100), Last(200)]);
        assert_eq!(spans("bytes=700-800,500-600"), [Part(500, 301)]);
        assert_eq!(spans("bytes=500-,700-800"), [From(500)]);
        assert_eq!(spans("bytes=-5,-7"), [Last(7)]);
        let many = "bytes=0-0,1000000-1000000,2000000-2000000,3000000-3000000,4000000-4000000,-1";
        let last = Part(3_000_000, 1);
        let first = Part(0, 4_000_001);
        assert_eq!(
            spans(many),
            [first, Part(1_000_000, 1), Part(2_000_000, 1), last]
        );
    }

    #[test]
    fn all_of_them_lie_in_their_hull() {
        let hull = |value: &str| Ranges::of(value.as_bytes()).hull();
        assert_eq!(hull("bytes=5000000-5000099,10-19"), (10, Some(5_000_090)));
        assert_eq!(hull("bytes=5-,100000-100009"), (5, None));
        assert_eq!(hull("bytes=-500"), (0, None));
        assert_eq!(hull("bytes=100000-100000,-5"), (100_000, None));
        assert_eq!(Ranges::default().hull(), (0, None));
    }

    #[test]
    fn they_are_less_where_none_is_open() {
        let are_less = |value: &str| Ranges::of(value.as_bytes()).are_less();
        assert!(are_less("bytes=0-9") && are_less("bytes=-9") && are_less("bytes=0-9,-9"));
        assert!(!are_less("bytes=9-") && !are_less("") && !are_less("bytes=-5,100000-"));
        let plain = |value: &str| -> Vec<_> {
            let ranges = Ranges::of(value.as_bytes()).without_lengths();
            ranges.iter().collect()
        };
        assert_eq!(plain("bytes=100000-100005,-7"), [From(100_000), Last(7)]);
        let two = [From(5), Part(5_000_000, 10)];
        assert_eq!(plain("bytes=5000000-5000009,5-9"), two);
        assert_eq!(plain("bytes=-7"), [From(0), Last(7)]);
        assert_eq!(plain(""), [From(0)]);
    }
}
