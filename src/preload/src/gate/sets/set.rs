//! What `poll` and `select` have in common.

use libc::{c_int, pollfd, timespec};
use std::mem::ManuallyDrop;

/// What a `poll` or a `select` waits for: the application's set, and a copy to show to the kernel.
pub trait Set {
    /// Reads the set, once, as the kernel does, into memory from `room`. False where it cannot be read, or nothing in it
    /// is held back and not `all` sets are wanted: then nothing is taken.
    fn take(&mut self, room: &mut Room, all: bool, held: impl Fn(c_int) -> u32) -> bool;

    /// Whether a number is in the set.
    fn contains(&self, fd: c_int) -> bool;

    /// Whether anything of the set is still held back.
    fn is_held(&self, held: impl Fn(c_int) -> u32) -> bool;

    /// Makes the copy for one wait, without what is held back and with the waker, if there is one. Tells
    /// whether anything was left out.
    fn show(&mut self, held: impl Fn(c_int) -> u32, waker: Option<c_int>) -> bool;

    /// Waits for the copy. A thread that is cancelled ends here, and its stack is unwound: nothing
    /// that has to be dropped may be alive in the callers.
    fn wait(&mut self, timeout: &timespec) -> c_int;

    /// Whether the waker has become ready.
    fn has_woken(&self, waker: c_int) -> bool;

    /// Leaves in what the kernel said of the copy what is to be handed out of each member's events; tells how many
    /// are left. The waker is none of them.
    fn admit(&mut self, waker: Option<c_int>, shown: impl FnMut(c_int, u32) -> u32) -> c_int;

    /// Hands what the kernel said of the copy to the application, but for the waker: `ready` are, or
    /// the call has failed.
    fn report(&mut self, waker: Option<c_int>, ready: c_int);

    /// Gives the memory back.
    fn give_back(&mut self, room: &mut Room);
}

/// Memory for copies. It is the event loop's, to be used again.
#[derive(Debug, Default)]
pub struct Room {
    pub(super) entries: Vec<pollfd>,
    pub(super) words: Vec<u64>,
    pub(super) held: Vec<Held>,
    /// Where the sets of the last `select` were that could be read, and how many words. They are not asked about again: what
    /// is unmapped meanwhile is taken out.
    pub(super) readable: [(usize, usize); 3],
}

impl Room {
    /// This memory is no more what it was.
    pub fn forget(&mut self, gone: std::ops::Range<usize>) {
        for (at, words) in &mut self.readable {
            if *at < gone.end && gone.start < at.saturating_add(8 * *words) {
                *words = 0;
            }
        }
    }
}

/// A member of a set whose readiness is held back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    /// Which entry of a `poll`, or which descriptor of a `select`.
    pub member: usize,
    /// What the application waits for.
    pub events: u32,
}

/// Not dropped where a thread is cancelled during the real call: that unwinds past us.
pub(super) type Copied<T> = ManuallyDrop<Vec<T>>;

/// Adds to a list, if there is memory.
pub(super) fn push<T>(list: &mut Vec<T>, item: T) -> bool {
    let room = list.try_reserve(1).is_ok();
    if room {
        list.push(item);
    }
    room
}
