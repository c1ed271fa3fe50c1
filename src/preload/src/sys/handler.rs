//! Signal handlers that run on a thread of the application: what they have interrupted.
//!
//! A handler may call every hook of an async-signal-safe function, at any moment, and may leave by `siglongjmp`. Two
//! questions are asked.
//!
//! *Has it interrupted the library?* A thread notes its stack pointer where it enters a [`Section`], in which it holds
//! locks or has the state of its loop. A call that finds such a note from further up the stack is a handler's: it waits
//! for no lock. A note from further down, or one since which the thread has jumped and no handler runs, was left behind by
//! `siglongjmp`: then the thread frees what it had locked, and forgets what may be half done.
//!
//! *Does a handler run at all?* It may have interrupted the program's `malloc`, and must start no thread. The kernel blocks a
//! handler's signal while it runs, so where a loop or its helpers are about to begin, which is seldom, the signal mask is asked for
//! ([`may_be_running`]). A handler with `SA_NODEFER` is seen on a stack of its own only. A thread that has signals with handlers
//! blocked for good is taken for one at first, and begins somewhat later: when it was so often, and its stack shows no handler's
//! frame ([`frame`]).

use super::errno;
use super::frame::{self, stack_pointer};
use super::local::{place, Local};
use super::mask::mask;
use libc::{c_int, c_void};
use std::cell::Cell;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::OnceLock;

/// The stack pointer at the outermost section that this thread is in; 0 for none.
static SECTION: Local<Cell<u64>> = Local::at(place::SECTION);

/// Signals that were blocked when the program started.
static USUAL: AtomicU64 = AtomicU64::new(0);

/// Those that this thread has blocked for good.
static BLOCKED: Local<Cell<u64>> = Local::at(place::BLOCKED);

/// What mends that which a thread has left half done: the rooms above say it at start-up.
static RECOVERY: OnceLock<fn()> = OnceLock::new();

/// Says what is done where a signal handler has jumped out of the library.
pub fn set_recovery(recover: fn()) {
    let _ = RECOVERY.set(recover);
}

/// This thread has jumped (`longjmp`) since it last entered a section. Set by the hook.
static JUMPED: Local<Cell<bool>> = Local::at(place::JUMPED);

/// Two for each fork that this thread is making, one within the other; and one where the outermost is a section.
static FORKS: Local<Cell<u64>> = Local::at(place::FORKS);

/// A section from which nothing is further up or down the stack.
const EVERYWHERE: u64 = u64::MAX;

/// How often this thread was taken for a handler since it was none.
static DOUBTS: Local<Cell<u64>> = Local::at(place::DOUBTS);

/// Then the stack is looked at. Not before: an earlier handler's frame may be left there.
const MOST_DOUBTS: u64 = 64;

/// A part of the library that a handler must not enter once more. Until it is dropped.
#[derive(Debug)]
pub struct Section {
    /// It lies in another one: that one is left last.
    is_inner: bool,
    /// Of this thread.
    thread: PhantomData<*const ()>,
}

/// Enters a section. The second of a thread is a handler's, or the library's own further down.
#[inline]
pub fn enter() -> Section {
    let is_inner = has_interrupted();
    if !is_inner {
        JUMPED.set(false);
        SECTION.set(stack_pointer());
    }
    Section {
        is_inner,
        thread: PhantomData,
    }
}

impl Section {
    /// Whether this thread was in a section before, and may hold any lock.
    #[inline]
    pub fn is_inner(&self) -> bool {
        self.is_inner
    }
}

impl Drop for Section {
    #[inline]
    fn drop(&mut self) {
        if !self.is_inner {
            SECTION.set(0);
        }
    }
}

/// Whether this thread is in a section further up the stack.
#[inline]
pub fn has_interrupted() -> bool {
    let section = SECTION.get();
    section != 0 && !was_left(section)
}

/// Whether a section was left by `siglongjmp`: it lies below the top of the stack, unless this handler has a stack of its own; or
/// the thread has jumped since, unless that was within a handler.
#[cold]
fn was_left(section: u64) -> bool {
    let is_deeper = stack_pointer() <= section;
    if is_deeper && !JUMPED.get() || has_own_stack() || is_deeper && may_be_running() {
        return false;
    }
    // In a section as well: a handler may come now.
    JUMPED.set(false);
    SECTION.set(stack_pointer());
    if let Some(recover) = RECOVERY.get() {
        recover();
    }
    SECTION.set(0);
    true
}

/// This thread is about to fork: that is a section, up to [`has_forked`]. False where it is in one already.
pub fn begins_to_fork() -> bool {
    let forks = FORKS.get();
    let begins = forks == 0 && !has_interrupted();
    FORKS.set(forks + 2 + u64::from(begins));
    if begins {
        SECTION.set(EVERYWHERE);
    }
    begins
}

/// The kernel is done with it, in the parent or the child; tells whether that was a section, and so is to be left.
pub fn ends_to_fork() -> bool {
    let forks = FORKS.get().saturating_sub(2);
    FORKS.set(forks);
    forks == 1
}

/// Leaves the section of a fork.
pub fn has_forked() {
    SECTION.set(0);
    FORKS.set(0);
}

/// The program starts.
pub fn remember_mask() {
    USUAL.store(mask(), Relaxed);
}

/// Whether this may be a signal handler: one of the signals that are blocked here, and were not at first, has one.
#[cold]
#[inline(never)]
pub fn may_be_running() -> bool {
    may_run_above(stack_pointer())
}

/// The same of what lies above an address of this stack: what is found out here lies below.
#[inline(never)]
fn may_run_above(address: u64) -> bool {
    let _errno = errno::Guard::new();
    if has_own_stack() {
        return true;
    }
    let blocked = mask() & !USUAL.load(Relaxed) & !BLOCKED.get();
    let is_blocked = |signal: &c_int| blocked >> (signal - 1) & 1 != 0;
    let mut handled = (1..=SIGNALS)
        .filter(is_blocked)
        .filter_map(action)
        .peekable();
    if handled.peek().is_none() {
        DOUBTS.set(0);
        return false;
    }
    DOUBTS.set(DOUBTS.get() + 1);
    if DOUBTS.get() < MOST_DOUBTS {
        return true;
    }
    DOUBTS.set(0);
    if frame::is_above(address, handled.map(|action| action.restorer)) {
        return true;
    }
    BLOCKED.set(BLOCKED.get() | blocked);
    false
}

const SIGNALS: c_int = u64::BITS as c_int;

/// The kernel's `struct sigaction` is no larger on any machine, and begins so where this is built for.
#[repr(C)]
#[derive(Default)]
struct Action {
    handler: usize,
    flags: u64,
    /// Where the handler returns to, on x86-64.
    restorer: usize,
    rest: [u64; 2],
}

/// What a signal that is handled by a function does.
fn action(signal: c_int) -> Option<Action> {
    let mut action = Action::default();
    // SAFETY: the kernel writes the structure, whose mask has eight bytes.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            std::ptr::null::<c_void>(),
            &raw mut action,
            size_of::<u64>(),
        )
    };
    (result == 0 && action.handler > libc::SIG_IGN).then_some(action)
}

/// Whether this is a handler on a stack that is set aside for handlers.
fn has_own_stack() -> bool {
    let _errno = errno::Guard::new();
    let mut stack = MaybeUninit::<libc::stack_t>::zeroed();
    // SAFETY: the kernel writes the structure, for which there is room; zeroes are one.
    let flags = unsafe {
        libc::syscall(
            libc::SYS_sigaltstack,
            std::ptr::null::<c_void>(),
            stack.as_mut_ptr(),
        );
        stack.assume_init().ss_flags
    };
    flags & libc::SS_ONSTACK != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    static SEEN: AtomicU32 = AtomicU32::new(0);

    extern "C" fn handle(_: c_int) {
        let seen = 1 + u32::from(may_be_running()) + 2 * u32::from(enter().is_inner());
        SEEN.store(seen, Relaxed);
    }

    /// Without it, threads could be started in a handler that has interrupted `malloc`, or a handler wait for a lock that its
    /// own thread holds.
    #[test]
    fn a_handler_is_told_from_the_rest() {
        let handler = handle as extern "C" fn(c_int);
        // SAFETY: the handler reads and writes its own stack and a number.
        unsafe { libc::signal(libc::SIGUSR2, handler as usize) };
        let section = enter();
        assert!(!section.is_inner() && enter().is_inner());
        assert!(!may_be_running());
        // SAFETY: the handler is the one above.
        unsafe { libc::raise(libc::SIGUSR2) };
        assert_eq!(SEEN.load(Relaxed), 4);
        drop(section);
        // SAFETY: as above.
        unsafe { libc::raise(libc::SIGUSR2) };
        assert_eq!(SEEN.load(Relaxed), 2);
        assert!(!has_interrupted());
    }

    /// Without it, a handler that jumps out of a section would leave its thread there for ever.
    #[test]
    fn a_section_that_was_jumped_out_of_is_left() {
        #[inline(never)]
        fn deep() -> [u8; 4096] {
            std::mem::forget(enter());
            std::hint::black_box([0; 4096])
        }
        std::hint::black_box(deep());
        assert!(!has_interrupted());
    }
}
