//! What comes of an attempt: an answer, or an operation that goes on by some route.

use super::target::{target, Target};
use crate::gate::is_nonblocking;
use crate::paper::calls::Call;
use crate::paper::operation::{perform, Answer, Operation, Route, Teacher};
use Attempt::{Done, Left};

/// What has come of it.
pub enum Attempt {
    /// This is what the kernel has answered.
    Done(Answer),
    /// It would block.
    Left(Operation),
}

/// A helper makes the call; it blocks for sure.
pub(super) const SLOW: Route = Route::Helper {
    is_patient: false,
    is_endless: false,
};

/// A helper makes the call, and most likely returns at once.
pub(super) const QUICK: Route = Route::Helper {
    is_patient: true,
    is_endless: false,
};

/// A helper makes the call, which may return at once or never.
pub(super) const ENDLESS: Route = Route::Helper {
    is_patient: true,
    is_endless: true,
};

/// A helper makes the call, which blocks for sure and may do so for ever.
pub(super) const SLEEP: Route = Route::Helper {
    is_patient: false,
    is_endless: true,
};

pub(super) fn at_once(call: &Call) -> Attempt {
    Done(perform(call))
}

pub(super) fn left(call: &Call, route: Route) -> Attempt {
    Left(Operation::new(*call, route))
}

/// The kernel cannot try this transfer without waiting.
#[cold]
pub(super) fn cannot_say(call: &Call) -> Attempt {
    let fd = call.int(0);
    match target(fd) {
        Target::Memory => at_once(call),
        Target::Local(_) => left(call, QUICK),
        Target::Opaque(is_known) => taught(call, is_known),
        Target::Stream | Target::Other if is_nonblocking(fd) => at_once(call),
        Target::Stream | Target::Other => left(call, ENDLESS),
    }
}

/// A call about an opaque file system. One that is not known yet becomes so.
pub(super) fn taught(call: &Call, is_known: bool) -> Attempt {
    let mut operation = Operation::new(*call, QUICK);
    operation.teacher = (!is_known).then_some(Teacher::Descriptor);
    Left(operation)
}
