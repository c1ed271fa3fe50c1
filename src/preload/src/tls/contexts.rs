//! The program's contexts, and the key log callbacks that it has set itself.

use super::library::{numbered, Callback, KeyLog, MOST};
use crate::sys::lock::{Lock, Order};
use libc::c_void;
use std::sync::atomic::{AtomicUsize, Ordering::*};

/// Contexts that are remembered, those with a callback of the program's left aside.
const REMEMBERED: usize = 1024;

struct Context {
    address: usize,
    library: usize,
    own: Option<Callback>,
}

static CONTEXTS: Lock<Vec<Context>> = Lock::new(Order::Contexts, Vec::new());

/// How many have a callback of the program's.
static OWN: AtomicUsize = AtomicUsize::new(0);

/// Remembers a context that was made by the library with this number. False where there is no memory for it.
pub fn remember(context: *const c_void, library: usize) -> bool {
    let mut contexts = CONTEXTS.lock();
    // Another one may have had its address.
    forget(&mut contexts, context.addr());
    if contexts.len() >= REMEMBERED {
        if let Some(oldest) = contexts.iter().position(|it| it.own.is_none()) {
            contexts.remove(oldest);
        }
    }
    if contexts.try_reserve(1).is_err() {
        return false;
    }
    contexts.push(Context {
        address: context.addr(),
        library,
        own: None,
    });
    true
}

fn forget(contexts: &mut Vec<Context>, address: usize) {
    contexts.retain(|it| it.address != address);
    count_own(contexts);
}

fn count_own(contexts: &[Context]) {
    let own = contexts.iter().filter(|it| it.own.is_some()).count();
    OWN.store(own, Relaxed);
}

/// The program sets a callback of its own, which is called by ours. False where the context is not one that is watched.
pub fn set_own_callback(context: *mut c_void, own: Option<Callback>) -> bool {
    let mut contexts = CONTEXTS.lock();
    let found = contexts.iter_mut().find(|it| it.address == context.addr());
    let is_watched = found.map(|it| it.own = own).is_some();
    count_own(&contexts);
    is_watched
}

/// The program's own callback of a context that is watched.
pub fn own_callback(context: *const c_void) -> Option<Option<Callback>> {
    let contexts = CONTEXTS.lock();
    let found = contexts.iter().find(|it| it.address == context.addr());
    found.map(|it| it.own)
}

/// The same, of a connection.
pub(super) fn own_callback_of(log: &KeyLog, connection: *const c_void) -> Option<Callback> {
    if OWN.load(Relaxed) == 0 {
        return None;
    }
    // SAFETY: the library's own function and connection.
    own_callback(unsafe { (log.context)(connection) })?
}

/// The key log of the library that has made a context, where that is known, or there is only one.
pub fn log_of(context: *const c_void) -> Option<KeyLog> {
    let contexts = CONTEXTS.lock();
    let found = contexts.iter().find(|it| it.address == context.addr());
    let number = found.map(|it| it.library);
    drop(contexts);
    let only = || {
        (0..MOST)
            .filter(|&number| numbered(number).is_some())
            .count()
            == 1
    };
    let number = number.or_else(|| only().then_some(0))?;
    numbered(number)?.log
}
