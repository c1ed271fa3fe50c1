//! What `cold` and `mixed` measure, for other servers than lighttpd and nginx. The runs are recorded as runs of those sections:
//! what a figure means does not depend on the server.

use anyhow::Result;

use super::{cold, mixed};
use crate::disks::Disk;
use crate::plan::{Section, Variant};
use crate::trial::Trial;

/// All rounds.
pub fn run(trial: &mut Trial, disk: &Disk) -> Result<()> {
    for round in 0..trial.options.rounds(Section::Servers) {
        for configuration in trial.order(Section::Servers, round) {
            for part in parts(configuration.variant) {
                trial.announce(*part, configuration, round);
                let ran = match part {
                    Section::Mixed => mixed::run_one(trial, *part, disk, configuration, round),
                    _ => cold::run_one(trial, *part, disk, configuration, round),
                };
                trial.outlive(*part, Some(configuration), round, ran)?;
            }
        }
    }
    Ok(())
}

/// The sections that a variant has a part in. Beside cold traffic a stock server's cached clients wait as the cold ones do,
/// and the floor has no cold traffic of its own.
pub fn parts(variant: Variant) -> &'static [Section] {
    match variant {
        Variant::Laio => &[Section::Cold, Section::Mixed],
        Variant::Floor => &[Section::Mixed],
        _ => &[Section::Cold],
    }
}
