//! What is said at the end: tables, the paper's claims beside what came out, as text and as JSON, and two pictures.

mod claims;
mod picture;
mod tables;

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{json, Value};

use super::evaluation::Paper;
use super::plan::Part;
use super::workload::bytes_per_directory;
use crate::machine;
use claims::Claim;

/// Prints the tables and writes the files into `out`.
pub fn write(paper: &Paper, out: &Path) -> Result<()> {
    let results = &paper.results;
    let claims = claims::all(results);
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let figures = out.join("paper.json");
    let text = serde_json::to_string_pretty(&json(paper, &claims))?;
    fs::write(&figures, text).with_context(|| format!("cannot write {}", figures.display()))?;

    let mut text = String::new();
    if !results.operations.is_empty() {
        let _ = writeln!(text, "\n{}", tables::operations(results));
    }
    for part in Part::OF_SERVERS {
        if results.loads.iter().any(|load| load.part == part) {
            let _ = writeln!(text, "\n{}", tables::throughput(results, part));
            let _ = writeln!(text, "\n{}", tables::response(results, part));
        }
    }
    if !claims.is_empty() {
        let _ = writeln!(text, "\n{}", tables::claims(&claims));
    }
    for note in &results.notes {
        let _ = writeln!(text, "note: {note}");
    }
    let tables = out.join("paper.txt");
    fs::write(&tables, &text).with_context(|| format!("cannot write {}", tables.display()))?;
    let _ = writeln!(text, "tables: {}", tables.display());
    let _ = writeln!(text, "figures: {}", figures.display());
    if !results.loads.is_empty() {
        for drawing in picture::ALL {
            let file = out.join(drawing.file);
            picture::draw(results, &drawing, &file)
                .with_context(|| format!("cannot draw {}", file.display()))?;
            let _ = writeln!(text, "picture: {}", file.display());
        }
    }
    // Whoever read the lines may have gone; the files are written.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(())
}

fn megabytes(directories: u32) -> f64 {
    f64::from(directories) * bytes_per_directory() as f64 / 1e6
}

fn json(paper: &Paper, claims: &[Claim]) -> Value {
    let (options, results) = (&paper.options, &paper.results);
    json!({
        "version": 1,
        "machine": machine::description(),
        "settings": {
            "quick": options.quick,
            "seconds_in_memory": options.time(Part::Memory).as_secs(),
            "seconds": options.time(Part::Disk).as_secs(),
            "clients": options.all_clients(),
            "slow_disk_delay": options.delay,
            "megabytes_in_memory": megabytes(options.small),
            "megabytes_disk_bound": megabytes(options.large),
            "memory_mib_disk_bound": options.memory,
        },
        "claims": claims,
        "operations": results.operations,
        "loads": results.loads,
        "lines": results.lines,
        "notes": results.notes,
    })
}
