//! Calls by which a process gives up rights. The kernel applies them to one thread, so those that the
//! library has started leave first.

use super::polling::within_stock;
use super::registration::registered;
use super::wait::{waited_by_number, waited_elsewhere};
use crate::event_loop;
use crate::sys::{errno, handler, process, program};
use crate::threads::registry;
use libc::*;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// `unshare`, `capset` and their kin: what is started afterwards has the rights of its maker.
#[inline]
pub fn restricted<R>(real: impl FnOnce() -> R) -> R {
    send_helpers_away();
    real()
}

/// `prctl`: of interest only where it installs a filter, or has the processor's clock end the thread that reads it.
#[inline]
pub fn process_controlled(real: impl FnOnce() -> c_int, option: c_int, value: c_ulong) -> c_int {
    match option {
        PR_SET_SECCOMP => filtered(real),
        PR_SET_TSC if value == PR_TSC_SIGSEGV as c_ulong && process::is_same_process() => {
            send_helpers_away();
            let _errno = errno::Guard::new();
            program::sleep();
            real()
        }
        _ => real(),
    }
}

/// `syscall`: only the number is looked at, for what has no function of its own in the C library, or
/// is done for one thread where the C library's function reaches all.
#[inline]
#[allow(non_upper_case_globals)] // These are the kernel's names.
pub fn called(
    real: impl Fn() -> c_long,
    number: c_long,
    [a, b, c, d, e, f]: [c_long; 6],
) -> c_long {
    match number {
        SYS_seccomp
            if matches!(
                a as c_uint,
                SECCOMP_SET_MODE_STRICT | SECCOMP_SET_MODE_FILTER
            ) =>
        {
            filtered(real)
        }
        SYS_prctl if a as c_int == PR_SET_SECCOMP => filtered(real),
        SYS_landlock_restrict_self
        | SYS_unshare
        | SYS_setns
        | SYS_capset
        | SYS_setuid
        | SYS_setgid
        | SYS_setreuid
        | SYS_setregid
        | SYS_setresuid
        | SYS_setresgid
        | SYS_setgroups
        | SYS_setfsuid
        | SYS_setfsgid => restricted(real),
        SYS_epoll_ctl => {
            let control = || real() as c_int;
            let event = d as *mut epoll_event;
            registered(control, a as c_int, b as c_int, c as c_int, event).into()
        }
        number if is_epoll_wait(number) => {
            let wait = || real() as c_int;
            waited_by_number(wait, number, [a, b, c, d, e, f]).into()
        }
        number if is_other_wait(number) => {
            let result = real();
            has_waited_unseen();
            if number == SYS_epoll_pwait2 {
                let count = c_int::try_from(result).unwrap_or(0);
                waited_elsewhere(a as c_int, b as *const epoll_event, count);
            }
            result
        }
        number if is_select(number) => {
            // SAFETY: the application's own arguments, but for the count, which is smaller.
            let fewer =
                |count: c_int| unsafe { super::syscall::real(number, count.into(), b, c, d, e, f) };
            let result = within_stock(real, a as c_int, fewer);
            has_waited_unseen();
            result
        }
        SYS_close_range if c as c_uint & CLOSE_RANGE_UNSHARE != 0 => restricted(real),
        _ => real(),
    }
}

/// This thread has waited by a call that is not looked at. One line says so of a process whose connections it may be waiting for.
fn has_waited_unseen() {
    static SAID: AtomicBool = AtomicBool::new(false);
    event_loop::has_waited_unseen();
    if program::SERVES.load(Relaxed) && !event_loop::is_of_a_loop() && !SAID.swap(true, Relaxed) {
        let _errno = errno::Guard::new();
        log::info!("a thread waits by raw system calls or io_uring: nothing is held back for it");
    }
}

/// Another wait, or what may be one. Newer machines have no number for those without a signal mask.
#[allow(non_upper_case_globals)] // As above.
fn is_other_wait(number: c_long) -> bool {
    #[cfg(target_arch = "x86_64")]
    if number == SYS_poll {
        return true;
    }
    matches!(number, SYS_ppoll | SYS_epoll_pwait2 | SYS_io_uring_enter)
}

#[allow(non_upper_case_globals)] // As above.
fn is_epoll_wait(number: c_long) -> bool {
    #[cfg(target_arch = "x86_64")]
    if number == SYS_epoll_wait {
        return true;
    }
    number == SYS_epoll_pwait
}

/// A wait of `select`.
#[allow(non_upper_case_globals)] // As above.
fn is_select(number: c_long) -> bool {
    #[cfg(target_arch = "x86_64")]
    if number == SYS_select {
        return true;
    }
    number == SYS_pselect6
}

/// A seccomp filter may kill for any call that the application does not make itself: the library makes
/// none from here on. It is back if the kernel refuses the filter.
fn filtered<R: Copy + Into<i64>>(real: impl FnOnce() -> R) -> R {
    // A `vfork` child shares the memory of its parent, which enters no filter.
    if !process::is_same_process() {
        return real();
    }
    send_helpers_away();
    let was_awake = {
        let _errno = errno::Guard::new();
        if program::awake() && program::SERVES.load(Relaxed) {
            log::info!("the program enters a seccomp filter of its own: from here on all is served as without the library");
        }
        program::sleep()
    };
    program::set_filtered(true);
    let result = real();
    if result.into() < 0 {
        program::set_filtered(false);
        if was_awake {
            program::wake_again();
        }
    }
    result
}

#[cold]
fn send_helpers_away() {
    let _errno = errno::Guard::new();
    // A handler that has interrupted the library may have interrupted it with a lock held.
    if !event_loop::is_in_use() {
        let _section = handler::enter();
        registry::dismiss();
    }
}
