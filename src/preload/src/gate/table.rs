//! What is known of each descriptor number: a table in chunks, made as numbers are accepted.

use super::numbers::MOST_LOOPS;
use super::told::Told;
use super::unseen::Unseen;
use super::{carry_out, cookies, waker};
use crate::sys::descriptors::{CHUNK, CHUNKS};
use crate::sys::lock::{Guard, Lock};
use crate::sys::program::STATS;
use crate::sys::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicU8, AtomicUsize, Ordering::*,
};
use crate::sys::sync::yield_now;
use crate::sys::{clock, errno, handler, kernel, memory};
use laio_core::gate::{Control, Descriptor, Side, DEL, ONESHOT};
use laio_core::inflight::Account;
use laio_core::stats::Counter;
pub use laio_core::stream::OpenFile;
use laio_core::stream::Stream;
use std::ptr::null_mut;

/// What a read of a connection is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Nothing is known of what waits in the socket: look at it.
    Look,
    /// Its files have just been warmed: read, without a look.
    Pass,
    /// The gate is closed: nothing was reported.
    Wait,
    /// The gate is closed, and a part of the request is handed out: so much was reported.
    Part,
}

const UNASKED: u8 = 0;
const STREAM: u8 = 1;
const OTHER: u8 = 2;

const LOOK: u8 = 0;
const PASS: u8 = 1;
const WAIT: u8 = 2;
const PART: u8 = 3;

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
    /// What the application has been told of it.
    pub told: Told,
    /// It has another number, or another process has it.
    shared: AtomicBool,
    /// How many children the process had made when it was accepted.
    born: AtomicU32,
    /// Whether it is a stream ([`STREAM`]), or a socket of another kind, where that was asked.
    kind: AtomicU8,
    /// An error that a look has met in place of the application: it is reported once.
    pub error: AtomicI32,
    /// Hash of the cookie under which it is registered, 0 for none. Written under the lock.
    cookie: AtomicU64,
    /// For how many connections the application has made this epoll instance, where it has said so.
    capacity: AtomicU32,
    /// What was read ahead for it.
    pub account: Account,
    /// What is known of the body that is being sent to this connection.
    pub stream: Lock<Stream>,
    /// Whether a request line was cut in the middle and its first part is kept.
    pub partial: AtomicBool,
    /// Whether the look at it has found such a part, which is to be kept when it is read.
    pub cut: AtomicBool,
    /// Whether it is an epoll instance with a connection in it.
    instance: AtomicBool,
    /// What a signal handler has done to it while its state was locked.
    unseen: Unseen,
    /// Held over an `epoll_ctl` where the two must agree: while a gate is closed or opened, and
    /// while the application changes the registration of a connection whose gate is closed.
    state: Lock<Descriptor>,
}

impl Slot {
    /// The connection's state, for a call of the application's. Nothing in a signal handler that may have interrupted the
    /// thread that holds it.
    pub fn lock(&self, fd: i32, section: &handler::Section) -> Option<Guard<'_, Descriptor>> {
        /// Another thread lets it go after a call.
        const TIMES: usize = 20;
        if !section.is_inner() {
            return Some(self.settled(fd));
        }
        let lock = || {
            let state = self.state.try_lock();
            if state.is_none() {
                yield_now();
            }
            state
        };
        std::iter::repeat_with(lock).take(TIMES).flatten().next()
    }

    /// The connection's state, with what signal handlers have done to it.
    fn settled(&self, fd: i32) -> Guard<'_, Descriptor> {
        let mut state = self.state.lock();
        if let Some(done) = self.unseen.take() {
            self.settle_unseen(fd, &mut state, done);
        }
        state
    }

    #[cold]
    fn settle_unseen(&self, fd: i32, state: &mut Descriptor, done: Option<Control>) {
        match done {
            Some(called) => {
                let (first, owed) = state.called_unseen(called);
                carry_out(fd, first);
                carry_out(fd, owed);
                self.set_cookie(None, fd);
                self.settle(fd, state);
            }
            // Closed, and perhaps another file's by now.
            None => state.reset(),
        }
    }

    /// A signal handler has called `epoll_ctl` while the state was locked: it is recorded by whoever locks it next.
    pub fn called_unseen(&self, called: Control) {
        self.cookie.store(0, Release);
        self.unseen.called(called);
    }

    /// Hash of the cookie under which it is registered; 0 for none.
    pub fn cookie_hash(&self) -> u64 {
        self.cookie.load(Acquire)
    }

    /// The connection `fd` is registered under this cookie from now on. Under the lock.
    pub fn set_cookie(&self, cookie: Option<(i32, u64)>, fd: i32) {
        let hash = cookie.map_or(0, |(instance, data)| cookies::hash(instance, data));
        if self.cookie.swap(hash, AcqRel) != hash && hash != 0 {
            cookies::insert(hash, fd);
        }
    }

    /// Whether an event of this instance with this cookie is this connection's, as the application has registered it;
    /// if so, whether that is for one event only.
    pub fn is_meant(&self, instance: i32, data: u64, events: u32) -> Option<bool> {
        let state = self.state.lock();
        // What is masked is not reported: then it is another one's of the same cookie.
        let is_its = state.is_registered_as(instance, data)
            && state.explains(events)
            && !state.masks(events);
        is_its.then(|| state.asks_for(ONESHOT))
    }

    /// The application has registered the connection elsewhere, which may have opened its gate.
    pub fn registered(&self, fd: i32, state: &Descriptor) {
        self.told.registered();
        self.set_cookie(state.cookie(), fd);
        if !state.is_closed() && self.next_read.load(Acquire) > PASS || self.write_waits() {
            self.settle(fd, state);
        }
    }

    /// Takes over which gates are open. Under the lock.
    fn settle(&self, fd: i32, state: &Descriptor) {
        if !state.holds(Side::Read) {
            let _ = self.next_read.compare_exchange(WAIT, LOOK, AcqRel, Acquire);
            let _ = self.next_read.compare_exchange(PART, LOOK, AcqRel, Acquire);
        }
        if !state.holds(Side::Write) {
            self.write_waits.store(false, Release);
        }
        waker::wake(self.keeper(), fd);
    }

    /// A read is about to happen. `Pass` is given once for each completed gate.
    pub fn read(&self) -> Read {
        match self.next_read.load(Acquire) {
            LOOK => Read::Look,
            WAIT => Read::Wait,
            PART => Read::Part,
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

    /// How often the number has changed hands.
    pub fn owners(&self) -> u32 {
        self.owners.load(Relaxed)
    }

    /// Whether nobody else can have it: it has one number, and this process has made no child since it was accepted.
    fn is_alone(&self) -> bool {
        !self.is_shared() && self.born.load(Relaxed) == CHILDREN.load(Relaxed)
    }

    /// Whether it has another number, or another process has it.
    pub fn is_shared(&self) -> bool {
        self.shared.load(Relaxed)
    }

    /// It has from now on: what is told by one number is not known by the other.
    pub fn share(&self, fd: i32) {
        self.shared.store(true, Relaxed);
        // A handler leaves the gate to the thread that holds the lock, or has closed it.
        if let Some(mut state) = self.lock(fd, &handler::enter()) {
            let owed = state.share();
            self.settle(fd, &state);
            carry_out(fd, owed);
        }
    }

    /// Whether it is a stream of bytes: messages are neither looked at one by one nor cut.
    pub fn is_stream(&self, fd: i32) -> bool {
        if self.kind.load(Relaxed) == UNASKED {
            let kind = if kernel::is_stream(fd) { STREAM } else { OTHER };
            self.kind.store(kind, Relaxed);
        }
        self.kind.load(Relaxed) == STREAM
    }

    /// Whether nothing is known of what waits in the socket.
    pub fn wants_look(&self) -> bool {
        self.next_read.load(Acquire) == LOOK
    }

    /// Closes a gate and holds readiness back, in the name of the event loop `keeper`: returns the
    /// job's ticket, or nothing where the readiness of this connection is not ours to hold back. `swallowed`
    /// tells that nothing of what the kernel has just reported of it is handed to the application; `in_set`
    /// that the loop waits in `poll` or `select`.
    pub fn close_gate(
        &self,
        fd: i32,
        side: Side,
        keeper: usize,
        swallowed: bool,
        in_set: bool,
    ) -> Option<u32> {
        let mut state = self.settled(fd);
        let is_known = (state.is_registered() || in_set) && !self.is_shared();
        if ALL_OPEN.load(SeqCst) > 0 || !is_known || !self.is_stream(fd) {
            return None;
        }
        let (ticket, masked) = state.close_gate(side, swallowed)?;
        self.keeper.store(keeper, Relaxed);
        match side {
            Side::Read => self.next_read.store(WAIT, Release),
            Side::Write => self.write_waits.store(true, Release),
        }
        carry_out(fd, masked);
        Some(ticket)
    }

    /// The kernel has reported what is held back already, and nothing of it is handed to the application.
    pub fn swallowed(&self, fd: i32) {
        let controls = self.state.lock().swallowed();
        carry_out(fd, controls);
    }

    /// An event of a registration for one event is handed to the application.
    pub fn delivered(&self) {
        self.state.lock().delivered();
    }

    /// Whether the read gate is still closed by this ticket.
    pub fn is_held_by(&self, ticket: u32) -> bool {
        self.state.lock().ticket(Side::Read) == Some(ticket)
    }

    /// Has the kernel report a held-back request, of which a part is handed out.
    pub fn hand_out_part(&self, fd: i32, ticket: u32) {
        let mut state = self.state.lock();
        if let Some(controls) = state.set_ajar(ticket) {
            self.next_read.store(PART, Release);
            carry_out(fd, controls);
        }
    }

    /// The application has read that part.
    pub fn part_is_read(&self, fd: i32) {
        let mut state = self.state.lock();
        if self.next_read.load(Acquire) == PART {
            self.next_read.store(WAIT, Release);
            carry_out(fd, state.shut());
        }
    }

    /// The job with this ticket is done: reports readiness, if it is still waited for. Under the
    /// lock: a `close` in between would hand the number to somebody else.
    pub fn complete(&self, fd: i32, ticket: u32) {
        let mut state = self.settled(fd);
        let Some((side, owed)) = state.complete(ticket) else {
            return;
        };
        match side {
            Side::Read => self.next_read.store(PASS, Release),
            Side::Write => self.write_waits.store(false, Release),
        }
        carry_out(fd, owed);
        waker::wake(self.keeper(), fd);
    }

    /// The number of an epoll instance goes: opens the gate if readiness is given back there.
    fn lose_instance(&self, fd: i32, instance: i32, section: &handler::Section) {
        let Some(mut state) = self.lock(fd, section) else {
            // As if it had been taken out of it.
            self.called_unseen(Control {
                instance,
                operation: DEL,
                events: 0,
                data: 0,
            });
            return;
        };
        let owed = state.lose_instance(instance);
        self.registered(fd, &state);
        carry_out(fd, owed);
    }

    /// Opens all gates before their jobs are done.
    pub fn abandon(&self, fd: i32) {
        self.abandon_locked(fd, &mut self.settled(fd));
    }

    fn abandon_locked(&self, fd: i32, state: &mut Descriptor) {
        let owed = state.abandon();
        self.settle(fd, state);
        carry_out(fd, owed);
    }

    /// The same, and what is read next is not looked at: the server waits for the disk itself.
    pub fn let_through(&self, fd: i32) {
        let mut state = self.state.lock();
        self.abandon_locked(fd, &mut state);
        self.next_read.store(PASS, Release);
    }
}

type Chunk = [Slot; CHUNK];

static HAS_INSTANCES: AtomicBool = AtomicBool::new(false);

/// Children that the process has made by `fork`.
static CHILDREN: AtomicU32 = AtomicU32::new(0);

/// The process makes a child, which has all connections as well.
pub fn has_forked() {
    CHILDREN.fetch_add(1, Relaxed);
}

/// Connections that the process has accepted, and has not closed.
static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);

static TABLE: [AtomicPtr<Chunk>; CHUNKS] = [const { AtomicPtr::new(null_mut()) }; CHUNKS];

/// The slot of an accepted connection; nothing for any other descriptor.
#[inline]
pub fn accepted(fd: i32) -> Option<&'static Slot> {
    let slot = slot(fd)?;
    slot.accepted.load(Acquire).then_some(slot)
}

/// Whether readiness is held back of the connection that had this number while it had changed hands so often. Without a
/// lock: a helper asks.
pub fn is_held(fd: i32, owners: u32, side: Side) -> bool {
    slot(fd).is_some_and(|slot| {
        let is_closed = match side {
            Side::Read => matches!(slot.next_read.load(Acquire), WAIT | PART),
            Side::Write => slot.write_waits(),
        };
        is_closed && slot.owners() == owners
    })
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
        let section = handler::enter();
        let stream = match section.is_inner() {
            true => slot.stream.try_lock(),
            false => Some(slot.stream.lock()),
        };
        let (Some(mut state), Some(mut stream)) = (slot.lock(fd, &section), stream) else {
            // A signal handler has interrupted what is done for the number's last owner: this one goes straight.
            leave(slot);
            return;
        };
        state.reset();
        *stream = Stream::default();
        slot.unseen.take();
        slot.next_read.store(LOOK, Relaxed);
        slot.write_waits.store(false, Relaxed);
        slot.partial.store(false, Relaxed);
        slot.cut.store(false, Relaxed);
        slot.error.store(0, Relaxed);
        slot.shared.store(false, Relaxed);
        slot.born.store(CHILDREN.load(Relaxed), Relaxed);
        slot.kind.store(UNASKED, Relaxed);
        slot.cookie.store(0, Relaxed);
        slot.told.reset(clock::milliseconds());
        slot.account.close();
        if !slot.accepted.swap(true, AcqRel) {
            CONNECTIONS.fetch_add(1, Relaxed);
        }
    }
}

/// What is no connection was registered under this cookie, of which events are told apart from connections'.
pub fn register_other(fd: i32, cookie: Option<(i32, u64)>) {
    if let Some(slot) = slot(fd).or_else(|| grow(fd)) {
        slot.set_cookie(cookie, fd);
    }
}

/// What has this number, if it was ever registered or accepted.
pub fn any(fd: i32) -> Option<&'static Slot> {
    slot(fd)
}

/// The number is no connection's any more.
fn leave(slot: &Slot) {
    slot.cookie.store(0, Release);
    if slot.accepted.swap(false, AcqRel) {
        CONNECTIONS.fetch_sub(1, Relaxed);
    }
}

/// The application has made an epoll instance for so many connections.
pub fn made_for(instance: i32, capacity: u32) {
    if let Some(slot) = slot(instance).or_else(|| grow(instance)) {
        slot.capacity.store(capacity, Relaxed);
    }
}

/// Whether there are as many connections as the application has made this instance for: it may close one that
/// has not begun a request.
pub fn is_full(instance: i32) -> bool {
    let capacity = slot(instance).map_or(0, |slot| slot.capacity.load(Relaxed));
    capacity != 0 && CONNECTIONS.load(Relaxed) >= capacity as usize
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
    slot.capacity.store(0, Relaxed);
    if slot.instance.load(Acquire) {
        forget_instance(fd, slot);
    }
    if !slot.accepted.load(Acquire) {
        slot.cookie.store(0, Release);
        return;
    }
    let unused = slot.account.close();
    if unused > 0 {
        let place = slot.keeper() % MOST_LOOPS;
        STATS.counters(place).add(Counter::BytesAbandoned, unused);
    }
    // A lock that is waited for may leave its own.
    let _kept = errno::Kept::new();
    let section = handler::enter();
    let Some(mut state) = slot.lock(fd, &section) else {
        if crate::sys::process::is_same_process() {
            slot.unseen.closed();
            leave(slot);
        }
        return;
    };
    if state.is_closed() {
        // A `vfork` child closes its own copy: the connection lives on in its parent.
        if !crate::sys::process::is_same_process() {
            return;
        }
        if state.holds(Side::Read) && slot.is_alone() {
            discard(fd);
        }
        // The description may have another number (`dup`), under which the registration lives on.
        let owed = state.abandon();
        carry_out(fd, owed);
    }
    state.reset();
    leave(slot);
}

/// Reads what a client has sent, which the application closes without having been told of it: unread, it would have the
/// kernel reset the connection, and what was sent to the client before could be lost.
#[cold]
fn discard(fd: i32) {
    const TIMES: usize = 64;
    let mut bytes = [0; 1024];
    for _ in 0..TIMES {
        if !matches!(kernel::receive(fd, &mut bytes), Ok(1..)) {
            break;
        }
    }
}

/// The instance may have another number (`dup`), under which its registrations live on.
#[cold]
fn forget_instance(instance: i32, slot: &Slot) {
    let _kept = errno::Kept::new();
    // A `vfork` child closes its own copy.
    if !crate::sys::process::is_same_process() {
        return;
    }
    slot.instance.store(false, Release);
    let section = handler::enter();
    for (number, chunk) in TABLE.iter().enumerate() {
        // SAFETY: as in `slot`.
        let Some(chunk) = (unsafe { chunk.load(Acquire).as_ref() }) else {
            continue;
        };
        for (place, slot) in chunk.iter().enumerate() {
            if slot.accepted.load(Acquire) {
                slot.lose_instance((number * CHUNK + place) as i32, instance, &section);
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
    CONNECTIONS.store(0, Relaxed);
    for chunk in &TABLE {
        chunk.store(null_mut(), Release);
    }
}

/// How many threads want all gates open.
static ALL_OPEN: AtomicUsize = AtomicUsize::new(0);

/// All gates are open, and none closes while this lives.
pub struct AllOpen(());

impl Drop for AllOpen {
    fn drop(&mut self) {
        ALL_OPEN.fetch_sub(1, SeqCst);
    }
}

/// Opens all gates of the process: it is about to become another program, which knows nothing of them.
pub fn open_all() -> AllOpen {
    /// A thread that holds a lock lets it go after some calls; a signal handler may have interrupted it.
    const TIMES: usize = 10_000;
    // Seen under the lock of each connection: its gate is open before, and cannot be closed afterwards.
    ALL_OPEN.fetch_add(1, SeqCst);
    let _section = handler::enter();
    for (number, chunk) in TABLE.iter().enumerate() {
        // SAFETY: as in `slot`.
        let Some(chunk) = (unsafe { chunk.load(Acquire).as_ref() }) else {
            continue;
        };
        for (place, slot) in chunk.iter().enumerate() {
            if !slot.accepted.load(Acquire) {
                continue;
            }
            let lock = || {
                let state = slot.state.try_lock();
                if state.is_none() {
                    yield_now();
                }
                state
            };
            if let Some(mut state) = std::iter::repeat_with(lock).take(TIMES).flatten().next() {
                if state.is_closed() {
                    slot.abandon_locked((number * CHUNK + place) as i32, &mut state);
                }
            }
        }
    }
    AllOpen(())
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
    let chunk = memory::map(size_of::<Chunk>())?.cast::<Chunk>();
    for number in 0..CHUNK {
        let fresh = Slot {
            accepted: AtomicBool::new(false),
            next_read: AtomicU8::new(LOOK),
            write_waits: AtomicBool::new(false),
            keeper: AtomicUsize::new(0),
            owners: AtomicU32::new(0),
            told: Told::default(),
            shared: AtomicBool::new(false),
            born: AtomicU32::new(0),
            kind: AtomicU8::new(UNASKED),
            error: AtomicI32::new(0),
            cookie: AtomicU64::new(0),
            capacity: AtomicU32::new(0),
            account: Account::new(),
            stream: Lock::new(Stream::default()),
            partial: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            instance: AtomicBool::new(false),
            unseen: Unseen::default(),
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
        unsafe { memory::unmap(chunk.cast(), size_of::<Chunk>()) };
    }
    slot(fd)
}
