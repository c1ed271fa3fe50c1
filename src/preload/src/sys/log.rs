//! Reports on standard error, and only where `LAIO_LOG` asks for them.
//!
//! The library keeps no descriptor of its own for this. It writes to descriptor 2 by a raw system
//! call, and only where that is a place to report to: a server that has put a connection or a data
//! file there is not written into.
//!
//! A line is made on the stack and written at once: there is no lock that a child could inherit locked, and no
//! memory is asked for.

use super::descriptors;
use env_filter::Filter;
use log::{Log, Metadata, Record};
use rustix::fs::{fcntl_getfl, fstat, FileType, OFlags};
use std::fmt::Write;

/// Reports what this filter lets through.
pub fn start(filter: &str) {
    let mut builder = env_filter::Builder::new();
    if let Err(error) = builder.try_parse(filter) {
        complain(&format!("liblaio: LAIO_LOG: {error}\n"));
    }
    let filter = builder.build();
    let most = filter.filter();
    // It is there until the process ends.
    if log::set_logger(Box::leak(Box::new(Logger(filter)))).is_ok() {
        log::set_max_level(most);
    }
}

struct Logger(Filter);

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.0.matches(record) {
            return;
        }
        let (pid, level) = (super::process::pid(), record.level());
        let mut line = Line::default();
        // What does not fit is left out.
        let _ = write!(line, "liblaio[{pid}] {level}: {}", record.args());
        report(line.ended());
    }

    fn flush(&self) {}
}

/// The most that is said at once. More would not be written in one piece to a pipe.
const LINE: usize = 1024;

struct Line {
    bytes: [u8; LINE],
    length: usize,
}

impl Default for Line {
    fn default() -> Line {
        let bytes = [0; LINE];
        Line { bytes, length: 0 }
    }
}

impl Line {
    /// With a line break, in the place of the last byte where there is no room.
    fn ended(&mut self) -> &[u8] {
        let end = self.length.min(LINE - 1);
        if let Some(last) = self.bytes.get_mut(end) {
            *last = b'\n';
        }
        self.bytes.get(..=end).unwrap_or_default()
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let room = self.bytes.get_mut(self.length..).unwrap_or_default();
        let count = room.len().min(text.len());
        for (place, byte) in room.iter_mut().zip(text.bytes()) {
            *place = byte;
        }
        self.length += count;
        if count == text.len() {
            Ok(())
        } else {
            Err(std::fmt::Error)
        }
    }
}

/// One line, whatever the log level: a setting that was not understood, a call that is refused.
pub fn complain(line: &str) {
    report(line.as_bytes());
}

/// The library contradicts itself: says so, and ends the process.
#[cfg(debug_assertions)]
#[cold]
pub fn fail(what: std::fmt::Arguments<'_>) -> ! {
    let mut line = Line::default();
    let _ = write!(line, "liblaio: {what}");
    report(line.ended());
    std::process::abort();
}

/// Writes a line, if descriptor 2 is a place for it.
fn report(line: &[u8]) {
    let _ = try_to_report(line);
}

fn try_to_report(line: &[u8]) -> Result<(), rustix::io::Errno> {
    // SAFETY: the descriptor is only borrowed for the calls below; if it is closed, or becomes
    // something else meanwhile, they fail or were asked for by the application's own doing.
    let stderr = unsafe { descriptors::borrow(2) };
    let kind = FileType::from_raw_mode(fstat(stderr)?.st_mode);
    let to_report_to = match kind {
        FileType::CharacterDevice | FileType::Fifo => true,
        FileType::RegularFile => {
            let appends = |flags: OFlags| flags.contains(OFlags::APPEND);
            fcntl_getfl(stderr).is_ok_and(appends) || is_first(stderr)
        }
        _ => false,
    };
    if to_report_to {
        rustix::io::write(stderr, line)?;
    }
    Ok(())
}

/// Whether standard error is still the file that it was when the library first looked.
fn is_first(stderr: rustix::fd::BorrowedFd<'_>) -> bool {
    static FIRST: std::sync::OnceLock<(u64, u64)> = std::sync::OnceLock::new();
    let Ok(now) = fstat(stderr) else { return false };
    *FIRST.get_or_init(|| (now.st_dev, now.st_ino)) == (now.st_dev, now.st_ino)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Without it, a long path could end a process by a panic, or run two lines into one.
    #[test]
    fn a_line_ends_however_long_it_is() {
        let mut short = Line::default();
        write!(short, "{} two", 1).unwrap();
        assert_eq!(short.ended(), b"1 two\n");
        let mut long = Line::default();
        assert!(write!(long, "{}", "x".repeat(2 * LINE)).is_err());
        assert_eq!(long.ended().len(), LINE);
        assert_eq!(long.ended().last(), Some(&b'\n'));
    }
}
