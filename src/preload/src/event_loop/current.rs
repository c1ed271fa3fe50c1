//! Which event loop a thread is.
//!
//! The state is taken out of its thread-local place while it is used. That is the guard against
//! re-entrancy: whatever is called meanwhile, by us or by a signal handler, finds nothing there and
//! passes through.

use super::elsewhere;
use super::state::EventLoop;
use crate::gate::slot::Slot;
use crate::gate::{loops, table, waker};
use crate::sys::at_end::AtEnd;
use crate::sys::local::{place, Local};
use crate::sys::{errno, handler, lock, memory, process, program};
use crate::threads::registry;
use laio_core::config::{Config, Mode};
use laio_core::escape::Escaped;
use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

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
    // A signal handler may have jumped out of its use to the end of the thread.
    if handler::has_interrupted() || OWNED.get().is_null() {
        return;
    }
    CURRENT.set(null_mut());
    OWNED.set(null_mut());
    ENDED.set(true);
    // SAFETY: made by `Box::into_raw` in `begin`, and with CURRENT emptied nobody uses it.
    let state = unsafe { Box::from_raw(state.cast::<EventLoop>()) };
    // Behind a filter even to give memory back may be forbidden; and a raw `clone` has copied
    // this thread alone, so that locks may be held for ever.
    if program::awake() && process::is_same_process() {
        // Where the thread was cancelled in its wait.
        waker::close(state.number);
        state.counters.end();
        loops::give_back(state.number);
        if !loops::are_any() {
            elsewhere::is_over();
        }
        state.pool.stop();
    } else {
        std::mem::forget(state);
    }
}

/// The place of this thread's state: looking it up costs a call, so it is done once in a hook.
#[derive(Clone, Copy, Debug)]
pub struct LoopHandle(*const Cell<*mut EventLoop>);

/// This thread's state, where it is an event loop that is not inside the library already.
#[inline]
pub fn here() -> Option<LoopHandle> {
    CURRENT.with(|place| (!place.get().is_null()).then_some(LoopHandle(place)))
}

impl LoopHandle {
    /// Runs `act` on the state; not at all where it has gone or come into use meanwhile.
    #[inline]
    pub fn with<R>(self, act: impl FnOnce(&mut EventLoop) -> R) -> Option<R> {
        struct PutBack<'p>(&'p Cell<*mut EventLoop>, *mut EventLoop);
        impl Drop for PutBack<'_> {
            fn drop(&mut self) {
                self.0.set(self.1);
            }
        }
        // SAFETY: the place is this thread's (a `LoopHandle` cannot be sent to another), and has no
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
pub fn waits_here(like_a_loop: impl FnOnce() -> bool) -> Option<LoopHandle> {
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
            here.with(|state| state.iteration.tells(true));
        }
    }
    if let (Some(here), Some(slot)) = (here(), slot) {
        here.with(|state| state.accepted(slot));
    }
}

/// The connection that speaks TLS and was read last by this thread; none is negative.
pub fn last_sealed() -> i32 {
    let last = here().and_then(|here| here.with(|state| state.looks.last_sealed));
    last.unwrap_or(-1)
}

/// This thread has waited by a system call that no hook sees.
pub fn has_waited_unseen() {
    if let Some(here) = here() {
        here.with(|state| {
            state.iteration.has_waited_unseen();
            state.observer.began = None;
        });
    }
}

/// Makes this thread an event loop, where its process serves connections and may be helped.
#[cold]
fn begin() -> Option<LoopHandle> {
    let _errno = errno::Guard::new();
    let config = program::config()?;
    // There is one already, in use further up the stack; or the thread is ending.
    let section = handler::enter();
    if section.is_inner() || ENDED.get() || handler::may_be_running() || !program::awake() {
        return None;
    }
    if !memory::is_to_be_had(ROOM) {
        log::warn!("there is no memory for an event loop: its requests pass through");
        return None;
    }
    let number = loops::take()?;
    waker::make_place(number);
    let state = Box::into_raw(Box::new(EventLoop::new(config, number)));
    if AT_END.give(state.cast()) {
        OWNED.set(state);
        CURRENT.set(state);
    } else {
        loops::give_back(number);
        // SAFETY: made just now, and nobody has seen it.
        drop(unsafe { Box::from_raw(state) });
    }
    memory::set_cushion_aside();
    tell_once(config);
    here()
}

/// One line of a process with an event loop: what acts in it. A child of a fork is another process.
fn tell_once(config: &Config) {
    static TOLD_BY: AtomicU32 = AtomicU32::new(0);
    let pid = process::pid();
    if log::log_enabled!(log::Level::Info) && TOLD_BY.swap(pid, Relaxed) != pid {
        let switch = |is_on| if is_on { "on" } else { "off" };
        log::info!(
            "{} {} in {} (TLS {}, HTTP/2 {})",
            env!("CARGO_PKG_VERSION"),
            match config.mode {
                Mode::Observe => "observes",
                Mode::On | Mode::Off => "holds back cold requests",
            },
            Escaped(program::name().as_bytes()),
            switch(config.tls),
            switch(config.http2),
        );
    }
}

/// Whether this thread is inside the library further up the stack: a signal handler asks.
pub fn is_in_use() -> bool {
    handler::has_interrupted()
}

/// A signal handler has jumped out of the library on this thread, which had any lock of it. What it had locked is free again;
/// what may be half changed is left alone for ever, and nothing is held back for it.
pub fn recover() {
    let _errno = errno::Guard::new();
    if !process::is_same_process() {
        return;
    }
    lock::forget_held();
    table::recover();
    registry::recover();
    if memory::is_left() {
        // Without memory of its own the library does nothing any more.
        std::mem::forget(table::open_all());
        program::lie_down();
        CURRENT.set(null_mut());
        return;
    }
    let owned = OWNED.get();
    if owned.is_null() || !CURRENT.get().is_null() {
        return;
    }
    AT_END.give(null_mut());
    OWNED.set(null_mut());
    // SAFETY: it lives until the thread ends, and whoever used it was left. The two are not changed after `begin`.
    let (number, pool) = unsafe { ((*owned).number, &(*owned).pool) };
    table::let_go(number);
    pool.recover();
}

/// Whether this thread is an event loop, also while its state is in use.
pub fn is_of_a_loop() -> bool {
    !OWNED.get().is_null()
}

/// After a fork: the state is the parent's. Nothing is freed, for a lock may be held for ever.
pub fn abandon() {
    elsewhere::abandon();
    loops::abandon();
    WAITS.set(false);
    CURRENT.set(null_mut());
    OWNED.set(null_mut());
    AT_END.give(null_mut());
}
