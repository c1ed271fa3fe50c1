//! The connections of the process, by number.

use super::chunks::Chunks;
use super::cookies;
use super::loops::MOST_LOOPS;
use super::numbers::{self, changes_hands, owners};
use super::sessions;
use super::slot::{AllOpen, Slot};
use crate::sys::process::is_same_process;
use crate::sys::program::STATS;
use crate::sys::sync::atomic::{AtomicUsize, Ordering::*};
use crate::sys::{errno, handler, kernel};
use laio_core::gate::{Control, Reported, Side};
use laio_core::stats::Counter;
use libc::{c_int, epoll_event};

static TABLE: Chunks<Slot> = Chunks::new(Slot::fresh);

/// Connections that the process has accepted, and has not closed.
static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);

/// The slot of an accepted connection; nothing for any other descriptor.
#[inline]
pub fn accepted(fd: i32) -> Option<&'static Slot> {
    TABLE.get(fd).filter(|slot| slot.is_accepted())
}

/// The slot of a number as long as it has changed hands so often, whether it is an accepted connection's or not.
pub fn owned(fd: i32, number: u32) -> Option<&'static Slot> {
    TABLE.get(fd).filter(|_| owners(fd) == number)
}

/// Whether readiness is held back of the connection that had this number while it had changed hands so often. Without a
/// lock: a helper asks.
pub fn is_held(fd: i32, number: u32, side: Side) -> bool {
    TABLE.get(fd).is_some_and(|slot| slot.is_held(side)) && owners(fd) == number
}

/// Marks a number as a connection that has just been accepted.
pub fn accept(fd: i32) {
    let _ = adopt(fd);
}

/// Marks a number as a connection, of which nothing is known yet.
pub fn adopt(fd: i32) -> Option<&'static Slot> {
    // Where its number is not known, one that has changed hands could not be told.
    let slot = numbers::open_file(fd).and_then(|_| TABLE.get_or_make(fd))?;
    cookies::set(fd, None);
    slot.end_session(fd);
    if !slot.accept(fd) {
        // This one passes through.
        leave(slot);
        return None;
    }
    if !slot.set_accepted(true) {
        CONNECTIONS.fetch_add(1, Relaxed);
    }
    Some(slot)
}

/// What is no connection was registered so, or is no more: its events are told apart from connections', and it may become one.
pub fn register_other(fd: i32, registration: Option<Control>) {
    cookies::set(fd, registration.map(|it| (it.instance, it.data)));
    numbers::is_registered(fd, registration);
}

/// The number is no connection's any more.
fn leave(slot: &Slot) {
    if slot.set_accepted(false) {
        CONNECTIONS.fetch_sub(1, Relaxed);
    }
}

/// Whether there are as many connections as the application has made this instance for: it may close one that
/// has not begun a request.
pub fn is_full(instance: i32) -> bool {
    let connections = || CONNECTIONS.load(Relaxed);
    numbers::capacity(instance).is_some_and(|most| connections() >= most as usize)
}

/// The connection that an event of an epoll instance is about, and what was reported of it. Nothing
/// where the application has registered it by ways that no hook sees.
pub fn connection_of(
    instance: i32,
    data: u64,
    events: u32,
) -> Option<(i32, &'static Slot, Reported)> {
    let candidates = cookies::find(instance, data);
    let fd = match candidates.as_slice() {
        [] => return None,
        [only] => *only,
        several => only_ready(several, events)?,
    };
    let slot = accepted(fd)?;
    let reported = slot.is_meant(instance, data, events)?;
    Some((fd, slot, reported))
}

/// A wait that looks at nothing hands these events of an epoll instance out: what is registered for one event is used up.
#[inline]
pub fn handed_out(instance: i32, events: *const epoll_event, count: c_int) {
    if numbers::has_one_shots() {
        one_shots_handed_out(instance, events, usize::try_from(count).unwrap_or(0));
    }
}

#[cold]
fn one_shots_handed_out(instance: i32, events: *const epoll_event, count: usize) {
    let _errno = errno::Guard::new();
    for number in 0..count {
        // SAFETY: the kernel has just written so many events there; the structure may be packed.
        let event = unsafe { events.add(number).read_unaligned() };
        if let Some((_, slot, reported)) = connection_of(instance, event.u64, event.events) {
            slot.delivered(reported);
        }
    }
}

/// The one of several connections that is ready for these events; nothing where none is, or more than one.
#[cold]
fn only_ready(candidates: &[i32], events: u32) -> Option<i32> {
    let ready = kernel::are_ready::<{ cookies::MOST }>(candidates.iter().copied(), events)?;
    let mut ready = candidates.iter().zip(ready).filter(|(_, ready)| *ready);
    match (ready.next(), ready.next()) {
        (Some((only, _)), None) => Some(*only),
        _ => None,
    }
}

/// The number is about to be closed or taken over: settles what its connection is owed, or those in
/// its epoll instance.
pub fn forget(fd: i32) {
    // As long as its gate is closed, what is reported of it is to be found by its cookie.
    forget_connection(fd);
    if changes_hands(fd) {
        forget_instance(fd);
    }
}

fn forget_connection(fd: i32) {
    let Some(slot) = accepted(fd) else { return };
    let unused = slot.account.close();
    if unused > 0 {
        let place = slot.keeper() % MOST_LOOPS;
        STATS.counters(place).add(Counter::BytesAbandoned, unused);
    }
    // A lock that is waited for may leave its own.
    let _errno = errno::Guard::new();
    if slot.close(fd) {
        slot.end_session(fd);
        leave(slot);
    }
}

/// The instance may have another number (`dup`), under which its registrations live on.
#[cold]
fn forget_instance(instance: i32) {
    let _errno = errno::Guard::new();
    // A `vfork` child closes its own copy.
    if !is_same_process() {
        return;
    }
    numbers::is_no_instance(instance);
    let section = handler::enter();
    for (fd, slot) in TABLE.all().filter(|(_, slot)| slot.is_accepted()) {
        slot.lose_instance(fd, instance, &section);
    }
}

/// The instance has another number: whether a wait by that one has used up a registration for one event nobody knows.
#[cold]
pub fn share_instance(instance: i32) {
    let _errno = errno::Guard::new();
    if !is_same_process() {
        return;
    }
    let section = handler::enter();
    for (fd, slot) in TABLE.all().filter(|(_, slot)| slot.is_accepted()) {
        slot.share_instance(fd, instance, &section);
    }
}

/// [`forget`] for a range of numbers, both ends included.
pub fn forget_range(first: u32, last: u32) {
    numbers::known(first, last).for_each(forget);
    numbers::end_duplicates(first, last);
}

/// Forgets all without a lock: after a fork, where their owners may not exist.
pub fn abandon() {
    CONNECTIONS.store(0, Relaxed);
    TABLE.leave_behind();
    sessions::abandon();
    numbers::abandon();
}

/// A signal handler has jumped out of the library on this thread: what it had locked is given what it is owed, and left alone.
pub fn recover() {
    sessions::recover();
    for (fd, slot) in TABLE.all() {
        if slot.recover(fd) {
            leave(slot);
        }
    }
}

/// An event loop is gone in the middle of what it did: opens the gates that it has closed.
pub fn let_go(keeper: usize) {
    let kept = |slot: &Slot| slot.is_accepted() && slot.keeper() == keeper;
    for (fd, slot) in TABLE.all().filter(|(_, slot)| kept(slot)) {
        slot.abandon(fd);
    }
}

/// Opens all gates of the process: it is about to become another program, which knows nothing of them.
pub fn open_all() -> AllOpen {
    // Each gate is open before, or cannot be closed afterwards.
    let all_open = AllOpen::begin();
    let _section = handler::enter();
    for (fd, slot) in TABLE.all().filter(|(_, slot)| slot.is_accepted()) {
        slot.open_gates(fd);
    }
    all_open
}
