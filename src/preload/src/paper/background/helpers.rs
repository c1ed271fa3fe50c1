//! The helpers of operations in the background. They share the application's descriptor table.

use super::Background;
use crate::paper::operation::{Operation, Route};
use crate::sys::descriptors;
use crate::threads::executor::{Host, Shift};
use crate::threads::registry::{self, Employer};
use laio_core::handles::Handle;
use std::sync::atomic::Ordering::Relaxed;

/// Most helpers that are in calls which may take for ever.
const MOST_ENDLESS: u64 = 4096;

/// Helpers that are in no call leave now, others when they come back from it.
impl Employer for Background {
    fn dismiss(&self) -> bool {
        self.executor.dismiss();
        true
    }

    fn are_gone(&self) {}
}

/// One helper is always without a task: whoever asks for something has no thread to start, but for the first.
impl Host for &'static Background {
    /// Those who are busy may be so for ever.
    fn enough(&self) -> u64 {
        u64::MAX
    }

    fn start_another(&self, shift: &Shift) {
        if let Some(shift) = self.executor.hire_beside(shift, self.most()) {
            self.spawn_helper(shift);
        }
    }
}

impl Background {
    /// Starts one more helper, if there may be more. False where it cannot be started, and nobody else will do what is to be
    /// done.
    pub(super) fn hire(&'static self) -> bool {
        let _nobody_is_dismissed = registry::hold();
        let shift = self.executor.hire(self.most());
        shift.is_none_or(|shift| self.spawn_helper(shift))
    }

    /// Helpers in calls that may take for ever are not counted.
    fn most(&self) -> u64 {
        self.most + self.endless.load(Relaxed).min(MOST_ENDLESS)
    }

    /// It shares the application's descriptors: the calls that it makes are the application's.
    fn spawn_helper(&'static self, shift: Shift) -> bool {
        let spawned = registry::spawn(c"laio-native", move || self.help(shift));
        spawned.is_ok() || !self.executor.cannot_start()
    }

    fn help(&'static self, mut shift: Shift) {
        self.executor.arrive();
        let left = loop {
            let handle = match self.executor.next(&mut shift, &self) {
                Ok(handle) => handle,
                Err(left) => break left,
            };
            let operation = self.state.lock().begin(handle);
            if let Some(operation) = operation {
                self.perform(handle, operation, &shift);
            }
        };
        if left.leaves_tasks {
            // Whoever polls starts another helper.
            self.watch.ring();
        }
    }

    fn perform(&'static self, handle: Handle, mut operation: Operation, shift: &Shift) {
        let is_endless = matches!(
            operation.route,
            Route::Helper {
                is_endless: true,
                ..
            }
        );
        if is_endless {
            self.endless.fetch_add(1, Relaxed);
            if !self.executor.has_idle() {
                self.start_another(shift);
            }
        }
        let answer = registry::aside(|| operation.perform());
        if let Some(number) = descriptors::wanted() {
            registry::aside(|| descriptors::make_room(number));
        }
        if is_endless {
            self.endless.fetch_sub(1, Relaxed);
        }
        let mut state = self.state.lock();
        let is_awaited = state.is_awaited(handle);
        let is_first = state.end(handle, answer);
        drop(state);
        if is_first {
            self.watch.ring();
        } else if is_awaited {
            self.answered.wake_all();
        }
    }
}
