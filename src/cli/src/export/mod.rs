//! The counters for monitoring: as OpenMetrics text, on the standard output, in a file, or on a loopback port.

mod metrics;
mod observed;
mod serve;

use crate::files;
use crate::process::select;
use anyhow::{Context, Result};
use observed::Observed;
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
            select(wanted)?.complain()?;
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

/// A collector may read it at any moment.
fn write(path: &Path, text: &str) -> Result<()> {
    files::replace(path, |file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}
