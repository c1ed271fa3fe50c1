//! Which signals are blocked in this thread.

use super::errno;
use libc::c_int;
use std::marker::PhantomData;

/// No signal handler comes to this thread, until it is dropped. Those of faults and of filters do, which cannot wait.
#[derive(Debug)]
pub struct Shield {
    before: u64,
    /// Of this thread.
    thread: PhantomData<*const ()>,
}

/// Keeps signal handlers off this thread.
pub fn shield() -> Shield {
    const fn bit(signal: c_int) -> u64 {
        1 << (signal - 1)
    }
    const FAULTS: u64 = bit(libc::SIGILL)
        | bit(libc::SIGTRAP)
        | bit(libc::SIGBUS)
        | bit(libc::SIGFPE)
        | bit(libc::SIGSEGV)
        | bit(libc::SIGSYS);
    Shield {
        before: change_mask(libc::SIG_BLOCK, Some(!FAULTS)),
        thread: PhantomData,
    }
}

impl Drop for Shield {
    fn drop(&mut self) {
        change_mask(libc::SIG_SETMASK, Some(self.before));
    }
}

/// The signals that are blocked in this thread, the first in the lowest bit.
pub fn mask() -> u64 {
    change_mask(libc::SIG_BLOCK, None)
}

/// Changes which signals are blocked, as `rt_sigprocmask` does; returns those that were before.
fn change_mask(how: c_int, signals: Option<u64>) -> u64 {
    let _errno = errno::Guard::new();
    let (mut before, signals) = (0_u64, signals.as_ref());
    // SAFETY: the kernel reads and writes eight bytes each, and there they are.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            how,
            signals.map_or(std::ptr::null(), std::ptr::from_ref),
            &raw mut before,
            size_of::<u64>(),
        );
    }
    before
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    static SEEN: AtomicU32 = AtomicU32::new(0);

    extern "C" fn handle(_: c_int) {
        SEEN.fetch_add(1, Relaxed);
    }

    /// Without it, a handler could change a registration between the library's decision and its call.
    #[test]
    fn a_signal_is_handled_when_the_shield_is_dropped() {
        let handler = handle as extern "C" fn(c_int);
        // SAFETY: the handler adds to a number.
        unsafe { libc::signal(libc::SIGUSR1, handler as usize) };
        let before = mask();
        let (outer, inner) = (shield(), shield());
        // SAFETY: the handler is the one above.
        unsafe { libc::raise(libc::SIGUSR1) };
        drop(inner);
        assert_eq!(SEEN.load(Relaxed), 0);
        drop(outer);
        assert_eq!((SEEN.load(Relaxed), mask()), (1, before));
    }
}
