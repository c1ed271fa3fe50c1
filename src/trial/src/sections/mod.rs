//! The sections of the trial. Each takes turns through its configurations in every round and records a run of each.

pub mod bodies;
pub mod cold;
pub mod cpu;
pub mod faults;
pub mod flat;
pub mod mixed;
pub mod servers;
pub mod syscalls;

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;

use crate::files::FileSet;
use crate::load::{self, Closed, Load, Outcome, Request};
use crate::results::{figure, Run};
use crate::servers::Server;

/// Connections that ask for files that were never read.
pub const COLD_CONNECTIONS: usize = 64;

/// Cold requests before the counting of stalls begins: what the library learns from.
pub const LEARNING: u32 = 10;

/// Longer than anything that a working server takes, stock and on the slow disk included.
const PATIENCE: Duration = Duration::from_secs(30);

/// A load of `connections` on `server`.
pub fn load_on<'a>(server: &Server, connections: usize, set: &'a FileSet) -> Load<'a> {
    Load {
        address: server.address(),
        connections,
        set,
        patience: PATIENCE,
    }
}

/// Asks for all `files` in a closed loop, as long as there is time.
pub fn ask(
    server: &Server,
    connections: usize,
    set: &FileSet,
    files: &[u32],
    limit: Option<Duration>,
) -> Result<Outcome> {
    let requests = files.iter().map(|file| Request::whole(*file));
    load::run(
        &load_on(server, connections, set),
        &mut Closed::new(requests, limit),
    )
}

/// What went wrong in a run, for its line on the terminal; empty if nothing did.
pub fn trouble(run: &Run) -> String {
    let mut text = String::new();
    if let Some(stalls) = run.figures.get(figure::STALLS) {
        let _ = write!(text, ", {stalls:.1} stalls per 1000");
    }
    for (how, count) in &run.failures {
        let _ = write!(text, ", FAILED {count}: {how}");
    }
    if let Some(first) = run.complaints.first() {
        let _ = write!(
            text,
            ", {} complaints in its log: {first}",
            run.complaints.len()
        );
    }
    text
}
