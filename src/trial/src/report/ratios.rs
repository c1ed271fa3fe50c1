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

/// In clear text.
pub fn of(program: Program, variant: Variant) -> Configuration {
    Configuration::new(program, variant)
}
