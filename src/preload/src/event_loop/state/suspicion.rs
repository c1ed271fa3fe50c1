//! Whether an operation of this thread may have waited for a disk, and whether it has.

use crate::sys::clock::{self, TickRate};
use crate::sys::status;
use crate::sys::usage::{usage, Usage};
use crate::threads::registry;

/// An operation that took longer than these nanoseconds may have waited for a disk.
pub const SUSPICIOUS: u64 = 30_000;

/// The most to which that rises: a slow disk stays above it.
const MOST_SUSPICIOUS: u64 = 16_000_000;

/// So many milliseconds after it was set back to [`SUSPICIOUS`], it is again.
const RAISED: u64 = 1000;

/// So many milliseconds after a call that may have slept, the kernel is asked at the beginning of each iteration.
const CLOSE: u64 = 1000;

/// An iteration that has lasted so many nanoseconds is long for those who wait for the next one.
const LONG_ITERATION: u64 = 1_000_000;

/// No iteration of a server lasts so many nanoseconds.
const UNLIKELY_ITERATION: u64 = 1_000_000_000;

/// What is known of this thread's time, and of its sleeps.
#[derive(Debug)]
pub struct Suspicion {
    tick_rate: TickRate,
    /// Ticks after which an operation is suspected.
    threshold: u64,
    /// When that is set back, in milliseconds.
    raised_until: u64,
    /// The tick at which this iteration began, where requests were looked at then.
    began: u64,
    /// What the kernel had counted when last asked.
    baseline: Usage,
    /// Waits since then, each of which may have been a sleep.
    waits: i64,
    /// That was at the beginning of this iteration.
    is_fresh: bool,
    /// Until when that is so of each, in milliseconds.
    close_until: u64,
    /// Until when a debugger is taken to stop the thread at its calls.
    traced_until: u64,
    /// Until when the program is taken to have other threads.
    company_until: u64,
}

/// What the kernel has counted since it was last asked.
#[derive(Clone, Copy, Debug)]
pub struct Since {
    /// That was at the beginning of this iteration.
    pub is_fresh: bool,
    /// The thread has slept, and not in a wait.
    pub slept: bool,
    /// Blocks were read for it.
    pub read_blocks: bool,
    /// Some of them for page faults, or all.
    pub faulted: bool,
    /// All that it has counted.
    pub counted: Usage,
}

impl Suspicion {
    /// Nothing is suspected before now.
    pub fn new(now: u64) -> Suspicion {
        let tick_rate = TickRate::measure();
        Suspicion {
            tick_rate,
            threshold: tick_rate.ticks(SUSPICIOUS),
            raised_until: now,
            began: 0,
            baseline: usage(),
            waits: 0,
            is_fresh: false,
            close_until: 0,
            traced_until: 0,
            company_until: 0,
        }
    }

    /// Whether an operation of so many ticks may have waited for a disk.
    #[inline]
    pub fn is_roused(&self, ticks: u64) -> bool {
        ticks > self.threshold
    }

    /// Whether so many ticks are longer than so many nanoseconds.
    #[inline]
    pub fn is_longer(&self, ticks: u64, nanoseconds: u64) -> bool {
        ticks > self.tick_rate.ticks(nanoseconds)
    }

    /// Nanoseconds in so many ticks.
    pub fn nanoseconds(&self, ticks: u64) -> u64 {
        self.tick_rate.nanoseconds(ticks)
    }

    /// It was false. On a busy machine every call is slow: a loop that looks at nothing does not ask each time.
    pub fn was_false(&mut self) {
        self.threshold = (2 * self.threshold).min(self.tick_rate.ticks(MOST_SUSPICIOUS));
    }

    /// An iteration begins.
    pub fn begin_iteration(&mut self, now: u64) {
        if now >= self.raised_until {
            self.threshold = self.tick_rate.ticks(SUSPICIOUS);
            self.raised_until = now + RAISED;
            self.rebase();
        }
        self.is_fresh = false;
    }

    /// The application goes on with what it is told, and its requests are looked at. The kernel is asked where it `matters`: where
    /// something of it is not known to be in memory, or something may have slept lately.
    pub fn hand_over(&mut self, now: u64, matters: bool) {
        if matters || self.is_close(now) {
            self.rebase();
            self.is_fresh = true;
        }
        self.began = clock::ticks();
    }

    /// Whether a debugger stops this thread at its calls, or may: each stop counts as a sleep.
    pub fn is_traced(&mut self, now: u64) -> bool {
        if now >= self.traced_until && status::is_traced() {
            self.traced_until = now + CLOSE;
        }
        now < self.traced_until
    }

    /// Whether the program has other threads, for which this one may wait.
    pub fn has_company(&mut self, now: u64) -> bool {
        if now >= self.company_until && registry::are_others() {
            self.company_until = now + CLOSE;
        }
        now < self.company_until
    }

    /// Whether the kernel is asked at the beginning of each iteration.
    pub fn is_close(&self, now: u64) -> bool {
        now < self.close_until
    }

    /// Something may have slept, and the kernel cannot say for sure.
    pub fn watches_closely(&mut self, now: u64) {
        self.close_until = now + CLOSE;
    }

    /// The thread is about to wait, and may sleep.
    pub fn waits(&mut self) {
        self.waits += 1;
    }

    /// Asks the kernel what the thread has done since it was last asked.
    pub fn ask(&mut self) -> Since {
        let waits = self.waits;
        let before = self.rebase();
        Since {
            is_fresh: self.is_fresh,
            slept: self.baseline.sleeps - before.sleeps > waits,
            read_blocks: self.baseline.blocks > before.blocks,
            faulted: self.baseline.faults > before.faults,
            counted: self.baseline.since(before),
        }
    }

    /// Whether the thread had slept more often, when the kernel was last asked, than so many times.
    pub fn has_slept_since(&self, before: i64) -> bool {
        self.baseline.sleeps > before
    }

    /// What it had counted when it was last asked.
    pub fn baseline(&self) -> Usage {
        self.baseline
    }

    fn rebase(&mut self) -> Usage {
        self.waits = 0;
        std::mem::replace(&mut self.baseline, usage())
    }

    /// Whether those who wait for the next iteration notice that this one goes on.
    pub fn iteration_is_long(&self) -> bool {
        let age = clock::ticks().saturating_sub(self.began);
        let [least, most] = [LONG_ITERATION, UNLIKELY_ITERATION].map(|n| self.tick_rate.ticks(n));
        // Beyond, it is more likely that the loop waits by ways that no hook sees.
        (least..most).contains(&age)
    }
}
