//! Variables of a thread that need no memory when they are first used.
//!
//! Those of the standard library are of the dynamic kind in a shared library: the C library allocates them by the
//! program's `malloc` at their first use in a thread, and enlarges a table by `realloc` when another library has been
//! loaded. Either may happen in the middle of that very `malloc`. These lie in a block of the static kind
//! (initial-exec), which every thread has from its beginning, at a fixed distance from its thread pointer. Stable Rust has
//! no word for that, so the block and its address are written in assembly.

use std::cell::Cell;
use std::marker::PhantomData;

/// Where each variable lies in the block. Eight bytes each.
pub mod place {
    /// The state of the thread's event loop, while nobody uses it.
    pub const CURRENT: usize = 0;
    /// The same, from its beginning to its end.
    pub const OWNED: usize = 1;
    /// Where on the stack it has entered a part of the library that no handler may enter.
    pub const SECTION: usize = 2;
    /// The thread waits as an event loop does.
    pub const WAITS: usize = 3;
    /// The state is gone, since the thread ends.
    pub const ENDED: usize = 4;
    /// How often the thread has slept for a lock.
    pub const SLEPT: usize = 5;
    /// The handle of its last call of the paper's interface.
    pub const LAST: usize = 6;
    /// Why what it calls may be of no interest: it has called `vfork`, or it is the library's own.
    pub const ASIDE: usize = 7;
    /// How often it was taken for a signal handler in a row.
    pub const DOUBTS: usize = 8;
    /// The signals that it has blocked for good.
    pub const BLOCKED: usize = 9;
    /// The thread's number.
    pub const THREAD: usize = 10;
    /// Forks that it is making, one within the other.
    pub const FORKS: usize = 11;
    /// It has jumped (`longjmp`) since it last entered a part of the library that no handler may enter.
    pub const JUMPED: usize = 12;
    /// What the kernel had counted for it, as it was last asked behind a slow operation.
    pub const COUNTED: usize = 13;
    /// Of how many of its next operations the kernel is asked before them.
    pub const ASKED: usize = 14;
    /// The locks that it has; counted where debug assertions are.
    #[cfg(debug_assertions)]
    pub const HELD: usize = 15;
    /// How many there are.
    pub const COUNT: usize = 16;
}

/// The block's size in bytes.
const SIZE: usize = place::COUNT * 8;

/// What may lie in the block: eight bytes at the most, of which all zeroes are a value.
///
/// # Safety
/// That is so.
pub unsafe trait Zeroed {}

// SAFETY: for each of these.
unsafe impl<T> Zeroed for Cell<*mut T> {}
// SAFETY: as above.
unsafe impl Zeroed for Cell<bool> {}
// SAFETY: as above.
unsafe impl Zeroed for Cell<u8> {}
// SAFETY: as above.
unsafe impl Zeroed for Cell<i64> {}
// SAFETY: as above.
unsafe impl Zeroed for Cell<u64> {}

/// A variable of which each thread has its own, zero at first.
pub struct Local<T> {
    place: usize,
    kind: PhantomData<fn() -> T>,
}

impl<T: Zeroed> Local<T> {
    /// The variable at a [`place`], of which there is one.
    pub const fn at(place: usize) -> Local<T> {
        assert!(place < place::COUNT && size_of::<T>() <= 8 && align_of::<T>() <= 8);
        Local {
            place,
            kind: PhantomData,
        }
    }

    /// This thread's.
    #[inline]
    pub fn with<R>(&self, act: impl FnOnce(&T) -> R) -> R {
        // SAFETY: within the block, which is as old as the thread and aligned; zeroes are a value, and no other kind of
        // value is ever put there. The reference does not leave this thread: `T` is no `Sync`.
        act(unsafe { &*block().add(self.place * 8).cast::<T>() })
    }
}

impl<T: Copy> Local<Cell<T>>
where
    Cell<T>: Zeroed,
{
    /// Its value.
    #[inline]
    pub fn get(&self) -> T {
        self.with(Cell::get)
    }

    /// Changes it.
    #[inline]
    pub fn set(&self, value: T) {
        self.with(|cell| cell.set(value));
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
core::arch::global_asm!(
    ".pushsection .tbss.laio_locals, \"awT\", %nobits",
    ".balign 16",
    ".globl laio_locals",
    ".hidden laio_locals",
    ".type laio_locals, %object",
    ".size laio_locals, {size}",
    "laio_locals: .zero {size}",
    ".popsection",
    size = const SIZE,
);

/// The calling thread's block.
#[cfg(target_arch = "x86_64")]
#[inline]
fn block() -> *mut u8 {
    let block;
    // SAFETY: reads the block's distance, which the dynamic linker has noted, and the thread pointer. A thread's never
    // change.
    unsafe {
        core::arch::asm!(
            "mov {block}, qword ptr [rip + laio_locals@GOTTPOFF]",
            "add {block}, qword ptr fs:[0]",
            block = out(reg) block,
            options(pure, readonly, nostack),
        );
    }
    block
}

/// The calling thread's block.
#[cfg(target_arch = "aarch64")]
#[inline]
fn block() -> *mut u8 {
    let block;
    // SAFETY: as on the other processor.
    unsafe {
        core::arch::asm!(
            "adrp {block}, :gottprel:laio_locals",
            "ldr {block}, [{block}, :gottprel_lo12:laio_locals]",
            "mrs {pointer}, tpidr_el0",
            "add {block}, {block}, {pointer}",
            block = out(reg) block,
            pointer = out(reg) _,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    block
}

/// The calling thread's block: elsewhere of the kind that the compiler makes.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn block() -> *mut u8 {
    thread_local! {
        static BLOCK: [Cell<u64>; place::COUNT] = const { [const { Cell::new(0) }; place::COUNT] };
    }
    BLOCK.with(|block| block.as_ptr().cast_mut().cast())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Without it, two threads could share an event loop's state, or two variables a place.
    #[test]
    fn each_thread_has_its_own_and_all_are_zero_at_first() {
        static FIRST: Local<Cell<u64>> = Local::at(place::LAST);
        static SECOND: Local<Cell<u64>> = Local::at(place::ASIDE);
        FIRST.set(7);
        assert_eq!((FIRST.get(), SECOND.get()), (7, 0));
        let other = std::thread::spawn(|| {
            let before = (FIRST.get(), SECOND.get());
            SECOND.set(9);
            (before, FIRST.get(), SECOND.get())
        });
        assert_eq!(other.join().unwrap(), ((0, 0), 0, 9));
        assert_eq!((FIRST.get(), SECOND.get()), (7, 0));
        FIRST.set(0);
    }
}
