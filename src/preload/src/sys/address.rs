//! Addresses that the application passes to the kernel, which answers `EFAULT` where we should fault.

use super::errno;
use libc::{c_int, c_void};

/// What a page is at the least.
const PAGE: usize = 4096;

/// Below the end of the main thread's stack so much is kept free for it: the kernel puts no other mapping there.
const STACK: usize = 8 << 20;

extern "C" {
    /// Where the main thread's stack begins, by the C library's loader.
    static __libc_stack_end: *const c_void;
}

/// The end of the main thread's stack.
fn stack_end() -> usize {
    // SAFETY: it is written once, before any library is loaded.
    unsafe { __libc_stack_end }.addr()
}

/// Whether this is called on the main thread's stack, where there is room for more than on a thread's or a coroutine's.
pub fn has_room() -> bool {
    let frame = 0_u64;
    (1..STACK).contains(&stack_end().wrapping_sub((&raw const frame).addr()))
}

/// Whether so many bytes could be memory of the application's, mapped or not: the kernel's is beyond all stacks.
pub fn are_theirs(address: *const c_void, size: usize) -> bool {
    let end = address.addr().checked_add(size);
    end.is_some_and(|end| end <= stack_end())
}

/// Whether eight bytes are on the main thread's stack, which is in use, above this frame: they can be read.
#[inline]
fn is_on_stack(address: *const u64) -> bool {
    let frame = 0_u64;
    let here = (&raw const frame).addr();
    let end = stack_end();
    let last = address.addr().saturating_add(size_of::<u64>());
    (1..STACK).contains(&end.wrapping_sub(here)) && address.addr() > here && last <= end
}

/// Whether eight bytes can be read there. Asked by a call that reads them and, of a kind that does not
/// exist, does nothing.
pub fn is_readable(address: *const u64) -> bool {
    const NO_SUCH_WAY: c_int = c_int::MAX;
    if is_on_stack(address) {
        return true;
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Without it, a read that the kernel refuses for its size would be told that there is nothing.
    #[test]
    fn what_goes_on_beyond_all_stacks_is_nobodys() {
        let there = Box::new(7_u64);
        let address = (&raw const *there).cast();
        assert!(are_theirs(address, 8) && are_theirs(std::ptr::null(), 8));
        assert!(!are_theirs(address, usize::MAX) && !are_theirs(address, isize::MAX as usize));
    }

    #[test]
    fn what_is_mapped_can_be_read() {
        let (here, there) = (7_u64, Box::new(7_u64));
        assert!(is_readable(&here) && is_readable(&*there));
        assert!(are_readable([0; 2000].as_ptr(), 2000));
        for nowhere in [0, PAGE / 2, usize::MAX] {
            assert!(
                !is_readable(std::ptr::without_provenance(nowhere)),
                "{nowhere}"
            );
        }
    }
}
