//! What is known of each descriptor number: a table in chunks, made as numbers are accepted.

use super::{bell, can_be_nudged, carry_out, give_back};
use crate::guest::errno;
use crate::guest::lock::Lock;
use laio_core::gate::{Descriptor, Side};
pub use laio_core::stream::OpenFile;
use laio_core::stream::Stream;
use rustix::mm::{mmap_anonymous, munmap, MapFlags, ProtFlags};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU8, AtomicUsize, Ordering::*};
use std::sync::MutexGuard;

const CHUNK: usize = 256;

/// Numbers up to a million; a connection with a higher one goes straight.
const CHUNKS: usize = 4096;

/// What a read of a connection is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Nothing is known of what waits in the socket: look at it.
    Look,
    /// Its files have just been warmed: read, without a look.
    Pass,
    /// The gate is closed: `EAGAIN`, unless the client is gone.
    Wait,
}

const LOOK: u8 = 0;
const PASS: u8 = 1;
const WAIT: u8 = 2;

/// One descriptor number.
#[derive(Debug)]
pub struct Slot {
    /// Whether it is a connection that the process accepted. A hint: read without the lock.
    accepted: AtomicBool,
    /// What the next read is to do. Written under the lock, read without: the usher wakes the
    /// reader while it holds the lock, and the reader must not wait for it.
    next_read: AtomicU8,
    /// Whether the next part of a body waits for a job. Written under the lock, read without.
    write_waits: AtomicBool,
    /// The number of the event loop whose jobs will open the closed gates. Written before they close.
    keeper: AtomicUsize,
    /// How often the number has changed hands: a file's number is no proof of the file.
    owners: AtomicU32,
    /// What is known of the body that is being sent to this connection.
    pub stream: Lock<Stream>,
    /// Whether a request line was cut in the middle and its first part is kept.
    pub partial: AtomicBool,
    /// Whether it is an epoll instance with a connection in it.
    instance: AtomicBool,
    /// Held over an `epoll_ctl` where the two must agree: while a gate is closed or opened, and
    /// while the application changes the registration of a connection whose gate is closed.
    state: Lock<Descriptor>,
}

impl Slot {
    /// The connection's state, for the application's own `epoll_ctl`.
    pub fn lock(&self) -> MutexGuard<'_, Descriptor> {
        self.state.lock()
    }

    /// The application has registered the connection elsewhere, which may have opened its gate.
    pub fn registered(&self, fd: i32, state: &Descriptor) {
        if !state.is_closed() && self.held() != 0 {
            self.open(fd);
        }
    }

    /// Whatever waited does so no more. Under the lock.
    fn open(&self, fd: i32) {
        let _ = self.next_read.compare_exchange(WAIT, LOOK, AcqRel, Acquire);
        self.write_waits.store(false, Release);
        bell::ring(self.keeper(), fd);
    }

    /// A read is about to happen. `Pass` is given once for each completed gate.
    pub fn read(&self) -> Read {
        match self.next_read.load(Acquire) {
            LOOK => Read::Look,
            WAIT => Read::Wait,
            _ => {
                // Should the gate have been closed in between, that stands.
                let _ = self.next_read.compare_exchange(PASS, LOOK, AcqRel, Acquire);
                Read::Pass
            }
        }
    }

    /// Whether a part of a body waits for a job: the answer to a write is `EAGAIN`.
    pub fn write_waits(&self) -> bool {
        self.write_waits.load(Acquire)
    }

    /// The events that are held back.
    pub fn held(&self) -> u32 {
        let sides = [
            (Side::Read, self.next_read.load(Acquire) == WAIT),
            (Side::Write, self.write_waits()),
        ];
        let held = sides.iter().filter(|(_, waits)| *waits);
        held.fold(0, |events, (side, _)| events | side.events())
    }

    /// The number of the event loop that holds this connection's readiness back, where one does.
    pub fn keeper(&self) -> usize {
        self.keeper.load(Relaxed)
    }

    /// Whether its readiness is held back by another event loop than this one, and nothing keeps this
    /// one from waking: it waits in `poll` or `select`.
    pub fn wakes_another(&self, number: usize) -> bool {
        self.keeper() != number && !self.state.lock().is_registered()
    }

    /// Closes a gate and holds readiness back, in the name of the event loop `keeper`: returns the
    /// job's ticket, or nothing where the readiness of this connection is not ours to hold back.
    pub fn close_gate(&self, fd: i32, side: Side, keeper: usize) -> Option<u32> {
        let mut state = self.state.lock();
        if !state.is_registered() && !can_be_nudged(fd) {
            return None;
        }
        let (ticket, masked) = state.close_gate(side)?;
        self.keeper.store(keeper, Relaxed);
        match side {
            Side::Read => self.next_read.store(WAIT, Release),
            Side::Write => self.write_waits.store(true, Release),
        }
        carry_out(fd, masked);
        Some(ticket)
    }

    /// The job with this ticket is done: reports readiness, if it is still waited for. Under the
    /// lock: a `close` in between would hand the number to somebody else.
    pub fn complete(&self, fd: i32, ticket: u32) {
        let mut state = self.state.lock();
        let Some((side, owed)) = state.complete(ticket) else {
            return;
        };
        match side {
            Side::Read => self.next_read.store(PASS, Release),
            Side::Write => self.write_waits.store(false, Release),
        }
        give_back(fd, &state, owed, &[side]);
        bell::ring(self.keeper(), fd);
    }

    /// The number of an epoll instance goes: opens the gate if readiness is given back there.
    fn lose_instance(&self, fd: i32, instance: i32) {
        let mut state = self.state.lock();
        let owed = state.lose_instance(instance);
        self.registered(fd, &state);
        carry_out(fd, owed);
    }

    /// Opens all gates before their jobs are done.
    pub fn abandon(&self, fd: i32) {
        let mut state = self.state.lock();
        self.open(fd);
        let owed = state.abandon();
        give_back(fd, &state, owed, &Side::BOTH);
    }
}

type Chunk = [Slot; CHUNK];

static HAS_INSTANCES: AtomicBool = AtomicBool::new(false);

static TABLE: [AtomicPtr<Chunk>; CHUNKS] = [const { AtomicPtr::new(null_mut()) }; CHUNKS];

/// The slot of an accepted connection; nothing for any other descriptor.
#[inline]
pub fn accepted(fd: i32) -> Option<&'static Slot> {
    let slot = slot(fd)?;
    slot.accepted.load(Acquire).then_some(slot)
}

/// The file that has this number now.
pub fn open_file(fd: i32) -> Option<OpenFile> {
    let slot = slot(fd).or_else(|| grow(fd))?;
    let owners = slot.owners.load(Relaxed);
    Some(OpenFile { fd, owners })
}

/// Marks a number as a connection that has just been accepted.
pub fn accept(fd: i32) {
    if let Some(slot) = slot(fd).or_else(|| grow(fd)) {
        slot.lock().reset();
        *slot.stream.lock() = Stream::default();
        slot.next_read.store(LOOK, Relaxed);
        slot.write_waits.store(false, Relaxed);
        slot.partial.store(false, Relaxed);
        slot.accepted.store(true, Release);
    }
}

/// Marks a number as an epoll instance in which connections are registered.
#[inline]
pub fn register_in(instance: i32) {
    if let Some(slot) = slot(instance).or_else(|| grow(instance)) {
        slot.instance.store(true, Release);
        HAS_INSTANCES.store(true, Relaxed);
    }
}

/// Whether the process has ever registered a connection in an epoll instance.
pub fn is_registered_in_any() -> bool {
    HAS_INSTANCES.load(Relaxed)
}

/// The number is about to be closed or taken over: settles what its connection is owed, or those in
/// its epoll instance.
pub fn forget(fd: i32) {
    let Some(slot) = slot(fd) else { return };
    slot.owners.fetch_add(1, Relaxed);
    if slot.instance.load(Acquire) {
        forget_instance(fd, slot);
    }
    if !slot.accepted.load(Acquire) {
        return;
    }
    // A lock that is waited for may leave its own.
    let _kept = errno::Kept::new();
    let mut state = slot.lock();
    if state.is_closed() {
        // A `vfork` child closes its own copy: the connection lives on in its parent.
        if !crate::guest::program::is_same_process() {
            return;
        }
        // The description may have another number (`dup`), under which the registration lives on.
        let owed = state.abandon();
        give_back(fd, &state, owed, &Side::BOTH);
    }
    state.reset();
    slot.accepted.store(false, Release);
}

/// The instance may have another number (`dup`), under which its registrations live on.
#[cold]
fn forget_instance(instance: i32, slot: &Slot) {
    let _kept = errno::Kept::new();
    // A `vfork` child closes its own copy.
    if !crate::guest::program::is_same_process() {
        return;
    }
    slot.instance.store(false, Release);
    for (number, chunk) in TABLE.iter().enumerate() {
        // SAFETY: as in `slot`.
        let Some(chunk) = (unsafe { chunk.load(Acquire).as_ref() }) else {
            continue;
        };
        for (place, slot) in chunk.iter().enumerate() {
            if slot.accepted.load(Acquire) {
                slot.lose_instance((number * CHUNK + place) as i32, instance);
            }
        }
    }
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
    // From the kernel, not from an allocator: the hook may be a signal handler's.
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping, which nobody knows yet.
    let memory = unsafe {
        mmap_anonymous(
            null_mut(),
            size_of::<Chunk>(),
            protection,
            MapFlags::PRIVATE,
        )
    };
    let chunk = memory.ok()?.cast::<Chunk>();
    for number in 0..CHUNK {
        let fresh = Slot {
            accepted: AtomicBool::new(false),
            next_read: AtomicU8::new(LOOK),
            write_waits: AtomicBool::new(false),
            keeper: AtomicUsize::new(0),
            owners: AtomicU32::new(0),
            stream: Lock::new(Stream::default()),
            partial: AtomicBool::new(false),
            instance: AtomicBool::new(false),
            state: Lock::new(Descriptor::default()),
        };
        // SAFETY: within the mapping, which begins at a page and so is aligned.
        unsafe { chunk.cast::<Slot>().add(number).write(fresh) };
    }
    if place
        .compare_exchange(null_mut(), chunk, AcqRel, Acquire)
        .is_err()
    {
        // SAFETY: another thread was first; this one was never published.
        let _ = unsafe { munmap(chunk.cast(), size_of::<Chunk>()) };
    }
    slot(fd)
}
