//! The processes that somebody means by numbers and names.

use super::kernel::Kernel;
use super::memory::{is_loaded, Attached, Unreadable};
use crate::settings::nearest;
use anyhow::{bail, Result};
use std::fs;

/// The processes that were meant.
#[derive(Debug, Default)]
pub struct Chosen {
    /// Those that can be looked at, by number.
    pub attached: Vec<Attached>,
    /// Those that cannot.
    pub failed: Vec<Unreadable>,
}

/// Finds the processes of these numbers and names; of none, all that have the library and may be looked at.
pub fn select(wanted: &[String]) -> Result<Chosen> {
    select_new(wanted, |_| false)
}

/// The same without those that are known already: to find the counters of one takes longer than to read them.
pub fn select_new(wanted: &[String], is_known: impl Fn(u32) -> bool) -> Result<Chosen> {
    let mut chosen = Chosen::default();
    let mut pids = Vec::new();
    if wanted.is_empty() {
        pids = all().filter(|pid| is_loaded(*pid)).collect();
    }
    for word in wanted {
        match word.parse() {
            Ok(pid) => pids.push(pid),
            Err(_) => pids.extend(named(word, &mut chosen.failed)?),
        }
    }
    pids.sort_unstable();
    pids.dedup();
    pids.retain(|pid| !is_known(*pid));
    for pid in pids {
        match Attached::to(pid) {
            Ok(attached) => chosen.attached.push(attached),
            Err(error) => chosen.failed.push(error),
        }
    }
    Ok(chosen)
}

/// The processes of a name that have the library; those that may not be looked at go into `failed`.
fn named(name: &str, failed: &mut Vec<Unreadable>) -> Result<Vec<u32>> {
    let mut others = Vec::new();
    let mut found = Vec::new();
    for pid in all().filter(|pid| *pid != std::process::id()) {
        let names = Kernel(pid).names();
        match names.iter().any(|other| other == name) {
            true => found.push(pid),
            false if is_loaded(pid) => others.extend(names),
            false => {}
        }
    }
    if found.is_empty() {
        let near = nearest(name, others.iter().map(String::as_str));
        match near {
            Some(near) => bail!("there is no process called {name}; did you mean {near}?"),
            None => bail!("there is no process called {name}"),
        }
    }
    let (loaded, without): (Vec<_>, Vec<_>) = found.into_iter().partition(|pid| is_loaded(*pid));
    if loaded.is_empty() {
        failed.extend(
            without
                .into_iter()
                .filter_map(|pid| Attached::to(pid).err()),
        );
    }
    Ok(loaded)
}

/// The processes that there are.
fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

impl Chosen {
    /// Says what could not be looked at; ends where that is everything.
    pub fn complain(&self) -> Result<()> {
        if self.attached.is_empty() {
            match &*self.failed {
                [] => bail!(
                    "no process that may be looked at runs with liblaio.so. Start one by `laio run -- PROGRAM`; \
                     other users' processes take sudo"
                ),
                [one] => bail!("{one}"),
                [one, rest @ ..] => bail!("{one} (and {} more like it)", rest.len()),
            }
        }
        for failed in &self.failed {
            eprintln!("laio: {failed}");
        }
        Ok(())
    }
}
