//! What each server has, over time.

use crate::Sample;
use anyhow::anyhow;
use laio_tests::server::Kind;
use laio_tests::Result;
use plotters::prelude::*;
use std::path::Path;
use std::time::Duration;

/// What is drawn of a sample, how it is called, and its colour (Okabe and Ito).
type Curve = (&'static str, fn(&Sample) -> f64, RGBColor);

const CURVES: [Curve; 3] = [
    (
        "memory of its own, KiB",
        |it| it.memory_kib as f64,
        RGBColor(213, 94, 0),
    ),
    (
        "descriptors",
        |it| it.descriptors as f64,
        RGBColor(0, 114, 178),
    ),
    ("threads", |it| it.threads as f64, RGBColor(0, 158, 115)),
];

/// Draws them into a file: a column for each server, a row for each curve.
pub fn draw(file: &Path, servers: Vec<(Kind, Vec<(Duration, Sample)>)>) -> Result {
    let size = (560 * servers.len() as u32, 200 * CURVES.len() as u32);
    let root = SVGBackend::new(file, size).into_drawing_area();
    let drawn = draw_all(&root, &servers).and_then(|()| root.present());
    drawn.map_err(|error| anyhow!("{error}"))
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Drawn = std::result::Result<(), DrawingAreaErrorKind<std::io::Error>>;

fn draw_all(root: &Area<'_>, servers: &[(Kind, Vec<(Duration, Sample)>)]) -> Drawn {
    root.fill(&WHITE)?;
    let mut areas = root.split_evenly((CURVES.len(), servers.len())).into_iter();
    for (what, of, color) in CURVES {
        for (kind, samples) in servers {
            let Some(area) = areas.next() else {
                return Ok(());
            };
            let points = samples
                .iter()
                .map(|(at, sample)| (at.as_secs_f64() / 60.0, of(sample)));
            let points: Vec<_> = points.collect();
            let end = points.last().map_or(1.0, |last| last.0);
            let top = points
                .iter()
                .fold(1.0, |most: f64, point| most.max(point.1))
                * 1.2;
            let mut chart = ChartBuilder::on(&area)
                .caption(format!("{kind:?}: {what}"), ("sans-serif", 16))
                .margin(8)
                .x_label_area_size(28)
                .y_label_area_size(56)
                .build_cartesian_2d(0.0..end, 0.0..top)?;
            chart
                .configure_mesh()
                .x_desc("minutes")
                .x_labels(7)
                .y_labels(5)
                .y_label_formatter(&|value| format!("{value:.0}"))
                .disable_x_mesh()
                .draw()?;
            chart.draw_series(LineSeries::new(points, color.stroke_width(2)))?;
        }
    }
    Ok(())
}
