//! Time and what a thread has waited for.

use rustix::time::{clock_gettime, ClockId, Timespec};

/// Nanoseconds of the monotonic clock.
#[inline]
pub fn nanoseconds() -> u64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Monotonic);
    tv_sec as u64 * 1_000_000_000 + tv_nsec as u64
}

/// Milliseconds of the monotonic clock, a timer tick coarse, at a quarter of the price.
#[inline]
pub fn milliseconds() -> u64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::MonotonicCoarse);
    tv_sec as u64 * 1000 + tv_nsec as u64 / 1_000_000
}

/// What the kernel has counted for this thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// How often it went to sleep of its own accord.
    pub sleeps: i64,
    /// How many blocks it read from a device.
    pub blocks: i64,
}

/// Asks the kernel for this thread's [`Usage`].
pub fn usage() -> Usage {
    let mut usage = core::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to a rusage that this function owns; all zeroes is a valid one.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
        usage.assume_init()
    };
    Usage { sleeps: usage.ru_nvcsw, blocks: usage.ru_inblock }
}
