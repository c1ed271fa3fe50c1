//! A signal of the model comes to a thread that has just taken a lock, unless signals are kept off there.

use super::mask::is_shielded;
use shuttle::current::{self, TaskId};
use std::cell::RefCell;
use std::collections::HashMap;

type Handler = Box<dyn FnOnce()>;

thread_local! {
    /// Of each thread: behind how many more locks its signal comes, and what handles it.
    static PENDING: RefCell<HashMap<TaskId, (usize, Handler)>> = RefCell::default();
}

pub fn begin() {
    PENDING.with_borrow_mut(HashMap::clear);
}

/// While `act` runs, a signal comes to this thread behind so many locks; at the end where there are fewer.
pub fn with_signal(locks: usize, handler: impl FnOnce() + 'static, act: impl FnOnce()) {
    let me = current::me();
    PENDING.with_borrow_mut(|pending| pending.insert(me, (locks, Box::new(handler))));
    act();
    let late = PENDING.with_borrow_mut(|pending| pending.remove(&me));
    if let Some((_, handler)) = late {
        handler();
    }
}

/// This thread has taken a lock.
pub fn locked() {
    if is_shielded() {
        return;
    }
    let me = current::me();
    let handler = PENDING.with_borrow_mut(|pending| {
        let (locks, _) = pending.get_mut(&me)?;
        *locks = locks.saturating_sub(1);
        match locks {
            0 => pending.remove(&me),
            _ => None,
        }
    });
    if let Some((_, handler)) = handler {
        handler();
    }
}
