//! The tables on the terminal.

use comfy_table::Table;

use super::claims::Claim;
use crate::paper::operations::WAYS;
use crate::paper::plan::{Contender, Part};
use crate::paper::results::{figure, Clock, Results};
use crate::report::table::{align, new_table, short, spread};
use crate::results::median;

/// What one read costs: a line for each operation in each way.
pub fn operations(results: &Results) -> Table {
    let mut table = new_table();
    table.set_header([
        "one read, medians",
        "bytes",
        "",
        "wall us",
        "CPU us",
        "wall\n/ plain",
        "CPU\n/ plain",
        "wall\n/ aio",
        "CPU\n/ aio",
    ]);
    let mut operations: Vec<(&str, u32)> = Vec::new();
    for one in &results.operations {
        let operation = (one.operation.as_str(), one.bytes);
        if !operations.contains(&operation) {
            operations.push(operation);
        }
    }
    operations.sort_unstable();
    for operation in operations {
        for way in WAYS {
            let time = |clock| {
                let times = results.times(operation, way, clock).into_values();
                median(times.map(|nanoseconds| nanoseconds / 1000.0).collect())
            };
            let Some(wall) = time(Clock::Wall) else {
                continue;
            };
            let ratio = |to, clock| cell(median(results.ratios(operation, way, to, clock)), 3);
            table.add_row([
                operation.0.to_owned(),
                operation.1.to_string(),
                way.to_owned(),
                cell(Some(wall), 2),
                cell(time(Clock::Cpu), 2),
                ratio("plain", Clock::Wall),
                ratio("plain", Clock::Cpu),
                ratio("aio", Clock::Wall),
                ratio("aio", Clock::Cpu),
            ]);
        }
    }
    align(&mut table, 3);
    table
}

/// What the servers of a part send, by number of clients.
pub fn throughput(results: &Results, part: Part) -> Table {
    let clients = clients(results, part);
    let mut table = new_table();
    let mut header = vec![format!("{}, Mbit/s", part.title())];
    header.extend(clients.iter().map(|count| format!("{count}\nclients")));
    header.extend(
        [
            "peak",
            "its rounds",
            "its\nreq/s",
            "CPU us/\nrequest",
            "reads/\nrequest",
            "failed",
        ]
        .map(Into::into),
    );
    table.set_header(header);
    for contender in measured(results, part) {
        let by_clients = |figure| results.by_clients(part, contender, figure);
        let mbits = by_clients(figure::MBITS);
        let (at, peak) = results.peak(part, contender).unwrap_or_default();
        let at_peak = |figure, decimals| cell(by_clients(figure).get(&at).copied(), decimals);
        let rounds: Vec<f64> = results.peaks(part, contender).into_values().collect();
        let loads = results.loads.iter();
        let its = loads.filter(|load| load.part == part && load.server == contender.name());
        let failed: f64 = its
            .filter_map(|load| load.figures.get(figure::FAILED))
            .sum();
        let mut row = vec![contender.name().to_owned()];
        row.extend(
            clients
                .iter()
                .map(|count| cell(mbits.get(count).copied(), 0)),
        );
        row.extend([
            cell(Some(peak), 0),
            spread(&rounds),
            at_peak(figure::RATE, 0),
            at_peak(figure::CPU, 1),
            at_peak(figure::READS, 3),
            failed.to_string(),
        ]);
        table.add_row(row);
    }
    align(&mut table, 1);
    table
}

/// How long the clients of a part wait, by their number.
pub fn response(results: &Results, part: Part) -> Table {
    let clients = clients(results, part);
    let mut table = new_table();
    let mut header = vec![format!(
        "{}, response time in ms\nmean / p50 / p99",
        part.title()
    )];
    header.extend(clients.iter().map(|count| format!("{count}\nclients")));
    table.set_header(header);
    for contender in measured(results, part) {
        let figures = [figure::MEAN, figure::P50, figure::P99]
            .map(|figure| results.by_clients(part, contender, figure));
        let mut row = vec![contender.name().to_owned()];
        row.extend(clients.iter().map(|count| {
            let each = figures.iter().map(|figure| match figure.get(count) {
                Some(ms) if *ms >= 10.0 => format!("{ms:.0}"),
                ms => cell(ms.copied(), 2),
            });
            each.collect::<Vec<_>>().join(" / ")
        }));
        table.add_row(row);
    }
    align(&mut table, 1);
    table
}

/// One line for each figure with a mark or a paper's figure beside it.
pub fn claims(claims: &[Claim]) -> Table {
    let mut table = new_table();
    table.set_header(["figure", "is", "rounds", "must be", "the paper", ""]);
    for claim in claims {
        let mark = claim
            .mark
            .map(|mark| format!("{} {}", mark.good.sign(), short(mark.must)));
        table.add_row([
            claim.figure.clone(),
            short(claim.value),
            spread(&claim.rounds),
            mark.unwrap_or_default(),
            claim.paper.unwrap_or_default().to_owned(),
            match claim.is_met() {
                Some(true) => "ok",
                Some(false) => "short",
                None => "",
            }
            .to_owned(),
        ]);
    }
    align(&mut table, 1);
    table
}

fn clients(results: &Results, part: Part) -> Vec<u32> {
    let loads = results.loads.iter().filter(|load| load.part == part);
    let mut clients: Vec<u32> = loads.map(|load| load.clients).collect();
    clients.sort_unstable();
    clients.dedup();
    clients
}

fn measured(results: &Results, part: Part) -> impl Iterator<Item = Contender> + '_ {
    let all = Contender::ALL.into_iter();
    all.filter(move |contender| results.has(part, *contender))
}

fn cell(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "-".into(), |value| format!("{value:.decimals$}"))
}
