//! The library's counters, as `laio stats PID` prints them for a live process.

use std::collections::BTreeMap;
use std::iter::Sum;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{ensure, Context, Result};
use serde::{Deserialize, Serialize};

/// The counters that the trial uses, and those that help to find out why a stall was one.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Stats {
    /// Calls by the lane that they took.
    pub lanes: BTreeMap<String, u64>,
    /// Why, for those with a reason.
    pub reasons: BTreeMap<String, u64>,
    /// Time spent in stalls.
    pub stall_time_ns: u64,
    /// The worst stalls.
    pub stalls: Vec<Stall>,
}

/// One call on one path that stalled.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Stall {
    /// The intercepted call.
    pub call: String,
    /// On which file.
    pub path: String,
    /// How often.
    pub count: u64,
    /// For how long altogether.
    pub total_us: u64,
    /// For how long at worst.
    pub max_us: u64,
}

impl Stats {
    /// Calls that blocked.
    pub fn stalled(&self) -> u64 {
        self.lanes.get("stall").copied().unwrap_or(0)
    }

    /// What happened since `before`. The list of stalls stays that of the process's whole life.
    pub fn since(mut self, before: &Self) -> Self {
        subtract(&mut self.lanes, &before.lanes);
        subtract(&mut self.reasons, &before.reasons);
        self.stall_time_ns = self.stall_time_ns.saturating_sub(before.stall_time_ns);
        self
    }
}

fn subtract(counters: &mut BTreeMap<String, u64>, before: &BTreeMap<String, u64>) {
    for (name, count) in counters {
        *count = count.saturating_sub(before.get(name).copied().unwrap_or(0));
    }
}

impl Sum for Stats {
    fn sum<I: Iterator<Item = Self>>(each: I) -> Self {
        each.fold(Self::default(), |mut sum, stats| {
            for (name, count) in stats.lanes {
                *sum.lanes.entry(name).or_default() += count;
            }
            for (name, count) in stats.reasons {
                *sum.reasons.entry(name).or_default() += count;
            }
            sum.stall_time_ns += stats.stall_time_ns;
            sum.stalls.extend(stats.stalls);
            sum
        })
    }
}

/// The counters of process `pid`.
pub fn read(laio: &Path, pid: i32) -> Result<Stats> {
    let output = Command::new(laio)
        .arg("stats")
        .arg(pid.to_string())
        .env_remove("LD_PRELOAD")
        // Why it failed, not where in the command.
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", laio.display()))?;
    ensure!(
        output.status.success(),
        "`laio stats {pid}` failed ({}): {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("`laio stats {pid}` printed something else than its JSON"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The library may count more than the trial knows of; that must not end the trial.
    #[test]
    fn unknown_fields_are_ignored() {
        let text = r#"{"version":1,"pid":1,"lanes":{"straight":5,"stall":3},"new":{"a":[]},
            "stalls":[{"call":"open","path":"/x","count":1,"total_us":2,"max_us":2,"more":0}]}"#;
        let after: Stats = serde_json::from_str(text).unwrap();
        let before: Stats = serde_json::from_str(r#"{"lanes":{"stall":1}}"#).unwrap();
        let since = after.since(&before);
        assert_eq!((since.stalled(), since.lanes["straight"]), (2, 5));
    }
}
