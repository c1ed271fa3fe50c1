//! How many locks of each order this thread has: four bits for each.

use super::order::Order;
use crate::sys::local::{place, Local};
use crate::sys::log::fail;
use std::cell::Cell;

const BITS: u32 = 4;

static HELD: Local<Cell<u64>> = Local::at(place::HELD);

/// This thread is about to wait for a lock of this order. Ends the process where it must not: a panic would ask for memory.
pub fn check(order: Order) {
    if !is_allowed(order) {
        fail(format_args!(
            "{order:?} is locked behind what comes after it"
        ));
    }
}

/// Whether this thread may wait for a lock of this order.
pub fn is_allowed(order: Order) -> bool {
    HELD.get() >> (BITS * order as u32) == 0
}

pub fn add(order: Order) {
    HELD.set(HELD.get() + (1 << (BITS * order as u32)));
}

pub fn remove(order: Order) {
    // What was forgotten is not there any more.
    let one = 1 << (BITS * order as u32);
    if HELD.get() & (one * 0xf) != 0 {
        HELD.set(HELD.get() - one);
    }
}

pub fn forget() {
    HELD.set(0);
}
