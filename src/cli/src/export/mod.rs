//! The counters for monitoring: as OpenMetrics text, on the standard output, in a file, or on a loopback port.

mod metrics;
mod serve;

use crate::process::{select, Attached, Kernel};
use anyhow::{Context, Result};
use laio_core::stats::Snapshot;
use std::collections::BTreeMap;
use std::fs::{remove_file, rename, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

/// Where the numbers go.
#[derive(Debug)]
pub enum Destination {
    /// The standard output, once.
    Output,
    /// A file, which is replaced as a whole; again and again where a time is told.
    File(PathBuf, Option<Duration>),
    /// Whoever asks at this address.
    Port(SocketAddr),
}

/// Exports what the processes have counted.
pub fn export(wanted: &[String], destination: Destination) -> Result<u8> {
    let mut observed = Observed::new(wanted);
    match destination {
        Destination::Output => {
            let chosen = select(wanted)?;
            chosen.complain()?;
            crate::print(observed.text()?)?;
        }
        Destination::File(path, every) => loop {
            write(&path, &observed.text()?)?;
            match every {
                Some(every) => sleep(every),
                None => break,
            }
        },
        Destination::Port(address) => serve::serve(address, &mut observed)?,
    }
    Ok(0)
}

/// A process as it is exported.
#[derive(Debug)]
pub struct Exported {
    kernel: Kernel,
    program: String,
    snapshot: Snapshot,
}

/// The processes that are looked at: they come and go.
#[derive(Debug)]
pub struct Observed<'w> {
    wanted: &'w [String],
    attached: BTreeMap<u32, Attached>,
}

impl<'w> Observed<'w> {
    fn new(wanted: &'w [String]) -> Observed<'w> {
        Observed {
            wanted,
            attached: BTreeMap::new(),
        }
    }

    /// Their counters now; none where there are no such processes.
    pub fn text(&mut self) -> Result<String> {
        let found = select(self.wanted).map_or_else(|_| Vec::new(), |chosen| chosen.attached);
        self.attached = found
            .into_iter()
            .map(|attached| (attached.kernel.0, attached))
            .collect();
        let each = self.attached.values().filter_map(|attached| {
            Some(Exported {
                kernel: attached.kernel,
                program: attached.program.clone(),
                snapshot: attached.read()?,
            })
        });
        metrics::text(each.collect())
    }
}

/// Replaces a file as a whole: a collector may read it at any moment.
fn write(path: &Path, text: &str) -> Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(name);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&beside)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| rename(&beside, path));
    written
        .inspect_err(|_| drop(remove_file(&beside)))
        .with_context(|| format!("cannot write {}", path.display()))
}
