//! What to observe, and how to show it.

use anyhow::{bail, Result};
use laio_core::config::Unit;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// What to observe, and how to show it.
#[derive(Debug, Default)]
pub struct Observe {
    /// The library, where it is named.
    pub library: Option<PathBuf>,
    /// How long to observe a program that is started; to its end otherwise.
    pub time: Option<Duration>,
    /// How long to observe processes that run.
    pub report: Option<Duration>,
    /// As JSON.
    pub json: bool,
    /// As folded stacks.
    pub folded: bool,
    /// A page to write beside that.
    pub html: Option<PathBuf>,
    /// The program and its arguments, or the processes.
    pub words: Vec<OsString>,
}

/// Reads a time as it is written in settings; without a unit it is in seconds.
pub fn time(text: &str) -> Result<Duration> {
    let seconds = text.parse().ok().map(Duration::from_secs);
    let time = seconds.or_else(|| Unit::Milliseconds.parse(text).map(Duration::from_millis));
    match time {
        Some(time) if !time.is_zero() => Ok(time),
        _ => bail!("it takes a time such as 30s or 10m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_seconds_unless_they_say_so() {
        let read = |text| time(text).ok().map(|time| time.as_millis());
        assert_eq!(
            ["30", "30s", "2m", "500ms"].map(read),
            [30_000, 30_000, 120_000, 500].map(Some)
        );
        assert_eq!(["0", "", "x", "-1"].map(read), [None; 4]);
    }
}
