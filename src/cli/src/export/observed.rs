//! The processes whose counters are exported.

use super::metrics::{self, Exported};
use crate::process::{select_new, Attached, Kernel};
use anyhow::Result;
use std::collections::BTreeMap;

/// The processes that are looked at: they come and go.
#[derive(Debug)]
pub struct Observed<'w> {
    wanted: &'w [String],
    attached: BTreeMap<u32, Attached>,
}

impl<'w> Observed<'w> {
    /// No process was looked at yet.
    pub fn new(wanted: &'w [String]) -> Observed<'w> {
        Observed {
            wanted,
            attached: BTreeMap::new(),
        }
    }

    /// Their counters now; none where there are no such processes.
    pub fn text(&mut self) -> Result<String> {
        let mut counters = BTreeMap::new();
        self.attached.retain(|pid, attached| {
            let snapshot = attached.read();
            snapshot
                .map(|snapshot| counters.insert(*pid, snapshot))
                .is_some()
        });
        let new = select_new(self.wanted, |pid| self.attached.contains_key(&pid));
        for attached in new.map_or_else(|_| Vec::new(), |chosen| chosen.attached) {
            if let Some(snapshot) = attached.read() {
                counters.insert(attached.kernel.0, snapshot);
                self.attached.insert(attached.kernel.0, attached);
            }
        }
        let each = counters.into_iter().map(|(pid, snapshot)| Exported {
            kernel: Kernel(pid),
            program: snapshot.program.clone(),
            snapshot,
        });
        metrics::text(each.collect())
    }
}
