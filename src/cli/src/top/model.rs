//! What is on the screen: processes and their rates, and what stalled lately.

use crate::process::{select_new, Attached, Chosen};
use crate::stats::rates::{Rates, Sample};
use laio_core::stats::Blocked;
use std::cmp::Reverse;
use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

/// Stalls that are remembered.
const RECENT: usize = 100;

/// How often new processes are looked for.
const SEARCH: Duration = Duration::from_secs(5);

/// What lines are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// The process's number.
    Process,
    /// Requests.
    Requests,
    /// What was held back.
    Cold,
    /// What is held back now.
    Held,
    /// Stalls.
    Stalls,
    /// The share of the time that was lost.
    Blocked,
}

impl Sort {
    const ALL: [Sort; 6] = [
        Sort::Process,
        Sort::Requests,
        Sort::Cold,
        Sort::Held,
        Sort::Stalls,
        Sort::Blocked,
    ];

    /// The next one.
    pub fn next(self) -> Sort {
        Sort::ALL[(self as usize + 1) % Sort::ALL.len()]
    }

    /// The one before.
    pub fn previous(self) -> Sort {
        Sort::ALL[(self as usize + Sort::ALL.len() - 1) % Sort::ALL.len()]
    }
}

/// A process on the screen.
#[derive(Debug)]
pub struct Line {
    attached: Attached,
    last: Sample,
    /// Of the process, and of its loops where there are several.
    pub rates: Vec<Rates>,
}

impl Line {
    /// Its name and number.
    pub fn name(&self) -> String {
        format!("{} {}", self.attached.program, self.attached.kernel.0)
    }

    /// How many event loops it has.
    pub fn loops(&self) -> usize {
        self.last.snapshot.published.loops.len()
    }

    /// Helpers that run.
    pub fn helpers(&self) -> usize {
        self.last.helpers
    }
}

/// A call that has stalled since the last look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stalled {
    /// When it was seen.
    pub at: SystemTime,
    /// In which process.
    pub process: String,
    /// How often since the last look.
    pub count: u64,
    /// How long on average.
    pub each: Duration,
    /// The call.
    pub call: String,
    /// Of what.
    pub path: String,
}

/// The state of the screen.
#[derive(Debug)]
pub struct Model<'w> {
    wanted: &'w [String],
    /// The processes.
    pub lines: Vec<Line>,
    /// What stalled lately, the newest first.
    pub recent: VecDeque<Stalled>,
    /// How many processes there are that may not be looked at.
    pub hidden: usize,
    /// How often it changes.
    pub every: Duration,
    /// What lines are sorted by.
    pub sort: Sort,
    /// Whether the other way round.
    pub is_reversed: bool,
    /// Whether the screen stands still.
    pub is_paused: bool,
    /// Whether each event loop has a line.
    pub shows_loops: bool,
    searched: Instant,
    ended: Option<String>,
}

impl<'w> Model<'w> {
    /// A screen of these processes.
    pub fn new(wanted: &'w [String], chosen: Chosen, every: Duration) -> Model<'w> {
        let mut model = Model {
            wanted,
            lines: Vec::new(),
            recent: VecDeque::new(),
            hidden: 0,
            every,
            sort: Sort::Process,
            is_reversed: false,
            is_paused: false,
            shows_loops: true,
            searched: Instant::now(),
            ended: None,
        };
        model.add(chosen);
        model
    }

    fn add(&mut self, chosen: Chosen) {
        self.hidden = chosen.failed.len();
        for attached in chosen.attached {
            if let Some(last) = Sample::of(&attached) {
                let rates = Rates::between(&last, &last);
                self.lines.push(Line {
                    attached,
                    last,
                    rates,
                });
            }
        }
    }

    /// Looks at all processes again, and for new ones from time to time.
    pub fn update(&mut self) {
        if self.is_paused {
            return;
        }
        if self.searched.elapsed() > SEARCH {
            self.searched = Instant::now();
            let is_known = |pid| self.lines.iter().any(|line| line.attached.kernel.0 == pid);
            if let Ok(chosen) = select_new(self.wanted, is_known) {
                self.add(chosen);
            }
        }
        let (ended, recent) = (&mut self.ended, &mut self.recent);
        self.lines.retain_mut(|line| {
            let Some(now) = Sample::of(&line.attached) else {
                *ended = Some(line.name());
                return false;
            };
            line.rates = Rates::between(&line.last, &now);
            for stalled in news(
                &line.last.snapshot.stalls,
                &now.snapshot.stalls,
                &line.name(),
            ) {
                recent.push_front(stalled);
            }
            line.last = now;
            true
        });
        self.recent.truncate(RECENT);
    }

    /// Whether all processes have ended.
    pub fn is_over(&self) -> bool {
        self.lines.is_empty()
    }

    /// The last words.
    pub fn farewell(&self) -> String {
        let name = self.ended.as_deref().unwrap_or("the process");
        format!("{name} has ended")
    }

    /// The lines in their order.
    pub fn sorted(&self) -> Vec<&Line> {
        let mut lines: Vec<_> = self.lines.iter().collect();
        let key = |line: &&Line| {
            let all = &line.rates[0];
            let number = match self.sort {
                Sort::Process => return (Reverse(0), line.attached.kernel.0),
                Sort::Requests => all.requests,
                Sort::Cold => all.cold,
                Sort::Held => all.held as f64,
                Sort::Stalls => all.stalls,
                Sort::Blocked => all.blocked,
            };
            (Reverse((number * 1e6) as u64), line.attached.kernel.0)
        };
        lines.sort_by_key(key);
        if self.is_reversed {
            lines.reverse();
        }
        lines
    }
}

/// What of a list of stalls is newer than another one.
fn news(before: &[Blocked], after: &[Blocked], process: &str) -> Vec<Stalled> {
    let at = SystemTime::now();
    let newer = after.iter().filter_map(|row| {
        let old = before
            .iter()
            .find(|old| (&old.call, &old.path) == (&row.call, &row.path));
        // A row that was pushed out of the list begins anew.
        let old = old.filter(|old| old.count <= row.count && old.total_us <= row.total_us);
        let (count, total) = old.map_or((0, 0), |old| (old.count, old.total_us));
        let count = row.count - count;
        (count > 0).then(|| Stalled {
            at,
            process: process.to_owned(),
            count,
            each: Duration::from_micros((row.total_us - total) / count),
            call: row.call.clone(),
            path: row.path.clone(),
        })
    });
    newer.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(path: &str, count: u64, total_us: u64) -> Blocked {
        Blocked {
            call: "open".into(),
            path: path.into(),
            count,
            total_us,
            max_us: total_us,
        }
    }

    #[test]
    fn only_new_stalls_are_told() {
        let before = [row("/a", 2, 200), row("/b", 1, 50), row("/c", 9, 900)];
        let after = [
            row("/a", 4, 700),
            row("/b", 1, 50),
            row("/c", 1, 30),
            row("/d", 1, 5),
        ];
        let news = news(&before, &after, "x 1");
        let told: Vec<_> = news
            .iter()
            .map(|new| (&*new.path, new.count, new.each.as_micros()))
            .collect();
        assert_eq!(told, [("/a", 2, 250), ("/c", 1, 30), ("/d", 1, 5)]);
    }

    #[test]
    fn sorting_goes_round() {
        let mut sort = Sort::Process;
        for _ in 0..Sort::ALL.len() {
            assert_eq!(sort.next().previous(), sort);
            sort = sort.next();
        }
        assert_eq!(sort, Sort::Process);
    }
}
