//! What the figures are measured on, and who else is busy there.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{json, Value};

/// What the figures were measured on: without it they mean little.
pub fn description() -> Value {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory
        .lines()
        .next()
        .and_then(|line| line.split_whitespace().nth(1));
    json!({
        "kernel": kernel.trim(),
        "cores": std::thread::available_parallelism().map_or(0, |cores| cores.get()),
        "memory_kib": memory.and_then(|kib| kib.parse::<u64>().ok()),
    })
}

/// What somebody who reads the figures must know of a machine that others use as well; nothing where it is idle.
pub fn busy_note() -> Result<Option<String>> {
    let busy = busy_share()?;
    Ok((busy > 0.2).then(|| {
        format!(
            "the machine was already {:.0} % busy before the measurement began: expect noise",
            busy * 100.0
        )
    }))
}

/// How much of the processors' time others use, over a moment. The load average would not do: it counts those who wait for
/// a disk, and whoever runs the trial twice has had many of these.
fn busy_share() -> Result<f64> {
    let sample = || -> Result<(u64, u64)> {
        let text = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
        let line = text.lines().next().unwrap_or_default();
        let ticks: Vec<u64> = line
            .split_whitespace()
            .skip(1)
            .filter_map(|field| field.parse().ok())
            .collect();
        // Fields four and five: idle, and idle while a disk is waited for.
        Ok((ticks.iter().sum(), ticks.iter().skip(3).take(2).sum()))
    };
    let before = sample()?;
    std::thread::sleep(Duration::from_millis(500));
    let after = sample()?;
    let total = after.0.saturating_sub(before.0).max(1);
    Ok(1.0 - after.1.saturating_sub(before.1) as f64 / total as f64)
}
