//! Connections that the process makes itself, to applications behind it: what they answer may name a file.
//!
//! Such a number becomes a connection like those that were accepted only while answers are looked at: where it is connected, or, if it is
//! older, where it is read.

use super::numbers;
use super::slot::Slot;
use super::table;
use crate::sys::sync::atomic::Ordering::*;
use crate::sys::{handler, kernel};
use laio_core::behind::Watch;

/// Whether answers are looked at.
pub static ANSWERS: Watch = Watch::new();

/// What is spoken on such a connection.
pub(super) const BEHIND: u8 = 2;

/// The process connects this number to another one.
#[inline]
pub fn connects(fd: i32) {
    numbers::connects(fd);
    if ANSWERS.is_on() && table::accepted(fd).is_none() {
        let _ = adopts(fd);
    }
}

/// The connection that is about to be read, if it is one of a client, or one to an application whose answers are looked at.
#[inline]
pub fn read_connection(fd: i32) -> Option<&'static Slot> {
    match table::accepted(fd) {
        None if ANSWERS.is_on() => adopts(fd),
        slot => slot,
    }
}

/// A number becomes such a connection, with what is known of its registration.
#[cold]
fn adopts(fd: i32) -> Option<&'static Slot> {
    // A handler waits for no lock: the next read does it. Files and pipes, of which most reads are, cost no call.
    if !numbers::is_connected(fd) || handler::may_be_running() {
        return None;
    }
    // Of several threads that read it one makes it a connection.
    if !numbers::was_connected(fd) || !kernel::is_stream(fd) {
        return None;
    }
    let registration = numbers::registration(fd);
    let slot = table::adopt(fd)?;
    slot.speech.store(BEHIND, Relaxed);
    let mut state = slot.settled(fd);
    if let Some(registration) = registration {
        // What is known is what the application has asked for: nothing is to be done.
        let _ = state.control(registration);
        numbers::register_in(registration.instance);
    }
    slot.registered(fd, &state);
    drop(state);
    Some(slot)
}

impl Slot {
    /// Whether it is one to an application, and none of a client's.
    #[inline]
    pub fn is_behind(&self) -> bool {
        self.speech.load(Relaxed) == BEHIND
    }
}
