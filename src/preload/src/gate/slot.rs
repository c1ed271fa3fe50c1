//! What is known of one connection: what its next read is to do, which of its gates are closed, what it has been told.

use super::control::carry_out;
use super::repeat::Repeat;
use super::told::Told;
use super::unseen::{Done, Unseen};
use super::waker;
use super::{cookies, numbers};
use crate::sys::lock::{Guard, Lock, Order};
use crate::sys::sync::atomic::{
    AtomicBool, AtomicI32, AtomicU32, AtomicU8, AtomicUsize, Ordering::*,
};
use crate::sys::sync::yield_now;
use crate::sys::{clock, handler, kernel, mask};
use laio_core::gate::{Controls, Descriptor, Reported, Side};
use laio_core::inflight::Account;
use laio_core::recognise::Body;
use laio_core::stream::Stream;

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

/// Nothing was read of the client yet.
pub(super) const SILENT: u8 = 0;
pub(super) const LOOK: u8 = 0;
pub(super) const PASS: u8 = 1;
pub(super) const WAIT: u8 = 2;
pub(super) const PART: u8 = 3;

/// One descriptor number.
#[derive(Debug)]
pub struct Slot {
    /// Whether it is a connection that the process accepted. A hint: read without the lock.
    pub(super) accepted: AtomicBool,
    /// What the next read is to do. Written under the lock, read without: the completion thread wakes the
    /// reader while it holds the lock, and the reader must not wait for it.
    pub(super) next_read: AtomicU8,
    /// Whether the next part of a body waits for a job. Written under the lock, read without.
    pub(super) write_waits: AtomicBool,
    /// The number of the event loop whose jobs will open the closed gates. Written before they close.
    pub(super) keeper: AtomicUsize,
    /// What the application has been told of it.
    pub told: Told,
    /// It has another number, or another process has it.
    pub(super) shared: AtomicBool,
    /// How many children the process had made when it was accepted.
    pub(super) born: AtomicU32,
    /// Whether it is a stream ([`STREAM`]), or a socket of another kind, where that was asked.
    pub(super) kind: AtomicU8,
    /// An error that a look has met in place of the application: it is reported once.
    pub error: AtomicI32,
    /// What was read ahead for it.
    pub account: Account,
    /// What is known of the body that is being sent to this connection.
    pub stream: Lock<Stream>,
    /// Whether a request line was cut in the middle and its first part is kept.
    pub partial: AtomicBool,
    /// Whether the look at it has found such a part, which is to be kept when it is read, or what is no request to predict for.
    pub cut: AtomicBool,
    /// Its last request, if that is one that is asked for again and again.
    pub repeat: Repeat,
    /// What the client speaks (`speech`).
    pub(super) speech: AtomicU8,
    /// Whether the client's next byte is of a request's body. Written under the lock of `stream`, read without.
    pub(super) in_body: AtomicBool,
    /// What a signal handler has done to it while its state was locked.
    pub(super) unseen: Unseen,
    /// Held over an `epoll_ctl` where the two must agree: while a gate is closed or opened, and
    /// while the application changes the registration of a connection whose gate is closed.
    pub(super) state: Lock<Descriptor>,
}

/// Children that the process has made by `fork`.
static CHILDREN: AtomicU32 = AtomicU32::new(0);

/// The process makes a child, which has all connections as well.
pub fn has_forked() {
    CHILDREN.fetch_add(1, Relaxed);
}

/// How many threads want all gates open.
static ALL_OPEN: AtomicUsize = AtomicUsize::new(0);

/// Whether none may close.
pub(super) fn are_all_open() -> bool {
    ALL_OPEN.load(SeqCst) > 0
}

/// All gates are open, and none closes while this lives.
pub struct AllOpen(());

impl AllOpen {
    /// None closes from now on: seen under the lock of each connection.
    pub fn begin() -> AllOpen {
        ALL_OPEN.fetch_add(1, SeqCst);
        AllOpen(())
    }
}

impl Drop for AllOpen {
    fn drop(&mut self) {
        ALL_OPEN.fetch_sub(1, SeqCst);
    }
}

impl Slot {
    /// A number that is no connection's.
    pub fn fresh() -> Slot {
        Slot {
            accepted: AtomicBool::new(false),
            next_read: AtomicU8::new(LOOK),
            write_waits: AtomicBool::new(false),
            keeper: AtomicUsize::new(0),
            told: Told::default(),
            shared: AtomicBool::new(false),
            born: AtomicU32::new(0),
            kind: AtomicU8::new(UNASKED),
            error: AtomicI32::new(0),
            account: Account::new(),
            stream: Lock::new(Order::Stream, Stream::default()),
            partial: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            repeat: Repeat::default(),
            speech: AtomicU8::new(SILENT),
            in_body: AtomicBool::new(false),
            unseen: Unseen::default(),
            state: Lock::new(Order::Gates, Descriptor::default()),
        }
    }

    /// The number is that of a connection that has just been accepted. False where a signal handler has interrupted what is
    /// done for its last owner.
    pub fn accept(&self, fd: i32) -> bool {
        let section = handler::enter();
        let stream = match section.is_inner() {
            true => self.stream.try_lock(),
            false => Some(self.stream.lock()),
        };
        let (Some(mut state), Some(mut stream)) = (self.lock(fd, &section), stream) else {
            return false;
        };
        state.reset();
        stream.reset();
        self.unseen.take();
        self.next_read.store(LOOK, Relaxed);
        self.write_waits.store(false, Relaxed);
        self.partial.store(false, Relaxed);
        self.cut.store(false, Relaxed);
        self.in_body.store(false, Relaxed);
        self.repeat.ends();
        self.error.store(0, Relaxed);
        self.shared.store(false, Relaxed);
        self.born.store(CHILDREN.load(Relaxed), Relaxed);
        self.kind.store(UNASKED, Relaxed);
        self.told.reset(clock::milliseconds());
        self.account.close();
        true
    }

    /// Whether it is a connection that the process has accepted, and has not closed. A hint: without the lock.
    #[inline]
    pub fn is_accepted(&self) -> bool {
        self.accepted.load(Acquire)
    }

    /// It is from now on, or is no more; tells whether it was.
    pub fn set_accepted(&self, accepted: bool) -> bool {
        self.accepted.swap(accepted, AcqRel)
    }

    /// Whether readiness is held back on this side. Without a lock: a helper asks.
    pub fn is_held(&self, side: Side) -> bool {
        match side {
            Side::Read => matches!(self.next_read.load(Acquire), WAIT | PART),
            Side::Write => self.write_waits(),
        }
    }

    /// The connection's state, for a call of the application's. Nothing in a signal handler that has interrupted the thread
    /// that holds it.
    pub fn lock(&self, fd: i32, section: &handler::Section) -> Option<Guard<'_, Descriptor>> {
        /// Another thread lets it go after a call, unless a handler has interrupted it there.
        const TIMES: usize = 1000;
        if !section.is_inner() {
            return Some(self.settled(fd));
        }
        for _ in 0..TIMES {
            if let Some(state) = self.state.try_lock() {
                return Some(state);
            }
            if self.state.is_own() {
                break;
            }
            yield_now();
        }
        None
    }

    /// The connection's state, with what signal handlers have done to it.
    pub(super) fn settled(&self, fd: i32) -> Guard<'_, Descriptor> {
        let mut state = self.state.lock();
        self.settle_notes(fd, &mut state);
        state
    }

    /// Acts on what signal handlers have done to it since it was locked.
    #[inline]
    pub fn settle_notes(&self, fd: i32, state: &mut Descriptor) {
        if self.unseen.is_any() {
            self.settle_all(fd, state);
        }
    }

    #[cold]
    fn settle_all(&self, fd: i32, state: &mut Descriptor) {
        // Another handler comes before or after it.
        let _shield = mask::shield();
        if let Some(done) = self.unseen.take() {
            self.settle_unseen(fd, state, &done);
        }
    }

    #[cold]
    fn settle_unseen(&self, fd: i32, state: &mut Descriptor, done: &Done) {
        if *done == Done::Closed {
            // Perhaps another file's by now.
            state.reset();
            return;
        }
        carry_out(fd, state.called_unseen(is_replaced(state, done)));
        cookies::set(fd, None);
        self.settle(fd, state);
    }

    /// Carries out what the state machine has decided, unless a signal handler has called `epoll_ctl` for that registration
    /// since: then that is what the application wants. None comes in between.
    pub fn carry_out(&self, fd: i32, state: &mut Descriptor, controls: Controls) {
        if controls.is_empty() {
            return;
        }
        let _shield = mask::shield();
        let done = self.unseen.take();
        if !done.as_ref().is_some_and(|done| is_replaced(state, done)) {
            carry_out(fd, controls);
        }
        if let Some(done) = done {
            self.settle_unseen(fd, state, &done);
        }
    }

    /// A signal handler has called `epoll_ctl` while the state was locked: whoever locks it next acts on that.
    pub fn called_unseen(&self, fd: i32, instance: i32, operation: i32) {
        self.told.registered();
        cookies::set(fd, None);
        self.unseen.called(instance, operation);
    }

    /// Whether an event of this instance with this cookie is this connection's, as the application has registered it;
    /// if so, which registration that is.
    pub fn is_meant(&self, instance: i32, data: u64, events: u32) -> Option<Reported> {
        let state = self.state.lock();
        // What is masked is not reported: then it is another one's of the same cookie.
        let is_its = state.is_registered_as(instance, data)
            && state.explains(events)
            && !state.masks(events);
        state.reported().filter(|_| is_its)
    }

    /// The application has registered the connection elsewhere, which may have opened its gate.
    pub fn registered(&self, fd: i32, state: &Descriptor) {
        self.told.registered();
        cookies::set(fd, state.cookie());
        if state.reported().is_some_and(Reported::is_one_shot) {
            numbers::registered_for_one_event();
        }
        if !state.is_closed() && self.next_read.load(Acquire) > PASS || self.write_waits() {
            self.settle(fd, state);
        }
    }

    /// Takes over which gates are open. Under the lock.
    pub(super) fn settle(&self, fd: i32, state: &Descriptor) {
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

    /// Whether nobody else can have it: it has one number, and this process has made no child since it was accepted.
    pub fn is_alone(&self) -> bool {
        !self.is_shared() && self.born.load(Relaxed) == CHILDREN.load(Relaxed)
    }

    /// Whether it has another number, or another process has it.
    pub fn is_shared(&self) -> bool {
        self.shared.load(Relaxed)
    }

    /// Whether it is a stream of bytes: messages are neither looked at one by one nor cut.
    pub fn is_stream(&self, fd: i32) -> bool {
        if self.kind.load(Relaxed) == UNASKED {
            let kind = if kernel::is_stream(fd) { STREAM } else { OTHER };
            self.kind.store(kind, Relaxed);
        }
        self.kind.load(Relaxed) == STREAM
    }

    /// Whether the client's next byte is of a request's body: nobody looks for requests there.
    #[inline]
    pub fn is_in_body(&self) -> bool {
        self.in_body.load(Relaxed)
    }

    /// Bytes were read of the client's body, or a request begins that has one.
    pub fn receives(&self, follow: impl FnOnce(&mut Body)) {
        let mut stream = self.stream.lock();
        follow(&mut stream.received);
        self.in_body.store(stream.received.is_inside(), Relaxed);
    }

    /// A write of an answer that is sent without a look has returned.
    #[inline]
    pub fn has_sent_of_repeated(&self, written: isize) {
        if let Ok(count @ 1..) = usize::try_from(written) {
            self.repeat.has_sent(count);
            self.told.is_answered();
        }
    }

    /// Whether nothing is known of what waits in the socket.
    pub fn wants_look(&self) -> bool {
        self.next_read.load(Acquire) == LOOK
    }
}

/// Whether what handlers have done has replaced the registration that is known, or its number is closed.
fn is_replaced(state: &Descriptor, done: &Done) -> bool {
    let known = state.cookie().map(|(instance, _)| instance);
    // A call by one number of an instance may be for what is registered by another one.
    let has_alias =
        |called| numbers::is_duplicated(called) || known.is_some_and(numbers::is_duplicated);
    match done {
        Done::Closed => true,
        Done::Called(calls) => calls.iter().any(|&(instance, operation)| {
            state.is_replaced_by(instance, operation, has_alias(instance))
        }),
    }
}
