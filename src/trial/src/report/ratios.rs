//! Figures made of others: medians, and ratios of runs in the same round.

use std::collections::BTreeMap;

use super::mark::*;
use crate::plan::{Configuration, Program, Section, Variant};
use crate::results::{median, Results};

pub fn single(section: Section, figure: String, value: f64, mark: Mark) -> Verdict {
    Verdict {
        section,
        figure,
        value,
        rounds: Vec::new(),
        mark,
    }
}

pub fn median_of(
    section: Section,
    figure: String,
    rounds: Vec<f64>,
    mark: Mark,
) -> Option<Verdict> {
    Some(Verdict {
        section,
        figure,
        value: median(rounds.clone())?,
        rounds,
        mark,
    })
}

/// laio's median over the best median among `others`, variants of one program: what a reader of the table gets by dividing.
pub fn ratio(
    results: &Results,
    figure: String,
    of_what: (Section, &str),
    others: &[Configuration],
    mark: Mark,
) -> Option<Verdict> {
    let laio = others.first()?.variant(Variant::Laio);
    let median_of = |configuration| results.median(of_what.0, configuration, of_what.1);
    let value = median_of(laio)?;
    let best = others
        .iter()
        .filter_map(|other| median_of(*other))
        .max_by(f64::total_cmp)?;
    let rounds = paired(results, of_what, others);
    (best > 0.0).then(|| Verdict {
        section: of_what.0,
        figure,
        value: value / best,
        rounds,
        mark,
    })
}

/// laio over the best of `others`, round by round.
pub fn paired(results: &Results, of_what: (Section, &str), others: &[Configuration]) -> Vec<f64> {
    let mut best: BTreeMap<u32, f64> = BTreeMap::new();
    for other in others {
        for (round, value) in results.by_round(of_what.0, *other, of_what.1) {
            let entry = best.entry(round).or_insert(value);
            *entry = entry.max(value);
        }
    }
    let laio = others.first().map(|other| other.variant(Variant::Laio));
    let laio = laio.map(|laio| results.by_round(of_what.0, laio, of_what.1));
    laio.into_iter()
        .flatten()
        .filter_map(|(round, value)| Some(value / best.get(&round)?))
        .collect()
}

/// What a figure is, where it was measured, and its mark.
pub type Row<'a> = (&'a str, (Section, &'a str), Mark);

/// The median of a server with the library over that of `other`, for each row that there are figures for.
pub fn ratios_to(results: &Results, other: Configuration, rows: &[Row<'_>]) -> Vec<Verdict> {
    let name = other.server_name();
    let verdict = |(what, of_what, mark): &Row<'_>| {
        ratio(results, format!("{name} {what}"), *of_what, &[other], *mark)
    };
    rows.iter().filter_map(verdict).collect()
}

/// The same as the median of the ratios in each pair.
pub fn of_pairs(results: &Results, other: Configuration, rows: &[Row<'_>]) -> Vec<Verdict> {
    let name = other.server_name();
    let verdict = |(what, of_what, mark): &Row<'_>| {
        let pairs = paired(results, *of_what, &[other]);
        let what = format!("{name} {what}, median of pairs");
        median_of(of_what.0, what, pairs, *mark)
    };
    rows.iter().filter_map(verdict).collect()
}

/// A server's own figures, the median of the rounds.
pub fn of_rounds(results: &Results, server: Configuration, rows: &[Row<'_>]) -> Vec<Verdict> {
    let name = server.server_name();
    let verdict = |(what, of_what, mark): &Row<'_>| {
        let rounds = results.by_round(of_what.0, server, of_what.1).into_values();
        median_of(of_what.0, format!("{name} {what}"), rounds.collect(), *mark)
    };
    rows.iter().filter_map(verdict).collect()
}

/// In clear text.
pub fn of(program: Program, variant: Variant) -> Configuration {
    Configuration::new(program, variant)
}
