//! One thread that waits in `epoll_wait`: what it knows, and what it decides.
//!
//! The state is taken out of its thread-local place while it is used. That is the guard against
//! re-entrancy: whatever is called meanwhile, by us or by a signal handler, finds nothing there and
//! goes straight.

use crate::engine::file_system;
use crate::engine::job::Job;
use crate::engine::pool::{Pool, Urgency, MAX_JOBS};
use crate::engine::probe::{probe, Answer};
use crate::guest::clock::{self, TickRate, Usage};
use crate::guest::errno;
use crate::guest::lock::Lock;
use crate::guest::program::{self, STATS};
use crate::readiness::table::{self, Read, Slot};
use laio_core::config::{Config, Mode};
use laio_core::recent::Recent;
use laio_core::recognise::{Http, Recogniser, Request, Unrecognised, MAX_PIPELINED};
use laio_core::rules::{warm_key, without_last_slash, Depth, Predictions, Rules};
use laio_core::stats::{Call, Counter, Counters};
use laio_core::warmth::Warmth;
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use std::cell::{Cell, RefCell};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;

/// How much of what a client sent is looked at.
const LOOK: usize = 4096;

/// An operation that took longer than these nanoseconds may have waited for a disk.
const SUSPICIOUS: u64 = 30_000;

/// An operation on a file system without a device of its own that took longer than these nanoseconds
/// has waited: such file systems do not count the blocks that they read.
const LONG: u64 = 500_000;

/// Connections whose request line was cut in the middle, remembered at once.
const PARTIALS: usize = 16;

thread_local! {
    static CURRENT: Cell<*mut EventLoop> = const { Cell::new(null_mut()) };
    static OWNER: RefCell<Option<Owner>> = const { RefCell::new(None) };
}

/// Frees the state when its thread ends.
struct Owner(*mut EventLoop);

impl Drop for Owner {
    fn drop(&mut self) {
        CURRENT.set(null_mut());
        // SAFETY: made by `Box::into_raw` in `begin`, and with CURRENT emptied nobody uses it.
        let state = unsafe { Box::from_raw(self.0) };
        if program::is_same_process() {
            state.pool.stop();
        } else {
            // A raw `clone` copied this thread alone: locks may be held for ever.
            std::mem::forget(state);
        }
    }
}

/// Whether this thread is an event loop that is not inside the library already.
#[inline]
pub fn is_current() -> bool {
    !CURRENT.get().is_null()
}

/// Runs `act` on this thread's state; not at all where there is none, or where it is in use.
#[inline]
pub fn with<R>(act: impl FnOnce(&mut EventLoop) -> R) -> Option<R> {
    struct PutBack(*mut EventLoop);
    impl Drop for PutBack {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let taken = PutBack(CURRENT.replace(null_mut()));
    // SAFETY: the pointer comes from `begin` and lives until the thread ends; it has been taken out
    // of its place, so this is the only reference.
    unsafe { taken.0.as_mut() }.map(act)
}

/// Makes this thread an event loop, where its process serves connections and may be helped.
pub fn begin() {
    let Some(config) = program::config() else {
        return;
    };
    if is_current()
        || OWNER
            .try_with(|owner| owner.borrow().is_some())
            .unwrap_or(true)
    {
        return;
    }
    let state = Box::into_raw(Box::new(EventLoop::new(config)));
    let kept = OWNER.try_with(|owner| *owner.borrow_mut() = Some(Owner(state)));
    if kept.is_ok() {
        CURRENT.set(state);
    }
}

/// After a fork: the state is the parent's. Nothing is freed, for a lock may be held for ever.
pub fn abandon() {
    CURRENT.set(null_mut());
    let _ = OWNER.try_with(|owner| std::mem::forget(owner.take()));
}

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
struct Partial {
    fd: i32,
    bytes: Vec<u8>,
}

/// The state of one event loop.
pub struct EventLoop {
    config: &'static Config,
    counters: &'static Counters,
    pool: Arc<Pool>,
    rules: Rules,
    recent: Recent,
    /// Scratch, so that no hook needs a large frame.
    look: Box<[u8; LOOK]>,
    request: Request,
    predictions: Predictions,
    partials: Vec<Partial>,
    tick_rate: TickRate,
    /// Ticks after which an operation is suspected of having waited for a disk.
    suspicious: u64,
    /// When that is set back to [`SUSPICIOUS`], in milliseconds.
    suspicious_until: u64,
    /// Milliseconds at the beginning of this turn.
    now: u64,
    /// Until when requests are looked at before they are read.
    attentive_until: u64,
    /// What the kernel had counted when last asked.
    baseline: Usage,
    /// Waits since then, each of which may have been a sleep.
    waits: i64,
    /// Cold requests on devices not worth a gate.
    below_break_even: u64,
    /// Jobs were submitted in this turn.
    jobs_wait: bool,
    /// Room for finished jobs.
    #[allow(clippy::vec_box)] // As the pool keeps them.
    batch: Vec<Box<Job>>,
    /// The pool has room for jobs.
    provided: bool,
}

impl EventLoop {
    fn new(config: &'static Config) -> EventLoop {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let counters = STATS.counters(NUMBER.fetch_add(1, Relaxed));
        let mut rules = Rules::default();
        for (prefix, directory) in &config.map {
            if !rules.pin(prefix.as_bytes(), directory.as_bytes()) {
                log::warn!("LAIO_MAP: {prefix}={directory} is too long; it is left out");
            }
        }
        let tick_rate = TickRate::measure();
        let now = clock::milliseconds();
        // Pinned rules speak before the first stall, so there is something to look for at once.
        let attentive_until = if rules.is_empty() {
            0
        } else {
            now + config.quiet_ms
        };
        EventLoop {
            config,
            counters,
            pool: Arc::new(Pool::new(counters, config.threads, config.window)),
            rules,
            recent: Recent::default(),
            look: Box::new([0; LOOK]),
            request: Request::default(),
            predictions: Predictions::default(),
            partials: Vec::with_capacity(PARTIALS),
            tick_rate,
            suspicious: tick_rate.ticks(SUSPICIOUS),
            suspicious_until: now,
            now,
            attentive_until,
            baseline: clock::usage(),
            waits: 0,
            below_break_even: 0,
            jobs_wait: false,
            batch: Vec::with_capacity(MAX_JOBS),
            provided: false,
        }
    }

    fn attentive(&self) -> bool {
        self.now < self.attentive_until
    }

    /// The loop is about to wait.
    pub fn turn_ends(&mut self) {
        let _kept = errno::Kept::new();
        let submitted = std::mem::take(&mut self.jobs_wait);
        if submitted {
            self.pool.start();
        }
        if self.attentive() && !self.provided {
            let _kept = errno::Kept::new();
            self.provided = true;
            self.pool.provide(MAX_JOBS);
        }
        self.pool.before_wait(&mut self.batch, submitted);
        self.waits += 1;
    }

    /// The wait is over.
    pub fn turn_begins(&mut self) {
        self.now = clock::milliseconds();
        self.pool.after_wait();
        self.recent.new_turn();
        if self.now >= self.suspicious_until {
            self.suspicious = self.tick_rate.ticks(SUSPICIOUS);
            self.suspicious_until = self.now + 1000;
        }
        if self.attentive() {
            let _kept = errno::Kept::new();
            self.rebase();
        }
    }

    fn rebase(&mut self) -> Usage {
        let before = std::mem::replace(&mut self.baseline, clock::usage());
        self.waits = 0;
        before
    }

    // ---- the request gate ----

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
        let socket = unsafe { BorrowedFd::borrow_raw(fd) };
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

    /// A level-triggered loop must not spin on a client that is gone, and a socket that has been made
    /// blocking meanwhile must not answer `EAGAIN`; everybody else waits.
    fn read_while_closed(&mut self, fd: i32, slot: &Slot) -> Verdict {
        use rustix::event::{poll, PollFd, PollFlags, Timespec};
        // SAFETY: as above.
        let socket = unsafe { BorrowedFd::borrow_raw(fd) };
        let mut set = [PollFd::new(&socket, PollFlags::empty())];
        let gone = poll(
            &mut set,
            Some(&Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            }),
        ) != Ok(0);
        if !gone && is_nonblocking(fd) {
            self.counters.count(Counter::ReadWhileClosed);
            return Verdict::Fail(Errno::AGAIN);
        }
        self.counters.count(if gone {
            Counter::ClientGone
        } else {
            Counter::Ungateable
        });
        slot.abandon(fd);
        Verdict::Straight
    }

    /// Finds the requests in what was looked at, and decides.
    fn judge(&mut self, fd: i32, slot: &Slot, mut length: usize) -> Verdict {
        if slot.partial.load(Relaxed) {
            length = self.join_partial(fd, slot, length);
        }
        let mut job = None;
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
            self.find_cold(&mut job, &mut urgency);
            self.recent
                .remember(&self.request, &self.predictions, &mut self.rules);
        }
        match job {
            None => {
                self.counters.count_alone(Counter::Warm);
                Verdict::Straight
            }
            Some(job) => self.close_gate(fd, slot, job, urgency),
        }
    }

    /// Adds what is cold among the predictions to the job, which is made when the first is.
    fn find_cold(&mut self, job: &mut Option<Box<Job>>, urgency: &mut Urgency) {
        for prediction in self.predictions.iter() {
            let key = prediction.key(self.config.window);
            let known = self.pool.warm.get(key, self.now, self.config.warm_ms);
            if known == Warmth::Warm {
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
            if probe(prediction, self.config.window) == Answer::Warm {
                self.pool.warm.insert(key, self.now);
                continue;
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
                None => self.counters.count(Counter::QueueFull),
            }
        }
    }

    fn close_gate(&mut self, fd: i32, slot: &Slot, mut job: Box<Job>, urgency: Urgency) -> Verdict {
        self.attentive_until = self.now + self.config.quiet_ms;
        let ticket = if !self.pool.is_possible() {
            Err(Counter::NoHelpers)
        } else if !is_nonblocking(fd) {
            Err(Counter::Ungateable)
        } else {
            slot.close_gate(fd).ok_or(Counter::Ungateable)
        };
        match ticket {
            Ok(ticket) => job.ticket = ticket,
            Err(reason) => {
                self.counters.count(reason);
                self.pool.give_back(job);
                return Verdict::Straight;
            }
        }
        job.fd = fd;
        self.counters.count_alone(Counter::RequestGate);
        self.counters.count_alone(Counter::Jobs);
        if urgency == Urgency::Urgent {
            self.counters.count_alone(Counter::JobsUrgent);
        }
        self.jobs_wait = true;
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
        if self.partials.len() == PARTIALS {
            self.partials.swap_remove(0);
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

    // ---- file operations: straight, or a stall ----

    /// A file operation is done, and took so many ticks. What it was is asked for only if it stalled
    /// or something can be learnt from it.
    #[inline]
    pub fn operated<'a>(&mut self, ticks: u64, what: impl FnOnce() -> Option<Operation<'a>>) {
        let suspicious = ticks > self.suspicious;
        if !suspicious && !self.attentive() {
            self.counters.count_alone(Counter::Straight);
        } else if let Some(operation) = what() {
            self.consider(operation, suspicious.then_some(ticks));
        }
    }

    #[cold]
    fn consider(&mut self, operation: Operation<'_>, suspicious: Option<u64>) {
        let _kept = errno::Kept::new();
        let was_attentive = self.attentive();
        let stalled = suspicious
            .is_some_and(|ticks| self.has_blocked(operation, self.tick_rate.nanoseconds(ticks)));
        if !stalled {
            self.counters.count_alone(Counter::Straight);
        } else if !was_attentive {
            self.recent.recognise(&Http);
        }
        let Subject::Path(path, depth) = operation.subject else {
            return;
        };
        let path = without_last_slash(path);
        if !stalled && !was_attentive {
            return;
        }
        let hash = laio_core::hash(path);
        if stalled {
            self.pool.warm.remove(warm_key(hash, depth, 0));
        }
        let explained = self.recent.attribute(path, hash, depth, &mut self.rules);
        if stalled && !explained {
            self.counters.count(Counter::Unexplained);
        }
    }

    /// Whether the thread slept in this operation; if so it is counted and remembered.
    fn has_blocked(&mut self, operation: Operation<'_>, took: u64) -> bool {
        let (waits, attentive) = (self.waits, self.attentive());
        let before = self.rebase();
        let read_blocks = self.baseline.blocks > before.blocks;
        // An attentive loop has asked at the beginning of this turn, so a sleep since is this call's.
        // A quiet one has asked long ago, and a sleep may have had any reason; only where no device
        // counts the blocks that are read is it taken for an answer.
        let slept = self.baseline.sleeps - before.sleeps > waits
            && (attentive || took > LONG && operation.is_opaque());
        if !slept && !read_blocks || !operation.is_on_file() {
            self.counters.count_alone(Counter::Preempted);
            if !attentive {
                // On a busy machine every call is slow: a quiet loop does not ask each time.
                self.suspicious = (2 * self.suspicious).min(self.tick_rate.ticks(2 * LONG));
            }
            return false;
        }
        self.counters.count(Counter::Stall);
        self.counters.add(Counter::StallTime, took);
        self.attentive_until = self.now + self.config.quiet_ms;
        static ONE_AT_A_TIME: Lock<()> = Lock::new(());
        operation.with_path(|path| {
            let _held = ONE_AT_A_TIME.lock();
            STATS.stalled(operation.call, path, took);
            log::info!(
                "stall of {} us in {} of {}",
                took / 1000,
                operation.call.name(),
                String::from_utf8_lossy(path)
            );
        });
        true
    }
}

/// What a file operation was performed on.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// A path relative to the working directory, or absolute.
    Path(&'a [u8], Depth),
    /// A path that teaches nothing: opened for writing, or relative to a descriptor.
    Unlearnt(&'a [u8]),
    /// An open file.
    Descriptor(i32),
    /// Something that the call does not name.
    Nameless,
}

/// One file operation of the application.
#[derive(Clone, Copy, Debug)]
pub struct Operation<'a> {
    /// Which.
    pub call: Call,
    /// On what.
    pub subject: Subject<'a>,
}

impl Operation<'_> {
    /// A read from a pipe or a terminal may sleep as well; that is no disk's fault.
    fn is_on_file(&self) -> bool {
        use rustix::fs::{fstat, FileType};
        let Subject::Descriptor(fd) = self.subject else {
            return true;
        };
        // SAFETY: the application has just passed this number to the same call.
        let file = unsafe { BorrowedFd::borrow_raw(fd) };
        fstat(file).is_ok_and(|status| {
            matches!(
                FileType::from_raw_mode(status.st_mode),
                FileType::RegularFile | FileType::Directory
            )
        })
    }

    /// Whether it was on a file system that reads no blocks of a device of its own.
    fn is_opaque(&self) -> bool {
        let kind = match self.subject {
            Subject::Path(path, _) | Subject::Unlearnt(path) => file_system::kind_at(path),
            // SAFETY: as in `is_on_file`.
            Subject::Descriptor(fd) => file_system::kind(unsafe { BorrowedFd::borrow_raw(fd) }),
            Subject::Nameless => return false,
        };
        kind == file_system::Kind::Opaque
    }

    fn with_path(&self, act: impl FnOnce(&[u8])) {
        match self.subject {
            Subject::Path(path, _) | Subject::Unlearnt(path) => act(path),
            Subject::Descriptor(fd) => {
                let link = format!("/proc/self/fd/{fd}");
                let path = rustix::fs::readlink(link, Vec::new()).unwrap_or_default();
                act(path.as_bytes());
            }
            Subject::Nameless => act(b""),
        }
    }
}

fn is_nonblocking(fd: i32) -> bool {
    // SAFETY: the application passes this number to a read right now.
    let socket = unsafe { BorrowedFd::borrow_raw(fd) };
    let flags = rustix::fs::fcntl_getfl(socket);
    flags.is_ok_and(|flags| flags.contains(rustix::fs::OFlags::NONBLOCK))
}
