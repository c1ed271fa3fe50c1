//! Reports on standard error, and only where `LAIO_LOG` asks for them.
//!
//! The library keeps no descriptor of its own for this. It writes to descriptor 2 by a raw system
//! call, and only where that is a place to report to: a server that has put a connection or a data
//! file there is not written into.

use super::descriptors;
use rustix::fs::{fcntl_getfl, fstat, FileType, OFlags};
use std::io::Write;

/// Starts `env_logger` with this filter.
pub fn start(filter: &str) {
    let logger = env_logger::Builder::new()
        .parse_filters(filter)
        .target(env_logger::Target::Pipe(Box::new(StandardError)))
        .format(|out, record| {
            let pid = rustix::process::getpid();
            writeln!(
                out,
                "liblaio[{pid:?}] {}: {}",
                record.level(),
                record.args()
            )
        })
        .try_init();
    if logger.is_err() {
        complain("liblaio: LAIO_LOG: another logger is installed already\n");
    }
}

/// One line, whatever the log level: a setting that was not understood.
pub fn complain(line: &str) {
    let _ = StandardError.write(line.as_bytes());
}

struct StandardError;

impl Write for StandardError {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // SAFETY: the descriptor is only borrowed for the calls below; if it is closed, or becomes
        // something else meanwhile, they fail or were asked for by the application's own doing.
        let stderr = unsafe { descriptors::borrow(2) };
        let kind = FileType::from_raw_mode(fstat(stderr)?.st_mode);
        let to_report_to = match kind {
            FileType::CharacterDevice | FileType::Fifo => true,
            FileType::RegularFile => {
                fcntl_getfl(stderr)?.contains(OFlags::APPEND) || is_first(stderr)
            }
            _ => false,
        };
        if to_report_to {
            rustix::io::write(stderr, bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Whether standard error is still the file that it was when the library first looked.
fn is_first(stderr: rustix::fd::BorrowedFd<'_>) -> bool {
    static FIRST: once_cell::sync::OnceCell<(u64, u64)> = once_cell::sync::OnceCell::new();
    let Ok(now) = fstat(stderr) else { return false };
    *FIRST.get_or_init(|| (now.st_dev, now.st_ino)) == (now.st_dev, now.st_ino)
}
