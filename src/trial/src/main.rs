//! The trial: drives real servers over cold files, stock and with liblaio preloaded, and prints one table.
//!
//! `scripts/trial` installs what it needs, builds it and starts it.

mod disks;
mod files;
mod interrupt;
mod load;
mod opaque;
mod options;
mod plan;
mod progress;
mod report;
mod results;
mod sections;
mod servers;
mod shuffle;
mod tools;
mod trial;

use std::process::ExitCode;

use anyhow::{bail, Result};
use clap::Parser;

use options::Options;
use trial::Trial;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not by returning it: that would print where in the trial, which nobody who runs it wants to know.
            eprintln!("laio-trial: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let options = Options::parse();
    if let Some(mount_point) = &options.serve {
        return opaque::serve(mount_point, &options);
    }
    interrupt::install()?;
    let out = tools::out(&options)?;
    let mut trial = Trial::new(options)?;
    trial.run()?;
    report::write(&trial, &out)?;
    match trial.results.failed.len() {
        0 => Ok(()),
        1 => bail!("a run failed: see the notes"),
        failed => bail!("{failed} runs failed: see the notes"),
    }
}
