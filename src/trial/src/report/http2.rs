//! The figures over HTTP/2 that decide.

use super::mark::*;
use super::ratios::*;
use crate::plan::{Configuration, Program, Scheme, Section, Variant};
use crate::results::{figure, Results};

/// All that the results allow.
pub fn all(results: &Results) -> Vec<Verdict> {
    let over = |scheme| move |program| of(program, Variant::Laio).over(scheme);
    let over_tls = Program::OVER_HTTP2.into_iter().map(over(Scheme::Http2));
    let in_clear = Program::OVER_H2C.into_iter().map(over(Scheme::H2c));
    over_tls
        .chain(in_clear)
        .flat_map(|laio| of_server(results, laio))
        .collect()
}

fn of_server(results: &Results, laio: Configuration) -> Vec<Verdict> {
    let to_stock = [
        (
            "cold req/s, slow disk: laio / stock",
            (Section::Cold, figure::COLD_RATE),
            at_least(8.0, None),
        ),
        (
            "cached request behind its own cold ones, p50: laio / stock",
            (Section::Own, figure::P50),
            at_most(0.4, Some(0.2)),
        ),
        (
            "MB/s of cold bodies, slow disk: laio / stock",
            (Section::Bodies, figure::BODY_RATE),
            at_least(3.0, None),
        ),
    ];
    let to_floor = [(
        "cached p99 beside cold: laio / floor",
        (Section::Mixed, figure::P99),
        at_most(3.0, Some(1.5)),
    )];
    let pairs = [
        (
            "CPU per cached request: laio / stock",
            (Section::Cpu, figure::CPU),
            at_most(1.06, Some(1.03)),
        ),
        (
            "CPU per cached request, armed: laio / stock",
            (Section::Armed, figure::CPU),
            at_most(1.06, Some(1.03)),
        ),
    ];
    let own = [(
        "stalls per connection, 6 cold bodies at once",
        (Section::Bodies, figure::STALLS_PER_CONNECTION),
        at_most(15.0, Some(0.0)),
    )];
    let stock = laio.variant(Variant::Stock);
    [
        ratios_to(results, stock, &to_stock),
        ratios_to(results, laio.variant(Variant::Floor), &to_floor),
        of_rounds(results, laio, &own),
        of_pairs(results, stock, &pairs),
        page(results, stock).into_iter().collect(),
    ]
    .concat()
}

/// The other way round than all others: how many times as fast a page is there.
fn page(results: &Results, stock: Configuration) -> Option<Verdict> {
    let name = stock.server_name();
    let mark = at_least(2.5, Some(10.0));
    let mut verdict = ratio(
        results,
        format!("{name} page of 100 cold images, time to load: stock / laio"),
        (Section::Page, figure::PAGE_LOAD),
        &[stock],
        mark,
    )?;
    let all = std::iter::once(&mut verdict.value).chain(&mut verdict.rounds);
    all.for_each(|value| *value = 1.0 / *value);
    Some(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Run;

    /// A page that loads slower must not pass for one that loads faster.
    #[test]
    fn a_page_is_faster_with_less_time() {
        let mut results = Results::default();
        for (variant, load_ms) in [(Variant::Stock, 4000.0), (Variant::Laio, 1000.0)] {
            let configuration = of(Program::Nginx, variant).over(Scheme::Http2);
            let mut run = Run::new(Section::Page, configuration, 0);
            run.set(figure::PAGE_LOAD, load_ms);
            results.runs.push(run);
        }
        let all = all(&results);
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].value, &all[0].rounds[..]), (4.0, &[4.0][..]));
        assert!(all[0].is_met());
    }
}
