//! The picture: cached latency beside cold traffic, by percentile, one panel for each server program.
//!
//! The horizontal axis counts nines (0 %, 90 %, 99 %, 99.9 %), because what users complain about is at its right end; the
//! vertical one is logarithmic, because the lines are three orders of magnitude apart.

use std::ops::Range;
use std::path::Path;

use anyhow::{anyhow, Result};
use plotters::prelude::*;

use super::json::distribution;
use super::plot::{self, label_ends, latency_label, Area, Drawn, End, FONT, INK};
use crate::plan::{Configuration, Program, Scheme, Variant};
use crate::results::Results;

const PANEL: (u32, u32) = (720, 560);

/// A line's points: nines and milliseconds.
type Line = (Configuration, Vec<(f64, f64)>);

/// Draws all distributions into `file`.
pub fn draw(results: &Results, file: &Path) -> Result<()> {
    let panels = panels(results);
    let size = (PANEL.0 * panels.len() as u32, PANEL.1);
    let root = SVGBackend::new(file, size).into_drawing_area();
    let result = draw_panels(&root, &panels, results).and_then(|()| root.present());
    result.map_err(|error| anyhow!("{error}"))
}

/// A panel's program, and how it is spoken to.
type Panel = (Program, Scheme);

fn is_in(panel: &Panel, configuration: &Configuration) -> bool {
    *panel == (configuration.program, configuration.scheme)
}

/// The two panels that the documentation shows, or else all others.
fn panels(results: &Results) -> Vec<Panel> {
    let measured = |panel: &Panel| {
        let mut all = results.latencies.keys();
        all.any(|configuration| is_in(panel, configuration))
    };
    let mut panels: Vec<Panel> = Program::MAIN.map(|program| (program, Scheme::Http)).into();
    panels.retain(measured);
    if panels.is_empty() {
        let over = |scheme| Program::all().map(move |program| (program, scheme));
        panels = [Scheme::Http, Scheme::Https, Scheme::Http2]
            .into_iter()
            .flat_map(over)
            .collect();
        panels.retain(measured);
    }
    panels
}

fn draw_panels(root: &Area<'_>, panels: &[Panel], results: &Results) -> Drawn {
    root.fill(&WHITE)?;
    let scale = Scale::of(results, panels);
    for (area, panel) in root.split_evenly((1, panels.len())).iter().zip(panels) {
        let lines: Vec<Line> = results
            .latencies
            .iter()
            .filter(|(configuration, latency)| is_in(panel, configuration) && !latency.is_empty())
            .map(|(configuration, latency)| (*configuration, points(&distribution(latency))))
            .collect();
        draw_panel(area, &lines, &scale)?;
    }
    Ok(())
}

/// The axes' ends, the same for all panels: lines in different panels can be compared.
struct Scale {
    nines: f64,
    /// Whole decades of milliseconds, so that the axis begins and ends at a labelled line.
    decades: Range<f64>,
}

impl Scale {
    fn of(results: &Results, panels: &[Panel]) -> Self {
        let all: Vec<(f64, f64)> = results
            .latencies
            .iter()
            .filter(|(configuration, _)| panels.iter().any(|panel| is_in(panel, configuration)))
            .flat_map(|(_, latency)| points(&distribution(latency)))
            .collect();
        let nines = all.iter().map(|point| point.0).fold(2.0, f64::max);
        let least = all.iter().map(|point| point.1).fold(1.0, f64::min);
        let most = all.iter().map(|point| point.1).fold(1.0, f64::max);
        Self {
            nines,
            decades: 10f64.powf(least.log10().floor())..10f64.powf(most.log10().ceil()),
        }
    }
}

fn draw_panel(panel: &Area<'_>, lines: &[Line], scale: &Scale) -> Drawn {
    let server = lines.first().map(|(server, _)| server.server_name());
    let title = format!(
        "{}: cached files beside cold traffic",
        server.unwrap_or_default()
    );
    let mut chart = ChartBuilder::on(panel)
        .caption(title, (FONT, 22, &INK))
        .margin(16)
        .margin_right(120)
        .x_label_area_size(56)
        .y_label_area_size(84)
        .build_cartesian_2d(0.0..scale.nines, scale.decades.clone().log_scale())?;
    chart
        .configure_mesh()
        .x_desc("percentile of requests")
        .y_desc("latency from when the request was due")
        .x_label_formatter(&|nines| percentile_label(*nines))
        .x_labels(scale.nines as usize + 1)
        .x_max_light_lines(1)
        .y_label_formatter(&|ms| latency_label(*ms))
        .label_style((FONT, 15, &INK))
        .axis_desc_style((FONT, 16, &INK))
        .bold_line_style(plot::GRID)
        .light_line_style(plot::FINE_GRID)
        .draw()?;

    let mut ends = Vec::new();
    for (configuration, points) in lines {
        let color = color(configuration.variant);
        chart.draw_series(LineSeries::new(
            points.iter().copied(),
            color.stroke_width(3),
        ))?;
        if let Some(end) = points.last() {
            ends.push(End {
                at: chart.backend_coord(end),
                name: configuration.variant.name(),
                color,
            });
        }
    }
    label_ends(panel, ends)
}

/// Percentiles and milliseconds as nines and milliseconds. The last point, 100 %, has no nines to count: it is drawn where
/// the one before it is, which makes the worst request a rise at the line's end.
fn points(distribution: &[[f64; 2]]) -> Vec<(f64, f64)> {
    let mut nines = 0.0;
    let point = |[percentile, ms]: &[f64; 2]| {
        if *percentile < 100.0 {
            nines = -(1.0 - percentile / 100.0).log10();
        }
        // A logarithmic axis has no zero.
        (nines, ms.max(0.001))
    };
    distribution.iter().map(point).collect()
}

/// One is 90 %, two is 99 %, three is 99.9 %.
fn percentile_label(nines: f64) -> String {
    let decimals = (nines.round() as usize).saturating_sub(2);
    format!("{:.decimals$} %", 100.0 - 100.0 / 10f64.powf(nines))
}

fn color(variant: Variant) -> RGBColor {
    match variant {
        Variant::Stock => plot::VERMILION,
        Variant::AioThreads => plot::ORANGE,
        Variant::Workers16 => plot::GREEN,
        Variant::Laio => plot::BLUE,
        Variant::Floor => plot::GREY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wrong label under the right line would be a false claim.
    #[test]
    fn labels_say_what_the_axes_mean() {
        let labels: Vec<String> = (0..5)
            .map(|nines| percentile_label(f64::from(nines)))
            .collect();
        assert_eq!(labels, ["0 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
    }
}
