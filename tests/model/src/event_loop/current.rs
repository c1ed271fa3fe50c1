//! Which event loop a thread of the model is.

use super::state::EventLoop;
use crate::gate::slot::Slot;
use crate::gate::waker;
use crate::sys::handler;
use crate::sys::local::{place, Local};
use std::cell::Cell;
use std::ptr::null_mut;

static CURRENT: Local<Cell<*mut EventLoop>> = Local::at(place::CURRENT);

/// This thread's state.
#[derive(Clone, Copy, Debug)]
pub struct LoopHandle(());

pub fn here() -> Option<LoopHandle> {
    (!CURRENT.get().is_null()).then_some(LoopHandle(()))
}

impl LoopHandle {
    pub fn with<R>(self, act: impl FnOnce(&mut EventLoop) -> R) -> Option<R> {
        let section = handler::enter();
        if section.is_inner() {
            return None;
        }
        let state = CURRENT.with(|place| place.replace(null_mut()));
        // SAFETY: made by `begin`, and lives until `end`; it has been taken out of its place.
        let result = unsafe { state.as_mut() }.map(act);
        CURRENT.set(state);
        result
    }
}

pub fn accepts_here(slot: Option<&Slot>) {
    if let (Some(here), Some(slot)) = (here(), slot) {
        here.with(|state| state.accepted(slot));
    }
}

/// Makes this thread an event loop.
pub fn begin(number: usize) -> LoopHandle {
    waker::make_place(number);
    CURRENT.set(Box::into_raw(Box::new(EventLoop::new(number))));
    LoopHandle(())
}

/// The thread ends.
pub fn end() {
    // SAFETY: made by `begin`, and this thread has no other.
    let state = unsafe { Box::from_raw(CURRENT.get()) };
    CURRENT.set(null_mut());
    waker::close(state.number());
    state.stop();
}
