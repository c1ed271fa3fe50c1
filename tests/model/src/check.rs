//! One execution: from nothing to quiet, and what must hold then.

use crate::application::Loop;
use crate::gate::{numbers, table, waker};
use crate::sys::{clock, kernel, local, memory, signals, sync};
use crate::threads::registry;
use laio_core::gate::ONESHOT;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Runs `act`, which joins the threads that it starts, and checks what is left when the library's threads are gone.
pub fn execution(fine: bool, act: impl FnOnce()) {
    if IS_DIRTY.swap(true, Relaxed) {
        forget();
    }
    sync::begin(fine);
    clock::begin();
    kernel::begin();
    local::begin();
    signals::begin();
    registry::begin();
    act();
    registry::wait();
    kernel::check();
    kernel::numbers(true).into_iter().for_each(check_record);
    sync::end();
    forget();
    IS_DIRTY.store(false, Relaxed);
}

/// An execution that has failed leaves its state in the library's statics.
static IS_DIRTY: AtomicBool = AtomicBool::new(false);

fn forget() {
    for of_sockets in [true, false] {
        let open = kernel::numbers(of_sockets).into_iter();
        open.for_each(|fd| _ = numbers::changes_hands(fd));
    }
    waker::abandon();
    table::abandon();
    memory::begin();
}

/// What the library knows of a connection is so.
fn check_record(fd: i32) {
    let Some(slot) = table::accepted(fd) else {
        return;
    };
    assert_eq!(slot.held(), 0, "{fd} is held back for ever: {slot:?}");
    slot.account.take_unused();
    assert!(slot.account.charge(0, 0), "{fd} is charged for ever");
    // What a signal handler has done is recorded by the next call.
    slot.abandon(fd);
    if numbers::cookie_hash(fd) == 0 {
        // Not known, and never looked for.
        return;
    }
    let asked = kernel::asked(fd);
    for instance in kernel::numbers(false) {
        for data in asked.iter().map(|a| a.2) {
            let Some(reported) = slot.is_meant(instance, data, 0) else {
                continue;
            };
            let found = asked.iter().find(|a| (a.0, a.2) == (instance, data));
            let Some((_, events, _)) = found else {
                panic!("{fd} is not registered in {instance}: {asked:x?} {slot:?}");
            };
            assert_eq!(reported.is_one_shot(), events & ONESHOT != 0);
            for event in (0..28).map(|bit| 1 << bit) {
                let known = slot.is_meant(instance, data, event).is_some();
                let is_asked = (events | 0x18) & event != 0;
                assert_eq!(known, is_asked, "{event:x} of {fd}: {asked:x?} {slot:?}");
            }
        }
    }
}

/// How many different interleavings there were in this process.
pub fn different() -> usize {
    sync::different()
}
