//! The picture of a page: for each image when it was asked for, when its answer began and when it ended. One panel for each
//! configuration, all with the same time axis.

use std::path::Path;

use anyhow::{anyhow, Result};
use plotters::prelude::*;

use super::plot::{self, Area, Drawn, FONT, INK};
use crate::browser::PageLoad;
use crate::plan::Section;
use crate::results::{figure, Results, Run};

const PANEL: (u32, u32) = (960, 380);

/// A panel: the configuration's name and one of its loads.
type Panel<'a> = (String, &'a PageLoad);

/// Draws the load of each configuration that took the median time into `file`; false if there is none.
pub fn draw(results: &Results, file: &Path) -> Result<bool> {
    let panels = panels(results);
    if panels.is_empty() {
        return Ok(false);
    }
    let size = (PANEL.0, PANEL.1 * panels.len() as u32);
    let root = SVGBackend::new(file, size).into_drawing_area();
    let drawn = draw_panels(&root, &panels).and_then(|()| root.present());
    drawn.map_err(|error| anyhow!("{error}"))?;
    Ok(true)
}

/// In the order of the table: stock first.
fn panels(results: &Results) -> Vec<Panel<'_>> {
    let of_pages = |run: &&Run| run.section == Section::Page && run.page.is_some();
    let runs: Vec<&Run> = results.runs.iter().filter(of_pages).collect();
    let mut configurations: Vec<_> = runs.iter().map(|run| run.configuration).collect();
    configurations.sort();
    configurations.dedup();
    let typical = |configuration| {
        let median = results.median(Section::Page, configuration, figure::PAGE_LOAD)?;
        let from_it = |run: &&&Run| (run.figures[figure::PAGE_LOAD] - median).abs();
        let of_it = runs.iter().filter(|run| run.configuration == configuration);
        let run = of_it.min_by(|one, other| from_it(one).total_cmp(&from_it(other)))?;
        Some((configuration.name(), run.page.as_ref()?))
    };
    configurations.into_iter().filter_map(typical).collect()
}

fn draw_panels(root: &Area<'_>, panels: &[Panel<'_>]) -> Drawn {
    root.fill(&WHITE)?;
    let loads = panels.iter().map(|(_, page)| page.load_ms);
    let end = loads.fold(1.0, f64::max) * 1.03;
    for (area, (name, page)) in root.split_evenly((panels.len(), 1)).iter().zip(panels) {
        draw_panel(area, name, page, end)?;
    }
    Ok(())
}

fn draw_panel(area: &Area<'_>, name: &str, page: &PageLoad, end: f64) -> Drawn {
    let title = format!(
        "{name}: {} cold images are there after {:.0} ms",
        page.shown, page.load_ms
    );
    let rows = page.images.len() as f64;
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 20, &INK))
        .margin(16)
        .margin_right(40)
        .x_label_area_size(52)
        .y_label_area_size(60)
        // The first at the top.
        .build_cartesian_2d(0.0..end, rows..0.0)?;
    chart
        .configure_mesh()
        .x_desc("time from the navigation's start: an image is asked for (light), arrives (dark)")
        .y_desc("image")
        .x_label_formatter(&|ms| format!("{ms:.0} ms"))
        .y_label_formatter(&|row| format!("{row:.0}"))
        .label_style((FONT, 14, &INK))
        .axis_desc_style((FONT, 15, &INK))
        .bold_line_style(plot::GRID)
        .light_line_style(plot::FINE_GRID)
        .draw()?;
    let mut images = page.images.clone();
    images.sort_by(|one, other| one[0].total_cmp(&other[0]));
    let bar = |row: usize, from: f64, to: f64, style: ShapeStyle| {
        let top = row as f64;
        Rectangle::new([(from, top + 0.1), (to, top + 0.9)], style)
    };
    for (row, [asked, began, ended]) in images.into_iter().enumerate() {
        chart.draw_series([
            bar(row, asked, began, plot::SKY.mix(0.5).filled()),
            bar(row, began, ended, plot::BLUE.filled()),
        ])?;
    }
    chart.draw_series(LineSeries::new(
        [(page.load_ms, 0.0), (page.load_ms, rows)],
        plot::VERMILION.stroke_width(2),
    ))?;
    Ok(())
}
