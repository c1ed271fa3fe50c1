//! The interface of the paper, for programs that are written for it: `include/laio.h`.
//!
//! A call's way: [`calls`] knows by its number how it is kept from blocking, [`mod@attempt`] tries that, and what is left is
//! an [`operation`] that goes to the [`background`], which helpers and whoever polls carry on.
//!
//! It works in every process that calls it, whatever `LAIO` says: the switch is for hooks.

#![allow(non_upper_case_globals)] // These are the kernel's names of system calls.

mod attempt;
mod background;
mod calls;
mod operation;
mod watch;

pub use background::abandon;

use crate::gate::table;
use crate::sys::local::{place, Local};
use crate::sys::program::{self, STATS};
use crate::sys::{descriptors, errno, forks, process};
use attempt::{attempt, partly_transferred, Attempt};
use background::{Background, Cancelled, Completion, Started};
use calls::{Call, Way};
use laio_core::gate::Side;
use laio_core::handles::Handle;
use laio_core::stats::{Counter, LOOPS};
use libc::*;
use operation::{attempt_transfer, Answer, Operation, Route};
use std::cell::Cell;
use std::ptr::null_mut;
use std::time::{Duration, Instant};

/// The number of the handle of this thread's last call, if that has gone to the background; else 0.
static LAST: Local<Cell<u64>> = Local::at(place::LAST);

/// `struct laio_completion`
#[repr(C)]
pub struct CompletionRecord {
    handle: *mut c_void,
    data: *mut c_void,
    value: c_long,
    error: c_int,
}

/// `laio_syscall`. It is variadic in C; here it takes all that a system call can have, as `syscall` in the C library
/// does.
///
/// # Safety
///
/// As for the system call; what it points to stays valid until the operation is complete.
#[no_mangle]
pub unsafe extern "C" fn laio_syscall(
    number: c_long,
    a: c_long,
    b: c_long,
    c: c_long,
    d: c_long,
    e: c_long,
    f: c_long,
) -> c_long {
    LAST.set(0);
    let call = Call {
        number,
        arguments: [a, b, c, d, e, f],
    };
    // What is made most often is tried in here, so that the way to the kernel and back is short.
    if matches!(number, SYS_read | SYS_pread64) && c > 0 && !may_have_to_wait() {
        let answer = attempt_transfer(&call);
        return if answer == Ok(c) {
            c
        } else {
            partly_read(&call, answer)
        };
    }
    make(&call)
}

#[cold]
fn partly_read(call: &Call, answer: Answer) -> c_long {
    let attempt = partly_transferred(call, Side::Read, answer);
    conclude(attempt, Way::Transfer(Side::Read))
}

/// Whether a transfer may not simply be tried: others wait for the same, or a filter forbids it.
#[inline]
fn may_have_to_wait() -> bool {
    program::is_filtered() || background::present().is_some_and(Background::is_anybody_in_line)
}

/// Makes any call.
#[inline(never)]
fn make(call: &Call) -> c_long {
    let way = call.way();
    if !may_be_tried(call, way) {
        return made_otherwise(call, way);
    }
    let attempt = match side_in_line(call, way) {
        Some(side) => Attempt::Left(Operation::new(*call, Route::Ready(call.int(0), side))),
        None => attempt(call, way),
    };
    conclude(attempt, way)
}

fn conclude(attempt: Attempt, way: Way) -> c_long {
    match attempt {
        Attempt::Done(answer) => result(answer, way),
        Attempt::Left(operation) => goes_on(operation, way),
    }
}

/// Whether this is no call that is refused, or made as it is for another reason.
fn may_be_tried(call: &Call, way: Way) -> bool {
    if let Some((first, last)) = call.closes() {
        let _errno = errno::Guard::new();
        table::forget_range(first, last);
    }
    way != Way::Refused && call.number != SYS_epoll_ctl && !program::is_filtered()
}

#[cold]
fn made_otherwise(call: &Call, way: Way) -> c_long {
    if way == Way::Refused {
        errno::set(EOPNOTSUPP);
        return -1;
    }
    // A registration is of interest to the hooks.
    let [a, b, c, d, e, f] = call.arguments;
    // SAFETY: whoever passed number and arguments to the library has answered for them.
    unsafe { syscall(call.number, a, b, c, d, e, f) }
}

/// The side of its descriptor for which a call has to stand in line, because others do.
fn side_in_line(call: &Call, way: Way) -> Option<Side> {
    let side = match way {
        Way::Transfer(side) | Way::Message(side, _) => side,
        Way::Accept => Side::Read,
        _ => return None,
    };
    let background = background::present()?;
    background.is_waited_for(call.int(0), side).then_some(side)
}

/// A call that would block goes to the background, or blocks where there is none.
#[cold]
fn goes_on(operation: Operation, way: Way) -> c_long {
    let kept = errno::Guard::new();
    let started = match may_go_on() {
        Some(background) => background.start(operation),
        None => Err(operation),
    };
    let answer = match started {
        Ok(Started::GoesOn(handle)) => {
            STATS.counters(LOOPS).count(Counter::Background);
            LAST.set(handle.number());
            Err(EINPROGRESS)
        }
        Ok(Started::Answered(answer)) => answer,
        Err(mut operation) => operation.perform(),
    };
    drop(kept);
    result(answer, way)
}

/// An answer as C takes it.
fn result(answer: Answer, way: Way) -> c_long {
    match answer {
        Ok(value) => {
            if matches!(way, Way::Open(_) | Way::Accept) {
                // The number may have been a connection's that was closed by ways that no hook sees.
                table::forget(value as c_int);
                descriptors::seen(value as c_int);
            }
            value
        }
        Err(error) => {
            errno::set(error);
            -1
        }
    }
}

/// Where operations go on, if they can.
fn may_go_on() -> Option<&'static Background> {
    if program::is_filtered() || !process::is_same_process() {
        return None;
    }
    if background::present().is_none() {
        forks::watch();
    }
    background::here().ok()
}

/// `laio_gethandle`
#[no_mangle]
pub extern "C" fn laio_gethandle() -> *mut c_void {
    number_to_pointer(LAST.get())
}

/// `laio_setdata`
#[no_mangle]
pub extern "C" fn laio_setdata(handle: *mut c_void, data: *mut c_void) -> c_int {
    let found = operations_of(handle).is_some_and(|(all, handle)| all.attach(handle, data));
    if found {
        0
    } else {
        fail(ENOENT)
    }
}

/// `laio_poll`
///
/// # Safety
///
/// There is room for `count` completions, and `timeout` is null or points to a time.
#[no_mangle]
pub unsafe extern "C" fn laio_poll(
    completions: *mut CompletionRecord,
    count: c_int,
    timeout: *const timespec,
) -> c_int {
    let Ok(most) = usize::try_from(count) else {
        return fail(EINVAL);
    };
    if completions.is_null() && most > 0 {
        return fail(EFAULT);
    }
    // SAFETY: by the caller's promise.
    let end = match unsafe { timeout.as_ref() } {
        None => None,
        Some(time) => match (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec)) {
            // A time that no clock will show is never over.
            (Ok(seconds), Ok(nanoseconds @ ..=999_999_999)) => {
                Instant::now().checked_add(Duration::new(seconds, nanoseconds))
            }
            _ => return fail(EINVAL),
        },
    };
    let kept = errno::Guard::new();
    let mut taken = 0;
    let polled = background_or_errno().and_then(|background| {
        background.poll(most, end, |completion| {
            // SAFETY: no more than `most` are handed over.
            unsafe { completions.add(taken).write(completion.into()) };
            taken += 1;
        })
    });
    drop(kept);
    match polled {
        Ok(count) => count as c_int,
        Err(error) => fail(error.raw_os_error()),
    }
}

/// `laio_eventfd`
#[no_mangle]
pub extern "C" fn laio_eventfd() -> c_int {
    let kept = errno::Guard::new();
    let descriptor = background_or_errno().and_then(Background::descriptor);
    drop(kept);
    descriptor.unwrap_or_else(|error| fail(error.raw_os_error()))
}

/// `laio_cancel`
#[no_mangle]
pub extern "C" fn laio_cancel(handle: *mut c_void) -> c_int {
    let kept = errno::Guard::new();
    let cancelled = operations_of(handle).map(|(all, handle)| all.cancel(handle));
    drop(kept);
    match cancelled {
        Some(Cancelled::Yes) => 0,
        Some(Cancelled::Busy) => fail(EBUSY),
        Some(Cancelled::Gone) | None => fail(ENOENT),
    }
}

/// `laio_pending`
#[no_mangle]
pub extern "C" fn laio_pending() -> c_int {
    let pending = background::present().map_or(0, Background::pending);
    c_int::try_from(pending).unwrap_or(c_int::MAX)
}

fn background_or_errno() -> Result<&'static Background, rustix::io::Errno> {
    if background::present().is_none() {
        forks::watch();
    }
    background::here()
}

fn operations_of(handle: *mut c_void) -> Option<(&'static Background, Handle)> {
    Some((
        background::present()?,
        Handle::from_number(handle.addr() as u64)?,
    ))
}

fn fail(error: c_int) -> c_int {
    errno::set(error);
    -1
}

/// Handles are pointers only in name: they are told apart from other pointers by the compiler.
fn number_to_pointer(number: u64) -> *mut c_void {
    null_mut::<c_void>().with_addr(number as usize)
}

impl From<Completion> for CompletionRecord {
    fn from(completion: Completion) -> CompletionRecord {
        let (value, error) = match completion.answer {
            Ok(value) => (value, 0),
            Err(error) => (-1, error),
        };
        CompletionRecord {
            handle: number_to_pointer(completion.handle.number()),
            data: completion.data,
            value,
            error,
        }
    }
}
