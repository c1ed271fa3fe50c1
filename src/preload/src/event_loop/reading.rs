//! A read of a client connection: whether it goes through, and what it tells.

use super::request::Look;
use super::state::EventLoop;
use crate::gate::may_be_refused;
use crate::gate::slot::{Read, Slot};
use crate::sys::{descriptors, errno};
use laio_core::config::Mode;
use laio_core::recognise::{Body, Http, Recogniser, Unrecognised, MAX_PIPELINED};
use laio_core::stats::Counter;
use rustix::io::Errno;
use std::sync::atomic::Ordering::Relaxed;

/// What a read of a client connection is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Read; nobody looks at anything.
    PassThrough,
    /// Read, and show [`EventLoop::read_disarmed`] what came.
    Disarmed,
    /// Read, and show [`EventLoop::has_read`] what came: it was looked at.
    Seen,
    /// The same, but its requests are not remembered yet.
    Unseen,
    /// The same, one byte of it.
    Part,
    /// The same, so many bytes at the most.
    AtMost(usize),
    /// Answer with this error.
    Fail(Errno),
    /// Answer `EAGAIN`: there is nothing to be read.
    Nothing,
}

impl EventLoop {
    /// A client connection is about to be read.
    pub fn before_read(&mut self, fd: i32, slot: &Slot) -> Verdict {
        if !self.is_armed() || self.config.mode != Mode::On {
            self.counters.count_alone(Counter::Disarmed);
            return Verdict::Disarmed;
        }
        let _errno = errno::Guard::new();
        if let Some(entry) = slot.session(fd) {
            return self.before_followed_read(fd, slot, entry);
        }
        match slot.read() {
            Read::Pass => return Verdict::Unseen,
            Read::Part => return self.part_of(fd, slot),
            Read::Wait => return self.read_while_closed(fd, slot),
            Read::Look => {}
        }
        if let Some(error) = taken_error(slot) {
            return Verdict::Fail(error);
        }
        if slot.told.is_readable(self.iteration.number()) {
            return Verdict::Seen;
        }
        if slot.is_behind() {
            return Verdict::Unseen;
        }
        let may_refuse = slot
            .told
            .may_refuse_read(self.iteration.number(), self.sets.are_waited_for);
        // A message that is shorter than the room for it may have others behind it.
        let refusable = may_refuse && slot.is_alone() && slot.is_stream(fd);
        if !refusable || !may_be_refused(fd) {
            return Verdict::Unseen;
        }
        // Nothing was reported: what has come meanwhile is looked at when it is. Where all that comes will be, nobody asks.
        let is_emptied = slot.told.is_emptied(self.iteration.number());
        if is_emptied && !slot.told.has_ended() && slot.reports_rest(fd, false) {
            let _ = self.refuse_read(slot);
            return Verdict::Nothing;
        }
        match self.look(fd, slot, false) {
            Look::Warm => return Verdict::Seen,
            // The answer of the real read, given at once: a request that arrives in between would
            // be read without having been looked at.
            Look::Empty if slot.error.load(Relaxed) == 0 => return Verdict::Fail(Errno::AGAIN),
            Look::Empty => {}
            Look::Cold(_) => self.put_back(),
            Look::Unstaffed => {}
        }
        if let Some(error) = taken_error(slot) {
            return Verdict::Fail(error);
        }
        self.refuse_read(slot)
    }

    /// Answers a read of which nothing was reported.
    pub(super) fn refuse_read(&self, slot: &Slot) -> Verdict {
        slot.told.has_refused_read();
        self.counters.count_alone(Counter::Unreported);
        Verdict::Fail(Errno::AGAIN)
    }

    /// A part of a request that is held back for long is handed out, unless nothing would be left of it, or it has become blocking:
    /// there a program may take its first read for the whole.
    pub(super) fn part_of(&mut self, fd: i32, slot: &Slot) -> Verdict {
        // SAFETY: the application passes this number to a read right now.
        let socket = unsafe { descriptors::borrow(fd) };
        let flags = rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT;
        let mut bytes = [0; 2];
        match rustix::net::recv(socket, &mut bytes[..], flags) {
            Ok((2.., _)) if may_be_refused(fd) => Verdict::Part,
            _ => {
                slot.abandon(fd);
                Verdict::PassThrough
            }
        }
    }

    pub(super) fn read_while_closed(&mut self, fd: i32, slot: &Slot) -> Verdict {
        let is_clean = slot
            .told
            .is_clean(self.iteration.trusted_since(), self.iteration.number());
        if !is_clean || !slot.is_alone() {
            // It may have been reported before the gate was closed, or to a child that has it as well.
            slot.abandon(fd);
            return Verdict::Unseen;
        }
        match self.stays_closed(fd, slot, Counter::ReadWhileClosed) {
            true => Verdict::Fail(Errno::AGAIN),
            false => Verdict::Unseen,
        }
    }

    /// What was read while nobody looked, to be understood if it stalls: the first of `count` bytes.
    pub fn read_disarmed(&mut self, fd: i32, slot: &Slot, bytes: &[u8], count: usize) {
        if slot.is_behind() {
            return self.has_read_answer(slot, Verdict::Disarmed, bytes);
        }
        let (bytes, count) = of_client(slot, bytes, count);
        if bytes.is_empty() {
            return;
        }
        if let Some(entry) = slot.session_of(fd, bytes) {
            return self.read_followed_disarmed(fd, slot, entry, (bytes, count));
        }
        self.counters.count_alone(Counter::ClearReads);
        if self.has_read_body(slot, bytes, count) {
            return;
        }
        if !Http::begins(bytes) && Body::may_begin(bytes) {
            slot.receives(|body| body.begin(bytes, count));
        }
        self.recent.keep_bytes(bytes, &mut self.rules);
    }

    /// Whether what was read is of a request's body. What comes behind it in the same read is not looked at.
    fn has_read_body(&mut self, slot: &Slot, bytes: &[u8], count: usize) -> bool {
        let in_body = slot.is_in_body();
        if in_body {
            slot.receives(|body| body.read(bytes, count));
            self.recent.has_not_understood();
        }
        in_body
    }

    /// The application has read `count` bytes of a connection, by a call that had room for `size`; these are the first of them.
    pub fn has_read(
        &mut self,
        fd: i32,
        slot: &Slot,
        verdict: Verdict,
        (bytes, count): (&[u8], usize),
        size: usize,
    ) {
        let emptied = bytes.len() < size;
        slot.told
            .has_read(self.iteration.number(), self.now(), bytes.len(), emptied);
        if slot.is_behind() {
            return self.has_read_answer(slot, verdict, bytes);
        }
        let (bytes, count) = of_client(slot, bytes, count);
        if bytes.is_empty() {
            return;
        }
        if verdict == Verdict::Part {
            let _errno = errno::Guard::new();
            slot.part_is_read(fd);
        }
        self.bodies.next_read.serves(fd);
        if let Some(entry) = slot.session_of(fd, bytes) {
            return self.has_read_followed(fd, slot, entry, (bytes, count));
        }
        self.counters.count_alone(Counter::ClearReads);
        slot.told.is_asked();
        let cut = slot.cut.swap(false, Relaxed);
        if self.has_read_body(slot, bytes, count) {
            return;
        }
        if cut || verdict != Verdict::Seen || slot.partial.load(Relaxed) {
            let remembers = matches!(verdict, Verdict::Unseen);
            self.recognise_read(fd, slot, (bytes, count), remembers);
        }
    }

    /// The application has found a connection empty.
    pub fn has_found_nothing(&mut self, slot: &Slot) {
        slot.told
            .has_read(self.iteration.number(), self.now(), 0, true);
    }

    /// Finds the requests in what was read, and keeps a part that was cut.
    #[cold]
    fn recognise_read(
        &mut self,
        fd: i32,
        slot: &Slot,
        (bytes, count): (&[u8], usize),
        remembers: bool,
    ) {
        let mut length = self.looks.show(bytes);
        let unseen = count.saturating_sub(length);
        if slot.partial.swap(false, Relaxed) {
            length = self.looks.join(fd, length);
            self.looks.drop_part(fd);
        }
        self.recognise_shown(fd, slot, (length, unseen), remembers);
    }

    /// The same, where so much of it is before the loop's eyes, and so much is not.
    pub(super) fn recognise_shown(
        &mut self,
        fd: i32,
        slot: &Slot,
        (length, unseen): (usize, usize),
        remembers: bool,
    ) {
        self.looks.request.is_secure = slot.session(fd).is_some();
        let mut at = 0;
        for _ in 0..MAX_PIPELINED {
            let Some(bytes) = self
                .looks
                .bytes
                .get(at..length)
                .filter(|bytes| !bytes.is_empty())
            else {
                break;
            };
            match Http.recognise(bytes, &mut self.looks.request) {
                Ok(taken) => at += taken,
                Err(Unrecognised::Partial) => {
                    self.recent.has_not_understood();
                    self.looks.keep(fd, at, length);
                    slot.partial.store(true, Relaxed);
                    return;
                }
                Err(_) => {
                    let left = bytes.len() + unseen;
                    slot.receives(|body| body.begin(bytes, left));
                    self.recent.has_not_understood();
                    if remembers && at == 0 && unseen == 0 {
                        self.has_read_line(length);
                    }
                    break;
                }
            }
            if remembers {
                self.rules
                    .predict(&self.looks.request, &mut self.looks.predictions);
                self.recent.remember(
                    &self.looks.request,
                    &self.looks.predictions,
                    &mut self.rules,
                );
            }
            if self.looks.request.has_body {
                let left = bytes.len() + unseen;
                slot.receives(|body| body.begin(bytes, left));
                self.recent.has_not_understood();
                break;
            }
        }
    }
}

/// What was read, without what a proxy has said in front of it.
#[inline]
fn of_client<'a>(slot: &Slot, bytes: &'a [u8], count: usize) -> (&'a [u8], usize) {
    let proxied = slot.proxied(bytes);
    (bytes.get(proxied..).unwrap_or_default(), count - proxied)
}

/// The error that a look has met in place of the application.
pub(super) fn taken_error(slot: &Slot) -> Option<Errno> {
    match slot.error.swap(0, Relaxed) {
        0 => None,
        error => Some(Errno::from_raw_os_error(error)),
    }
}
