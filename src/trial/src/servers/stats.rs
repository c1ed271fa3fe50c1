//! The library's counters, as `laio stats PID` prints them for a live process.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{ensure, Context, Result};
pub use laio_core::stats::Snapshot as Stats;

/// The counters of process `pid`.
pub fn read(laio: &Path, pid: i32) -> Result<Stats> {
    let output = Command::new(laio)
        .args(["stats", "--json"])
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
