//! The request gate: a look at what a client asks for, before the server is told of it.

use super::cold::Cold;
use super::state::{EventLoop, LOOK};
use crate::fetch::job::Job;
use crate::fetch::pool::Urgency;
use crate::fetch::probe::{probe, Answer};
use crate::gate::inflight;
use crate::gate::slot::Slot;
use crate::gate::table;
use crate::sys::descriptors;
use laio_core::holds::Parts;
use laio_core::http2;
use laio_core::predictions::stand_in_key;
use laio_core::recognise::{Http, Recogniser, Span, Unrecognised, MAX_PIPELINED};
use laio_core::stats::Counter;
use laio_core::warmth::Warmth;
use laio_core::widths::End;
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
        Err(Errno::IO) if slot.speaks_tls() => Err(Look::Warm),
        // A pending error is reported once, and this was the once.
        Err(error) => {
            slot.error.store(error.raw_os_error(), Relaxed);
            Err(Look::Warm)
        }
        Ok((length, _)) => Ok(length),
    }
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

/// What was found out of one request's files, but for those that a job brings in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Others {
    /// They are in memory.
    Warm,
    /// Some are not, or nobody has asked.
    Unknown,
    /// The same, and there is no job to be had, because no helpers have been started.
    Unstaffed,
}

impl EventLoop {
    /// What is in a connection's socket: requests whose files are in memory, or not. `is_sound` tells that the kernel has
    /// just reported it, and no error of it: a look would take that away.
    pub(super) fn look(&mut self, fd: i32, slot: &Slot, is_sound: bool) -> Look {
        if slot.is_behind() {
            return self.look_at_answer(fd, slot);
        }
        self.ends_repeat(slot);
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
            return self.look_followed(fd, slot, entry);
        }
        let length = match peek(fd, slot, &mut self.looks.bytes[..]) {
            Ok(length) => length.min(LOOK),
            Err(look) => return look,
        };
        let proxied = slot.proxied(self.looks.shown(length));
        if proxied > 0 {
            return self.look_behind(fd, slot, proxied, length);
        }
        let bytes = self.looks.shown(length);
        // A handshake begins.
        if slot.begins_session(bytes) {
            return Look::Warm;
        }
        match slot.goes_over(fd, bytes) {
            Some(entry) => self.look_followed(fd, slot, entry),
            None => self.judge(fd, slot, length),
        }
    }

    /// The same, behind what a proxy says in front of a connection. Sessions begin when they are read.
    #[cold]
    fn look_behind(&mut self, fd: i32, slot: &Slot, proxied: usize, length: usize) -> Look {
        let length = self.looks.leave_out(proxied, length);
        let bytes = self.looks.shown(length);
        if bytes.is_empty() || slot.begins_session(bytes) || http2::begins(bytes) {
            return Look::Warm;
        }
        match self.judge(fd, slot, length) {
            Look::Cold(cold) => Look::Cold(Cold {
                length: proxied + cold.length,
                parts: Parts::None,
                ..cold
            }),
            look => look,
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
        slot.stream.lock().expects_nothing();
        let key = self.repeat_key(slot, length);
        if key.is_some_and(|key| self.is_repeated(slot, key, length)) {
            return Look::Warm;
        }
        self.looks.request.is_secure = slot.session(fd).is_some();
        let here = length;
        if slot.partial.load(Relaxed) {
            length = self.looks.join(fd, length);
        }
        let kept = length - here.min(length);
        let (mut job, mut unstaffed) = (None, false);
        let mut urgency = Urgency::Urgent;
        let (mut at, mut first) = (0, length);
        let mut is_settled = true;
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
                    let may_be_line = number == 0 && length == here && !slot.speaks_tls();
                    let line = may_be_line.then(|| self.judge_line(length)).flatten();
                    if let Some(look) = line {
                        return look;
                    }
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
            is_settled &= number == 0 && self.rules.are_proven(&self.looks.predictions);
            if self.looks.predictions.is_empty() {
                self.counters.count_alone(Counter::Unpredicted);
            }
            let others = self.find_cold(&mut job, &mut urgency, true);
            unstaffed |= others == Others::Unstaffed;
            is_settled &= others == Others::Warm;
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
            Some(job) => {
                let _ = self.looks.has_cold(0, job);
                Look::Cold(Cold {
                    urgency,
                    length: first - kept.min(first),
                    parts: Parts::OfRequest,
                })
            }
            None if unstaffed => Look::Unstaffed,
            None => {
                self.counters.count_alone(Counter::Warm);
                let is_whole = at == length && !slot.cut.load(Relaxed);
                key.filter(|_| is_whole && is_settled)
                    .inspect(|&key| self.can_be_repeated(key));
                Look::Warm
            }
        }
    }

    /// Adds what is cold among the predictions to the job, which is made when the first is. The disk is asked only if it `is_first`.
    pub(super) fn find_cold(
        &mut self,
        job: &mut Option<Box<Job>>,
        urgency: &mut Urgency,
        is_first: bool,
    ) -> Others {
        let mut others = Others::Warm;
        let window = self.pool.window();
        let ttl = self.ttl.get();
        if !self.widths.is_empty() {
            let of_rule = |rule| self.widths.of_rule(rule);
            self.looks.predictions.widen(window, of_rule);
        }
        for mut prediction in self.looks.predictions.coded_first() {
            if self.looks.predictions.has_stand_in(&prediction) {
                let key = prediction.stand_in_key();
                if self.pool.warm.get(key, self.now(), ttl) == Warmth::Warm {
                    // The client is sent the other one.
                    prediction = prediction.of_name();
                }
            }
            let mut key = prediction.window_key(window);
            let mut known = self.pool.warm.get(key, self.now(), ttl);
            if known != Warmth::Warm && prediction.key(window) != key {
                key = prediction.key(window);
                known = self.pool.warm.get(key, self.now(), ttl);
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
                others = others.max(Others::Unknown);
                continue;
            }
            // A look at a cold file has the disk read its beginning. Behind the first one helpers look, and read no more than
            // what is left of the window.
            let answer = if job.is_some() || !is_first {
                Answer::Unknown
            } else {
                self.counters.count_alone(Counter::Probes);
                let is_there = || {
                    let key = stand_in_key(prediction.stands_for);
                    self.pool.warm.insert(key, self.now());
                };
                probe(prediction, window, &self.pool.links, is_there)
            };
            match answer {
                Answer::Warm => {
                    if known != Warmth::Unknown {
                        self.ttl.was_right();
                    }
                    self.pool.warm.insert(key, self.now());
                    continue;
                }
                // It was brought in, and nobody knows better.
                Answer::Unknown if known == Warmth::Warm => continue,
                Answer::Cold if known != Warmth::Unknown => self.ttl.was_wrong(),
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
                    match prediction.span {
                        Span::From(_) => self.widths.is_used(prediction.rule, End::Front),
                        Span::Last(_) => self.widths.is_used(prediction.rule, End::Back),
                        Span::Part(..) => {}
                    }
                }
                None if !self.pool.is_staffed() => others = Others::Unstaffed,
                None => {
                    self.counters.count(self.pool.refusal());
                    others = others.max(Others::Unknown);
                }
            }
        }
        others
    }

    /// Whether what was in memory may have been taken away again, and this was not looked at just now.
    pub(super) fn is_past_short_ttl(&self, key: u64) -> bool {
        let ttl = self.ttl.in_doubt();
        self.has_short_ttl() && self.pool.warm.get(key, self.now(), ttl) != Warmth::Warm
    }
}
