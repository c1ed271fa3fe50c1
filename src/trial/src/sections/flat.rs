//! What a preloaded server holds before a run of cold traffic and after it: nothing may be left over.
//!
//! The same server is asked for the same files several times, cold every time. After the first times everything exists that
//! a server and the library keep (buffers, helper threads, tables of paths); what the last time adds would be added for ever.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{ask, COLD_CONNECTIONS};
use crate::disks::Disk;
use crate::interrupt;
use crate::plan::{Configuration, Part, Section};
use crate::results::{figure, Run};
use crate::servers::process::Usage;
use crate::servers::Server;
use crate::trial::Trial;

/// How often the files are asked for.
const PASSES: usize = 4;

/// Every configuration once.
pub fn run(trial: &mut Trial, part: Part, disk: &Disk) -> Result<()> {
    for configuration in trial.configurations(part) {
        trial.announce(part, configuration, 0);
        let ran = run_one(trial, disk, configuration);
        trial.outlive(Section::Flat, Some(configuration), 0, ran)?;
    }
    Ok(())
}

fn run_one(trial: &mut Trial, disk: &Disk, configuration: Configuration) -> Result<()> {
    disk.make_cold()?;
    let mut server = trial.start(configuration.server(1), disk)?;
    let cold = &disk.sets.cold;
    let files = cold.shuffled();
    let limit = Duration::from_secs(trial.options.seconds().into());
    let mut outcomes = Vec::new();
    let mut usages = Vec::new();
    for pass in 1..=PASSES {
        disk.drop_caches()?;
        outcomes.push(ask(&server, COLD_CONNECTIONS, cold, &files, Some(limit))?);
        if pass > PASSES - 2 {
            usages.push(settle(&server)?);
        }
    }
    server.check_alive()?;

    let mut run = Run::new(Section::Flat, configuration, 0);
    run.set_outcomes(&outcomes.iter().collect::<Vec<_>>());
    for (index, usage) in usages.iter().enumerate() {
        run.set(figure::DESCRIPTORS[index], usage.descriptors as f64);
        run.set(figure::MEMORY[index], usage.anonymous_kib as f64);
        run.set(figure::THREADS[index], usage.threads as f64);
    }
    run.complaints = server.stop()?;
    let change = |of: fn(&Usage) -> u64| {
        let values: Vec<String> = usages.iter().map(|usage| of(usage).to_string()).collect();
        values.join(" -> ")
    };
    let summary = format!(
        "descriptors {}, memory {} KiB, threads {}{}",
        change(|usage| usage.descriptors),
        change(|usage| usage.anonymous_kib),
        change(|usage| usage.threads),
        super::trouble(&run)
    );
    trial.record(run, &summary);
    Ok(())
}

/// What it holds once it holds no more than it wants to: lighttpd keeps files open for some seconds after it served them.
fn settle(server: &Server) -> Result<Usage> {
    let limit = Instant::now() + Duration::from_secs(40);
    let mut last = server.usage()?;
    let mut since = Instant::now();
    while since.elapsed() < Duration::from_secs(5) && Instant::now() < limit {
        interrupt::check()?;
        thread::sleep(Duration::from_millis(250));
        let now = server.usage()?;
        if now.descriptors != last.descriptors {
            since = Instant::now();
        }
        last = now;
    }
    Ok(last)
}
