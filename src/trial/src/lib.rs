//! Drives real servers over cold files and says what came of it. Two programs are made of it:
//!
//! - `laio-trial` (`scripts/trial`): servers as they are, stock and with liblaio preloaded;
//! - `laio-paper` (`scripts/paper`): what the paper on LAIO measured, repeated on this machine. All that is only its own is in
//!   the module `paper`.
//!
//! The scripts install what is needed, build and start them.

mod browser;
mod client_program;
mod disks;
mod files;
mod interrupt;
mod load;
mod machine;
mod opaque;
mod options;
mod paper;
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

/// The program `laio-trial`.
pub fn trial() -> ExitCode {
    status("laio-trial", run_trial())
}

/// The program `laio-paper`.
pub fn paper() -> ExitCode {
    status("laio-paper", paper::run())
}

fn status(program: &str, result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not by returning it: that would print where in the program, which nobody who runs it wants to know.
            eprintln!("{program}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_trial() -> Result<()> {
    let options = options::Options::parse();
    if let Some(mount_point) = &options.serve {
        return opaque::serve(mount_point, &options);
    }
    interrupt::install()?;
    let out = tools::out(options.out.as_deref(), "trial")?;
    let mut trial = trial::Trial::new(options)?;
    trial.run()?;
    report::write(&trial, &out)?;
    match trial.results.failed.len() {
        0 => Ok(()),
        1 => bail!("a run failed: see the notes"),
        failed => bail!("{failed} runs failed: see the notes"),
    }
}
