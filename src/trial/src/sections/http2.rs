//! What the sections ask of a server over HTTP/2.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::disks::is_root;
use crate::files::FileSet;
use crate::load::{h2load, http2, Load, Outcome, PATIENCE};
use crate::plan::{Part, Section};
use crate::servers::{Server, Tools};

/// Requests at a time on a connection that asks for small files.
pub const STREAMS: usize = 4;

/// Large files that are asked for at once on a connection.
pub const BODIES: u32 = 6;

/// Connections that ask for them, one after the other.
pub const BODY_CONNECTIONS: u32 = 6;

/// Files that were never read and are asked for at once with a cached one, before it.
pub const BEFORE: u32 = 7;

/// What a part needs and is not here.
pub fn missing(part: Part, tools: &Tools) -> Option<&'static str> {
    let over_http2 = part.of == Section::Http2;
    match part.section {
        Section::Cold | Section::ColdClear | Section::Mixed if over_http2 => {
            tools.h2load.is_none().then_some("h2load")
        }
        // Without it the page would not be cold.
        Section::Page if !is_root() => Some("slow disk"),
        Section::Page => tools.chromium.is_none().then_some("Chromium"),
        _ => None,
    }
}

/// A load of HTTP/2.
pub fn load_on<'a>(server: &'a Server, connections: usize, set: &'a FileSet) -> Load<'a> {
    Load {
        address: server.address(),
        transport: server.http2_transport(),
        connections,
        takes_gzip: false,
        set,
        patience: PATIENCE,
    }
}

/// Asks for all `files`, `streams` at a time on each of the connections.
pub fn ask(
    server: &Server,
    connections: usize,
    streams: usize,
    set: &FileSet,
    files: &[u32],
) -> Result<Outcome> {
    http2::closed(&load_on(server, connections, set), streams, files)
}

/// Asks for `files` for a time, as many at once as `requests`.
pub fn ask_cold(
    tools: &Tools,
    server: &Server,
    requests: usize,
    set: &FileSet,
    files: &[u32],
    limit: Duration,
) -> Result<Outcome> {
    let h2load = tools.h2load.as_deref().context("there is no h2load")?;
    let load = load_on(server, requests / STREAMS, set);
    h2load::run(h2load, &load, STREAMS, files, limit)
}

/// Asks for large `files`, some at once on a connection, one connection after the other.
pub fn ask_bodies(server: &Server, set: &FileSet, files: &[u32]) -> Result<Outcome> {
    let mut all = Outcome::default();
    let each = files.chunks(BODIES as usize);
    for bodies in each.take(BODY_CONNECTIONS as usize) {
        all.append(&ask(server, 1, bodies.len(), set, bodies)?)?;
    }
    Ok(all)
}
