//! Timers of servers.

use crate::report::Report;

/// How long the library holds a request back at most, by default: shorter timers of a server end that.
const LONGEST_HOLD: u64 = 50;

/// A timer that ends before the library lets a request through.
pub fn short_timer(report: &mut Report, name: &str, seconds: u64) {
    if seconds > 0 && seconds < LONGEST_HOLD {
        report.note(format!(
            "{name} is {seconds} s: a request that is held back for longer is let through then, and the \
             server waits for the disk"
        ));
    }
}
