//! What is known of each descriptor number: a table in chunks, made as numbers are accepted.

use crate::guest::lock::Lock;
use laio_core::gate::Descriptor;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering::*};
use std::sync::MutexGuard;

const CHUNK: usize = 256;

/// Numbers up to a million; a connection with a higher one goes straight.
const CHUNKS: usize = 4096;

/// One descriptor number.
#[derive(Debug)]
pub struct Slot {
    /// Whether it is a connection that the process accepted. A hint: read without the lock.
    accepted: AtomicBool,
    /// Whether a request line was cut in the middle and its first part is kept.
    pub partial: AtomicBool,
    state: Lock<Descriptor>,
}

impl Slot {
    /// The connection's state. Held over an `epoll_ctl` where the two must agree, and only while a
    /// gate is being closed, opened or was closed when the application came.
    pub fn lock(&self) -> MutexGuard<'_, Descriptor> {
        self.state.lock()
    }
}

type Chunk = [Slot; CHUNK];

static TABLE: [AtomicPtr<Chunk>; CHUNKS] = [const { AtomicPtr::new(null_mut()) }; CHUNKS];

/// The slot of an accepted connection; nothing for any other descriptor.
#[inline]
pub fn accepted(fd: i32) -> Option<&'static Slot> {
    let slot = slot(fd)?;
    slot.accepted.load(Acquire).then_some(slot)
}

/// Marks a number as a connection that has just been accepted.
pub fn accept(fd: i32) {
    if let Some(slot) = slot(fd).or_else(|| grow(fd)) {
        slot.lock().reset();
        slot.partial.store(false, Relaxed);
        slot.accepted.store(true, Release);
    }
}

/// The number is about to be closed or taken over: settles what its connection is owed.
pub fn forget(fd: i32) {
    let Some(slot) = accepted(fd) else { return };
    let mut state = slot.lock();
    if state.is_closed() {
        // A `vfork` child closes its own copy: the connection lives on in its parent.
        if !crate::guest::program::is_same_process() {
            return;
        }
        // The description may have another number (`dup`), under which the registration lives on.
        super::carry_out(fd, state.abandon());
    }
    state.reset();
    slot.accepted.store(false, Release);
}

/// [`forget`] for a range of numbers, both ends included.
pub fn forget_range(first: u32, last: u32) {
    for (number, chunk) in TABLE.iter().enumerate() {
        let lowest = number * CHUNK;
        if chunk.load(Acquire).is_null() || lowest + CHUNK <= first as usize {
            continue;
        }
        if lowest > last as usize {
            break;
        }
        let wanted = lowest.max(first as usize)..(lowest + CHUNK).min(last as usize + 1);
        wanted.for_each(|fd| forget(fd as i32));
    }
}

/// Forgets all without a lock: after a fork, where their owners may not exist.
pub fn abandon() {
    for chunk in &TABLE {
        chunk.store(null_mut(), Release);
    }
}

#[inline]
fn slot(fd: i32) -> Option<&'static Slot> {
    let fd = usize::try_from(fd).ok()?;
    let chunk = TABLE.get(fd / CHUNK)?.load(Acquire);
    // SAFETY: a chunk that was once published is never freed; null means that there is none yet.
    let chunk = unsafe { chunk.as_ref() }?;
    chunk.get(fd % CHUNK)
}

#[cold]
fn grow(fd: i32) -> Option<&'static Slot> {
    let place = TABLE.get(usize::try_from(fd).ok()? / CHUNK)?;
    let fresh = || Slot {
        accepted: AtomicBool::new(false),
        partial: AtomicBool::new(false),
        state: Lock::new(Descriptor::default()),
    };
    let chunk: Box<[Slot]> = (0..CHUNK).map(|_| fresh()).collect();
    let chunk: Box<Chunk> = chunk.try_into().ok()?;
    let chunk = Box::into_raw(chunk);
    if place
        .compare_exchange(null_mut(), chunk, AcqRel, Acquire)
        .is_err()
    {
        // SAFETY: another thread was first; this one was never published.
        drop(unsafe { Box::from_raw(chunk) });
    }
    slot(fd)
}
