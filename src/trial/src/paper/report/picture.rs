//! The pictures: throughput and response time against the number of clients, one panel for each part.

use std::ops::Range;
use std::path::Path;

use anyhow::{anyhow, Result};
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

use crate::paper::plan::{Contender, Part};
use crate::paper::results::{figure, Results};
use crate::plan::Strategy;
use crate::report::plot::{self, label_ends, latency_label, Area, Drawn, End, FONT, INK};

const PANEL: (u32, u32) = (640, 560);

/// Panels beside each other; more go below.
const COLUMNS: usize = 3;

/// One picture.
pub struct Drawing {
    /// Its file's name.
    pub file: &'static str,
    /// The figure on its vertical axis.
    figure: &'static str,
    /// What is written there.
    axis: &'static str,
    /// Is that axis logarithmic?
    logarithmic: bool,
}

/// All pictures.
pub const ALL: [Drawing; 2] = [
    Drawing {
        file: "paper-throughput.svg",
        figure: figure::MBITS,
        axis: "throughput in Mbit/s",
        logarithmic: false,
    },
    Drawing {
        file: "paper-response.svg",
        figure: figure::MEAN,
        axis: "mean response time",
        logarithmic: true,
    },
];

/// A line's points: doublings of the number of clients, and the figure.
type Line = (Contender, Vec<(f64, f64)>);

/// Draws one of them into `file`.
pub fn draw(results: &Results, drawing: &Drawing, file: &Path) -> Result<()> {
    let panels: Vec<(Part, Vec<Line>)> = Part::OF_SERVERS
        .into_iter()
        .map(|part| (part, lines(results, part, drawing)))
        .filter(|(_, lines)| !lines.is_empty())
        .collect();
    let (rows, columns) = (panels.len().div_ceil(COLUMNS), panels.len().min(COLUMNS));
    let size = (PANEL.0 * columns as u32, PANEL.1 * rows as u32);
    let root = SVGBackend::new(file, size).into_drawing_area();
    let areas = root.split_evenly((rows, columns));
    let result = draw_panels(&areas, &panels, drawing).and_then(|()| root.present());
    result.map_err(|error| anyhow!("{error}"))
}

fn lines(results: &Results, part: Part, drawing: &Drawing) -> Vec<Line> {
    let line = |contender: Contender| {
        let by_clients = results.by_clients(part, contender, drawing.figure);
        let points = by_clients.into_iter();
        let points: Vec<_> = points
            .map(|(clients, value)| (f64::from(clients).log2(), value))
            .collect();
        (!points.is_empty()).then_some((contender, points))
    };
    Contender::ALL.into_iter().filter_map(line).collect()
}

fn draw_panels(areas: &[Area<'_>], panels: &[(Part, Vec<Line>)], drawing: &Drawing) -> Drawn {
    for area in areas {
        area.fill(&WHITE)?;
    }
    for (panel, (part, lines)) in areas.iter().zip(panels) {
        let values = lines
            .iter()
            .flat_map(|(_, points)| points)
            .map(|point| point.1);
        let most = values.clone().fold(f64::MIN_POSITIVE, f64::max);
        let least = values.fold(most, f64::min);
        if drawing.logarithmic {
            let decades = 10f64.powf(least.log10().floor())..10f64.powf(most.log10().ceil());
            draw_panel(panel, *part, lines, drawing, decades.log_scale())?;
        } else {
            draw_panel(panel, *part, lines, drawing, 0.0..most * 1.08)?;
        }
    }
    Ok(())
}

fn draw_panel<Y>(
    panel: &Area<'_>,
    part: Part,
    lines: &[Line],
    drawing: &Drawing,
    vertical: Y,
) -> Drawn
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: ValueFormatter<f64>,
{
    let horizontal = doublings(lines);
    let mut chart = ChartBuilder::on(panel)
        .caption(part.title(), (FONT, 22, &INK))
        .margin(16)
        .margin_right(120)
        .x_label_area_size(56)
        .y_label_area_size(84)
        .build_cartesian_2d(horizontal.clone(), vertical)?;
    chart
        .configure_mesh()
        .x_desc("clients")
        .y_desc(drawing.axis)
        .x_label_formatter(&|doublings| format!("{:.0}", doublings.exp2()))
        .x_labels((horizontal.end - horizontal.start) as usize + 1)
        .x_max_light_lines(1)
        .y_label_formatter(&|value| match drawing.logarithmic {
            true => latency_label(*value),
            false => format!("{value:.0}"),
        })
        .label_style((FONT, 15, &INK))
        .axis_desc_style((FONT, 16, &INK))
        .bold_line_style(plot::GRID)
        .light_line_style(plot::FINE_GRID)
        .draw()?;
    let mut ends = Vec::new();
    for (contender, points) in lines {
        let color = color(*contender);
        // What LAIO is compared with is thinner.
        let width = if contender.is_lazy() { 3 } else { 2 };
        chart.draw_series(LineSeries::new(
            points.iter().copied(),
            color.stroke_width(width),
        ))?;
        let dots = points
            .iter()
            .map(|point| Circle::new(*point, 3, color.filled()));
        chart.draw_series(dots)?;
        if let Some(end) = points.last() {
            ends.push(End {
                at: chart.backend_coord(end),
                name: contender.name(),
                color,
            });
        }
    }
    label_ends(panel, ends)
}

/// From the least to the greatest number of clients; an axis without an extent could not be drawn.
fn doublings(lines: &[Line]) -> Range<f64> {
    let all = lines
        .iter()
        .flat_map(|(_, points)| points)
        .map(|point| point.0);
    let least = all.clone().fold(f64::MAX, f64::min).floor();
    let most = all.fold(least, f64::max).ceil();
    least..most.max(least + 1.0)
}

fn color(contender: Contender) -> RGBColor {
    match contender.strategy {
        Strategy::NbB if contender.hooks => plot::PURPLE,
        Strategy::NbB => plot::GREY,
        Strategy::NbAio => plot::ORANGE,
        Strategy::NbAmped => plot::VERMILION,
        Strategy::NbLaio => plot::BLUE,
        Strategy::LaioLaio => plot::SKY,
        Strategy::Libevent => plot::GREEN,
    }
}
