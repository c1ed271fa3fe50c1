//! Documents that are replaced, removed and added while they are served, and what a client may get of one.

use laio_tests::cold::{drop_pages, SlowDisk};
use laio_tests::{docroot, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many documents there are.
pub const DOCUMENTS: usize = 300;

/// For how long a server may go by what it has seen of a document before (lighttpd: a second or two).
const CACHED: Duration = Duration::from_secs(3);

/// What has become of a document last.
#[derive(Clone, Copy)]
struct State {
    version: u64,
    is_there: bool,
    changed: Instant,
}

/// The documents, and when the disk was bad last.
pub struct Site {
    root: PathBuf,
    states: Vec<Mutex<State>>,
    bad: Mutex<Option<Instant>>,
}

/// What an answer is.
pub enum Judgement {
    Right,
    /// The disk was bad meanwhile.
    Excused,
    Wrong(&'static str),
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn name(number: usize) -> String {
    format!("d{}/f{number}.html", number % 7)
}

/// From 2 KB to 1 MB; a quarter of them are large.
fn length(number: usize) -> usize {
    match number % 4 {
        0 => 300_000 + 2_500 * number,
        part => 2_000 * part + 37 * number,
    }
}

fn content(number: usize, version: u64) -> Vec<u8> {
    docroot::content(&format!("{number} {version}"), length(number))
}

impl Site {
    pub fn make(disk: &SlowDisk) -> Result<Site> {
        let state = State {
            version: 1,
            is_there: true,
            changed: Instant::now(),
        };
        let site = Site {
            root: disk.root().join("documents"),
            states: (0..DOCUMENTS).map(|_| Mutex::new(state)).collect(),
            bad: Mutex::new(None),
        };
        for number in 0..DOCUMENTS {
            site.write(number, 1)?;
        }
        disk.chill()?;
        Ok(site)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Writes a version of a document beside it, and puts it in its place.
    fn write(&self, number: usize, version: u64) -> Result {
        let path = self.root.join(name(number));
        let fresh = path.with_extension("new");
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::write(&fresh, content(number, version))?;
        drop_pages(&fresh)?;
        fs::rename(&fresh, &path)?;
        Ok(())
    }

    /// Replaces, removes and adds documents for so long, and gives the disk two bad moments.
    pub fn change(&self, disk: &SlowDisk, time: Duration) -> Result {
        let begin = Instant::now();
        let mut turn = begin.elapsed().subsec_nanos() as usize;
        while begin.elapsed() < time / 2 {
            self.change_one(&mut turn)?;
        }
        self.is_bad_while(|| disk.hang(time.min(Duration::from_secs(8)) / 4))?;
        self.is_bad_while(|| {
            disk.fail()?;
            std::thread::sleep(Duration::from_millis(300));
            disk.heal()
        })?;
        while begin.elapsed() < time {
            self.change_one(&mut turn)?;
        }
        Ok(())
    }

    fn change_one(&self, turn: &mut usize) -> Result {
        *turn = turn
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let number = (*turn >> 33) % DOCUMENTS;
        let mut state = locked(&self.states[number]);
        // So that no more than two versions are about.
        if state.changed.elapsed() > 2 * CACHED {
            if state.is_there && *turn >> 60 == 0 {
                fs::remove_file(self.root.join(name(number)))?;
                state.is_there = false;
            } else {
                self.write(number, state.version + 1)?;
                state.version += 1;
                state.is_there = true;
            }
            state.changed = Instant::now();
        }
        drop(state);
        std::thread::sleep(Duration::from_millis(10));
        Ok(())
    }

    fn is_bad_while(&self, act: impl FnOnce() -> Result) -> Result {
        // What is bad until it is known for how long.
        *locked(&self.bad) = Some(Instant::now() + Duration::from_secs(3600));
        let done = act();
        *locked(&self.bad) = Some(Instant::now());
        done
    }

    /// Whether the disk was bad since then, or a moment before: what a server has kept of that is gone by now.
    fn was_bad_since(&self, then: Instant) -> bool {
        locked(&self.bad).is_some_and(|last| last + CACHED > then)
    }

    /// What came for a document that was asked for at this time: a status and a body, or nothing.
    pub fn judge(&self, number: usize, asked: Instant, answer: Option<(u16, &[u8])>) -> Judgement {
        let state = *locked(&self.states[number]);
        let is_fresh = state.changed + CACHED > asked;
        let is = |version: u64, body: &[u8]| body == content(number, version);
        let wrong = match answer {
            Some((200, body)) if is(state.version, body) && (state.is_there || is_fresh) => {
                return Judgement::Right
            }
            Some((200, body)) if is_fresh && is(state.version - 1, body) => {
                return Judgement::Right
            }
            Some((404, _)) if !state.is_there || is_fresh => return Judgement::Right,
            Some((200, _)) => return Judgement::Wrong("another body"),
            Some(_) => "another status",
            None => "no answer",
        };
        match self.was_bad_since(asked) {
            true => Judgement::Excused,
            false => Judgement::Wrong(wrong),
        }
    }
}
