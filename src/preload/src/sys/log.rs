//! Reports on standard error, and only where `LAIO_LOG` asks for them.
//!
//! The library keeps no descriptor of its own for this. It writes to descriptor 2 by a raw system
//! call, and only where that is a place to report to: a server that has put a connection or a data
//! file there is not written into. A line that nobody takes at once is left out: a program that does not
//! write there itself does not wait for its reader, and is not ended because there is none.
//!
//! A line is made on the stack and written at once: there is no lock that a child could inherit locked, and no
//! memory is asked for.

use super::{clock, descriptors};
use env_filter::Filter;
use log::{LevelFilter, Log, Metadata, Record};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::fs::{fcntl_getfl, fstat, FileType, OFlags, Stat};
use rustix::net::{send, SendFlags};
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::OnceLock;
use std::time::SystemTime;

/// `LAIO_LOG=off`: not even complaints.
static IS_SILENT: AtomicBool = AtomicBool::new(false);

/// The socket of systemd's journal, where standard error was one when the program started: device and inode.
static JOURNAL: OnceLock<(u64, u64)> = OnceLock::new();

/// Notes the variable `JOURNAL_STREAM` of `systemd.exec`(5).
pub fn remember_journal(stream: &str) {
    let numbers = stream.split_once(':');
    let number = |text: &str| text.parse().ok();
    if let Some((device, inode)) = numbers.and_then(|(d, i)| Some((number(d)?, number(i)?))) {
        let _ = JOURNAL.set((device, inode));
    }
}

/// Reports what this filter lets through.
pub fn start(filter: &str) {
    let mut builder = env_filter::Builder::new();
    if let Err(error) = builder.try_parse(filter) {
        complain(&format!("liblaio: LAIO_LOG: {error}\n"));
    }
    let filter = builder.build();
    let most = filter.filter();
    IS_SILENT.store(most == LevelFilter::Off, Relaxed);
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
        let now = humantime::format_rfc3339_millis(SystemTime::now());
        let mut line = Line::default();
        // What does not fit is left out.
        let _ = write!(line, "liblaio[{pid}] {now} {level}: {}", record.args());
        report(line.ended());
    }

    fn flush(&self) {}
}

/// Lines that come at most once a second.
#[derive(Debug, Default)]
pub struct Sparing {
    next: AtomicU64,
    left_out: AtomicU64,
}

impl Sparing {
    /// None was written.
    pub const fn new() -> Sparing {
        Sparing {
            next: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
        }
    }

    /// Whether a line may be written now; then, how many were left out since the last one.
    pub fn take(&self) -> Option<u64> {
        self.take_at(clock::milliseconds())
    }

    fn take_at(&self, now: u64) -> Option<u64> {
        let is_due = |next: u64| (next <= now).then_some(now + 1000);
        if self.next.fetch_update(Relaxed, Relaxed, is_due).is_err() {
            self.left_out.fetch_add(1, Relaxed);
            return None;
        }
        Some(self.left_out.swap(0, Relaxed))
    }
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

/// One line, whatever the log level but `off`: a setting that was not understood, a call that is refused.
pub fn complain(line: &str) {
    if !IS_SILENT.load(Relaxed) {
        report(line.as_bytes());
    }
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
    let status = fstat(stderr)?;
    match FileType::from_raw_mode(status.st_mode) {
        FileType::CharacterDevice | FileType::Fifo if takes_a_line(stderr) => {
            rustix::io::write(stderr, line)?;
        }
        FileType::Socket if JOURNAL.get() == Some(&identity(&status)) => {
            send(stderr, line, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?;
        }
        FileType::RegularFile => {
            let appends = |flags: OFlags| flags.contains(OFlags::APPEND);
            if fcntl_getfl(stderr).is_ok_and(appends) || is_first(&status) {
                rustix::io::write(stderr, line)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Whether there is room for a line, and a reader. A pipe that is writable has room for 4 KiB.
fn takes_a_line(stderr: rustix::fd::BorrowedFd<'_>) -> bool {
    let mut wanted = [PollFd::from_borrowed_fd(stderr, PollFlags::OUT)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    match poll(&mut wanted, Some(&at_once)) {
        Ok(_) => wanted[0].revents() == PollFlags::OUT,
        // Where a sandbox refuses the question, the line may be about that.
        Err(_) => true,
    }
}

fn identity(status: &Stat) -> (u64, u64) {
    (status.st_dev, status.st_ino)
}

/// Whether standard error is still the file that it was when the library first looked.
fn is_first(status: &Stat) -> bool {
    static FIRST: OnceLock<(u64, u64)> = OnceLock::new();
    *FIRST.get_or_init(|| identity(status)) == identity(status)
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

    #[test]
    fn a_line_a_second_and_the_others_are_counted() {
        let sparing = Sparing::new();
        let taken = [5000, 5000, 5999, 6000, 6500, 9000].map(|now| sparing.take_at(now));
        assert_eq!(taken, [Some(0), None, None, Some(2), None, Some(1)]);
    }
}
