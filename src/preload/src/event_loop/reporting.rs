//! File operations of threads that are no event loops: timed, and reported to the loops where they were slow.

use super::current::is_of_a_loop;
use super::elsewhere::{self, path_of, AWAITED, CLOSELY, REPORTS};
use super::operation::{Operation, Subject, LONG};
use super::width::part_of;
use crate::sys::clock::{self, TickRate};
use crate::sys::{errno, handler, status, usage};
use arrayvec::ArrayVec;
use laio_core::paths::{from_here, without_last_slash};
use laio_core::predictions::Depth;
use laio_core::reports::Report;

/// Whether anybody wants to know what a thread that is no loop does.
#[inline]
pub fn is_of_interest() -> bool {
    elsewhere::is_of_interest()
}

/// A thread that is no loop has done something, which took so many ticks. `before` tells how often it had slept, if that was asked.
#[inline]
pub fn operated<'a>(ticks: u64, before: Option<i64>, what: impl FnOnce() -> Option<Operation<'a>>) {
    if elsewhere::is_suspicious(ticks) {
        what().inspect(|operation| consider(*operation, ticks, before));
    } else if AWAITED.is_any() {
        what().inspect(|operation| note(*operation));
    }
}

/// Runs `act` unless this is a signal handler, or a loop's own thread while its state is in use.
fn outside_of_sections(act: impl FnOnce()) {
    let _errno = errno::Guard::new();
    let section = handler::enter();
    if !section.is_inner() && !is_of_a_loop() {
        act();
    }
}

/// Apart, as the two below, so that not all of their rooms for paths lie on the stack at once: it may be small.
#[cold]
#[inline(never)]
fn note(operation: Operation<'_>) {
    let Subject::Path(path, depth) = operation.subject else {
        return;
    };
    outside_of_sections(|| {
        let mut room = ArrayVec::new();
        let path = without_last_slash(from_here(path, &mut room));
        AWAITED.touch(laio_core::hash(path), depth);
    });
}

#[cold]
fn consider(operation: Operation<'_>, ticks: u64, before: Option<i64>) {
    note(operation);
    outside_of_sections(|| {
        let took = TickRate::measure().nanoseconds(ticks);
        if has_waited(operation, took, before) && operation.is_on_file() {
            report(operation, took);
        }
    });
}

/// Whether the thread has waited for a disk. It sleeps between its operations for other reasons, so blocks are believed, and a sleep only
/// if it was in this one.
fn has_waited(operation: Operation<'_>, took: u64, before: Option<i64>) -> bool {
    let since = usage::read_since();
    if let Some(before) = before {
        let is_long = took > LONG && !status::is_traced();
        return since.sleeps > before && (since.blocks || is_long);
    }
    // A file system without a device counts none.
    if !since.blocks && took > LONG && operation.is_opaque() {
        usage::ask_before(CLOSELY);
    }
    since.blocks && !since.faults
}

#[inline(never)]
fn report(operation: Operation<'_>, took: u64) {
    let mut report = Report {
        is_of_data: operation.is_of_data(),
        began: clock::nanoseconds().saturating_sub(took) / 1_000_000,
        ..Report::default()
    };
    let fits = match operation.subject {
        Subject::Path(path, depth) => {
            let mut room = ArrayVec::new();
            let path = without_last_slash(from_here(path, &mut room));
            report.depth = depth;
            report.path.try_extend_from_slice(path).is_ok()
        }
        Subject::Descriptor(fd) if report.is_of_data => {
            report.depth = Depth::Data;
            report.asked = operation.asked.size;
            report.until = part_of(fd, operation.asked).map_or(0, |(part, _)| part.end);
            path_of(fd, &mut report.path)
        }
        _ => false,
    };
    if fits {
        REPORTS.write(&report);
    }
}
