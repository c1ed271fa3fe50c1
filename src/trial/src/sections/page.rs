//! A browser loads a page of images over HTTP/2, none of which was ever read: how long does a user look at it?

use anyhow::{Context, Result};

use crate::browser::{create_page, load_page, PageLoad, IMAGES};
use crate::disks::Disk;
use crate::load::{Failures, Outcome};
use crate::plan::{Configuration, Part, Section};
use crate::results::{figure, Run};
use crate::servers::Server;
use crate::trial::Trial;

/// All rounds of the part `page`.
pub fn run(trial: &mut Trial, part: Part, disk: &Disk) -> Result<()> {
    if trial.configurations(part).is_empty() {
        return Ok(());
    }
    create_page(disk.docroot())?;
    warm_up(trial, part, disk)?;
    for round in 0..trial.options.rounds(part) {
        for configuration in trial.order(part, round) {
            trial.announce(part, configuration, round);
            let ran = run_one(trial, part.section, disk, configuration, round);
            trial.outlive(part.section, Some(configuration), round, ran)?;
        }
    }
    Ok(())
}

/// Has the browser load the page once, so that what it needs itself is in memory.
fn warm_up(trial: &Trial, part: Part, disk: &Disk) -> Result<()> {
    for configuration in trial.configurations(part).into_iter().take(1) {
        let server = trial.start(configuration.server(1), disk)?;
        load(trial, &server)?;
        server.stop()?;
    }
    Ok(())
}

fn load(trial: &Trial, server: &Server) -> Result<PageLoad> {
    let chromium = trial.tools.chromium.as_deref();
    load_page(chromium.context("there is no Chromium")?, server.address())
}

fn run_one(
    trial: &mut Trial,
    section: Section,
    disk: &Disk,
    configuration: Configuration,
    round: u32,
) -> Result<()> {
    disk.make_cold()?;
    let mut server = trial.start(configuration.server(1), disk)?;
    let (learnt, _) = super::learn(&server, &disk.sets.cold, 1)?;

    let before = trial.stats_before(&server);
    let page = load(trial, &server)?;
    server.check_alive()?;
    let after = trial.stats(&server);

    let mut run = Run::new(section, configuration, round);
    run.set(figure::PAGE_LOAD, page.load_ms);
    let mut failures = Failures::default();
    (page.shown..IMAGES).for_each(|_| failures.add("an image was not shown".into()));
    let shown = Outcome {
        // And the page.
        completed: u64::from(page.shown) + 1,
        failures,
        ..Outcome::default()
    };
    run.set_outcomes(&[&learnt, &shown]);
    if let (Some(before), Some(after)) = (before, after) {
        run.set_stats(after.since(&before), shown.completed);
    }
    run.complaints = server.stop()?;
    let summary = format!(
        "{:>7.0} ms until {} images were there{}",
        page.load_ms,
        page.shown,
        super::trouble(&run)
    );
    run.page = Some(page);
    trial.record(run, &summary);
    Ok(())
}
