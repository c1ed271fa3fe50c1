//! Memory of our own, from `mmap`. A hook may be called in a signal handler that has interrupted the
//! application's `malloc`, which must not be entered twice; and a guest leaves no traces in its
//! host's heap. Ours is not entered twice either: a hook inside a hook passes through.
//!
//! Rust ends a process that cannot have the memory that it asks for. So the library asks in bulk, where a
//! loop begins and where its threads start, and first whether so much is to be had.

use super::lock::{Lock, Order};
use super::refusals::MADVISE_SECRETS;
use dlmalloc::{Allocator, Dlmalloc};
use rustix::mm::{madvise, mmap_anonymous, mremap, munmap};
use rustix::mm::{Advice, MapFlags, MremapFlags, ProtFlags};
use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_void;
use std::hint::black_box;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

struct Memory(Lock<Dlmalloc<Pages>>);

#[global_allocator]
static MEMORY: Memory = Memory(Lock::new(
    Order::Memory,
    Dlmalloc::new_with_allocator(Pages),
));

/// Where it comes from: the kernel, past the library's own hooks of `mmap` and its kin.
struct Pages;

// SAFETY: what is given out is a mapping of its own, which nobody else touches until it is given back.
unsafe impl Allocator for Pages {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        map(size).map_or((null_mut(), 0, 0), |memory| (memory.cast(), size, 0))
    }

    fn remap(&self, memory: *mut u8, old: usize, new: usize, can_move: bool) -> *mut u8 {
        let flags = match can_move {
            true => MremapFlags::MAYMOVE,
            false => MremapFlags::empty(),
        };
        // SAFETY: the allocator owns the mapping, which has this size.
        let moved = unsafe { mremap(memory.cast(), old, new, flags) };
        moved.map_or(null_mut(), <*mut c_void>::cast)
    }

    fn free_part(&self, memory: *mut u8, old: usize, new: usize) -> bool {
        // SAFETY: the end of a mapping that the allocator owns, and does not use any more.
        unsafe { munmap(memory.add(new).cast(), old - new) }.is_ok()
    }

    fn free(&self, memory: *mut u8, size: usize) -> bool {
        // SAFETY: as above.
        unsafe { munmap(memory.cast(), size) }.is_ok()
    }

    fn can_release_part(&self, _: u32) -> bool {
        true
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        page_size()
    }
}

// SAFETY: the allocator's functions are what the trait asks for, and one thread at a time calls them.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the one that is asked for; so below.
        unsafe { self.0.lock().malloc(layout.size(), layout.align()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { self.0.lock().calloc(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { self.0.lock().free(at, layout.size(), layout.align()) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let mut memory = self.0.lock();
        // SAFETY: as above.
        unsafe { memory.realloc(at, layout.size(), layout.align(), size) }
    }
}

/// Before a fork: what the child inherits is whole.
pub fn hold_still() {
    if !is_lost() {
        MEMORY.0.take();
    }
}

/// After it, in the parent and in the child.
pub fn go_on() {
    if !is_lost() {
        MEMORY.0.give_back();
    }
}

static LOST: AtomicBool = AtomicBool::new(false);

/// Whether what is known of it may be wrong, so that it stays locked for ever.
fn is_lost() -> bool {
    LOST.load(Relaxed)
}

/// A signal handler has jumped out of the library on this thread. Tells whether that was in the middle of a change here.
pub fn is_left() -> bool {
    let is_left = MEMORY.0.is_own();
    if is_left {
        LOST.store(true, Relaxed);
    }
    is_left
}

/// What is set aside for small things that come later: parts of requests, names, threads. The allocator keeps
/// what is freed in pieces of this size.
const CUSHION: usize = 192 * 1024;

/// New memory from the kernel, zeroed and never moved: also where not even our own allocator may be entered.
pub fn map(bytes: usize) -> Option<*mut c_void> {
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping, which nobody knows yet.
    unsafe { mmap_anonymous(null_mut(), bytes, protection, MapFlags::PRIVATE) }.ok()
}

/// The same, for secrets: it is not in a core dump, and all zeroes in the child of a fork. Where the kernel cannot promise that
/// there is none.
pub fn map_for_secrets(bytes: usize) -> Option<*mut c_void> {
    let memory = map(bytes)?;
    for advice in [Advice::LinuxDontDump, Advice::LinuxWipeOnFork] {
        // SAFETY: a mapping that nobody knows yet, of which nothing is said but for a dump and a fork.
        if let Err(error) = unsafe { madvise(memory, bytes, advice) } {
            MADVISE_SECRETS.failed(error);
            // SAFETY: as above.
            unsafe { unmap(memory, bytes) };
            return None;
        }
    }
    Some(memory)
}

/// Gives it back.
///
/// # Safety
/// It comes from [`map`], is so large, and nobody uses it.
pub unsafe fn unmap(memory: *mut c_void, bytes: usize) {
    // SAFETY: the caller's promise.
    let _ = unsafe { munmap(memory, bytes) };
}

/// Whether so many bytes can be had now, and a cushion for later.
pub fn is_to_be_had(bytes: usize) -> bool {
    let all = bytes + 2 * CUSHION;
    // SAFETY: made just now, and nobody knows it.
    map(all).map(|room| unsafe { unmap(room, all) }).is_some()
}

/// The size of a page, which is 16 KiB or 64 KiB on some AArch64 systems.
pub fn page_size() -> usize {
    // SAFETY: asks the C library for a number that the kernel has told it.
    unsafe { libc::getauxval(libc::AT_PAGESZ) as usize }.max(4096)
}

/// Sets the cushion aside. After [`is_to_be_had`] and what it was asked for.
pub fn set_cushion_aside() {
    drop(black_box(Vec::<u8>::with_capacity(CUSHION)));
}
