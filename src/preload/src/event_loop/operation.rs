//! File operations: straight, or a stall, which is counted and learnt from. What the library does not
//! hold back (changes of files, look-ups of host names) is counted apart, and teaches nothing.

use super::elsewhere;
use super::sealed::open_kept;
use super::state::{EventLoop, SUSPICIOUS};
use crate::fetch::file_system;
use crate::gate::behind::ANSWERS;
use crate::sys::{clock, descriptors, errno, usage};
use arrayvec::ArrayVec;
use laio_core::paths::{from_here, without_last_slash};
use laio_core::predictions::{warm_key, Depth};
use laio_core::recent::Attribution;
use laio_core::recognise::Http;
use laio_core::reports::Report;
use laio_core::stats::{Call, Counter};
use laio_core::warmth::Warmth;

/// An operation on a file system without a device of its own that took longer than these nanoseconds
/// has waited: such file systems do not count the blocks that they read.
pub(super) const LONG: u64 = 500_000;

/// A look-up of a host name that took longer than these nanoseconds has waited for another machine: to
/// read `/etc/hosts` takes less.
const RESOLVER_LONG: u64 = 1_000_000;

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

/// The list of the statistics that an operation goes into if it blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// What the library is there to hold back.
    Stalls,
    /// What it never is.
    Ungated,
}

/// What a read has asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// From where on, in bytes from the start of the file. Without it the call has moved the file's own position.
    pub start: Option<u64>,
    /// How many bytes; 0 where that is not known.
    pub size: u64,
}

impl Asked {
    /// What comes next.
    pub fn next(size: usize) -> Asked {
        let size = size as u64;
        Asked { start: None, size }
    }

    /// What is there.
    pub fn at(offset: i64, size: usize) -> Asked {
        let start = u64::try_from(offset).ok();
        let size = size as u64;
        Asked { start, size }
    }
}

/// One file operation of the application.
#[derive(Clone, Copy, Debug)]
pub struct Operation<'a> {
    /// Which.
    pub call: Call,
    /// On what.
    pub subject: Subject<'a>,
    /// Of a read, which part.
    pub asked: Asked,
}

impl<'a> Operation<'a> {
    /// One that reads nothing.
    pub fn new(call: Call, subject: Subject<'a>) -> Operation<'a> {
        let asked = Asked::default();
        Operation {
            call,
            subject,
            asked,
        }
    }
}

impl Operation<'_> {
    /// A read from a pipe or a terminal may sleep as well; that is no disk's fault.
    pub(super) fn is_on_file(&self) -> bool {
        use rustix::fs::{fstat, FileType};
        let Subject::Descriptor(fd) = self.subject else {
            return true;
        };
        // SAFETY: the application has just passed this number to the same call.
        let file = unsafe { descriptors::borrow(fd) };
        fstat(file).is_ok_and(|status| {
            matches!(
                FileType::from_raw_mode(status.st_mode),
                FileType::RegularFile | FileType::Directory
            )
        })
    }

    /// Whether it reads what is in an open file.
    pub(super) fn is_of_data(&self) -> bool {
        matches!(self.subject, Subject::Descriptor(_)) && self.call != Call::Stat
    }

    /// Whether it was on a file system that reads no blocks of a device of its own.
    pub(super) fn is_opaque(&self) -> bool {
        let kind = match self.subject {
            Subject::Path(path, _) | Subject::Unlearnt(path) => file_system::kind_at(path),
            // SAFETY: as in `is_on_file`.
            Subject::Descriptor(fd) => file_system::kind(unsafe { descriptors::borrow(fd) }),
            Subject::Nameless => return false,
        };
        matches!(
            kind,
            file_system::Kind::Opaque | file_system::Kind::Remote | file_system::Kind::Forgetful
        )
    }

    pub(super) fn with_path(&self, act: impl FnOnce(&[u8])) {
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

impl EventLoop {
    /// A file operation is done, and took so many ticks. What it was is asked for only if it stalled
    /// or something can be learnt from it. `before` tells how often the thread had slept, if that was asked.
    #[inline]
    pub fn operated<'a>(
        &mut self,
        ticks: u64,
        before: Option<i64>,
        what: impl FnOnce() -> Option<Operation<'a>>,
    ) {
        let suspicious = self.suspicion.is_roused(ticks);
        let learns = self.recent.learns() && self.is_armed();
        if !suspicious && !learns {
            self.counters.count_alone(Counter::PassedThrough);
        } else if let Some(operation) = what() {
            self.consider(operation, suspicious.then_some((ticks, before)));
        }
    }

    #[cold]
    fn consider(&mut self, operation: Operation<'_>, suspicious: Option<(u64, Option<i64>)>) {
        let _errno = errno::Guard::new();
        self.bodies.opens_warm = false;
        self.bodies.opens = None;
        let learns = self.is_armed() && self.recent.learns();
        let took = suspicious.map(|(ticks, _)| self.suspicion.nanoseconds(ticks));
        let before = suspicious.and_then(|(_, before)| before);
        let stalled = took.is_some_and(|took| self.has_blocked(operation, took, before));
        if !stalled {
            self.counters.count_alone(Counter::PassedThrough);
        } else {
            self.forget_repeated();
            self.recent.has_stalled();
        }
        if !stalled && !learns {
            return;
        }
        if let (true, Some(took)) = (stalled, took) {
            self.recent.recognise(&Http, open_kept);
            self.enter(operation, List::Stalls, took, 1);
        }
        if stalled && operation.is_of_data() {
            self.recent.waited_for_data(&mut self.rules);
            self.has_waited_for_data(operation);
        }
        if stalled {
            self.rules.caches.has_stalled();
        }
        let Subject::Path(path, depth) = operation.subject else {
            if stalled && operation.is_of_data() {
                self.learn_from_file(operation, took.unwrap_or_default());
            }
            return;
        };
        let mut room = ArrayVec::new();
        let path = without_last_slash(from_here(path, &mut room));
        let hash = laio_core::hash(path);
        let key = warm_key(hash, depth, 0);
        if operation.call == Call::Open && self.pool.links.are_pending() {
            self.bodies.opens_linked = Some(hash);
        }
        let opens = operation.call == Call::Open && depth == Depth::Data;
        self.bodies.opens = opens.then_some(hash);
        self.bodies.opens_warm =
            opens && self.pool.warm.get(key, self.now(), self.ttl.get()) == Warmth::Warm;
        if stalled {
            self.pool.warm.remove(key);
        }
        if !stalled && self.recent.has_repeated() {
            let is_awaited = self.recent.confirms(hash, depth, &mut self.rules);
            if is_awaited || self.was_predicted(hash, depth) {
                return;
            }
        }
        self.recent.recognise(&Http, open_kept);
        let attribution = self.recent.attribute(path, hash, depth, &mut self.rules);
        if stalled && attribution != Attribution::Explained {
            self.counters.count(Counter::Unexplained);
            ANSWERS.has_stalled(self.now());
        }
        if stalled && attribution == Attribution::Unexplained {
            self.recent
                .learn_companion(path, hash, depth, &mut self.rules);
        }
        if attribution == Attribution::CacheFile {
            self.study(path);
        }
    }

    /// Whether the thread slept in this operation; if so it is counted and remembered.
    fn has_blocked(&mut self, operation: Operation<'_>, took: u64, before: Option<i64>) -> bool {
        let armed = self.is_armed();
        let observes = self.observer.is_on;
        let since = self.suspicion.ask();
        let blocked = if let Some(before) = before {
            self.suspicion.has_slept_since(before)
                && (since.read_blocks || !self.suspicion.is_traced(self.now()))
        } else if (armed || observes) && since.is_fresh {
            // A sleep since the beginning of this iteration is this call's, unless a debugger has stopped it. Blocks may have been read
            // ahead, without waiting.
            since.slept
                && (since.read_blocks || !self.suspicion.is_traced(self.now()))
                && self.is_certain(since.read_blocks)
        } else {
            // The kernel was asked long ago, and a sleep may have had any reason; only where no device counts
            // the blocks that are read is it taken for an answer. Blocks may have been a page fault's.
            let may_be_silent = since.slept && took > LONG && operation.is_opaque();
            since.read_blocks && !since.faulted
                || may_be_silent && !self.suspicion.is_traced(self.now())
        };
        // Without this, a server whose bodies are page faults of its own would never be seen to stall.
        let is_doubtful = match armed {
            true => since.slept || since.read_blocks || took > LONG,
            false => since.read_blocks && since.faulted,
        };
        if is_doubtful && !since.is_fresh {
            self.suspicion.watches_closely(self.now());
        }
        if !blocked || !operation.is_on_file() {
            self.counters.count_alone(Counter::Preempted);
            if !armed && !observes {
                // On a busy machine every call is slow: a disarmed loop does not ask each time.
                self.suspicion.was_false();
            }
            return false;
        }
        self.told_at_once.stalled();
        self.counters.count(Counter::Stall);
        self.counters.add(Counter::StallTime, took);
        self.arm();
        // Names stall because nobody has predicted them, data because they were taken for being there.
        if armed && self.pool.is_staffed() && operation.is_of_data() && !operation.is_opaque() {
            self.attention.doubt();
            self.ttl.was_wrong();
        }
        self.observer.has_blocked(took, since.counted);
        true
    }

    /// A thread among others may have slept for one of them (a mutex, the lock of an interpreter) before this call, which was slow for
    /// another reason. Then blocks are believed, and the kernel is asked before the next operations as well, so that no other sleep is taken
    /// for theirs.
    fn is_certain(&mut self, read_blocks: bool) -> bool {
        let alone = !self.suspicion.has_company(self.now());
        if !alone {
            usage::ask_before(elsewhere::CLOSELY);
        }
        alone || read_blocks
    }

    /// A file's data has stalled. It may have been opened by another thread, or without a wait for what no request explains.
    #[inline(never)]
    fn learn_from_file(&mut self, operation: Operation<'_>, took: u64) {
        let mut report = Report {
            depth: Depth::Data,
            is_of_data: true,
            began: clock::nanoseconds().saturating_sub(took) / 1_000_000,
            ..Report::default()
        };
        let Subject::Descriptor(fd) = operation.subject else {
            return;
        };
        if !elsewhere::path_of(fd, &mut report.path) {
            return;
        }
        if self.suspicion.has_company(self.now()) {
            self.is_told_by(&report);
            return;
        }
        let (path, depth) = (&report.path, Depth::Data);
        let hash = laio_core::hash(path);
        let explaining = self.recent.explains(path, hash, depth, &self.rules);
        if explaining.is_none() && !self.recent.is_of_cache(path) {
            ANSWERS.has_stalled(self.now());
            self.recent
                .learn_companion(path, hash, depth, &mut self.rules);
        }
    }

    /// A file was changed, which took so many ticks.
    #[inline]
    pub fn changed<'a>(&mut self, ticks: u64, what: impl FnOnce() -> Operation<'a>) {
        let is_exact = self.is_armed() || self.observer.is_on;
        let least = if is_exact { SUSPICIOUS } else { LONG };
        if self.suspicion.is_longer(ticks, least) {
            self.consider_change(what(), self.suspicion.nanoseconds(ticks));
        } else {
            self.counters.count_alone(Counter::PassedThrough);
        }
    }

    #[cold]
    fn consider_change(&mut self, operation: Operation<'_>, took: u64) {
        let _errno = errno::Guard::new();
        let is_exact = self.is_armed() || self.observer.is_on;
        let since = self.suspicion.ask();
        // As for a stall. Otherwise the clock is believed: what is written counts no blocks here.
        let blocked = match is_exact && since.is_fresh {
            true => since.slept && !self.suspicion.is_traced(self.now()),
            false => took > LONG,
        };
        if blocked && operation.is_on_file() {
            self.observer.has_blocked(took, since.counted);
            self.has_waited(operation, took, 1);
        } else {
            self.counters.count_alone(Counter::PassedThrough);
        }
    }

    /// A host name was looked up, which took so many ticks.
    #[inline]
    pub fn resolved<'a>(&mut self, ticks: u64, what: impl FnOnce() -> Operation<'a>) {
        if !self.suspicion.is_longer(ticks, RESOLVER_LONG) {
            return;
        }
        let _errno = errno::Guard::new();
        if self.observer.is_on {
            let since = self.suspicion.ask();
            if since.is_fresh && !since.slept {
                return;
            }
            let took = self.suspicion.nanoseconds(ticks);
            self.observer.has_blocked(took, since.counted);
        }
        self.has_waited(what(), self.suspicion.nanoseconds(ticks), 1);
    }

    /// The loop was blocked by what the library does not hold back.
    pub(super) fn has_waited(&mut self, operation: Operation<'_>, took: u64, times: u64) {
        self.counters.add(Counter::UngatedCall, times);
        self.counters.add(Counter::UngatedTime, took);
        self.enter(operation, List::Ungated, took, times);
    }
}
