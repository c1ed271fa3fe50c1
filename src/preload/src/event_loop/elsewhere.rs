//! What threads that are no event loops tell the loops of their process, and what these want to know of them.
//!
//! A runtime leaves what may wait to a pool of threads, which is soon full of waiting. Such a thread times its operations as a loop does, but
//! knows of no request. What is slow it reports to all loops ([`super::reporting`]); each lays that beside its own requests
//! ([`super::hearing`]).

use crate::sys::clock::TickRate;
use arrayvec::{ArrayString, ArrayVec};
use laio_core::awaited::Awaited;
use laio_core::paths::MAX_PATH;
use laio_core::reports::Reports;
use rustix::fs::{readlinkat_raw, CWD};
use std::fmt::Write as _;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What was slow.
pub(super) static REPORTS: Reports = Reports::new();

/// What is expected of such threads.
pub(super) static AWAITED: Awaited = Awaited::new();

/// There is no loop: nobody wants to know.
const NOBODY: u64 = u64::MAX;

/// An operation of more ticks may have waited.
static SUSPICIOUS_TICKS: AtomicU64 = AtomicU64::new(NOBODY);

/// After an operation of which the kernel could not say whether it has waited, it is asked before so many of the thread's next ones.
pub(super) const CLOSELY: u64 = 64;

/// A loop begins, to which an operation of so many nanoseconds is suspicious: it hears what is reported from here on.
pub(super) fn begins(suspicious: u64) -> u64 {
    SUSPICIOUS_TICKS.store(TickRate::measure().ticks(suspicious), Relaxed);
    REPORTS.end()
}

/// There is no loop any more.
pub(super) fn is_over() {
    SUSPICIOUS_TICKS.store(NOBODY, Relaxed);
}

/// After a fork: what was reported was the parent's.
pub(super) fn abandon() {
    is_over();
    REPORTS.abandon();
    AWAITED.abandon();
}

/// Whether anybody wants to know what a thread that is no loop does.
#[inline]
pub(super) fn is_of_interest() -> bool {
    SUSPICIOUS_TICKS.load(Relaxed) != NOBODY
}

/// Whether an operation of so many ticks may have waited.
#[inline]
pub(super) fn is_suspicious(ticks: u64) -> bool {
    ticks > SUSPICIOUS_TICKS.load(Relaxed)
}

/// The path by which a file was opened, where it still has that.
#[inline(never)]
pub(super) fn path_of(fd: i32, into: &mut ArrayVec<u8, MAX_PATH>) -> bool {
    const GONE: &[u8] = b" (deleted)";
    let mut link = ArrayString::<32>::new();
    let mut room = [MaybeUninit::uninit(); MAX_PATH];
    let _ = write!(link, "/proc/self/fd/{fd}");
    let Ok((path, rest)) = readlinkat_raw(CWD, link.as_str(), &mut room[..]) else {
        return false;
    };
    let is_whole = !rest.is_empty() && path.starts_with(b"/") && !path.ends_with(GONE);
    is_whole && into.try_extend_from_slice(path).is_ok()
}
