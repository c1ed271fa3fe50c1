//! What threads that are no event loops tell of their slow file operations: a runtime may leave these to a pool of threads.
//!
//! Anybody may write, also a signal handler; each event loop reads all of it, at its own pace. Nobody waits for anybody: who is too slow
//! loses what was written 64 reports ago, and a writer whose place is being written to loses its own.

use crate::paths::MAX_PATH;
use crate::predictions::Depth;
use arrayvec::ArrayVec;
use core::sync::atomic::{fence, AtomicU64, Ordering::*};

/// How many reports there is room for.
const PLACES: usize = 64;

/// One slow operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// On what: absolute, or from the working directory on.
    pub path: ArrayVec<u8, MAX_PATH>,
    /// How deep it looked.
    pub depth: Depth,
    /// Whether it read what is in the file.
    pub is_of_data: bool,
    /// When it began, in milliseconds of the monotonic clock.
    pub began: u64,
    /// How many bytes it has asked for, where that is known, and where they end in the file.
    pub asked: u64,
    /// The end.
    pub until: u64,
}

impl Default for Report {
    fn default() -> Report {
        Report {
            path: ArrayVec::new(),
            depth: Depth::Name,
            is_of_data: false,
            began: 0,
            asked: 0,
            until: 0,
        }
    }
}

impl Report {
    /// All but path and numbers, in one number.
    fn details(&self) -> u64 {
        let length = self.path.len() as u64;
        length << 16 | (self.depth as u64) << 1 | u64::from(self.is_of_data)
    }

    fn set_details(&mut self, details: u64) {
        self.is_of_data = details & 1 != 0;
        self.depth = match details >> 1 & 0xff {
            0 => Depth::Name,
            1 => Depth::Data,
            _ => Depth::Listing,
        };
    }
}

/// One report, as others may be reading it.
#[derive(Debug)]
struct Place {
    /// Twice the report's number and one while it is written, and two when it is.
    stage: AtomicU64,
    began: AtomicU64,
    asked: AtomicU64,
    until: AtomicU64,
    details: AtomicU64,
    path: [AtomicU64; MAX_PATH / 8],
}

/// The last reports.
#[derive(Debug)]
pub struct Reports {
    /// The number of the next one.
    next: AtomicU64,
    places: [Place; PLACES],
}

/// What became of a report.
enum Found {
    Whole,
    Unfinished,
    Overwritten,
}

impl Default for Reports {
    fn default() -> Reports {
        Reports::new()
    }
}

impl Reports {
    /// None yet.
    pub const fn new() -> Reports {
        Reports {
            next: AtomicU64::new(0),
            places: [const {
                Place {
                    stage: AtomicU64::new(0),
                    began: AtomicU64::new(0),
                    asked: AtomicU64::new(0),
                    until: AtomicU64::new(0),
                    details: AtomicU64::new(0),
                    path: [const { AtomicU64::new(0) }; MAX_PATH / 8],
                }
            }; PLACES],
        }
    }

    /// Where one who wants to know what is written from now on begins to read.
    pub fn end(&self) -> u64 {
        self.next.load(Acquire)
    }

    /// Whether anything was written from there on.
    #[inline]
    pub fn is_new(&self, at: u64) -> bool {
        self.next.load(Relaxed) != at
    }

    /// Writes one.
    pub fn write(&self, report: &Report) {
        let number = self.next.fetch_add(1, Relaxed);
        let place = self.place(number);
        let old = place.stage.load(Relaxed);
        let is_free = old.is_multiple_of(2) && old <= 2 * number;
        let take = |old| {
            let writing = 2 * number + 1;
            let exchanged = place.stage.compare_exchange(old, writing, Acquire, Relaxed);
            exchanged.is_ok()
        };
        if !is_free || !take(old) {
            return;
        }
        // Whoever sees any of what follows sees that it is being written.
        fence(Release);
        place.began.store(report.began, Relaxed);
        place.asked.store(report.asked, Relaxed);
        place.until.store(report.until, Relaxed);
        place.details.store(report.details(), Relaxed);
        for (word, bytes) in place.path.iter().zip(report.path.chunks(8)) {
            let mut all = [0; 8];
            all[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_ne_bytes(all), Relaxed);
        }
        place.stage.store(2 * number + 2, Release);
    }

    /// Reads the next one; false where there is none.
    pub fn read(&self, at: &mut u64, into: &mut Report) -> bool {
        loop {
            let end = self.end();
            *at = (*at).max(end.saturating_sub(PLACES as u64));
            if *at >= end {
                return false;
            }
            match self.copy(*at, into) {
                Found::Unfinished => return false,
                found => {
                    *at += 1;
                    if let Found::Whole = found {
                        return true;
                    }
                }
            }
        }
    }

    fn copy(&self, number: u64, into: &mut Report) -> Found {
        let place = self.place(number);
        let whole = 2 * number + 2;
        let stage = place.stage.load(Acquire);
        if stage != whole {
            return match stage > whole {
                true => Found::Overwritten,
                false => Found::Unfinished,
            };
        }
        into.began = place.began.load(Relaxed);
        into.asked = place.asked.load(Relaxed);
        into.until = place.until.load(Relaxed);
        let details = place.details.load(Relaxed);
        into.set_details(details);
        let length = (details >> 16) as usize;
        into.path.clear();
        for word in place.path.iter().take(length.div_ceil(8)) {
            let bytes = word.load(Relaxed).to_ne_bytes();
            let _ = into.path.try_extend_from_slice(&bytes);
        }
        into.path.truncate(length);
        // What was read is of this report if nobody has begun to write another one meanwhile.
        fence(Acquire);
        match place.stage.load(Relaxed) == whole {
            true => Found::Whole,
            false => Found::Overwritten,
        }
    }

    fn place(&self, number: u64) -> &Place {
        &self.places[number as usize % PLACES]
    }

    /// After a fork: who was writing is not there any more.
    pub fn abandon(&self) {
        for place in &self.places {
            if !place.stage.load(Relaxed).is_multiple_of(2) {
                place.stage.store(0, Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(number: u64) -> Report {
        let path = format!("/{}", number.to_string().repeat(1 + number as usize % 90));
        let mut report = Report {
            depth: [Depth::Name, Depth::Data, Depth::Listing][number as usize % 3],
            is_of_data: number.is_multiple_of(2),
            began: number,
            asked: number,
            until: 2 * number,
            ..Report::default()
        };
        report.path.try_extend_from_slice(path.as_bytes()).unwrap();
        report
    }

    #[test]
    fn each_reader_reads_what_is_new_to_it() {
        let reports = Reports::new();
        let mut read = Report::default();
        let (mut one, mut other) = (reports.end(), reports.end());
        assert!(!reports.is_new(one) && !reports.read(&mut one, &mut read));
        (0..10).for_each(|number| reports.write(&report(number)));
        for number in 0..10 {
            assert!(reports.is_new(one) && reports.read(&mut one, &mut read));
            assert_eq!(read, report(number));
        }
        assert!(!reports.read(&mut one, &mut read));
        // The other one is slow.
        (10..100).for_each(|number| reports.write(&report(number)));
        for number in 100 - PLACES as u64..100 {
            assert!(reports.read(&mut other, &mut read));
            assert_eq!(read, report(number));
        }
        assert!(!reports.read(&mut other, &mut read));
    }

    /// Without it, a thread that ended in the middle of one would keep a place for ever.
    #[test]
    fn one_that_is_not_finished_is_waited_for_and_then_passed_over() {
        let reports = Reports::new();
        let (mut at, mut read) = (0, Report::default());
        reports.next.store(1, Relaxed);
        reports.places[0].stage.store(1, Relaxed);
        reports.write(&report(1));
        assert!(!reports.read(&mut at, &mut read));
        (2..=PLACES as u64).for_each(|number| reports.write(&report(number)));
        assert!(reports.read(&mut at, &mut read) && read == report(1));
        // Its place was not to be had for the last one.
        let rest = std::iter::from_fn(|| reports.read(&mut at, &mut read).then_some(()));
        assert_eq!(rest.count(), PLACES - 2);
        reports.abandon();
        assert_eq!(reports.places[0].stage.load(Relaxed), 0);
    }

    /// Without it, a loop could lay half of one path and half of another beside its requests.
    #[test]
    fn what_is_read_is_whole() {
        let reports = Reports::new();
        std::thread::scope(|scope| {
            for first in 0..3 {
                let reports = &reports;
                scope.spawn(move || {
                    (0..20_000).for_each(|n| reports.write(&report(first + 3 * n)));
                });
            }
            let (mut at, mut read) = (0, Report::default());
            while at < 50_000 {
                if reports.read(&mut at, &mut read) {
                    assert_eq!(read, report(read.began));
                }
            }
        });
    }
}
