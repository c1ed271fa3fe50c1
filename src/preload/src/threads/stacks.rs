//! Stacks for threads of our own, from one mapping.
//!
//! The C library maps a stack for each thread that it makes and then protects its end. While it does
//! either, whoever touches new memory waits; and helpers are made in numbers just when the loop
//! has much to read.

use super::alive::is_alive;
use rustix::mm::{mmap_anonymous, mprotect, munmap, MapFlags, MprotectFlags, ProtFlags};
use std::ffi::c_void;
use std::ptr::{null_mut, NonNull};
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicUsize, Ordering::*};

/// What a thread of ours uses at the most.
const USED: usize = 64 * 1024;

/// What the C library takes of a stack for itself: the thread's descriptor, and room for libraries that are loaded later.
const RESERVED: usize = 8 * 1024;

/// Where a program's thread-local variables need more than this the C library makes the stacks.
const MOST: usize = 64 * 1024;

/// The thread-local variables of all that was loaded when the program started: the C library puts them on each
/// thread's stack.
static VARIABLES: AtomicUsize = AtomicUsize::new(0);

/// Measures what thread-local variables take, at start-up: what is loaded later has its own elsewhere.
pub fn measure() {
    let mut sum = 0usize;
    // SAFETY: the callback writes to the sum alone, which lives until all were visited.
    unsafe { libc::dl_iterate_phdr(Some(add_variables), (&raw mut sum).cast()) };
    VARIABLES.store(sum, Relaxed);
}

unsafe extern "C" fn add_variables(
    info: *mut libc::dl_phdr_info,
    _: usize,
    sum: *mut c_void,
) -> libc::c_int {
    // SAFETY: the C library passes what it knows of one file, with so many headers, and `measure` its sum.
    let (headers, sum) = unsafe {
        let info = &*info;
        let headers = std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into());
        (headers, &mut *sum.cast::<usize>())
    };
    for header in headers.iter().filter(|h| h.p_type == libc::PT_TLS) {
        *sum += header.p_memsz as usize + header.p_align as usize;
    }
    0
}

/// The size of a thread's stack: a whole number of pages of any machine.
pub fn size() -> usize {
    (USED + RESERVED + VARIABLES.load(Relaxed)).next_multiple_of(GUARD)
}

/// What may not be touched below each: a page of any machine.
const GUARD: usize = 64 * 1024;

/// From one to the next.
fn stride() -> usize {
    GUARD + size()
}

/// How many there are: as many as one event loop has helpers, unless told otherwise, and some. Who finds
/// none has one made by the C library.
const COUNT: usize = 72;

/// Nobody's.
const FREE: i32 = 0;
/// Some thread's, which is about to be made or runs. Any other value is the number of a thread that is
/// done with our code, and perhaps not out of the process yet.
const TAKEN: i32 = -1;

static MAPPING: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
static OWNERS: [AtomicI32; COUNT] = [const { AtomicI32::new(FREE) }; COUNT];

/// One stack, given back when this is dropped.
#[derive(Debug)]
pub struct Stack {
    lowest: NonNull<c_void>,
    owner: &'static AtomicI32,
}

// SAFETY: it is an address, and nobody else has it.
unsafe impl Send for Stack {}

impl Stack {
    /// One that no thread uses, where there is any. The first who asks maps them.
    pub fn take() -> Option<Stack> {
        if VARIABLES.load(Relaxed) > MOST {
            return None;
        }
        let mapping = NonNull::new(MAPPING.load(Acquire)).or_else(map_once)?;
        let number = OWNERS.iter().position(|owner| {
            let last = owner.load(Relaxed);
            (last == FREE || last != TAKEN && !is_alive(last))
                && owner
                    .compare_exchange(last, TAKEN, Acquire, Relaxed)
                    .is_ok()
        })?;
        Some(Stack {
            lowest: lowest(mapping, number),
            owner: OWNERS.get(number)?,
        })
    }

    /// Its lowest address; [`size`] bytes from there are the thread's.
    pub fn lowest(&self) -> *mut c_void {
        self.lowest.as_ptr()
    }

    /// The calling thread, which runs on it, is about to end: then it is another's to take.
    pub fn leave(self) {
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        self.owner.store(thread, Release);
        std::mem::forget(self);
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.owner.store(FREE, Release);
    }
}

/// Maps them, once in a process.
#[cold]
fn map_once() -> Option<NonNull<c_void>> {
    let mine = map()?;
    match MAPPING.compare_exchange(null_mut(), mine.as_ptr(), AcqRel, Acquire) {
        Ok(_) => Some(mine),
        Err(other) => {
            // SAFETY: another thread was first, and this one has shown its mapping to nobody.
            let _ = unsafe { munmap(mine.as_ptr(), COUNT * stride()) };
            NonNull::new(other)
        }
    }
}

/// A mapping of which nothing may be touched but the stacks: who needs more than there is of one meets that.
fn map() -> Option<NonNull<c_void>> {
    let length = COUNT * stride();
    // SAFETY: it is a new mapping, where the kernel finds room.
    let mapping =
        unsafe { mmap_anonymous(null_mut(), length, ProtFlags::empty(), MapFlags::PRIVATE) };
    let mapping = NonNull::new(mapping.ok()?)?;
    let open = |number| {
        let access = MprotectFlags::READ | MprotectFlags::WRITE;
        // SAFETY: in the mapping of just now, which nobody uses yet.
        unsafe { mprotect(lowest(mapping, number).as_ptr(), size(), access) }
    };
    if (0..COUNT).any(|number| open(number).is_err()) {
        // SAFETY: as above.
        let _ = unsafe { munmap(mapping.as_ptr(), length) };
        return None;
    }
    Some(mapping)
}

/// The lowest address of a stack.
fn lowest(mapping: NonNull<c_void>, number: usize) -> NonNull<c_void> {
    // SAFETY: within the mapping, which has room for one of each number.
    unsafe { mapping.byte_add(number * stride() + GUARD) }
}

/// After a fork: the threads are the parent's, and the copies of their stacks nobody's.
pub fn abandon() {
    OWNERS.iter().for_each(|owner| owner.store(FREE, Relaxed));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    /// Without it, a new thread could begin on a stack whose last owner has a few instructions left to run.
    #[test]
    fn a_stack_is_free_when_its_thread_is_gone() {
        let mut stacks: Vec<_> = std::iter::from_fn(Stack::take).collect();
        assert_eq!(stacks.len(), COUNT);
        let left = stacks.pop().unwrap();
        let lowest = left.lowest() as usize;
        let ((tell, told), (end, ended)) = (channel(), channel::<()>());
        let thread = std::thread::spawn(move || {
            left.leave();
            tell.send(()).unwrap();
            let _ = ended.recv();
        });
        told.recv().unwrap();
        assert!(Stack::take().is_none());
        drop(end);
        thread.join().unwrap();
        let again = std::iter::repeat_with(Stack::take).find_map(|stack| stack);
        assert_eq!(again.unwrap().lowest() as usize, lowest);
    }
}
