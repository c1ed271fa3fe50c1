//! The counters that the library writes at exit.

use crate::Result;
use anyhow::{bail, Context as _};
use serde_json::Value;
use std::path::Path;

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
                let value: Value = serde_json::from_str(&text)
                    .with_context(|| format!("{} is not JSON: {text:?}", path.display()))?;
                if value["version"] != 1 {
                    bail!("{} has another version than 1: {text}", path.display());
                }
                files.push(value);
            }
        }
        if files.is_empty() {
            bail!("no process wrote its counters to {}", dir.display());
        }
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
        self.sum("/lanes/straight")
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
