//! What the trial says at its end: one table, the figures against what they must be, a JSON file and a picture.

mod http2;
mod json;
pub mod mark;
mod picture;
pub mod plot;
mod ratios;
pub mod table;
mod tls;
pub mod verdicts;
mod waterfall;

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context, Result};

use crate::trial::Trial;

/// Prints the table and writes the files into `out`.
pub fn write(trial: &Trial, out: &Path) -> Result<()> {
    let results = &trial.results;
    let verdicts = verdicts::all(results);
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let figures = out.join("trial.json");
    let text = serde_json::to_string_pretty(&json::all(trial, &verdicts))?;
    fs::write(&figures, text).with_context(|| format!("cannot write {}", figures.display()))?;
    let picture = out.join("latency.svg");
    if !results.latencies.is_empty() {
        picture::draw(results, &picture)
            .with_context(|| format!("cannot draw {}", picture.display()))?;
    }

    let page = out.join("page.svg");
    let has_page = waterfall::draw(results, &page)
        .with_context(|| format!("cannot draw {}", page.display()))?;

    let mut text = format!("\n{}\n", table::figures(results));
    if !verdicts.is_empty() {
        let _ = writeln!(text, "\n{}", table::verdicts(&verdicts));
    }
    for note in &results.notes {
        let _ = writeln!(text, "note: {note}");
    }
    for failed in &results.failed {
        let _ = writeln!(text, "note: {failed}");
    }
    let _ = writeln!(text, "figures: {}", figures.display());
    if !results.latencies.is_empty() {
        let _ = writeln!(text, "picture: {}", picture.display());
    }
    if has_page {
        let _ = writeln!(text, "picture: {}", page.display());
    }
    // Whoever read the lines may have gone; the files are written.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(())
}
