//! What `/proc` tells of this thread and its process.

use rustix::fs::{open, Mode, OFlags};

/// A number in the status of this thread; nothing without `/proc`.
pub fn number(field: &str) -> Option<u32> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = open("/proc/thread-self/status", flags, Mode::empty()).ok()?;
    let mut bytes = [0; 1024];
    let length = rustix::io::read(&file, &mut bytes).ok()?;
    let status = String::from_utf8_lossy(bytes.get(..length)?);
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().parse().ok()
}

/// Whether a debugger is attached to this thread.
pub fn is_traced() -> bool {
    number("TracerPid:").is_some_and(|tracer| tracer != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_has_numbers() {
        assert!(number("FDSize:").is_some_and(|size| size > 0));
        assert!(number("NoSuchField:").is_none() && !is_traced());
    }
}
