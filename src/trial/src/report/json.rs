//! All figures as JSON: every run, the medians, the ratios, and the latency distributions.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde_json::{json, Value};

use super::mark::Verdict;
use crate::machine;
use crate::results::Results;
use crate::trial::Trial;

/// The document.
pub fn all(trial: &Trial, verdicts: &[Verdict]) -> Value {
    let results = &trial.results;
    let verdicts: Vec<Value> = verdicts
        .iter()
        .map(|verdict| {
            let mut value = json!(verdict);
            value["met"] = verdict.is_met().into();
            value
        })
        .collect();
    let latencies: BTreeMap<String, Vec<[f64; 2]>> = results
        .latencies
        .iter()
        .map(|(configuration, latency)| (configuration.name(), distribution(latency)))
        .collect();
    json!({
        "version": 1,
        "machine": machine::description(),
        "settings": {
            "quick": trial.options.quick,
            "seconds": trial.options.seconds(),
            "slow_disk_delay": trial.options.delay,
            "library": trial.tools.library.is_some(),
            "root": crate::disks::is_root(),
        },
        "verdicts": verdicts,
        "medians": medians(results),
        "cached_latency_ms_by_percentile": latencies,
        "runs": results.runs,
        "failed": results.failed,
        "notes": results.notes,
    })
}

/// Section, configuration, figure: the median over the rounds.
fn medians(
    results: &Results,
) -> BTreeMap<&'static str, BTreeMap<String, BTreeMap<&'static str, f64>>> {
    let mut medians: BTreeMap<_, BTreeMap<_, BTreeMap<_, _>>> = BTreeMap::new();
    for run in &results.runs {
        let of_section = medians.entry(run.section.name()).or_default();
        let of_configuration = of_section.entry(run.configuration.name()).or_default();
        for figure in run.figures.keys() {
            if let Some(median) = results.median(run.section, run.configuration, figure) {
                of_configuration.insert(*figure, median);
            }
        }
    }
    medians
}

/// Pairs of a percentile and its latency, closer together towards the end.
pub fn distribution(latency: &Histogram<u64>) -> Vec<[f64; 2]> {
    let points = latency.iter_quantiles(10);
    points
        .map(|point| {
            [
                point.quantile_iterated_to() * 100.0,
                point.value_iterated_to() as f64 / 1e6,
            ]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The picture and the file show the whole distribution, its worst value included.
    #[test]
    fn a_distribution_ends_with_the_worst() {
        let mut latency = crate::load::histogram();
        for ms in 1..=1000u64 {
            latency.saturating_record(ms * 1_000_000);
        }
        let points = distribution(&latency);
        let last = points.last().unwrap();
        assert_eq!(last[0], 100.0);
        assert!((last[1] - 1000.0).abs() < 2.0, "{last:?}");
        assert!(points
            .windows(2)
            .all(|pair| pair[0][0] <= pair[1][0] && pair[0][1] <= pair[1][1]));
    }
}
