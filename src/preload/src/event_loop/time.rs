//! How long a wait lasts.

use crate::sys::address::are_readable;
use crate::sys::clock;
use libc::{timespec, timeval};
use std::time::Duration;

/// How long an application asks to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// Until something is ready.
    Never,
    /// At most so long.
    After(Duration),
    /// The kernel will refuse it.
    Invalid,
}

impl Timeout {
    /// That of `poll` and `epoll_wait`.
    pub fn milliseconds(timeout: libc::c_int) -> Timeout {
        u64::try_from(timeout).map_or(Timeout::Never, |timeout| {
            Timeout::After(Duration::from_millis(timeout))
        })
    }

    /// That of `ppoll` and `pselect`.
    pub fn nanoseconds(timeout: *const timespec) -> Timeout {
        if timeout.is_null() {
            return Timeout::Never;
        }
        // SAFETY: the C library reads it as well, whatever it points to.
        let timespec { tv_sec, tv_nsec } = unsafe { *timeout };
        match (u64::try_from(tv_sec), u32::try_from(tv_nsec)) {
            (Ok(seconds), Ok(rest)) if rest < 1_000_000_000 => {
                Timeout::After(Duration::new(seconds, rest))
            }
            _ => Timeout::Invalid,
        }
    }

    /// That of `epoll_pwait2`, which the C library does not read.
    pub fn kernels_nanoseconds(timeout: *const timespec) -> Timeout {
        let readable = timeout.is_null() || are_readable(timeout.cast(), 2);
        match readable {
            true => Timeout::nanoseconds(timeout),
            false => Timeout::Invalid,
        }
    }

    /// That of `select`: a second's worth of microseconds and more is carried over by the C library.
    pub fn microseconds(timeout: &timeval) -> Timeout {
        match (
            u64::try_from(timeout.tv_sec),
            u64::try_from(timeout.tv_usec),
        ) {
            (Ok(seconds), Ok(rest)) => {
                let (seconds, rest) = (Duration::from_secs(seconds), Duration::from_micros(rest));
                Timeout::After(seconds.saturating_add(rest))
            }
            _ => Timeout::Invalid,
        }
    }
}

/// The time of one wait that may be made in several parts.
#[derive(Clone, Copy, Debug)]
pub struct Time {
    /// By the monotonic clock.
    end: Option<Duration>,
    /// How long the application has asked to wait.
    pub asked: Option<Duration>,
}

impl Time {
    /// From now on; nothing where the kernel will refuse it.
    pub fn begin(timeout: Timeout) -> Option<Time> {
        match timeout {
            Timeout::Never => Some(Time {
                end: None,
                asked: None,
            }),
            Timeout::After(time) => Some(Time {
                end: Some(now().saturating_add(time)),
                asked: Some(time),
            }),
            Timeout::Invalid => None,
        }
    }

    /// How much is left, where there is an end.
    pub fn left(self) -> Option<Duration> {
        self.end.map(|end| end.saturating_sub(now()))
    }

    /// Whether it has run out.
    pub fn is_over(self) -> bool {
        self.left() == Some(Duration::ZERO)
    }
}

fn now() -> Duration {
    Duration::from_nanos(clock::nanoseconds())
}

/// Makes a call in which the thread may be cancelled: its stack is unwound past us then. A frame that drops something
/// elsewhere is passed only where it calls by a pointer to what does not unwind by itself; other calls are guarded, and
/// end the process.
#[inline(always)]
pub fn cancellable<F: FnMut() -> libc::c_int>(mut call: F) -> libc::c_int {
    extern "C" fn make<F: FnMut() -> libc::c_int>(call: *mut F) -> libc::c_int {
        // SAFETY: it points to what `cancellable` owns, which waits for this to return.
        unsafe { (*call)() }
    }
    let by_pointer: extern "C" fn(*mut F) -> libc::c_int = make::<F>;
    std::hint::black_box(by_pointer)(&raw mut call)
}

/// As the kernel takes it.
pub fn to_timespec(time: Duration) -> timespec {
    timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    }
}

/// The same in whole milliseconds, not less; -1 where there is no end.
pub fn to_milliseconds(time: Option<Duration>) -> libc::c_int {
    time.map_or(-1, |time| {
        let whole = time.as_nanos().div_ceil(1_000_000);
        libc::c_int::try_from(whole).unwrap_or(libc::c_int::MAX)
    })
}
