//! The table of operations in the background.

use crate::paper::operation::{Answer, Operation};
use laio_core::gate::Side;
use laio_core::handles::{Handle, Handles};
use laio_core::interests::Interests;
use libc::{c_int, c_void};
use std::collections::VecDeque;
use std::ptr::null_mut;

/// Where an operation is.
#[derive(Debug)]
pub enum Phase {
    /// In the helpers' queue.
    Queued(Operation),
    /// In line until this side of this descriptor is ready.
    Waiting(Operation, c_int, Side),
    /// Somebody is at it.
    Running,
    /// Done.
    Complete(Answer),
}

#[derive(Debug)]
pub struct Entry {
    pub phase: Phase,
    pub data: *mut c_void,
    /// Whoever asked for it waits a moment, and will take the answer himself.
    pub is_awaited: bool,
}

/// What has become of an operation.
#[derive(Clone, Copy, Debug)]
pub struct Completion {
    /// Which.
    pub handle: Handle,
    /// What was attached to it.
    pub data: *mut c_void,
    /// What it has come to.
    pub answer: Answer,
}

#[derive(Debug)]
pub struct State {
    pub operations: Handles<Entry>,
    /// What is to be handed out.
    pub complete: VecDeque<Handle>,
    pub interests: Interests,
}

// SAFETY: `data` is the application's, and only handed back to it.
unsafe impl Send for State {}

impl State {
    /// An empty one, of a process with this number among its forefathers.
    pub fn new(descent: u32) -> State {
        State {
            operations: Handles::new(descent),
            complete: VecDeque::new(),
            interests: Interests::default(),
        }
    }

    /// Room for one more operation in all lists that it may come to.
    pub fn reserve(&mut self) -> Option<Handle> {
        let most = self.operations.len() + 1;
        self.complete
            .try_reserve(most.saturating_sub(self.complete.len()))
            .ok()?;
        self.operations.reserve()
    }

    /// Takes an operation that nobody is at out of the table.
    pub fn withdraw(&mut self, handle: Handle) -> Option<Operation> {
        match self.operations.get_mut(handle)?.phase {
            Phase::Queued(_) | Phase::Waiting(..) => {}
            Phase::Running | Phase::Complete(_) => return None,
        }
        match self.operations.remove(handle)?.phase {
            Phase::Queued(operation) | Phase::Waiting(operation, ..) => Some(operation),
            Phase::Running | Phase::Complete(_) => None,
        }
    }

    /// Somebody begins to carry an operation on.
    pub fn begin(&mut self, handle: Handle) -> Option<Operation> {
        let phase = &mut self.operations.get_mut(handle)?.phase;
        match std::mem::replace(phase, Phase::Running) {
            Phase::Queued(operation) | Phase::Waiting(operation, ..) => Some(operation),
            other => {
                *phase = other;
                None
            }
        }
    }

    /// An operation is complete. Tells whether it is the first to be handed out: then somebody has to be told.
    pub fn end(&mut self, handle: Handle, answer: Answer) -> bool {
        let Some(entry) = self.operations.get_mut(handle) else {
            return false;
        };
        entry.phase = Phase::Complete(answer);
        if entry.is_awaited {
            return false;
        }
        self.complete.push_back(handle);
        self.complete.len() == 1
    }

    /// The next completion to be handed out.
    pub fn hand_out(&mut self) -> Option<Completion> {
        let handle = self.complete.pop_front()?;
        let entry = self.operations.remove(handle)?;
        let Phase::Complete(answer) = entry.phase else {
            return None;
        };
        Some(Completion {
            handle,
            data: entry.data,
            answer,
        })
    }

    pub fn enter(&mut self, handle: Handle, phase: Phase, is_awaited: bool) {
        let entry = Entry {
            phase,
            data: null_mut(),
            is_awaited,
        };
        self.operations.enter(handle, entry);
    }

    pub fn is_awaited(&mut self, handle: Handle) -> bool {
        let entry = self.operations.get_mut(handle);
        entry.is_some_and(|entry| entry.is_awaited)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::paper::calls::Call;
    use crate::paper::operation::Route;

    fn operation() -> Operation {
        let (number, arguments) = (libc::SYS_read, [0; 6]);
        Operation::new(Call { number, arguments }, Route::Ready(0, Side::Read))
    }

    fn entered(state: &mut State, phase: Phase, is_awaited: bool) -> Handle {
        let handle = state.reserve().unwrap();
        state.enter(handle, phase, is_awaited);
        handle
    }

    #[test]
    fn each_operation_is_begun_once_and_handed_out_once() {
        let mut state = State::new(1);
        let first = entered(&mut state, Phase::Queued(operation()), false);
        let second = entered(
            &mut state,
            Phase::Waiting(operation(), 3, Side::Read),
            false,
        );
        assert!(state.begin(first).is_some() && state.begin(first).is_none());
        assert!(state.begin(second).is_some());
        assert!(state.end(second, Ok(7)), "somebody has to be told");
        assert!(!state.end(first, Err(libc::EIO)), "somebody was");
        let mut answer = || state.hand_out().map(|completion| completion.answer);
        let answers = [answer(), answer(), answer()];
        assert_eq!(answers, [Some(Ok(7)), Some(Err(libc::EIO)), None]);
        assert!(state.begin(first).is_none());
        assert_eq!(state.operations.len(), 0);
    }

    /// Without it, a call that was given up could be made all the same, or its answer be told to two.
    #[test]
    fn what_is_withdrawn_is_nobodys() {
        let mut state = State::new(1);
        let queued = entered(&mut state, Phase::Queued(operation()), false);
        assert!(state.withdraw(queued).is_some() && state.withdraw(queued).is_none());
        let running = entered(&mut state, Phase::Queued(operation()), true);
        assert!(state.begin(running).is_some());
        assert!(state.withdraw(running).is_none(), "somebody is at it");
        assert!(!state.end(running, Ok(1)), "its caller takes the answer");
        assert!(state.hand_out().is_none());
    }
}
