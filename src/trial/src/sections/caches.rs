//! A server that caches another one's answers: they are cached once, and are on the disk from then on.

use anyhow::{ensure, Result};

use super::{ask, COLD_CONNECTIONS};
use crate::disks::Disk;
use crate::plan::{Configuration, Program, Variant};
use crate::trial::Trial;

/// Has all answers cached, unless they are.
pub fn fill(trial: &mut Trial, disk: &Disk) -> Result<()> {
    if disk.docroot().with_file_name("cache").exists() {
        return Ok(());
    }
    trial.say_what("filling the cache");
    // Many, for the files that are asked for may be cold.
    let filler = Configuration::new(Program::NginxCache, Variant::Workers16);
    let server = trial.start(filler.server(1), disk)?;
    for set in [&disk.sets.hot, &disk.sets.cold] {
        let filled = ask(&server, COLD_CONNECTIONS, set, &set.shuffled(), None)?;
        ensure!(
            filled.completed == u64::from(set.len()),
            "{} of {} answers were cached",
            filled.completed,
            set.len()
        );
    }
    server.stop()?;
    Ok(())
}
