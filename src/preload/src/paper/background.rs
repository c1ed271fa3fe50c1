//! The operations of a process that are in the background: those that helpers make, and those that wait for
//! readiness and are carried on by whoever polls.
//!
//! One lock guards the table. It is held for a few instructions, and over `epoll_ctl`, where what the kernel is to
//! tell of and what the table says must agree.

mod helpers;
mod state;

pub use state::Completion;

use super::operation::{Answer, Operation, Route};
use super::watch::{Ready, Watch};
use crate::sys::lock::{Lock, Order, Signal};
use crate::sys::published::Published;
use crate::sys::{descriptors, memory, program};
use crate::threads::executor::Executor;
use crate::threads::registry;
use laio_core::gate::Side;
use laio_core::handles::Handle;
use laio_core::queue::Urgency;
use libc::{c_int, c_void, ECANCELED};
use rustix::event::Timespec;
use rustix::io::Errno;
use state::{Phase, State};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::*};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a caller waits for a helper that most likely will not block.
const PATIENCE: Duration = Duration::from_micros(100);

/// What the first operations and helpers take of memory.
const ROOM: usize = 1 << 20;

/// What has become of an operation that has gone to the background.
#[derive(Clone, Copy, Debug)]
pub enum Started {
    /// It was done in a moment.
    Answered(Answer),
    /// It goes on.
    GoesOn(Handle),
}

/// Whether an operation could be given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It is complete, by that.
    Yes,
    /// Somebody is at it.
    Busy,
    /// It was complete before, or there is none of that name.
    Gone,
}

/// All operations of one process.
#[derive(Debug)]
pub struct Background {
    state: Lock<State>,
    /// What helpers are to do. Some of it may have been given up.
    executor: Executor<Handle>,
    /// Helpers in calls that may take for ever.
    endless: AtomicU64,
    answered: Signal,
    /// Operations that wait for readiness: where there are none, no line has to be kept.
    waiting: AtomicUsize,
    watch: Watch,
    /// Most helpers in calls that come to an end.
    most: u64,
}

static BACKGROUND: Published<Arc<Background>> = Published::new();

/// The number of this process among its forefathers: handles of theirs are not valid here.
static DESCENT: AtomicU32 = AtomicU32::new(1);

/// What this process has in the background, where it ever had anything.
#[inline]
pub fn present() -> Option<&'static Background> {
    BACKGROUND.get().map(|background| &**background)
}

/// The same, made where there is none yet.
///
/// # Errors
///
/// There is no memory or no descriptor for it.
pub fn here() -> Result<&'static Background, Errno> {
    if let Some(background) = present() {
        return Ok(background);
    }
    if !memory::is_to_be_had(ROOM) {
        return Err(Errno::NOMEM);
    }
    memory::set_cushion_aside();
    // Helpers share the application's table, which is better enlarged before.
    descriptors::make_room(0);
    let background = BACKGROUND.publish(Box::new(Arc::new(Background::new(Watch::new()?))));
    registry::admit(background);
    Ok(background)
}

/// After a fork: operations and helpers are the parent's. Without a lock, whose owner may not exist here.
pub fn abandon() {
    DESCENT.fetch_add(1, Relaxed);
    BACKGROUND.leave_behind();
}

impl Background {
    fn new(watch: Watch) -> Background {
        let most = program::config().map_or(1, |config| config.threads);
        Background {
            state: Lock::new(Order::Operations, State::new(DESCENT.load(Relaxed))),
            executor: Executor::with_capacity(0),
            endless: AtomicU64::new(0),
            answered: Signal::default(),
            waiting: AtomicUsize::new(0),
            watch,
            most,
        }
    }

    /// The descriptor that is readable when there is something to do.
    ///
    /// # Errors
    ///
    /// The application has closed it, and another one is not to be had.
    pub fn descriptor(&self) -> Result<c_int, Errno> {
        self.look_after_watch()?;
        Ok(self.watch.number())
    }

    /// Where the application has closed what we wait with, by `closefrom` or its kin, there is something new.
    fn look_after_watch(&self) -> Result<(), Errno> {
        if self.watch.is_whole() {
            return Ok(());
        }
        self.renew_watch(|| !self.watch.is_whole())
    }

    fn renew_watch(&self, is_gone: impl FnOnce() -> bool) -> Result<(), Errno> {
        let state = self.state.lock();
        if is_gone() {
            self.watch.renew()?;
            for fd in state.interests.descriptors() {
                self.tell_of(&state, fd);
            }
        }
        Ok(())
    }

    /// How many operations have not been handed out.
    pub fn pending(&self) -> usize {
        self.state.lock().operations.len()
    }

    /// Whether any operation waits for any descriptor.
    #[inline]
    pub fn is_anybody_in_line(&self) -> bool {
        self.waiting.load(Relaxed) > 0
    }

    /// Whether another operation waits for this side of a descriptor: a new one stands in line behind it.
    pub fn is_waited_for(&self, fd: c_int, side: Side) -> bool {
        self.is_anybody_in_line() && self.state.lock().interests.is_waited_for(fd, side)
    }

    /// Attaches a pointer to an operation; false where it is not there any more.
    pub fn attach(&self, handle: Handle, data: *mut c_void) -> bool {
        let mut state = self.state.lock();
        let entry = state.operations.get_mut(handle);
        entry.map(|entry| entry.data = data).is_some()
    }

    /// Takes an operation over. Gives it back where nobody but the caller can carry it on.
    pub fn start(&'static self, operation: Operation) -> Result<Started, Operation> {
        match operation.route {
            Route::Ready(fd, side) => self.stand_in_line(operation, fd, side),
            Route::Helper { is_patient, .. } => self.queue(operation, is_patient),
        }
    }

    fn stand_in_line(
        &self,
        operation: Operation,
        fd: c_int,
        side: Side,
    ) -> Result<Started, Operation> {
        if self.look_after_watch().is_err() {
            return Err(operation);
        }
        let mut state = self.state.lock();
        let Some(handle) = state.reserve() else {
            return Err(operation);
        };
        let phase = Phase::Waiting(operation, fd, side);
        state.enter(handle, phase, false);
        self.waiting.fetch_add(1, Relaxed);
        if state.interests.join(fd, side, handle) {
            if self.tell_of(&state, fd) {
                return Ok(Started::GoesOn(handle));
            }
            state.interests.leave(fd, side, handle);
        }
        self.waiting.fetch_sub(1, Relaxed);
        // Nobody can be at it: it was not to be seen outside of this lock.
        state
            .withdraw(handle)
            .map_or(Ok(Started::GoesOn(handle)), Err)
    }

    /// Has the kernel tell of a descriptor what the table says. Under the lock.
    fn tell_of(&self, state: &State, fd: c_int) -> bool {
        let (read, write) = state.interests.wanted(fd);
        self.watch.tell_of(fd, read, write)
    }

    fn queue(&'static self, operation: Operation, is_patient: bool) -> Result<Started, Operation> {
        let mut state = self.state.lock();
        let handle = self.executor.reserve().then(|| state.reserve()).flatten();
        let Some(handle) = handle else {
            return Err(operation);
        };
        state.enter(handle, Phase::Queued(operation), is_patient);
        drop(state);
        let is_short_of_hands = self.executor.submit(handle, Urgency::Normal);
        if is_short_of_hands && !self.hire() {
            // Those who are busy may be so for ever.
            self.executor.forget(|other| *other == handle);
            if let Some(operation) = self.state.lock().withdraw(handle) {
                return Err(operation);
            }
        }
        let answer = is_patient.then(|| self.wait_a_moment(handle)).flatten();
        Ok(answer.map_or(Started::GoesOn(handle), Started::Answered))
    }

    /// Waits until an operation is complete, but not for long. If it is, it is over with it.
    fn wait_a_moment(&self, handle: Handle) -> Option<Answer> {
        let end = Instant::now() + PATIENCE;
        let mut state = self.state.lock();
        loop {
            let entry = state.operations.get_mut(handle)?;
            if let Phase::Complete(answer) = entry.phase {
                state.operations.remove(handle);
                return Some(answer);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                entry.is_awaited = false;
                return None;
            }
            state = self.answered.wait_for(state, left).0;
        }
    }

    /// Gives an operation up that nobody is at.
    pub fn cancel(&self, handle: Handle) -> Cancelled {
        let mut state = self.state.lock();
        let waits = match state.operations.get_mut(handle).map(|entry| &entry.phase) {
            None | Some(Phase::Complete(_)) => return Cancelled::Gone,
            Some(Phase::Running) => return Cancelled::Busy,
            Some(&Phase::Waiting(_, fd, side)) => Some((fd, side)),
            Some(Phase::Queued(_)) => None,
        };
        if let Some((fd, side)) = waits {
            state.interests.leave(fd, side, handle);
            self.waiting.fetch_sub(1, Relaxed);
        }
        state.begin(handle);
        let is_first = state.end(handle, Err(ECANCELED));
        drop(state);
        if is_first {
            self.watch.ring();
        }
        Cancelled::Yes
    }

    /// Carries on what has become ready, and hands out up to `most` completions. Waits for the first until `end`; for ever
    /// where there is none.
    ///
    /// # Errors
    ///
    /// `EINTR`: a signal handler has run.
    pub fn poll(
        &'static self,
        most: usize,
        end: Option<Instant>,
        mut take: impl FnMut(Completion),
    ) -> Result<usize, Errno> {
        loop {
            self.look_after_watch()?;
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let is_over = left.is_some_and(|left| left.is_zero());
            let state = self.state.lock();
            let timeout = if state.complete.is_empty() {
                left.map(|left| Timespec {
                    tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                    tv_nsec: left.subsec_nanos().into(),
                })
            } else {
                Some(Timespec::default())
            };
            drop(state);
            if self.executor.is_forsaken() {
                // Helpers that were dismissed have left something to do.
                self.hire();
            }
            // What was rung before this is seen by what follows it.
            let number = self.watch.number();
            let waited = self
                .watch
                .wait(most, timeout.as_ref(), |ready| self.carry_on(ready));
            if let Err(Errno::BADF | Errno::INVAL) = waited {
                // Closed unseen, and perhaps another file by now.
                self.renew_watch(|| self.watch.number() == number)?;
                continue;
            }
            waited?;
            let mut count = 0;
            let mut state = self.state.lock();
            while count < most {
                let Some(completion) = state.hand_out() else {
                    break;
                };
                take(completion);
                count += 1;
            }
            let is_more = !state.complete.is_empty();
            drop(state);
            if is_more {
                self.watch.ring();
            }
            if count > 0 || is_over || most == 0 {
                return Ok(count);
            }
        }
    }

    /// A descriptor is ready: the operations that wait for it go on.
    fn carry_on(&self, ready: Ready) {
        let sides = [(Side::Read, ready.read), (Side::Write, ready.write)];
        let mut state = self.state.lock();
        for (side, _) in sides.into_iter().filter(|(_, is_ready)| *is_ready) {
            while let Some(handle) = state.interests.first(ready.fd, side) {
                let Some(mut operation) = state.begin(handle) else {
                    state.interests.tried(ready.fd, side, true);
                    continue;
                };
                drop(state);
                let answer = operation.advance();
                state = self.state.lock();
                state.interests.tried(ready.fd, side, answer.is_some());
                let Some(answer) = answer else {
                    let phase = Phase::Waiting(operation, ready.fd, side);
                    if let Some(entry) = state.operations.get_mut(handle) {
                        entry.phase = phase;
                    }
                    break;
                };
                self.waiting.fetch_sub(1, Relaxed);
                // Others who wait for completions are told by whoever leaves some.
                state.end(handle, answer);
            }
        }
        if state.interests.wanted(ready.fd) != (false, false) {
            self.tell_of(&state, ready.fd);
        }
    }
}
