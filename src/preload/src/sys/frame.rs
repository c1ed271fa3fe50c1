//! The stack of the calling thread: where it is, and whether a signal handler runs on it.

use super::errno;
use libc::c_int;
use std::ops::Range;
use std::ptr::{null_mut, with_exposed_provenance};

/// How far up a handler's frame is looked for, in bytes: the handler's own calls lie between.
const DEEPEST: usize = 256 << 10;

/// No page is smaller.
const PAGE: usize = 4096;

const WORD: usize = size_of::<usize>();

/// How many places differ to which handlers return: the C library's, and a language's own.
const PLACES: usize = 4;

/// Whether the kernel has made a frame for a handler above an address of this stack: it returns to one of these places, with
/// registers by which this stack goes on above it (x86-64), or into the kernel's own library (aarch64). What an earlier handler has left
/// in memory that is in use again may look the same.
#[cold]
pub fn is_above(address: u64, restorers: impl Iterator<Item = usize>) -> bool {
    let Some(places) = places(restorers) else {
        return true;
    };
    let is_frame = |at: usize| {
        // SAFETY: aligned, and in a page that can be read.
        let to = unsafe { word(at) };
        places.iter().any(|place| place.contains(&to)) && goes_on_above(at)
    };
    let mut at = address as usize & !(WORD - 1);
    let end = at.saturating_add(DEEPEST);
    while at < end && can_be_read(at) {
        let next = (at | (PAGE - 1)) + 1;
        if (at..next).step_by(WORD).any(is_frame) {
            return true;
        }
        at = next;
    }
    false
}

/// Whether the registers that a frame is to bring back have this stack's pointer, further up.
fn goes_on_above(frame: usize) -> bool {
    /// The return address, flags, a link, another stack, and 15 registers lie before it. Linux, `struct rt_sigframe`.
    const POINTER: usize = (1 + 1 + 1 + 3 + 15) * WORD;
    /// Beside a handler's frame, of a few hundred bytes, lie registers as wide as the processor's.
    const LARGEST: usize = 64 << 10;
    if !cfg!(target_arch = "x86_64") {
        return true;
    }
    let at = frame + POINTER;
    // SAFETY: aligned, and asked before.
    can_be_read(at) && (at..frame + LARGEST).contains(&unsafe { word(at) })
}

/// A word of this thread's stack, or of what is mapped above it, whose bytes are only looked at.
///
/// # Safety
/// It is aligned, and lies in a page that can be read.
unsafe fn word(at: usize) -> usize {
    // SAFETY: as the caller says.
    unsafe { with_exposed_provenance::<usize>(at).read_volatile() }
}

/// Where handlers return to; none where that is not known.
fn places(restorers: impl Iterator<Item = usize>) -> Option<[Range<usize>; PLACES]> {
    let mut places = [const { 0..0 }; PLACES];
    if cfg!(target_arch = "x86_64") {
        for restorer in restorers {
            let mut rooms = places.iter_mut();
            let room = rooms.find(|it| it.contains(&restorer) || it.start == it.end)?;
            *room = restorer..restorer + 1;
        }
        return Some(places);
    }
    /// The kernel's library has no more, of code and what it needs to be loaded.
    const LIBRARY: usize = 4 * PAGE;
    // SAFETY: reads what the kernel has told the process at its start.
    let library = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) } as usize;
    let is_known = cfg!(target_arch = "aarch64") && library != 0;
    // Its beginning is no code, and is found on our own stack.
    places[0] = library + WORD..library + LIBRARY;
    is_known.then_some(places)
}

/// Whether the word there can be read. The kernel tells: a change of the signal mask that does not exist is refused, after its mask
/// was read.
fn can_be_read(address: usize) -> bool {
    const NO_CHANGE: c_int = -1;
    let _errno = errno::Guard::new();
    // SAFETY: the kernel reads the mask, if it can, and changes nothing.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            NO_CHANGE,
            address,
            null_mut::<u64>(),
            size_of::<u64>(),
        )
    };
    result == -1 && errno::get() == libc::EINVAL
}

/// The stack pointer.
#[inline(always)]
pub fn stack_pointer() -> u64 {
    let pointer: u64;
    // SAFETY: reads a register.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!("mov {}, rsp", out(reg) pointer, options(nomem, nostack, preserves_flags));
    }
    // SAFETY: reads a register.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        core::arch::asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        let here = 0_u8;
        pointer = (&raw const here).addr() as u64;
    }
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::mm::{mmap_anonymous, mprotect, MapFlags, MprotectFlags, ProtFlags};

    /// Without it, memory above a stack could be read that is not there.
    #[test]
    fn memory_that_is_not_there_is_not_read() -> Result<(), rustix::io::Errno> {
        // No machine's pages are larger.
        let page = 64 << 10;
        // SAFETY: a new mapping, whose second half cannot be read from then on.
        let pages = unsafe {
            let (flags, access) = (MapFlags::PRIVATE, ProtFlags::READ);
            let pages = mmap_anonymous(null_mut(), 2 * page, access, flags)?;
            mprotect(pages.byte_add(page), page, MprotectFlags::empty())?;
            pages.expose_provenance()
        };
        assert!(can_be_read(pages + page - 8));
        assert!(!can_be_read(pages + page));
        assert!(!can_be_read(8));
        Ok(())
    }
}
