//! Addresses that the application passes to the kernel, which answers `EFAULT` where we should fault.

use super::errno;
use libc::{c_int, c_void};

/// What a page is at the least.
const PAGE: usize = 4096;

/// Whether eight bytes can be read there. Asked by a call that reads them and, of a kind that does not
/// exist, does nothing.
pub fn is_readable(address: *const u64) -> bool {
    const NO_SUCH_WAY: c_int = c_int::MAX;
    let _errno = errno::Guard::new();
    // SAFETY: the kernel reads eight bytes, if it can, and refuses the rest.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            NO_SUCH_WAY,
            address,
            std::ptr::null_mut::<c_void>(),
            size_of::<u64>(),
        )
    };
    result < 0 && errno::is(libc::EINVAL) && !address.is_null()
}

/// Whether so many times eight bytes can be read from there on: each page that they lie on is asked about.
pub fn are_readable(first: *const u64, count: usize) -> bool {
    let Some(last) = count.checked_sub(1) else {
        return true;
    };
    let last = first.wrapping_add(last);
    let pages = (1..).map(|page| (first.addr() / PAGE + page) * PAGE);
    let mut beginnings = pages.take_while(|&page| page < last.addr());
    // What begins on the page before may end on the next.
    is_readable(first)
        && is_readable(last)
        && beginnings.all(|page| is_readable(first.with_addr(page)))
}
