//! A process that is looked at again and again: what it has published, and what is needed to name what that tells.

use super::stacks::Map;
use crate::process::{Attached, Kernel};
use laio_core::stats::{Observation, Snapshot, Worst};
use std::fs;
use std::time::{Duration, Instant};

/// More of the worst than can be published at a time.
const MOST: usize = 64;

/// A process that is looked at.
#[derive(Debug)]
pub struct Watched {
    /// The process.
    pub kernel: Kernel,
    /// Its program.
    pub program: String,
    /// What it calls itself.
    pub role: Option<String>,
    /// What it has published last.
    pub snapshot: Snapshot,
    /// How many event loops it had at most.
    pub loops: usize,
    /// The worst of all this time.
    pub worst: Vec<Worst>,
    /// What lay where in its memory when a stack was new.
    pub maps: Vec<Map>,
    attached: Option<Attached>,
    /// As whom it ran.
    user: Option<u32>,
    /// What was published when it was looked at first, where it ran before, and when that was.
    before: Option<Snapshot>,
    since: u64,
    began: Instant,
    ended: Instant,
    stacks: usize,
}

impl Watched {
    /// One that has just begun; nothing where it does not have the library, or not yet.
    pub fn from_start(kernel: Kernel) -> Option<Watched> {
        let attached = Attached::to(kernel.0).ok()?;
        let watched = Watched::begin(attached, false)?;
        // By `laio run` the library is tried on a program of no interest.
        (watched.snapshot.published.state != "off").then_some(watched)
    }

    /// One that has run for a while: what happens from now on counts.
    pub fn from_now(attached: Attached) -> Option<Watched> {
        Watched::begin(attached, true)
    }

    /// One that has ended before it was looked at, by what it has written.
    pub fn from_words(snapshot: Snapshot, began: Instant) -> Watched {
        let mut watched = Watched {
            kernel: Kernel(snapshot.pid),
            program: snapshot.program.clone(),
            role: None,
            snapshot: Snapshot::default(),
            loops: 0,
            worst: Vec::new(),
            maps: Vec::new(),
            attached: None,
            user: None,
            before: None,
            since: 0,
            began,
            ended: Instant::now(),
            stacks: 0,
        };
        watched.take(snapshot);
        watched
    }

    fn begin(attached: Attached, runs: bool) -> Option<Watched> {
        let snapshot = attached.read()?;
        let now = Instant::now();
        let mut watched = Watched {
            kernel: attached.kernel,
            program: attached.kernel.started_as(),
            role: None,
            snapshot: snapshot.clone(),
            loops: 0,
            worst: Vec::new(),
            maps: Vec::new(),
            attached: Some(attached),
            user: None,
            before: runs.then_some(snapshot),
            since: if runs { monotonic() } else { 0 },
            began: now,
            ended: now,
            stacks: 0,
        };
        watched.look();
        Some(watched)
    }

    /// Whether it is this process, as far as it runs.
    pub fn is(&self, pid: u32) -> bool {
        self.attached.is_some() && self.kernel.0 == pid
    }

    /// Looks at it once more; tells whether it is still there.
    pub fn look(&mut self) -> bool {
        let Some(snapshot) = self.attached.as_ref().and_then(Attached::read) else {
            self.attached = None;
            return false;
        };
        self.ended = Instant::now();
        self.role = self.kernel.role().or(self.role.take());
        self.user = self.user_now().or(self.user);
        self.take(snapshot);
        let stacks = self.snapshot.observed.stacks.len() + self.worst.len();
        if stacks > self.stacks || self.maps.is_empty() {
            self.stacks = stacks;
            let maps = fs::read(format!("/proc/{}/maps", self.kernel.0)).unwrap_or_default();
            self.maps = Map::all(&maps);
        }
        true
    }

    fn user_now(&self) -> Option<u32> {
        let users = self.kernel.status("Uid")?;
        users.split_whitespace().nth(1)?.parse().ok()
    }

    fn take(&mut self, snapshot: Snapshot) {
        self.loops = self.loops.max(snapshot.published.loops.len());
        for worst in &snapshot.observed.worst {
            let is_new = worst.at_ms >= self.since && !self.worst.contains(worst);
            if is_new {
                self.worst.push(worst.clone());
            }
        }
        self.worst.sort_by_key(|worst| std::cmp::Reverse(worst.ns));
        self.worst.truncate(MOST);
        self.snapshot = snapshot;
    }

    /// What it has written at its end, and who has: nobody else's is believed.
    pub fn take_last(&mut self, words: Option<(Snapshot, u32)>) {
        let Some((snapshot, owner)) = words else {
            return;
        };
        if self.user == Some(owner) && snapshot.pid == self.kernel.0 {
            self.take(snapshot);
        }
    }

    /// How long it was looked at.
    pub fn time(&self) -> Duration {
        self.ended.duration_since(self.began)
    }

    /// What was observed in this time.
    pub fn observed(&self) -> Observation {
        let observed = self.snapshot.observed.clone();
        match &self.before {
            Some(before) => observed.since(&before.observed, self.since),
            None => observed,
        }
    }

    /// The counters of this time, and the lists.
    pub fn counted(&self) -> Snapshot {
        let Some(before) = &self.before else {
            return self.snapshot.clone();
        };
        let mut counted = self.snapshot.clone().since(before);
        for (rows, old) in [
            (&mut counted.stalls, &before.stalls),
            (&mut counted.ungated_calls, &before.ungated_calls),
        ] {
            for row in &mut *rows {
                let same = old
                    .iter()
                    .find(|it| it.call == row.call && it.path == row.path);
                if let Some(old) = same.filter(|old| old.count <= row.count) {
                    row.count -= old.count;
                    row.total_us = row.total_us.saturating_sub(old.total_us);
                }
            }
            rows.retain(|row| row.count > 0);
            rows.sort_by_key(|row| std::cmp::Reverse(row.total_us));
        }
        counted
    }
}

/// Milliseconds of the clock by which the worst are told.
fn monotonic() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1000 + now.tv_nsec.unsigned_abs() / 1_000_000
}
