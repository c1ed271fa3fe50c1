//! One thread that waits for its connections: what it knows, and what it decides.
//!
//! The state is taken out of its thread-local place while it is used. That is the guard against
//! re-entrancy: whatever is called meanwhile, by us or by a signal handler, finds nothing there and
//! goes straight.

mod admit;
mod body;
pub mod epoll_wait;
pub mod held_wait;
mod holding;
mod mapped;
mod operation;
mod request;
pub mod time;

pub use body::Transfer;
pub use operation::{Operation, Subject};
pub use request::Verdict;

use crate::fetch::pool::{Jobs, Pool, MAX_JOBS};
use crate::gate::numbers::{self, MOST_LOOPS};
use crate::gate::sets::Room;
use crate::gate::table::Slot;
use crate::gate::told::UNSEEN;
use crate::gate::waker;
use crate::sys::at_end::AtEnd;
use crate::sys::clock::{self, TickRate};
use crate::sys::local::{place, Local};
use crate::sys::program::{self, STATS};
use crate::sys::usage::{usage, Usage};
use crate::sys::{errno, handler, memory, process};
use holding::Holding;
use laio_core::batch::Batch;
use laio_core::config::{Config, Mode};
use laio_core::mappings::Mappings;
use laio_core::predictions::Predictions;
use laio_core::recent::Recent;
use laio_core::recognise::Request;
use laio_core::rules::Rules;
use laio_core::stats::Counters;
use laio_core::stream::{NextRead, OpenFile};
use request::{Partial, LOOK, PARTIALS};
use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::Arc;

/// An operation that took longer than these nanoseconds may have waited for a disk.
const SUSPICIOUS: u64 = 30_000;

/// A turn that has lasted so many nanoseconds is long for those who wait for the next one.
const LONG_TURN: u64 = 1_000_000;

/// No turn of a server lasts so many nanoseconds.
const UNLIKELY_TURN: u64 = 1_000_000_000;

/// The turns of one loop are numbered by so many bits, and the loop by the others.
const ITERATION_BITS: u32 = 40;

/// What the state of a loop takes of memory, without the jobs, at the most.
const ROOM: usize = 1 << 20;

static CURRENT: Local<Cell<*mut EventLoop>> = Local::at(place::CURRENT);
/// The same, while it is in use as well.
static OWNED: Local<Cell<*mut EventLoop>> = Local::at(place::OWNED);
/// This thread waits as an event loop does.
static WAITS: Local<Cell<bool>> = Local::at(place::WAITS);
/// The thread ends, and its state is gone.
static ENDED: Local<Cell<bool>> = Local::at(place::ENDED);

/// Frees the state when its thread ends.
static AT_END: AtEnd = AtEnd::new(end);

/// Prepares for event loops, at start-up.
pub fn prepare() {
    AT_END.prepare();
}

unsafe extern "C" fn end(state: *mut c_void) {
    CURRENT.set(null_mut());
    OWNED.set(null_mut());
    ENDED.set(true);
    // SAFETY: made by `Box::into_raw` in `begin`, and with CURRENT emptied nobody uses it.
    let state = unsafe { Box::from_raw(state.cast::<EventLoop>()) };
    // Behind a filter even to give memory back may be forbidden; and a raw `clone` has copied
    // this thread alone, so that locks may be held for ever.
    if program::awake() && process::is_same_process() {
        // Where the thread was cancelled in its wait.
        waker::take_down(state.number);
        numbers::give_back(state.number);
        state.pool.stop();
    } else {
        std::mem::forget(state);
    }
}

/// The place of this thread's state: looking it up costs a call, so it is done once in a hook.
#[derive(Clone, Copy, Debug)]
pub struct Here(*const Cell<*mut EventLoop>);

/// This thread's state, where it is an event loop that is not inside the library already.
#[inline]
pub fn here() -> Option<Here> {
    CURRENT.with(|place| (!place.get().is_null()).then_some(Here(place)))
}

impl Here {
    /// Runs `act` on the state; not at all where it has gone or come into use meanwhile.
    #[inline]
    pub fn with<R>(self, act: impl FnOnce(&mut EventLoop) -> R) -> Option<R> {
        struct PutBack<'p>(&'p Cell<*mut EventLoop>, *mut EventLoop);
        impl Drop for PutBack<'_> {
            fn drop(&mut self) {
                self.0.set(self.1);
            }
        }
        // SAFETY: the place is this thread's (a `Here` cannot be sent to another), and has no
        // destructor: it is there until the thread ends.
        let place = unsafe { &*self.0 };
        let section = handler::enter();
        if section.is_inner() {
            // A signal handler, where this thread may hold the lock of any connection.
            return None;
        }
        let taken = PutBack(place, place.replace(null_mut()));
        // SAFETY: the pointer comes from `begin` and lives until the thread ends; it has been taken
        // out of its place, so this is the only reference.
        unsafe { taken.1.as_mut() }.map(act)
    }
}

/// This thread's state where it waits: one that waits like an event loop becomes one when its process serves, but not in a
/// signal handler, which may have interrupted `malloc`.
#[inline]
pub fn waits_here(like_a_loop: impl FnOnce() -> bool) -> Option<Here> {
    if let Some(here) = here() {
        return Some(here);
    }
    let serves = program::SERVES.load(Relaxed);
    if WAITS.get() && !serves || !like_a_loop() {
        return None;
    }
    WAITS.set(true);
    serves.then(begin)?
}

/// This thread has accepted a connection. A loop may have been waiting for its first one, and read that at once.
#[inline]
pub fn accepts_here(slot: Option<&Slot>) {
    if WAITS.get() && here().is_none() {
        if let Some(here) = begin() {
            // It has waited for this one.
            here.with(|state| state.saw_events = true);
        }
    }
    if let (Some(here), Some(slot)) = (here(), slot) {
        here.with(|state| state.accepted(slot));
    }
}

/// This thread has waited by a system call that no hook sees.
pub fn has_waited_unseen() {
    if let Some(here) = here() {
        here.with(|state| {
            state.iteration += UNSEEN;
            state.trusted_since = state.iteration;
            state.saw_events = false;
            state.waited_unseen = true;
        });
    }
}

/// Makes this thread an event loop, where its process serves connections and may be helped.
#[cold]
fn begin() -> Option<Here> {
    let _kept = errno::Kept::new();
    let config = program::config()?;
    // There is one already, in use further up the stack; or the thread is ending.
    let section = handler::enter();
    if section.is_inner() || ENDED.get() || handler::may_be_running() {
        return None;
    }
    leave_behind();
    if !memory::is_to_be_had(ROOM) {
        return None;
    }
    let number = numbers::take()?;
    waker::make_place(number);
    let state = Box::into_raw(Box::new(EventLoop::new(config, number)));
    if AT_END.give(state.cast()) {
        OWNED.set(state);
        CURRENT.set(state);
    } else {
        numbers::give_back(number);
        // SAFETY: made just now, and nobody has seen it.
        drop(unsafe { Box::from_raw(state) });
    }
    memory::set_cushion_aside();
    here()
}

/// Whether this thread is inside the library further up the stack: a signal handler asks.
pub fn is_in_use() -> bool {
    handler::has_interrupted()
}

/// Where a signal handler has jumped out of the library while it used this thread's state: that may be half changed, and is
/// left alone for ever, with its threads, which open what is held back. The thread begins anew.
fn leave_behind() {
    if !OWNED.get().is_null() {
        AT_END.give(null_mut());
        OWNED.set(null_mut());
    }
}

/// After a fork: the state is the parent's. Nothing is freed, for a lock may be held for ever.
pub fn abandon() {
    numbers::abandon();
    WAITS.set(false);
    CURRENT.set(null_mut());
    OWNED.set(null_mut());
    AT_END.give(null_mut());
}

/// The state of one event loop.
pub struct EventLoop {
    /// No two of a process have the same.
    number: usize,
    config: &'static Config,
    counters: &'static Counters,
    pool: Arc<Pool>,
    rules: Rules,
    recent: Recent,
    /// Scratch, so that no hook needs a large frame.
    look: Box<[u8; LOOK]>,
    request: Request,
    predictions: Predictions,
    partials: Vec<Partial>,
    tick_rate: TickRate,
    /// Ticks after which an operation is suspected of having waited for a disk.
    suspicious: u64,
    /// When that is set back to [`SUSPICIOUS`], in milliseconds.
    suspicious_until: u64,
    /// Milliseconds at the beginning of this turn.
    now: u64,
    /// The number of this turn, which no other loop's has.
    iteration: u64,
    /// Since which turn all is known of what was reported of connections.
    trusted_since: u64,
    /// The wait before it has told of something.
    saw_events: bool,
    /// There was another one since, of which nobody knows what it told.
    waited_unseen: bool,
    /// The loop waits in `poll` or `select`.
    waits_in_sets: bool,
    /// Its waits tell of errors, which `select` does not.
    knows_errors: bool,
    /// As many connections are open as the application has made room for.
    is_full: bool,
    /// How much it is told of at once.
    told_at_once: Batch,
    /// Bodies that were cold and have room, of which this turn was told.
    bodies: usize,
    /// Requests that are held back.
    holding: Holding,
    /// The tick at which this turn began, if the loop was attentive then.
    turn_began: u64,
    /// Until when requests are looked at before they are read.
    attentive_until: u64,
    /// Until when no path is taken to be in memory for long.
    doubtful_until: u64,
    /// What the kernel had counted when last asked.
    baseline: Usage,
    /// Waits since then, each of which may have been a sleep.
    waits: i64,
    /// Cold requests on devices not worth a gate.
    below_break_even: u64,
    /// Jobs were submitted in this turn.
    submitted: bool,
    /// Room for finished jobs.
    batch: Jobs,
    /// A file is being opened that the look at its request has found in memory, or brought in.
    opens_warm: bool,
    /// The last such file of this turn.
    looked_at: Option<OpenFile>,
    /// What the application will read next, if it goes on as it did.
    next_read: NextRead,
    /// Files that the application has mapped.
    mappings: Mappings,
    /// For copies of the sets of `poll` and `select`.
    room: Room,
    /// A wait in `poll` or `select` has hung a bell, and has not taken it down.
    bell_hangs: bool,
}

impl EventLoop {
    fn new(config: &'static Config, number: usize) -> EventLoop {
        let counters = STATS.counters(number % MOST_LOOPS);
        let mut rules = Rules::default();
        for (prefix, directory) in &config.map {
            if !rules.pin(prefix.as_bytes(), directory.as_bytes()) {
                log::warn!("LAIO_MAP: {prefix}={directory} is too long; it is left out");
            }
        }
        let tick_rate = TickRate::measure();
        let now = clock::milliseconds();
        // Pinned rules speak before the first stall, so there is something to look for at once.
        let attentive_until = if rules.is_empty() {
            0
        } else {
            now + config.quiet_ms
        };
        EventLoop {
            number,
            config,
            counters,
            pool: Arc::new(Pool::new(counters, config.threads, config.window)),
            rules,
            recent: Recent::default(),
            look: Box::new([0; LOOK]),
            request: Request::default(),
            predictions: Predictions::default(),
            partials: Vec::with_capacity(PARTIALS),
            tick_rate,
            suspicious: tick_rate.ticks(SUSPICIOUS),
            suspicious_until: now,
            now,
            iteration: ((number as u64) << ITERATION_BITS) + 1,
            trusted_since: ((number as u64) << ITERATION_BITS) + 1,
            saw_events: false,
            waited_unseen: false,
            waits_in_sets: false,
            knows_errors: true,
            is_full: false,
            told_at_once: Batch::default(),
            bodies: 0,
            holding: Holding::default(),
            turn_began: 0,
            attentive_until,
            doubtful_until: 0,
            baseline: usage(),
            waits: 0,
            below_break_even: 0,
            submitted: false,
            batch: Vec::with_capacity(MAX_JOBS),
            opens_warm: false,
            looked_at: None,
            next_read: NextRead::default(),
            mappings: Mappings::default(),
            room: Room::default(),
            bell_hangs: false,
        }
    }

    fn attentive(&self) -> bool {
        self.now < self.attentive_until
    }

    /// Something was cold: from now on requests are looked at.
    fn stays_attentive(&mut self) {
        if !self.attentive() {
            self.trusted_since = self.iteration;
        }
        self.attentive_until = self.now + self.config.quiet_ms;
    }

    /// Whether a read has stalled lately although this loop looks at what it is asked for: memory may be taken from
    /// files that are in use.
    fn doubts(&self) -> bool {
        self.now < self.doubtful_until
    }

    /// The loop is about to wait.
    pub fn turn_ends(&mut self) {
        self.waits += 1;
        if self.bell_hangs {
            // A signal handler has jumped out of the wait, or comes in the middle of it; or a fork took long.
            let _kept = errno::Kept::new();
            self.bell_hangs = !waker::try_to_take_down(self.number);
        }
        if self.pool.is_staffed() {
            let _kept = errno::Kept::new();
            let submitted = std::mem::take(&mut self.submitted);
            self.pool.before_wait(&mut self.batch, submitted);
        } else if self.attentive() && self.config.mode == Mode::On && !handler::may_be_running() {
            let _kept = errno::Kept::new();
            self.pool.start();
        }
    }

    /// Whether any request is held back whose readiness this loop will be given.
    pub fn holds_back(&self) -> bool {
        self.pool.is_outstanding() && process::is_same_process()
    }

    /// A wait has ended without anything to tell, and another one follows.
    pub fn wait_goes_on(&mut self) {
        self.waits += 1;
        self.pool.before_wait(&mut self.batch, false);
    }

    /// Hangs what wakes it from a wait in `poll` or `select`, under a number that is not `taken`.
    fn hang_bell(&mut self, taken: impl Fn(i32) -> bool) -> Option<i32> {
        let bell = waker::hang(self.number, taken);
        self.bell_hangs |= bell.is_some();
        bell
    }

    fn take_bell_down(&mut self) {
        self.bell_hangs = !waker::take_down(self.number);
    }

    /// The kernel has come back from a wait.
    fn wakes(&mut self) {
        self.now = clock::milliseconds();
        self.pool.after_wait();
    }

    /// A turn begins, with what the kernel has told.
    pub fn begin_iteration(&mut self) {
        self.wakes();
        self.iteration += 1;
        self.saw_events = false;
        self.waited_unseen = false;
        self.recent.new_turn();
        self.next_read.forget();
        self.looked_at = None;
        self.bodies = 0;
        if self.now >= self.suspicious_until {
            self.suspicious = self.tick_rate.ticks(SUSPICIOUS);
            self.suspicious_until = self.now + 1000;
        }
    }

    /// The application goes on with what it is told.
    fn hand_over(&mut self) {
        if self.attentive() {
            let _kept = errno::Kept::new();
            self.rebase();
            self.turn_began = clock::ticks();
        }
    }

    /// This loop has accepted a connection: it may read it at once, without having been told that it can.
    fn accepted(&mut self, slot: &Slot) {
        if self.saw_events {
            slot.told.accepted(self.iteration);
        }
    }

    /// Whether those who wait for the next turn notice that this one goes on.
    fn turn_is_long(&self) -> bool {
        let age = clock::ticks().saturating_sub(self.turn_began);
        // Beyond, it is more likely that the loop waits by ways that no hook sees.
        (self.tick_rate.ticks(LONG_TURN)..self.tick_rate.ticks(UNLIKELY_TURN)).contains(&age)
    }

    fn rebase(&mut self) -> Usage {
        let before = std::mem::replace(&mut self.baseline, usage());
        self.waits = 0;
        before
    }
}
