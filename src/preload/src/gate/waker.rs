//! What wakes a loop that waits in `poll` or `select`: an epoll instance of our own in its set.
//!
//! It is in the application's descriptor table for the length of the kernel's wait only, so that a
//! single-threaded application never meets it, under a number that is not in the set. It becomes readable when a
//! connection whose gate has opened is registered in it. Should its number have been taken over by
//! another thread, that `epoll_ctl` fails and does no harm, where a write to an eventfd would have
//! written into somebody's file.

use super::loops::MOST_LOOPS;
use super::numbers::{open_file, OpenFile};
use crate::sys::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::*};
use crate::sys::sync::{yield_now, RwLock};
use crate::sys::{handler, kernel, refusals};
use laio_core::gate::{ADD, IN, OUT};
use libc::c_int;
use std::ptr::null_mut;
use std::sync::{PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// The waker of an event loop, while there is one. Read by those who wake it, written by the loop.
type Place = RwLock<Option<OpenFile>>;

/// A place for each event loop: those of loops that have ended are used again.
static PLACES: [AtomicPtr<Place>; MOST_LOOPS] = [const { AtomicPtr::new(null_mut()) }; MOST_LOOPS];

/// Forks that are under way. Meanwhile no waker is made or closed: a child finds all that there are, and closes them.
static FORKS: AtomicUsize = AtomicUsize::new(0);

/// How long a fork and a loop let each other run, at most: the handlers of a fork are the application's as well.
const PATIENCE: Duration = Duration::from_secs(1);

/// Makes the place of a new event loop, where there is none.
pub fn make_place(number: usize) {
    if let Some(place) = PLACES.get(number % MOST_LOOPS) {
        if place.load(Acquire).is_null() {
            // One event loop has this place at a time, and it is being made on this thread.
            place.store(Box::into_raw(Box::default()), Release);
        }
    }
}

fn place(number: usize) -> Option<&'static Place> {
    let place = PLACES.get(number % MOST_LOOPS)?.load(Acquire);
    // SAFETY: a place that was once published is never freed; null means that there is none.
    unsafe { place.as_ref() }
}

/// A gate of the connection `fd` has opened: wakes the event loop of this number, if it waits. What is
/// not ready after all does not wake it before it is.
pub fn wake(number: usize, fd: c_int) {
    // A loop that is making its waker, or closing it, looks at its gates next; and a signal
    // handler may have come in the middle of it.
    let Some(Ok(waker)) = place(number).map(Place::try_read) else {
        return;
    };
    let Some(OpenFile { fd: waker, .. }) = *waker else {
        return;
    };
    // Under the lock; the kernel refuses a number that is no epoll instance, or names nothing any more.
    let _ = kernel::epoll_ctl(waker, ADD, fd, IN | OUT, 0);
}

/// Makes a waker under a number that is not `taken`; nothing where no descriptor is to be had, or during a fork.
pub fn make(number: usize, taken: impl Fn(c_int) -> bool) -> Option<c_int> {
    // Not waited for: this may be a signal handler that has interrupted a `wake`.
    let mut place = place(number)?.try_write().ok()?;
    if is_forking() {
        return None;
    }
    close_file(place.take());
    let waker = kernel::epoll_create();
    let mut waker = waker
        .inspect_err(|error| refusals::EPOLL_CREATE1.failed(*error))
        .ok()?;
    while taken(waker) {
        // A number of the set that names nothing must go on doing so.
        let above = kernel::duplicate(waker, waker + 1);
        close_raw(waker);
        waker = above.ok()?;
    }
    *place = open_file(waker);
    if place.is_none() {
        close_raw(waker);
    }
    place.map(|_| waker)
}

/// Closes it: nobody uses it any more. Tells whether it is closed. A fork is waited for.
pub fn close(number: usize) -> bool {
    place(number).is_none_or(|place| {
        patiently(|| clear(&mut place.write().unwrap_or_else(PoisonError::into_inner)))
    })
}

/// The same in what may be a signal handler that has interrupted a `wake`.
pub fn try_to_close(number: usize) -> bool {
    match place(number).map(Place::try_write) {
        Some(Ok(mut place)) => clear(&mut place),
        _ => false,
    }
}

fn clear(place: &mut Option<OpenFile>) -> bool {
    if place.is_none() {
        return true;
    }
    if is_forking() {
        return false;
    }
    close_file(place.take());
    true
}

fn is_forking() -> bool {
    FORKS.load(SeqCst) > 0
}

/// Before a fork: those who are making a waker, or closing it, come to an end.
pub fn hold_still() {
    FORKS.fetch_add(1, SeqCst);
    // A signal handler may have come in the middle of that.
    if handler::has_interrupted() {
        return;
    }
    for number in 0..MOST_LOOPS {
        if let Some(place) = place(number) {
            patiently(|| !matches!(place.try_read(), Err(TryLockError::WouldBlock)));
        }
    }
}

/// Lets others run until this is done; tells whether it is. To sleep would be a point where threads are cancelled.
fn patiently(mut is_done: impl FnMut() -> bool) -> bool {
    let begin = Instant::now();
    loop {
        if is_done() {
            return true;
        }
        if begin.elapsed() > PATIENCE {
            return false;
        }
        yield_now();
    }
}

/// After a fork, in the parent.
pub fn go_on() {
    FORKS.fetch_sub(1, SeqCst);
}

/// After a fork, in the child: the wakers are the parent's.
pub fn abandon() {
    FORKS.store(0, SeqCst);
    for place in &PLACES {
        // SAFETY: as in `place`.
        let place = unsafe { place.swap(null_mut(), AcqRel).as_ref() };
        if let Some(Ok(waker)) = place.map(Place::try_read) {
            close_file(*waker);
        }
    }
}

/// Closes a waker, unless the application has closed its number or taken it over.
fn close_file(waker: Option<OpenFile>) {
    if let Some(waker) = waker.filter(|waker| open_file(waker.fd) == Some(*waker)) {
        close_raw(waker.fd);
    }
}

/// By a raw system call, past our own hook.
fn close_raw(waker: c_int) {
    // SAFETY: made by `make`, which gave it to nobody else.
    unsafe { kernel::close(waker) };
}
