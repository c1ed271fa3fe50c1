//! The counters of running processes: once or again and again, for a person or as JSON.

pub mod counters;
mod dump;
mod human;
pub mod rates;
pub mod schema;
mod watch;

pub use dump::dump;
pub use human::shortened;

use crate::process::select;
use crate::report::Style;
use anyhow::Result;
use std::time::Duration;

/// Prints what the processes have counted so far; with `every`, again and again until they have ended.
pub fn stats(wanted: &[String], json: bool, every: Option<Duration>) -> Result<u8> {
    let chosen = select(wanted)?;
    chosen.complain()?;
    if let Some(every) = every {
        return watch::watch(chosen.attached, every, json);
    }
    let style = Style::of_output();
    let mut texts = Vec::new();
    for attached in &chosen.attached {
        // It may have ended meanwhile.
        let Some(snapshot) = attached.read() else {
            continue;
        };
        texts.push(match json {
            true => format!("{}\n", serde_json::to_string_pretty(&snapshot)?),
            false => human::text(attached, &snapshot, style),
        });
    }
    crate::print(texts.join(if json { "" } else { "\n" }))?;
    Ok(if chosen.failed.is_empty() {
        0
    } else {
        crate::FAILED
    })
}
