//! The counters again and again: one line for each process and interval.

use super::rates::{Rates, Sample};
use crate::format::{rate, share, time};
use crate::process::Attached;
use crate::report::Style;
use anyhow::Result;
use std::thread::sleep;
use std::time::Duration;

/// Lines after which the heading is repeated.
const PAGE: usize = 20;

/// Prints until all processes have ended, or nobody reads any more.
pub fn watch(processes: Vec<Attached>, every: Duration, json: bool) -> Result<u8> {
    let style = Style::of_output();
    let mut watched: Vec<_> = processes
        .into_iter()
        .filter_map(|attached| Some((Sample::of(&attached)?, attached)))
        .collect();
    let mut lines = 0;
    while !watched.is_empty() {
        sleep(every);
        let mut text = String::new();
        watched.retain_mut(|(before, attached)| {
            let Some(after) = Sample::of(attached) else {
                if !json {
                    text += &format!("{} {} has ended\n", attached.program, attached.kernel.0);
                }
                return false;
            };
            if json {
                text += &serde_json::to_string(&after.snapshot).unwrap_or_default();
                text.push('\n');
            } else {
                if lines % PAGE == 0 {
                    text += &style.bold(HEADING);
                }
                lines += 1;
                text += &line(attached, &Rates::between(before, &after)[0], after.helpers);
            }
            *before = after;
            true
        });
        if !crate::print_on(&text)? {
            break;
        }
    }
    Ok(0)
}

const HEADING: &str =
    "process          state      req/s cold/s held  oldest stalls/s blocked helpers\n";

fn line(attached: &Attached, rates: &Rates, helpers: usize) -> String {
    let oldest = match rates.held {
        0 => "-".to_owned(),
        _ => time(rates.oldest),
    };
    let process = format!("{} {}", attached.program, attached.kernel.0);
    format!(
        "{process:<16} {:<9} {:>6} {:>6} {:>4} {oldest:>7} {:>8} {:>7} {helpers:>7}\n",
        rates.standing.word(),
        rate(rates.requests),
        rate(rates.cold),
        rates.held,
        rate(rates.stalls),
        share(rates.blocked),
    )
}
