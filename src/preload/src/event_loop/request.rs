//! The request gate: a look at what a client asks for, before the server is told of it.

use super::state::{EventLoop, LOOK};
use crate::fetch::job::Job;
use crate::fetch::pool::Urgency;
use crate::fetch::probe::{probe, Answer};
use crate::gate::slot::Slot;
use crate::gate::table;
use crate::gate::{inflight, numbers};
use crate::sys::descriptors;
use laio_core::gate::{Reported, Side};
use laio_core::holds::Hold;
use laio_core::predictions::Depth;
use laio_core::recognise::{Http, Recogniser, Unrecognised, MAX_PIPELINED};
use laio_core::stats::Counter;
use laio_core::warmth::Warmth;
use rustix::io::Errno;
use std::sync::atomic::Ordering::Relaxed;

/// Looks at what is in a connection's socket: how many bytes that is, or what is found instead.
pub(super) fn peek(fd: i32, slot: &Slot, bytes: &mut [u8]) -> Result<usize, Look> {
    // SAFETY: the application has passed this number to a call, just now or to wait for it.
    let socket = unsafe { descriptors::borrow(fd) };
    let flags = rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT;
    match rustix::net::recv(socket, bytes, flags) {
        Ok((0, _)) => Err(Look::Warm),
        Err(Errno::AGAIN) => Err(Look::Empty),
        Err(Errno::NOTSOCK) => {
            table::forget(fd);
            Err(Look::Warm)
        }
        // A kernel that opens records itself has one that is no data.
        Err(Errno::IO) if slot.session(fd).is_some() => Err(Look::Warm),
        // A pending error is reported once, and this was the once.
        Err(error) => {
            slot.error.store(error.raw_os_error(), Relaxed);
            Err(Look::Warm)
        }
        Ok((length, _)) => Ok(length),
    }
}

/// How many milliseconds a path is taken to be in memory where memory is taken from files that are in use. At risk
/// are no more paths than there are requests in such a time.
const SHORT_TTL: u64 = 100;

/// A request whose files are not in memory.
pub(super) struct Cold {
    pub(super) job: Box<Job>,
    pub(super) urgency: Urgency,
    /// Bytes of the first request's head that are in the socket.
    pub(super) length: usize,
    /// They are of a record, which is nothing before it is whole.
    pub(super) is_sealed: bool,
}

/// What a look has found.
pub(super) enum Look {
    /// Nothing that keeps anybody waiting.
    Warm,
    /// A request whose files a helper is to bring in.
    Cold(Cold),
    /// The same, before there are helpers.
    Unstaffed,
    /// There is nothing to read.
    Empty,
}

impl EventLoop {
    /// What is in a connection's socket: requests whose files are in memory, or not. `is_sound` tells that the kernel has
    /// just reported it, and no error of it: a look would take that away.
    pub(super) fn look(&mut self, fd: i32, slot: &Slot, is_sound: bool) -> Look {
        if slot.is_in_body() {
            return Look::Warm;
        }
        if self.pool.places.all_cheap(self.config.break_even_us * 1000) && !self.is_sample() {
            self.counters.count_alone(Counter::BelowBreakEven);
            return Look::Warm;
        }
        // SAFETY: the application has passed this number to a call, just now or to wait for it.
        let socket = unsafe { descriptors::borrow(fd) };
        if !is_sound {
            use rustix::event::{poll, PollFd, PollFlags, Timespec};
            let mut set = [PollFd::new(&socket, PollFlags::IN)];
            let ready = poll(&mut set, Some(&Timespec::default()));
            let [entry] = set;
            match (ready, entry.revents()) {
                (Ok(0), _) => return Look::Empty,
                (Ok(_), PollFlags::IN) => {}
                _ => return Look::Warm,
            }
        }
        if let Some(entry) = slot.session(fd) {
            return self.look_sealed(fd, slot, entry);
        }
        match peek(fd, slot, &mut self.looks.bytes[..]) {
            // A handshake begins.
            Ok(length) if slot.begins_session(self.looks.shown(length)) => Look::Warm,
            Ok(length) => self.judge(fd, slot, length.min(LOOK)),
            Err(look) => look,
        }
    }

    /// Whether this request is gated although its device is not worth it, to keep knowing.
    fn is_sample(&mut self) -> bool {
        self.below_break_even += 1;
        self.below_break_even
            .is_multiple_of(laio_core::places::SAMPLE)
    }

    /// Finds the requests in what was looked at, and decides.
    pub(super) fn judge(&mut self, fd: i32, slot: &Slot, mut length: usize) -> Look {
        // The server is done with the request before, whatever it has sent.
        inflight::is_used(slot);
        // Whatever was sent before has nothing to do with the answer to this.
        slot.stream.lock().next_read = None;
        let here = length;
        if slot.partial.load(Relaxed) {
            length = self.looks.join(fd, length);
        }
        let kept = length - here.min(length);
        let (mut job, mut unstaffed) = (None, false);
        let mut urgency = Urgency::Urgent;
        let (mut at, mut first) = (0, length);
        for number in 0..MAX_PIPELINED {
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
                    slot.cut.store(true, Relaxed);
                    self.recent.has_not_understood();
                    break;
                }
                Err(reason) => {
                    slot.cut.store(true, Relaxed);
                    self.recent.has_not_understood();
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
            if number == 0 {
                first = at;
            }
            self.rules
                .predict(&self.looks.request, &mut self.looks.predictions);
            if self.looks.predictions.is_empty() {
                self.counters.count_alone(Counter::Unpredicted);
            }
            unstaffed |= self.find_cold(&mut job, &mut urgency);
            if job.is_none() {
                self.recent.remember(
                    &self.looks.request,
                    &self.looks.predictions,
                    &mut self.rules,
                );
            }
            if self.looks.request.has_body {
                // Strangers may write there what looks like requests.
                slot.cut.store(true, Relaxed);
                self.recent.has_not_understood();
                break;
            }
        }
        match job {
            Some(job) => Look::Cold(Cold {
                job,
                urgency,
                length: first - kept.min(first),
                is_sealed: false,
            }),
            None if unstaffed => Look::Unstaffed,
            None => {
                self.counters.count_alone(Counter::Warm);
                Look::Warm
            }
        }
    }

    /// Adds what is cold among the predictions to the job, which is made when the first is. True where there is
    /// none to be had, because no helpers have been started.
    fn find_cold(&mut self, job: &mut Option<Box<Job>>, urgency: &mut Urgency) -> bool {
        let mut unstaffed = false;
        let window = self.pool.window();
        for prediction in self.looks.predictions.iter() {
            let mut key = prediction.window_key(window);
            let mut known = self.pool.warm.get(key, self.now(), self.config.warm_ms);
            if known != Warmth::Warm && prediction.key(window) != key {
                key = prediction.key(window);
                known = self.pool.warm.get(key, self.now(), self.config.warm_ms);
            }
            if known == Warmth::Warm && !self.is_past_short_ttl(key) {
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
            // A look at a cold file has the disk read its beginning. Behind the first one helpers look, and read no more than
            // what is left of the window.
            let answer = if job.is_some() {
                Answer::Unknown
            } else {
                self.counters.count_alone(Counter::Probes);
                probe(prediction, window)
            };
            match answer {
                Answer::Warm => {
                    self.pool.warm.insert(key, self.now());
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

    /// Whether what was in memory may have been taken away again, and this was not looked at just now.
    fn is_past_short_ttl(&self, key: u64) -> bool {
        let ttl = SHORT_TTL.min(self.config.warm_ms);
        self.has_short_ttl() && self.pool.warm.get(key, self.now(), ttl) != Warmth::Warm
    }

    /// Holds a cold request back until its files are in memory; false where that cannot be. `swallowed` is what was
    /// reported of the connection, if nothing of that is handed out.
    pub(super) fn hold_back(
        &mut self,
        fd: i32,
        slot: &Slot,
        cold: Cold,
        swallowed: Option<Reported>,
    ) -> bool {
        let Cold {
            mut job,
            urgency,
            length,
            is_sealed,
        } = cold;
        self.arm();
        let ticket = if self.pool.is_possible() {
            self.charge_for_paths(fd, slot, &mut job).and_then(|()| {
                let in_sets = self.sets.are_waited_for;
                slot.close_gate(fd, Side::Read, self.number, swallowed, in_sets)
                    .ok_or(Counter::Ungateable)
            })
        } else {
            Err(self.pool.refusal())
        };
        let ticket = match ticket {
            Ok(ticket) => ticket,
            Err(reason) => {
                self.counters.count(reason);
                self.pool.give_back(job);
                return false;
            }
        };
        job.gate = Some((fd, ticket));
        job.owners = numbers::owners(fd);
        self.counters.count_alone(Counter::RequestGate);
        self.counters.count_alone(Counter::Jobs);
        if urgency == Urgency::Urgent {
            self.counters.count_alone(Counter::JobsUrgent);
        }
        self.submit(job, urgency);
        let told = &slot.told;
        let (heard, kept) = (told.active(), told.was_read());
        let hold = Hold::begin(fd, ticket, length, self.now(), heard, kept);
        self.holds(if is_sealed { hold.sealed() } else { hold });
        true
    }

    /// Charges the client for the window that a job will read, where it reads.
    fn charge_for_paths(&self, fd: i32, slot: &Slot, job: &mut Job) -> Result<(), Counter> {
        if job.paths.iter().any(|it| it.depth == Depth::Data) {
            let bytes = self.pool.window().min(self.config.inflight);
            job.charge = Some(inflight::charge(fd, slot, bytes, self.config)?);
        }
        Ok(())
    }
}
