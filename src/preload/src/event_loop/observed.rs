//! What blocked a loop is entered in the statistics: with its cause where a request explains it, and with its stack while
//! observing.

use super::operation::{List, Operation, Subject};
use super::state::{EventLoop, Observer, LONG_SLEEP, SHORT};
use crate::sys::lock::ForkedLock;
use crate::sys::log::Sparing;
use crate::sys::program::STATS;
use crate::sys::usage::usage;
use crate::sys::{backtrace, clock, errno};
use arrayvec::ArrayVec;
use laio_core::escape::Escaped;
use laio_core::paths::{from_here, without_last_slash};
use laio_core::predictions::Depth;
use laio_core::recent::Recent;
use laio_core::rules::Rules;
use laio_core::stats::{Block, Blocking, Call};

impl EventLoop {
    /// An operation has blocked for so long, or several times for so long together. The stack may be small: what is large is in the
    /// loop's state.
    #[inline(never)]
    pub(super) fn enter(&mut self, operation: Operation<'_>, list: List, took: u64, times: u64) {
        static ONE_AT_A_TIME: ForkedLock = ForkedLock::new();
        static SPARING: Sparing = Sparing::new();
        let (what, enter): (_, fn(&Block, &Blocking<'_>)) = match list {
            List::Stalls => ("stall", Block::stalled),
            List::Ungated => ("ungated call", Block::waited),
        };
        // Where it is told by the wait, the stack would be that of the wait.
        let is_here = !matches!(operation.call, Call::Fault | Call::Elsewhere);
        let depth = match self.observer.is_on && is_here {
            true => backtrace::take(&mut self.observer.stack).len(),
            false => 0,
        };
        let now = self.now();
        operation.with_path(|path| {
            let cause = match list {
                List::Stalls => cause(
                    &self.recent,
                    &self.rules,
                    &mut self.observer,
                    operation.subject,
                    path,
                ),
                List::Ungated => None,
            };
            let blocking = Blocking {
                call: operation.call,
                path,
                nanoseconds: took,
                times,
                now,
                target: cause.unwrap_or_default(),
                is_gateable: cause.is_some(),
                stack: self.observer.stack.get(..depth).unwrap_or_default(),
            };
            let held = ONE_AT_A_TIME.take();
            held.inspect(|_| enter(&STATS, &blocking));
            let line = format_args!(
                "{what} of {} us in {} of {}",
                took / 1000,
                operation.call.name(),
                Escaped(path)
            );
            if log::log_enabled!(log::Level::Debug) {
                log::debug!("{line}");
            } else if log::log_enabled!(log::Level::Info) {
                match SPARING.take() {
                    None => {}
                    Some(0) => log::info!("{line}"),
                    Some(more) => log::info!("{line}, and {more} more since the last line"),
                }
            }
        });
    }

    /// The application goes on with what it is told, and is observed.
    pub(super) fn observe_iteration(&mut self) {
        let before = self.suspicion.baseline();
        let ready = std::mem::take(&mut self.observer.ready);
        let others_wait = std::mem::take(&mut self.observer.others_wait);
        if let Some((blocked, sleeps)) = self.observer.was_blocked.take() {
            // What the wait has not slept for was ready before.
            if others_wait && before.sleeps == sleeps {
                STATS.observed.waited.enter(blocked, ready);
            }
        }
        self.observer.began = Some((clock::ticks(), before));
        self.observer.blocked = 0;
        self.observer.claimed = Default::default();
    }

    /// The loop is about to wait: how long has it taken, and has it slept in what is no call that is timed?
    pub(super) fn observe_end(&mut self) {
        let Some((began, before)) = self.observer.began.take() else {
            return;
        };
        let ticks = clock::ticks().saturating_sub(began);
        let took = self.suspicion.nanoseconds(ticks);
        STATS.observed.iterations.enter(took, 1);
        if took < SHORT {
            return;
        }
        let _errno = errno::Guard::new();
        let after = usage();
        // The processor's time is told exactly here, and was told too low, by up to a tick, at the beginning: what is left is no more than
        // the loop has slept, and waited for a processor.
        let worked = clock::thread_nanoseconds().saturating_sub(before.worked);
        let left = took
            .saturating_sub(self.observer.blocked)
            .saturating_sub(worked);
        let faults = after.faults - before.faults - self.observer.claimed.faults;
        let sleeps = after.sleeps - before.sleeps - self.observer.claimed.sleeps;
        let found = match (u64::try_from(faults), sleeps) {
            (Ok(faults @ 1..), _) if left > 0 => Some((Call::Fault, faults)),
            (_, 1..) if left > LONG_SLEEP && !self.suspicion.is_traced(self.now()) => {
                Some((Call::Elsewhere, 1))
            }
            _ => None,
        };
        if let Some((call, times)) = found {
            let subject = Subject::Nameless;
            self.observer.blocked += left;
            self.observer.looks_for_others();
            self.has_waited(Operation::new(call, subject), left, times);
        }
        let blocked = self.observer.blocked;
        self.observer.was_blocked = (blocked > 0).then_some((blocked, after.sleeps));
    }
}

/// What the request asks for that explains an operation, so that the gate holds it back, or would: the file is the one that is
/// asked for, or a cache's. Empty where that is not known any more.
#[inline(never)]
fn cause<'r>(
    recent: &'r Recent,
    rules: &Rules,
    observer: &mut Observer,
    subject: Subject<'_>,
    path: &[u8],
) -> Option<&'r [u8]> {
    let depth = match subject {
        Subject::Path(_, depth) => depth,
        Subject::Descriptor(_) => Depth::Data,
        Subject::Unlearnt(_) | Subject::Nameless => return None,
    };
    let mut room = ArrayVec::new();
    let path = without_last_slash(from_here(path, &mut room));
    let hash = laio_core::hash(path);
    let request = recent.explains(path, hash, depth, rules);
    if request.is_none() && !recent.is_of_cache(path) {
        return observer.is_explained(hash).then_some(b"");
    }
    observer.explains(hash);
    Some(request.map_or(b"", |request| &request.target))
}
