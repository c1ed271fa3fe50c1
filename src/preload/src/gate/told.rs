//! What an application has been told of one connection's readiness, and what it has done since: what may be
//! refused it.
//!
//! A call that was reported ready succeeds. A read is answered with `EAGAIN` only straight after `accept` (within
//! a few iterations of the loop, before any wait could report it), or after a read that emptied the socket in the
//! same iteration; a write only after another one of the same answer, and not if room was
//! reported since. What was reported by a wait that no hook sees is therefore never refused: it would be another
//! iteration.
//!
//! Iterations are numbered for the whole process ([`NEVER`] is none). All of it is written by the thread that
//! waits for the connection; another one that reads it takes it for an iteration of its own hardly ever, and
//! is not refused anything otherwise.

use crate::sys::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use laio_core::gate::Side;

/// No iteration of any loop.
pub const NEVER: u64 = 0;

/// How many iterations after `accept` a connection that no wait knows of may be read: Tornado does so in the second.
const AFTER_ACCEPT: u64 = 3;

/// How often one connection is refused until it is read: a program that reads again and again instead of waiting gets what
/// is there.
const REFUSALS: u32 = 8;

/// So far apart are iterations between which there was a wait that no hook sees.
pub const UNSEEN: u64 = AFTER_ACCEPT + 1;

/// What one connection's application knows.
#[derive(Debug, Default)]
pub struct Told {
    /// The iteration in which a wait reported that it can be read.
    readable: AtomicU64,
    /// That was of its end as well, or of an error.
    ended: AtomicBool,
    /// The iteration in which a read emptied it.
    emptied: AtomicU64,
    /// The iteration in which it was accepted, if nothing has happened to it since.
    accepted: AtomicU64,
    /// It was registered in an epoll instance: some wait may know of it, whatever becomes of that registration.
    registered: AtomicBool,
    /// How often a read was refused since something was reported or read.
    refusals: AtomicU32,
    /// The last iteration in which it was accepted, or a read emptied it, if nothing was reported since.
    clean: AtomicU64,
    /// The iteration in which a part of an answer was sent last.
    wrote: AtomicU64,
    /// Room was reported, and nothing has been written since.
    writable: AtomicBool,
    /// Something of the answer to the last request was sent.
    answering: AtomicBool,
    /// Bytes of it were read.
    was_read: AtomicBool,
    /// When the server last heard or sent something, in milliseconds.
    active: AtomicU64,
}

impl Told {
    /// The number names another connection from now on, or none.
    pub fn reset(&self, now: u64) {
        self.readable.store(NEVER, Relaxed);
        self.ended.store(false, Relaxed);
        self.emptied.store(NEVER, Relaxed);
        self.accepted.store(NEVER, Relaxed);
        self.clean.store(NEVER, Relaxed);
        self.registered.store(false, Relaxed);
        self.wrote.store(NEVER, Relaxed);
        self.writable.store(false, Relaxed);
        self.answering.store(false, Relaxed);
        self.was_read.store(false, Relaxed);
        self.active.store(now, Relaxed);
    }

    /// The loop has accepted it, in an iteration that a wait has begun.
    pub fn accepted(&self, iteration: u64) {
        self.refusals.store(0, Relaxed);
        self.accepted.store(iteration, Relaxed);
        self.clean.store(iteration, Relaxed);
    }

    /// It is registered in an epoll instance.
    pub fn registered(&self) {
        self.registered.store(true, Relaxed);
    }

    /// A wait hands out that it can be read, and perhaps that it has `ended`.
    pub fn readable(&self, iteration: u64, now: u64, ended: bool) {
        self.readable.store(iteration, Relaxed);
        self.ended.store(ended, Relaxed);
        self.clean.store(NEVER, Relaxed);
        self.emptied.store(NEVER, Relaxed);
        self.accepted.store(NEVER, Relaxed);
        self.refusals.store(0, Relaxed);
        self.active.store(now, Relaxed);
    }

    /// A wait of a thread that is no event loop hands these events out.
    pub fn told_elsewhere(&self, events: u32) {
        if events & Side::Read.events() != 0 {
            self.clean.store(NEVER, Relaxed);
            self.emptied.store(NEVER, Relaxed);
            self.accepted.store(NEVER, Relaxed);
        }
        if events & Side::Write.events() != 0 {
            self.writable();
        }
    }

    /// Whether what can be read was reported in this iteration, and so looked at, and a read has not emptied it since.
    pub fn is_readable(&self, iteration: u64) -> bool {
        self.readable.load(Relaxed) == iteration
    }

    /// Whether a read of this iteration has emptied it.
    pub fn is_emptied(&self, iteration: u64) -> bool {
        self.emptied.load(Relaxed) == iteration
    }

    /// Whether the last report was of its end as well, or of an error.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Relaxed)
    }

    /// Whether a read may be answered with `EAGAIN`: nothing was reported. `in_set` tells that the loop waits
    /// in `poll` or `select`, which may know of the connection.
    pub fn may_refuse_read(&self, iteration: u64, in_set: bool) -> bool {
        let accepted = self.accepted.load(Relaxed);
        let straight = accepted != NEVER && iteration.wrapping_sub(accepted) < AFTER_ACCEPT;
        let is_known = in_set || self.registered.load(Relaxed);
        let is_known = is_known && accepted != iteration;
        straight && !is_known || self.is_emptied(iteration)
    }

    /// Whether nothing was reported since it was accepted or emptied, which was not before the iteration `since`: from then
    /// on all is known of what was reported.
    pub fn is_clean(&self, since: u64, iteration: u64) -> bool {
        (since..=iteration).contains(&self.clean.load(Relaxed))
    }

    /// Whether it was not refused so often that the application does not seem to wait.
    pub fn may_refuse_again(&self) -> bool {
        self.refusals.load(Relaxed) < REFUSALS
    }

    /// A read was answered so. In the end one is not.
    pub fn has_refused_read(&self) {
        if self.refusals.fetch_add(1, Relaxed) + 1 >= REFUSALS {
            self.emptied.store(NEVER, Relaxed);
            self.accepted.store(NEVER, Relaxed);
        }
    }

    /// The application has read so many bytes, and `emptied` the socket, as far as it can tell.
    pub fn has_read(&self, iteration: u64, now: u64, count: usize, emptied: bool) {
        let goes_on = self.is_readable(iteration) || self.may_refuse_read(iteration, false);
        if emptied {
            // What comes from now on is not what was reported.
            self.readable.store(NEVER, Relaxed);
        }
        let clean = if emptied { iteration } else { NEVER };
        let emptied = if emptied && goes_on { iteration } else { NEVER };
        self.accepted.store(NEVER, Relaxed);
        self.clean.store(clean, Relaxed);
        self.emptied.store(emptied, Relaxed);
        if count > 0 {
            self.refusals.store(0, Relaxed);
            self.was_read.store(true, Relaxed);
            self.active.store(now, Relaxed);
        }
    }

    /// A part of a request was read: what is sent next may be the first of its answer.
    pub fn is_asked(&self) {
        self.wrote.store(NEVER, Relaxed);
        self.answering.store(false, Relaxed);
    }

    /// A wait hands out that there is room.
    pub fn writable(&self) {
        self.writable.store(true, Relaxed);
    }

    /// Whether a write may be answered with `EAGAIN`: no room was reported since the last one of this answer, which was not
    /// before the iteration `since`. From then on all is known of what was reported.
    pub fn may_refuse_write(&self, since: u64, iteration: u64) -> bool {
        let known = (since..=iteration).contains(&self.wrote.load(Relaxed));
        known && !self.writable.load(Relaxed)
    }

    /// Whether a write may be cut: it is not the first of an answer.
    pub fn may_cut_write(&self) -> bool {
        self.answering.load(Relaxed)
    }

    /// The kernel has taken a part of an answer, or has no room (`sent` is false).
    pub fn has_written(&self, iteration: u64, now: u64, sent: bool) {
        self.writable.store(false, Relaxed);
        if sent {
            self.wrote.store(iteration, Relaxed);
            self.answering.store(true, Relaxed);
            self.active.store(now, Relaxed);
        }
    }

    /// A part of an answer was sent, in whatever iteration.
    pub fn is_answered(&self) {
        self.answering.store(true, Relaxed);
    }

    /// Whether the server has ever had a byte of it.
    pub fn was_read(&self) -> bool {
        self.was_read.load(Relaxed)
    }

    /// When the server last heard or sent something, in milliseconds.
    pub fn active(&self) -> u64 {
        self.active.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without it, a server that takes "readable, and no data" for the end would lose a request.
    #[test]
    fn what_was_reported_is_not_refused() {
        let told = Told::default();
        let may_refuse = |iteration| told.may_refuse_read(iteration, true);
        assert!(!may_refuse(1));
        told.accepted(1);
        assert!(may_refuse(1) && !may_refuse(2));
        assert!(told.may_refuse_read(2, false), "no wait knows of it");
        told.registered();
        assert!(!told.may_refuse_read(2, false) && told.may_refuse_read(1, false));
        assert!(!told.may_refuse_read(1 + UNSEEN, false));
        told.readable(1, 0, false);
        assert!(!may_refuse(1));
        told.has_read(1, 0, 10, false);
        assert!(!may_refuse(1), "there may be more");
        told.has_read(1, 0, 10, true);
        assert!(may_refuse(1) && !may_refuse(2));
        (0..REFUSALS).for_each(|_| told.has_refused_read());
        assert!(!may_refuse(1), "it does not wait");
        assert!(told.is_clean(1, 5) && !told.is_clean(2, 5));
        told.readable(6, 0, false);
        assert!(!told.is_clean(1, 6), "it has not read what was reported");
    }

    #[test]
    fn what_a_wait_that_nobody_sees_has_reported_is_not_refused() {
        let told = Told::default();
        told.readable(1, 0, false);
        told.has_read(1, 0, 10, true);
        told.has_read(2, 0, 10, true);
        let may_refuse = told.may_refuse_read(2, true);
        assert!(!may_refuse, "nobody knows what led to that read");
    }

    /// Without it, a request that comes while its connection's last one is answered would be read without a look.
    #[test]
    fn a_report_is_used_up_by_the_read_that_empties_it() {
        let told = Told::default();
        told.readable(1, 0, false);
        told.has_read(1, 0, 10, false);
        assert!(told.is_readable(1), "there may be more");
        told.has_read(1, 0, 10, true);
        assert!(!told.is_readable(1) && told.may_refuse_read(1, true));
        told.has_read(1, 0, 0, true);
        assert!(told.may_refuse_read(1, true));
    }

    #[test]
    fn what_another_thread_was_told_is_not_refused() {
        let told = Told::default();
        told.accepted(1);
        told.told_elsewhere(Side::Write.events());
        assert!(told.may_refuse_read(1, false));
        told.told_elsewhere(Side::Read.events());
        assert!(!told.may_refuse_read(1, false) && !told.is_clean(1, 1));
        told.has_written(1, 0, true);
        assert!(told.may_refuse_write(1, 1));
        told.told_elsewhere(Side::Write.events());
        assert!(!told.may_refuse_write(1, 1));
    }

    #[test]
    fn the_first_write_of_an_answer_is_neither_refused_nor_cut() {
        let told = Told::default();
        let may_refuse = |since| told.may_refuse_write(since, 2);
        assert!(!may_refuse(1) && !told.may_cut_write());
        told.has_written(1, 0, true);
        assert!(may_refuse(1) && told.may_cut_write());
        assert!(
            !may_refuse(2),
            "a wait that nobody has seen may have reported room"
        );
        told.writable();
        assert!(!may_refuse(1), "room was reported");
        told.has_written(2, 0, true);
        assert!(may_refuse(2));
        told.has_read(2, 0, 10, true);
        assert!(
            may_refuse(2),
            "what was read makes room for the same answer"
        );
        told.is_asked();
        assert!(!may_refuse(1) && !told.may_cut_write(), "another answer");
    }
}
