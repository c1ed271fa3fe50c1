//! A storm of signals whose handler makes the calls that handlers may make: `tests/programs/storm.c`, preloaded beside the
//! library or alone.

use crate::library::fresh_dir;
use crate::program::{compile, Build};
use crate::{docroot, Preload, Result};
use anyhow::bail;
use std::fs;
use std::path::PathBuf;

/// What the handler's file and the tally hold.
const KNOWN: usize = 4096;
const WORDS: usize = 3;

/// One storm, over all processes that have its preload.
#[derive(Debug)]
pub struct Storm {
    dir: PathBuf,
    object: PathBuf,
}

/// How a process meets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The storm stands before the library, and hides the waits that it ends; otherwise from the library as well.
    pub before: bool,
    /// Its handler duplicates and registers the program's own descriptors.
    pub rough: bool,
}

impl Storm {
    /// A new one, of which nobody has had a signal.
    pub fn new() -> Result<Storm> {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = fresh_dir("storm")?;
        docroot::write(&dir, "known", KNOWN)?;
        let tally = dir.join("tally");
        fs::write(&tally, [0; WORDS * 8])?;
        // Servers give up their user.
        fs::set_permissions(&tally, fs::Permissions::from_mode(0o666))?;
        let object = compile("storm", Build::Library)?;
        Ok(Storm { dir, object })
    }

    /// The preload, in this storm.
    pub fn over(&self, preload: &Preload, way: Way) -> Preload {
        let mut preload = preload
            .clone()
            .with_library(&self.object, way.before)
            .with("STORM_DIR", &self.dir);
        preload.name = format!("{} in a storm, {way:?}", preload.name);
        if way.rough {
            preload = preload.with("STORM_ROUGH", "1");
        }
        preload
    }

    /// The preload, with which no storm begins before [`Storm::begin`].
    pub fn later(preload: &Preload) -> Preload {
        preload.clone().with("STORM_LATER", "1")
    }

    /// The storm begins in these processes, which the caller has started.
    pub fn begin(pids: &[u32]) {
        for &pid in pids {
            // SAFETY: a signal to a process of the caller's; one that has gone is noticed where it is asked for something.
            unsafe { libc::kill(pid as libc::pid_t, libc::SIGURG) };
        }
    }

    /// How many signals have come so far. Fails where a call of the handler's has gone wrong.
    pub fn signals(&self) -> Result<u64> {
        let bytes = fs::read(self.dir.join("tally"))?;
        let word = |n: usize| {
            let bytes = bytes.get(n * 8..n * 8 + 8).and_then(|b| b.try_into().ok());
            bytes.map_or(0, u64::from_ne_bytes)
        };
        let [signals, wrong, line] = [word(0), word(1), word(2)];
        if wrong != 0 {
            bail!("a handler's call went wrong: kinds {wrong:#x}, first in line {line} of storm/acts.h");
        }
        Ok(signals)
    }
}
