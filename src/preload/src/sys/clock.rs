//! Time.

use rustix::time::{clock_gettime, ClockId, Timespec};
use std::sync::OnceLock;

/// Nanoseconds of the monotonic clock.
#[inline]
pub fn nanoseconds() -> u64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Monotonic);
    tv_sec as u64 * 1_000_000_000 + tv_nsec as u64
}

/// Nanoseconds of a processor that this thread has had.
pub fn thread_nanoseconds() -> u64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::ThreadCPUTime);
    tv_sec as u64 * 1_000_000_000 + tv_nsec as u64
}

/// A counter that is cheaper to read than any clock: the processor's own, where it has one.
///
/// Only good for telling a short call from a long one. Where processors disagree about it, a short
/// call may look long, and is then asked about in earnest.
#[inline]
pub fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has this instruction, and it touches no memory.
    return unsafe { core::arch::x86_64::_rdtsc() };
    #[cfg(not(target_arch = "x86_64"))]
    nanoseconds()
}

/// How long a tick is, found by comparing with a real clock since start-up.
#[derive(Clone, Copy, Debug)]
pub struct TickRate {
    ticks_per_microsecond: u64,
}

/// A moment by both clocks.
static FIRST: OnceLock<(u64, u64)> = OnceLock::new();

impl TickRate {
    /// Notes the first moment, at start-up.
    pub fn begin() {
        let _ = FIRST.set((ticks(), nanoseconds()));
    }

    /// The rate between start-up and now.
    pub fn measure() -> TickRate {
        let &(first_tick, first) = FIRST.get_or_init(|| (ticks(), nanoseconds()));
        let microseconds = nanoseconds().saturating_sub(first) / 1000;
        let rate = ticks().saturating_sub(first_tick).checked_div(microseconds);
        TickRate {
            ticks_per_microsecond: rate.unwrap_or(1000).max(1),
        }
    }

    /// Ticks in so many nanoseconds.
    pub fn ticks(self, nanoseconds: u64) -> u64 {
        nanoseconds * self.ticks_per_microsecond / 1000
    }

    /// Nanoseconds in so many ticks.
    pub fn nanoseconds(self, ticks: u64) -> u64 {
        ticks.saturating_mul(1000) / self.ticks_per_microsecond
    }
}

/// Milliseconds of the monotonic clock, a timer tick coarse, at a quarter of the price.
#[inline]
pub fn milliseconds() -> u64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::MonotonicCoarse);
    tv_sec as u64 * 1000 + tv_nsec as u64 / 1_000_000
}

/// Sleeps for so long, or less. By a raw call: that of the standard library panics where a filter refuses it, and that
/// of the C library is a point where threads are cancelled.
pub fn pause(time: std::time::Duration) {
    let time = Timespec {
        tv_sec: time.as_secs().cast_signed(),
        tv_nsec: time.subsec_nanos().into(),
    };
    let _ = rustix::thread::nanosleep(&time);
}
