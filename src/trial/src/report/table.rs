//! The tables on the terminal.

use std::collections::BTreeSet;

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table, TableComponent};

use super::mark::Verdict;
use crate::plan::{Configuration, Section};
use crate::results::{figure, Results};

/// A column: two lines of heading, the section and the figure, and how many decimals at most.
const COLUMNS: [(&str, Section, &str, usize); 30] = [
    ("cold\nreq/s", Section::Cold, figure::COLD_RATE, 0),
    ("stalls/\n1000", Section::Cold, figure::STALLS, 1),
    ("beside:\ncold/s", Section::Mixed, figure::COLD_RATE, 0),
    ("cached\np50 ms", Section::Mixed, figure::P50, 2),
    ("\np99 ms", Section::Mixed, figure::P99, 2),
    ("\np99.9", Section::Mixed, figure::P999, 2),
    ("\nmax ms", Section::Mixed, figure::MAX, 1),
    ("stalls/\n1000", Section::Mixed, figure::STALLS, 1),
    ("deep:\ncold/s", Section::Deep, figure::COLD_RATE, 0),
    ("\np99 ms", Section::Deep, figure::P99, 2),
    ("fast\nreq/s", Section::Fast, figure::COLD_RATE, 0),
    ("local\nreq/s", Section::Local, figure::COLD_RATE, 0),
    ("bodies\nMB/s", Section::Bodies, figure::BODY_RATE, 0),
    ("stalls/\n1000", Section::Bodies, figure::STALLS, 1),
    (
        "/con-\nnection",
        Section::Bodies,
        figure::STALLS_PER_CONNECTION,
        1,
    ),
    ("own\np50 ms", Section::Own, figure::P50, 2),
    ("page\nms", Section::Page, figure::PAGE_LOAD, 0),
    ("local\nMB/s", Section::BodiesLocal, figure::BODY_RATE, 0),
    ("beside\np99 ms", Section::BodiesMixed, figure::P99, 2),
    ("overlay\nreq/s", Section::Overlay, figure::COLD_RATE, 0),
    ("stalls/\n1000", Section::Overlay, figure::STALLS, 1),
    ("FUSE\nreq/s", Section::Fuse, figure::COLD_RATE, 0),
    ("stalls/\n1000", Section::Fuse, figure::STALLS, 1),
    ("hung\np99 ms", Section::Hung, figure::P99, 2),
    ("CPU us/\nMB", Section::BodiesCpu, figure::CPU_PER_MB, 2),
    ("CPU us/\nrequest", Section::Cpu, figure::CPU, 2),
    ("armed:\nus/req.", Section::Armed, figure::CPU, 2),
    (
        "hand-\nshakes/s",
        Section::Handshakes,
        figure::HANDSHAKES,
        0,
    ),
    ("\nCPU us", Section::Handshakes, figure::CPU, 0),
    ("calls/\nrequest", Section::Syscalls, figure::CALLS, 2),
];

/// One line for each configuration, the medians of everything measured; columns without a figure are left out.
pub fn figures(results: &Results) -> Table {
    let configurations: BTreeSet<Configuration> =
        results.runs.iter().map(|run| run.configuration).collect();
    let columns: Vec<_> = COLUMNS
        .iter()
        .filter(|(_, section, figure, _)| {
            results
                .runs
                .iter()
                .any(|run| run.section == *section && run.figures.contains_key(figure))
        })
        .collect();
    let mut table = new_table();
    let headings = columns.iter().map(|(heading, ..)| *heading);
    table.set_header(["medians"].into_iter().chain(headings).chain(["failed"]));
    for configuration in configurations {
        let mut row = vec![configuration.name()];
        for (_, section, figure, decimals) in &columns {
            let value = results.median(*section, configuration, figure);
            row.push(value.map_or_else(|| "-".into(), |value| format!("{value:.decimals$}")));
        }
        let runs = results
            .runs
            .iter()
            .filter(|run| run.configuration == configuration);
        let failed: f64 = runs.filter_map(|run| run.figures.get(figure::FAILED)).sum();
        row.push(failed.to_string());
        table.add_row(row);
    }
    align(&mut table, 1);
    table
}

/// One line for each figure that has a mark.
pub fn verdicts(verdicts: &[Verdict]) -> Table {
    let mut table = new_table();
    table.set_header(["figure", "is", "rounds", "must be", "hopes", ""]);
    for verdict in verdicts {
        table.add_row([
            verdict.figure.clone(),
            short(verdict.value),
            spread(&verdict.rounds),
            format!("{} {}", verdict.mark.good.sign(), short(verdict.mark.must)),
            verdict.mark.hopes.map_or_else(String::new, short),
            if verdict.is_met() { "ok" } else { "short" }.into(),
        ]);
    }
    align(&mut table, 1);
    table
}

/// Without lines between rows or columns.
pub fn new_table() -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY);
    // Lines between rows would be half of what is printed.
    table
        .remove_style(TableComponent::HorizontalLines)
        .remove_style(TableComponent::MiddleIntersections);
    table
}

/// Sets the columns from this one on to the right: numbers are compared by their last digits.
pub fn align(table: &mut Table, from: usize) {
    for column in table.column_iter_mut().skip(from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

/// The least and the greatest of several rounds.
pub fn spread(rounds: &[f64]) -> String {
    let least = rounds.iter().copied().min_by(f64::total_cmp);
    let most = rounds.iter().copied().max_by(f64::total_cmp);
    match (least, most) {
        (Some(least), Some(most)) if rounds.len() > 1 => {
            format!("{} to {}", short(least), short(most))
        }
        _ => String::new(),
    }
}

/// As many digits as tell a figure from its mark, and no more than are there: 0.9696, 12.1, 1234.
pub fn short(value: f64) -> String {
    match value.abs() {
        magnitude if magnitude >= 100.0 => format!("{value:.0}"),
        magnitude if magnitude >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.4}")
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned(),
    }
}
