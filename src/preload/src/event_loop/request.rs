//! The request gate: a look at what a client asks for, before the server reads it.

use super::EventLoop;
use crate::engine::job::Job;
use crate::engine::pool::Urgency;
use crate::engine::probe::{probe, Answer};
use crate::guest::{descriptors, errno, program};
use crate::readiness::is_nonblocking;
use crate::readiness::table::{self, Read, Slot};
use laio_core::config::Mode;
use laio_core::gate::Side;
use laio_core::recognise::{Http, Recogniser, Unrecognised, MAX_PIPELINED};
use laio_core::stats::Counter;
use laio_core::warmth::Warmth;
use rustix::io::Errno;
use std::sync::atomic::Ordering::Relaxed;

/// How much of what a client sent is looked at.
pub(super) const LOOK: usize = 4096;

/// Connections whose request line was cut in the middle, remembered at once.
pub(super) const PARTIALS: usize = 16;

/// How many reads are put off in one turn, at most: it may never end, where the loop waits by ways that no hook sees.
const MOST_PUT_OFF: usize = 1024;

/// How many milliseconds a path is taken to be in memory where memory is taken from files that are in use. At risk
/// are no more paths than there are requests in such a time.
const DOUBTED: u64 = 100;

/// What a read of a client connection is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Read; nothing is left to do.
    Straight,
    /// Read, and show [`EventLoop::read_quietly`] what came.
    Quiet,
    /// Read, and show [`EventLoop::read_warmed`] what came: its files are in memory.
    Warmed,
    /// Answer with this error.
    Fail(Errno),
}

/// The first part of a request line that was cut in the middle.
pub(super) struct Partial {
    fd: i32,
    bytes: Vec<u8>,
}

impl EventLoop {
    /// A client connection is about to be read.
    pub fn before_read(&mut self, fd: i32, slot: &Slot) -> Verdict {
        if !self.attentive() || self.config.mode != Mode::On {
            self.counters.count_alone(Counter::Quiet);
            return Verdict::Quiet;
        }
        let _kept = errno::Kept::new();
        match slot.read() {
            Read::Pass => return Verdict::Warmed,
            Read::Wait => return self.read_while_closed(fd, slot),
            Read::Look => {}
        }
        if self.pool.places.all_cheap(self.config.break_even_us * 1000) && !self.is_sample() {
            self.counters.count_alone(Counter::BelowBreakEven);
            return Verdict::Quiet;
        }
        // SAFETY: the application passes this number to a read right now.
        let socket = unsafe { descriptors::borrow(fd) };
        let flags = rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT;
        match rustix::net::recv(socket, &mut self.look[..], flags) {
            Ok((0, _)) => Verdict::Straight,
            // The answer of the real read, given at once: a request that arrives in between would
            // be read without having been looked at. A blocking socket is to block, though.
            Err(Errno::AGAIN) if is_nonblocking(fd) => Verdict::Fail(Errno::AGAIN),
            Err(Errno::AGAIN) => Verdict::Straight,
            Err(Errno::NOTSOCK) => {
                table::forget(fd);
                Verdict::Straight
            }
            // A pending error is reported once, and this was the once.
            Err(error) => Verdict::Fail(error),
            Ok((length, _)) => self.judge(fd, slot, length.min(LOOK)),
        }
    }

    /// Whether this request is gated although its device is not worth it, to keep knowing.
    fn is_sample(&mut self) -> bool {
        self.below_break_even += 1;
        self.below_break_even
            .is_multiple_of(laio_core::places::SAMPLE)
    }

    fn read_while_closed(&mut self, fd: i32, slot: &Slot) -> Verdict {
        match self.stays_closed(fd, slot, Counter::ReadWhileClosed) {
            true => Verdict::Fail(Errno::AGAIN),
            false => Verdict::Straight,
        }
    }

    /// Finds the requests in what was looked at, and decides.
    fn judge(&mut self, fd: i32, slot: &Slot, mut length: usize) -> Verdict {
        // Whatever was sent before has nothing to do with the answer to this.
        slot.stream.lock().next_read = None;
        if slot.partial.load(Relaxed) {
            length = self.join_partial(fd, slot, length);
        }
        let (mut job, mut unstaffed) = (None, false);
        let mut urgency = Urgency::Urgent;
        let mut at = 0;
        for number in 0..MAX_PIPELINED {
            let Some(bytes) = self.look.get(at..length).filter(|bytes| !bytes.is_empty()) else {
                break;
            };
            match Http.recognise(bytes, &mut self.request) {
                Ok(taken) => at += taken,
                Err(Unrecognised::Partial) => {
                    self.keep_partial(fd, slot, at, length);
                    break;
                }
                Err(reason) => {
                    if number == 0 {
                        let refused = reason == Unrecognised::Refused;
                        let counter = if refused {
                            Counter::Refused
                        } else {
                            Counter::Foreign
                        };
                        self.counters.count_alone(counter);
                    }
                    break;
                }
            }
            self.rules.predict(&self.request, &mut self.predictions);
            if self.predictions.is_empty() {
                self.counters.count_alone(Counter::Unpredicted);
            }
            unstaffed |= self.find_cold(&mut job, &mut urgency);
            self.recent
                .remember(&self.request, &self.predictions, &mut self.rules);
        }
        match job {
            Some(job) => self.close_gate(fd, slot, job, urgency),
            None if unstaffed => self.wait_for_helpers(fd, slot),
            None => {
                self.counters.count_alone(Counter::Warm);
                Verdict::Straight
            }
        }
    }

    /// Adds what is cold among the predictions to the job, which is made when the first is. True where there is
    /// none to be had, because no helpers have been started.
    fn find_cold(&mut self, job: &mut Option<Box<Job>>, urgency: &mut Urgency) -> bool {
        let mut unstaffed = false;
        let window = self.pool.window();
        for prediction in self.predictions.iter() {
            let key = prediction.key(window);
            let known = self.pool.warm.get(key, self.now, self.config.warm_ms);
            if known == Warmth::Warm && !self.is_doubtful(key) {
                continue;
            }
            let break_even = self.config.break_even_us * 1000;
            if self
                .pool
                .places
                .is_cheap(laio_core::hash(prediction.directory()), break_even)
                && !self
                    .below_break_even
                    .is_multiple_of(laio_core::places::SAMPLE)
            {
                self.counters.count_alone(Counter::BelowBreakEven);
                continue;
            }
            self.counters.count_alone(Counter::Probes);
            match probe(prediction, window) {
                Answer::Warm => {
                    self.pool.warm.insert(key, self.now);
                    continue;
                }
                // It was brought in, and nobody knows better.
                Answer::Unknown if known == Warmth::Warm => continue,
                Answer::Cold | Answer::Unknown => {}
            }
            if known == Warmth::Unknown {
                *urgency = Urgency::Normal;
            }
            if job.is_none() {
                *job = self.pool.take();
            }
            match job {
                // What is beyond the room of one job will stall, if the disk is really asked.
                Some(job) => {
                    let _ = job.paths.push(prediction);
                }
                None if !self.pool.is_staffed() => unstaffed = true,
                None => self.counters.count(self.pool.refusal()),
            }
        }
        unstaffed
    }

    /// Puts a cold request off to the next turn: this one has just shown that files are cold, and helpers start when
    /// it ends. Nothing is held back until then; the kernel reports the connection again.
    #[cold]
    fn wait_for_helpers(&mut self, fd: i32, slot: &Slot) -> Verdict {
        let closed = self.put_off_reads < MOST_PUT_OFF
            && program::is_same_process()
            && is_nonblocking(fd)
            && slot.close_gate(fd, Side::Read, self.number).is_some();
        if !closed {
            self.counters.count(Counter::Unstaffed);
            return Verdict::Straight;
        }
        slot.abandon(fd);
        // All that has come is looked at again.
        slot.partial.store(false, Relaxed);
        self.put_off_reads += 1;
        self.counters.count_alone(Counter::PutOff);
        Verdict::Fail(Errno::AGAIN)
    }

    /// Whether what was in memory may have been taken away again, and this was not looked at just now.
    fn is_doubtful(&self, key: u64) -> bool {
        let ttl = DOUBTED.min(self.config.warm_ms);
        self.doubts() && self.pool.warm.get(key, self.now, ttl) != Warmth::Warm
    }

    fn close_gate(&mut self, fd: i32, slot: &Slot, mut job: Box<Job>, urgency: Urgency) -> Verdict {
        self.stays_attentive();
        let ticket = if !self.pool.is_possible() {
            Err(self.pool.refusal())
        } else if !is_nonblocking(fd) {
            Err(Counter::Ungateable)
        } else {
            slot.close_gate(fd, Side::Read, self.number)
                .ok_or(Counter::Ungateable)
        };
        match ticket {
            Ok(ticket) => job.gate = Some((fd, ticket)),
            Err(reason) => {
                self.counters.count(reason);
                self.pool.give_back(job);
                return Verdict::Straight;
            }
        }
        self.counters.count_alone(Counter::RequestGate);
        self.counters.count_alone(Counter::Jobs);
        if urgency == Urgency::Urgent {
            self.counters.count_alone(Counter::JobsUrgent);
        }
        self.submitted = true;
        self.pool.submit(job, urgency);
        Verdict::Fail(Errno::AGAIN)
    }

    /// Puts the part that was kept in front of what was looked at; returns the length of both.
    fn join_partial(&mut self, fd: i32, slot: &Slot, length: usize) -> usize {
        slot.partial.store(false, Relaxed);
        let Some(index) = self.partials.iter().position(|partial| partial.fd == fd) else {
            return length;
        };
        let first = self.partials.swap_remove(index).bytes;
        let whole = (first.len() + length).min(LOOK);
        self.look.copy_within(..whole - first.len(), first.len());
        if let Some(place) = self.look.get_mut(..first.len()) {
            place.copy_from_slice(&first);
        }
        whole
    }

    /// Keeps a copy of a request line's beginning; the server reads the bytes themselves.
    fn keep_partial(&mut self, fd: i32, slot: &Slot, at: usize, length: usize) {
        let bytes = self.look.get(at..length).unwrap_or_default();
        // Of this number's last owner, or the first come.
        let old = self.partials.iter().position(|partial| partial.fd == fd);
        if let Some(index) = old.or((self.partials.len() == PARTIALS).then_some(0)) {
            self.partials.swap_remove(index);
        }
        self.partials.push(Partial {
            fd,
            bytes: bytes.to_vec(),
        });
        slot.partial.store(true, Relaxed);
    }

    /// What was read while nobody looked, to be understood if it stalls.
    pub fn read_quietly(&mut self, bytes: &[u8]) {
        self.recent.keep_bytes(bytes);
    }

    /// What was read after its files were warmed, so that its operations are matched with it.
    pub fn read_warmed(&mut self, bytes: &[u8]) {
        if Http.recognise(bytes, &mut self.request).is_ok() {
            self.rules.predict(&self.request, &mut self.predictions);
            self.recent
                .remember(&self.request, &self.predictions, &mut self.rules);
        }
    }
}
