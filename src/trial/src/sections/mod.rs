//! The sections of the trial. Each takes turns through its configurations in every round and records a run of each.

pub mod bodies;
pub mod caches;
pub mod cold;
pub mod cpu;
pub mod faults;
pub mod flat;
pub mod http2;
pub mod mixed;
pub mod own;
pub mod page;
pub mod syscalls;

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;

use crate::files::FileSet;
use crate::load::{self, Closed, Load, Outcome, Request};
use crate::plan::Section;
use crate::results::{figure, Run};
use crate::servers::{Server, Tools};

/// Connections that ask for files that were never read; over HTTP/2, where each has some requests at a time, these requests.
pub const COLD_CONNECTIONS: usize = 64;

/// Cold requests before the counting of stalls begins: what the library learns from.
pub const LEARNING: u32 = 10;

/// A load of `connections` on `server`.
pub fn load_on<'a>(server: &'a Server, connections: usize, set: &'a FileSet) -> Load<'a> {
    Load {
        address: server.address(),
        transport: server.transport(),
        connections,
        takes_gzip: server.codes(),
        set,
        patience: load::PATIENCE,
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

/// The same by the protocol that the server was started for.
pub fn ask_by_protocol(
    server: &Server,
    connections: usize,
    set: &FileSet,
    files: &[u32],
) -> Result<Outcome> {
    match server.scheme().is_http2() {
        true => http2::ask(server, connections, 1, set, files),
        false => ask(server, connections, set, files, None),
    }
}

/// Asks for files that were never read for a time, with many requests at once, by the protocol that the server was started for.
pub fn ask_cold(
    tools: &Tools,
    server: &Server,
    connections: usize,
    set: &FileSet,
    files: &[u32],
    limit: Duration,
) -> Result<Outcome> {
    match server.scheme().is_http2() {
        true => http2::ask_cold(tools, server, connections, set, files, limit),
        false => ask(server, connections, set, files, Some(limit)),
    }
}

/// Worker processes of a server: on a disk that is fast, one is limited by its core, and there a contender gets all of them.
pub fn workers(section: Section) -> u32 {
    match section {
        Section::Local | Section::BodiesLocal => {
            std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32)
        }
        _ => 1,
    }
}

/// Lets each worker of a server learn for itself, and returns the files that are left to ask for.
pub fn learn(server: &Server, set: &FileSet, workers: u32) -> Result<(Outcome, Vec<u32>)> {
    let (learning, files) = set.split(LEARNING * workers);
    let connections = match workers {
        1 => 1,
        _ => 4 * workers as usize,
    };
    Ok((ask_by_protocol(server, connections, set, &learning)?, files))
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
