//! Signal handlers of the model come where the application says so, unless they are kept off.

use super::local::{place, Local};
use std::cell::Cell;

/// How many shields this thread has.
static SHIELDS: Local<Cell<u64>> = Local::at(place::SHIELDS);

#[derive(Debug)]
pub struct Shield(());

pub fn shield() -> Shield {
    SHIELDS.set(SHIELDS.get() + 1);
    Shield(())
}

impl Drop for Shield {
    fn drop(&mut self) {
        SHIELDS.set(SHIELDS.get() - 1);
    }
}

/// Whether a signal has to wait.
pub fn is_shielded() -> bool {
    SHIELDS.get() > 0
}

/// No signal is blocked when a thread begins, nor in a handler.
pub fn mask() -> u64 {
    0
}
