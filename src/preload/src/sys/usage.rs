//! What a thread has waited for, by the kernel's count.

use super::local::{place, Local};
use super::{errno, refusals};
use rustix::io::Errno;
use std::cell::Cell;

/// How often this thread has slept for a lock.
static SLEPT_FOR_LOCKS: Local<Cell<i64>> = Local::at(place::SLEPT);

/// This thread has gone to sleep so often because another one held a lock of ours. An event loop that
/// looks for operations that slept must not take these sleeps for theirs.
pub fn slept_for_lock(times: i64) {
    SLEPT_FOR_LOCKS.set(SLEPT_FOR_LOCKS.get() + times);
}

/// What the kernel has counted for this thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// How often it went to sleep of its own accord, but for a lock of ours.
    pub sleeps: i64,
    /// How many blocks it read from a device.
    pub blocks: i64,
    /// How many page faults have read some of them.
    pub faults: i64,
    /// Nanoseconds of a processor, as of its last tick or sleep.
    pub worked: u64,
}

impl Usage {
    /// What was counted since `before`.
    pub fn since(self, before: Usage) -> Usage {
        Usage {
            sleeps: self.sleeps - before.sleeps,
            blocks: self.blocks - before.blocks,
            faults: self.faults - before.faults,
            worked: self.worked.saturating_sub(before.worked),
        }
    }
}

/// Asks the kernel for this thread's [`Usage`].
pub fn usage() -> Usage {
    let usage = kernels_usage();
    Usage {
        sleeps: usage.ru_nvcsw - SLEPT_FOR_LOCKS.get(),
        blocks: usage.ru_inblock,
        faults: usage.ru_majflt,
        worked: nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime),
    }
}

fn nanoseconds(time: libc::timeval) -> u64 {
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_usec.unsigned_abs() * 1000
}

/// How often this thread went to sleep of its own accord, for whatever reason.
pub fn sleeps() -> i64 {
    kernels_usage().ru_nvcsw
}

/// What the kernel has counted for a thread that is no event loop since it was last asked so.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    /// How often it has slept since it began.
    pub sleeps: i64,
    /// Whether it has read any blocks.
    pub blocks: bool,
    /// Whether page faults have read some.
    pub faults: bool,
}

/// The blocks and faults that were counted when that was last asked: half of the number each.
static COUNTED: Local<Cell<u64>> = Local::at(place::COUNTED);

/// Asks for it.
pub fn read_since() -> Read {
    let now = usage();
    let [blocks, faults] = [now.blocks, now.faults].map(|count| count as u32);
    let before = COUNTED.get();
    COUNTED.set(u64::from(faults) << 32 | u64::from(blocks));
    Read {
        sleeps: now.sleeps,
        blocks: blocks != before as u32,
        faults: faults != (before >> 32) as u32,
    }
}

/// Of so many operations of this thread the kernel is asked before them as well.
static ASKED: Local<Cell<u64>> = Local::at(place::ASKED);

/// What the kernel counts between two operations does not tell them apart: it is asked before the next ones as well.
pub fn ask_before(operations: u64) {
    ASKED.set(operations);
}

/// How often this thread has slept, where that is asked before an operation.
#[inline]
pub fn sleeps_before() -> Option<i64> {
    let left = ASKED.get();
    if left == 0 {
        return None;
    }
    ASKED.set(left - 1);
    Some(usage().sleeps)
}

fn kernels_usage() -> libc::rusage {
    // It is asked behind calls of the application's as well, whose error stands.
    let _errno = errno::Guard::new();
    let mut usage = core::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to a rusage that this function owns; all zeroes is a valid one.
    unsafe {
        if libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) != 0 {
            refusals::GETRUSAGE.failed(Errno::from_raw_os_error(errno::get()));
        }
        usage.assume_init()
    }
}
