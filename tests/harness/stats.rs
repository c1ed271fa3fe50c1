//! The counters that the library writes at exit.

use crate::{library, Result};
use anyhow::{bail, Context as _};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// The files of one or more processes, added up.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Each process's file, parsed.
    pub files: Vec<Value>,
}

impl Stats {
    /// Reads every `*.json` of `dir`.
    pub fn read(dir: &Path) -> Result<Self> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "json") {
                let text = std::fs::read_to_string(&path)?;
                files.push(parse(&text).with_context(|| path.display().to_string())?);
            }
        }
        if files.is_empty() {
            bail!("no process wrote its counters to {}", dir.display());
        }
        Ok(Self { files })
    }

    /// What running processes have counted so far.
    pub fn of(pids: &[u32]) -> Result<Self> {
        let each = pids.iter().map(|pid| {
            let mut laio = Command::new(library::command()?);
            let output = laio.args(["stats", "--json", &pid.to_string()]).output()?;
            parse(&String::from_utf8_lossy(&output.stdout))
                .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
        });
        let files = each.collect::<Result<_>>()?;
        Ok(Self { files })
    }

    /// The sum over all processes of the number at a JSON pointer, such as `/lanes/request_gate`.
    pub fn sum(&self, pointer: &str) -> u64 {
        self.files
            .iter()
            .filter_map(|f| f.pointer(pointer).and_then(Value::as_u64))
            .sum()
    }

    /// Calls that took the straight lane.
    pub fn straight(&self) -> u64 {
        self.sum("/lanes/passed_through")
    }

    /// Times that the request gate closed.
    pub fn gated(&self) -> u64 {
        self.sum("/lanes/request_gate")
    }

    /// Calls that may have waited for the disk.
    pub fn stalls(&self) -> u64 {
        self.sum("/lanes/stall")
    }

    /// Jobs that were handed to a helper.
    pub fn jobs(&self) -> u64 {
        self.sum("/jobs/started")
    }
}

impl std::fmt::Display for Stats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for file in &self.files {
            writeln!(f, "{file}")?;
        }
        Ok(())
    }
}

fn parse(text: &str) -> Result<Value> {
    let value: Value = serde_json::from_str(text).with_context(|| format!("not JSON: {text:?}"))?;
    if value["version"] != 1 {
        bail!("another version than 1: {text}");
    }
    Ok(value)
}
