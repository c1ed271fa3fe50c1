//! What a helper does: brings everything that a handler will want into memory.

use super::cache_key::CacheKey;
use super::file_system::{self, Kind, Status};
use super::pins::Pins;
use super::residency::STRIDE;
use super::resolver::{File, Patience, Resolver};
use crate::gate::inflight::Charge;
use crate::sys::{clock, memory, refusals};
use laio_core::links::Links;
use laio_core::predictions::{stand_in_key, Depth, Prediction, Predictions};
use laio_core::stats::{Counter, Counters};
use laio_core::stream::Source;
use laio_core::warmth::{WarmTable, Warmth};
use rustix::fd::{AsFd, AsRawFd};
use rustix::fs::{
    fadvise, makedev, open, sendfile, stat, statat, Advice, AtFlags, FileType, Mode, OFlags, RawDir,
};
use rustix::io::{pread, Errno};
use rustix::mm::{madvise, Advice as MemoryAdvice};
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;

/// Names of a directory whose inodes are brought in at most.
const MAX_ENTRIES: usize = 4096;

/// How much is read at once.
const BUFFER: usize = 64 * 1024;

/// What a connection waits for, or will want next.
#[derive(Debug, Default)]
pub struct Job {
    /// The connection and its gate's ticket; nothing where nobody waits.
    pub gate: Option<(i32, u32)>,
    /// Where it is counted as held back.
    pub held: Option<u8>,
    /// How often the connection's number had changed hands.
    pub owners: u32,
    /// How much it may read, and who is charged for that.
    pub charge: Option<Charge>,
    /// How much was read.
    pub read: u64,
    /// What the handler of a request will touch.
    pub paths: Predictions,
    /// The part of a body that is sent next.
    pub part: Option<Source>,
    /// The same, where the application has mapped the file.
    pub memory: Option<Range<usize>>,
    /// A cache file whose key the loop wants to know.
    pub key: Option<Arc<CacheKey>>,
}

impl Job {
    /// Makes it an empty one.
    pub fn clear(&mut self) {
        self.gate = None;
        self.held = None;
        self.charge = None;
        self.read = 0;
        self.paths.clear();
        self.part = None;
        self.memory = None;
        self.key = None;
    }
}

/// A helper's means.
pub struct Worker<'p> {
    counters: &'static Counters,
    pins: &'p Pins,
    warm: &'p WarmTable,
    links: &'p Links,
    /// `/dev/null`, where it is what it should be: what is sent there is read without being copied.
    sink: Option<File>,
    /// Where it is not, what is read lands here.
    buffer: Vec<u8>,
}

impl<'p> Worker<'p> {
    /// Means to bring files in and to keep them open among the `pins`.
    pub fn new(
        counters: &'static Counters,
        pins: &'p Pins,
        warm: &'p WarmTable,
        links: &'p Links,
    ) -> Worker<'p> {
        Worker {
            counters,
            pins,
            warm,
            links,
            sink: null_device(),
            buffer: Vec::new(),
        }
    }

    /// One of `all` predictions; of a file in whose place another one is sent, which was found since then, the name only.
    pub fn unless_replaced<'a>(
        &self,
        prediction: Prediction<'a>,
        all: &Predictions,
        since: u64,
    ) -> Prediction<'a> {
        let now = clock::milliseconds();
        let key = prediction.stand_in_key();
        let is_replaced = all.has_stand_in(&prediction)
            && self.warm.get(key, now, now.saturating_sub(since)) == Warmth::Warm;
        match is_replaced {
            true => prediction.of_name(),
            false => prediction,
        }
    }

    /// Brings in what one prediction names: of its data `window` bytes, but not more than are `left`, from which it takes
    /// what it reads. Tells whether that was all of the window. Failures are the handler's to meet.
    pub fn warm(&mut self, prediction: Prediction<'_>, window: u64, left: &mut u64) -> bool {
        match self.try_warm(prediction, window, left) {
            Ok(is_whole) => is_whole,
            Err(error) => {
                if error != Errno::NOENT {
                    self.counters.count(Counter::PathsRefused);
                }
                true
            }
        }
    }

    fn try_warm(
        &mut self,
        prediction: Prediction<'_>,
        window: u64,
        left: &mut u64,
    ) -> Result<bool, Errno> {
        let mut beneath = Resolver::new(prediction, Patience::Wait)?.with(self.links);
        let named = beneath.look()?;
        let status = file_system::status(named.as_fd())?;
        let mut is_whole = true;
        let window = prediction.wanted(window);
        match (FileType::from_raw_mode(status.mode), prediction.depth) {
            (FileType::RegularFile, Depth::Data) => {
                if prediction.stands_for != 0 {
                    let key = stand_in_key(prediction.stands_for);
                    self.warm.insert(key, clock::milliseconds());
                }
                let start = prediction.span.start(status.size);
                let wanted = window.min(status.size.saturating_sub(start));
                is_whole = wanted <= *left;
                // Where nothing is left the name is all: to open the file may be to ask its server.
                if wanted == 0 || *left > 0 {
                    let file = beneath.open()?;
                    let end = start.saturating_add(window.min(*left));
                    let kind = file_system::learn(file.as_fd(), status.device).kind;
                    let count = self.read(&file, status, start..end, kind != Kind::Forgetful)?;
                    *left = left.saturating_sub(count);
                    if kind == Kind::Remote {
                        // Else the server's `fstat` would ask, and its `close`.
                        file_system::ask_status(file.as_fd());
                        self.pins.keep_open(file);
                    }
                }
            }
            (FileType::Directory, Depth::Listing) => list(&beneath.open_directory()?)?,
            _ => {}
        }
        // It keeps name and inode, and unlike an open file asks nobody when it is closed.
        self.pins.keep(named);
        Ok(is_whole)
    }

    /// Brings in a part of a file that the application has open. It may have closed it meanwhile and
    /// opened another one: then that one's part is brought in, and no harm is done. Returns how many bytes it was.
    pub fn fetch(&mut self, part: &Source) -> u64 {
        let fetched = self.open_again(part.file.fd);
        let fetched =
            fetched.and_then(|(file, status)| self.read(&file, status, part.range.clone(), true));
        if fetched.is_err() {
            self.counters.count(Counter::PathsRefused);
        }
        fetched.unwrap_or(0)
    }

    /// Makes mapped memory resident. It may be unmapped meanwhile, or something else, or the file may
    /// have become shorter: then this fails, or touches what is there, and no harm is done. Returns how many bytes it was.
    pub fn populate(&self, memory: Range<usize>) -> u64 {
        let start = memory.start & !(memory::page_size() - 1);
        let (address, length) = (start as *mut c_void, memory.end - start);
        // SAFETY: neither advice changes what the memory holds, whosever it is by now; the kernel refuses
        // addresses where nothing is mapped.
        let populated = unsafe {
            // All at once: faults alone would ask the disk for one piece after the other.
            let _ = madvise(address, length, MemoryAdvice::WillNeed);
            madvise(address, length, MemoryAdvice::LinuxPopulateRead)
        };
        match populated {
            Ok(()) => {
                self.counters.add(Counter::BytesWarmed, length as u64);
                length as u64
            }
            Err(error) => {
                refusals::populating_failed(error);
                self.counters.count(Counter::PathsRefused);
                0
            }
        }
    }

    /// Reads the key of a cache file.
    pub fn read_key(&self, key: &CacheKey) {
        if key.read() {
            self.counters.count(Counter::CacheKeys);
        }
    }

    /// Opens a regular file of the application's, whose descriptor table is not ours, anew: to share the application's
    /// open file would keep its locks when the application has closed it. The name is looked at first, since the number
    /// may be a pipe's by now, and to open that could be noticed at its other end.
    fn open_again(&self, fd: i32) -> Result<(Arc<File>, Status), Errno> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let named = File::from(open(format!("/proc/self/fd/{fd}"), flags, Mode::empty())?);
        let status = file_system::status(named.as_fd())?;
        if FileType::from_raw_mode(status.mode) != FileType::RegularFile {
            return Err(Errno::BADF);
        }
        let device = file_system::learn(named.as_fd(), status.device);
        let is_forgetful = device.kind == Kind::Forgetful;
        if let Some(file) = is_forgetful.then(|| self.pins.open(&status)).flatten() {
            return Ok((file, status));
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let path = format!("/proc/thread-self/fd/{}", named.as_fd().as_raw_fd());
        let file = File::from(open(path, flags, Mode::empty())?);
        let file = if is_forgetful {
            self.pins.share(&status, file)
        } else {
            Arc::new(file)
        };
        Ok((file, status))
    }

    /// Brings in a part of a file, and remembers that it is there, if it will be `kept`. Returns how many bytes it was.
    fn read(
        &mut self,
        file: &File,
        status: Status,
        mut range: Range<u64>,
        kept: bool,
    ) -> Result<u64, Errno> {
        let device = file_system::learn(file.as_fd(), status.device);
        let remembers = match device.kind {
            Kind::Probing | Kind::Memory => false,
            Kind::Opaque | Kind::Remote | Kind::Forgetful => kept,
        };
        if remembers {
            range.start = range.start / STRIDE * STRIDE;
        }
        // All at once: reading alone would ask the disk for one piece after the other. Where it reads so
        // far ahead by itself it does so in larger pages, and twice as fast.
        let length = range.end.saturating_sub(range.start);
        if length > device.read_ahead {
            let advised = fadvise(file, range.start, NonZeroU64::new(length), Advice::WillNeed);
            let _ = advised.map_err(|error| refusals::FADVISE64.failed_in_helper(error));
        }
        let mut at = range.start;
        let mut is_whole = false;
        while at < range.end {
            let count = self.read_some(file, at, (range.end - at) as usize)?;
            self.counters.add(Counter::BytesWarmed, count);
            at += count;
            // Its length tells that nothing more will come, where it is known.
            is_whole = count == 0 || at == status.size;
            if is_whole {
                break;
            }
        }
        if remembers {
            let now = clock::milliseconds();
            let last = at / STRIDE + u64::from(is_whole);
            (range.start / STRIDE..last)
                .for_each(|n| self.warm.insert(status.key(n * STRIDE), now));
        }
        Ok(at - range.start)
    }

    /// Has the kernel bring in up to `most` bytes and returns how many it did; 0 at the end.
    fn read_some(&mut self, file: &File, at: u64, most: usize) -> Result<u64, Errno> {
        if let Some(sink) = &self.sink {
            match sendfile(sink, file, Some(&mut at.clone()), most) {
                // A file system that cannot send, or a filter that forbids it.
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {
                    self.sink = None;
                }
                sent => return sent.map(|count| count as u64),
            }
        }
        self.buffer.resize(BUFFER, 0);
        let part = self.buffer.get_mut(..most.min(BUFFER)).unwrap_or_default();
        pread(file, part, at).map(|count| count as u64)
    }
}

/// Opens the null device. In a changed root something else may go by its name, and is left alone.
fn null_device() -> Option<File> {
    let status = stat("/dev/null").ok()?;
    let is_device = FileType::from_raw_mode(status.st_mode) == FileType::CharacterDevice;
    if !is_device || status.st_rdev != makedev(1, 3) {
        return None;
    }
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
    open("/dev/null", flags, Mode::empty()).ok().map(File::from)
}

/// Reads a directory's names and their inodes, up to a bound.
fn list(directory: &File) -> Result<(), Errno> {
    let mut buffer = [MaybeUninit::<u8>::uninit(); 8192];
    let mut entries = RawDir::new(directory, &mut buffer);
    let mut count = 0;
    while let Some(entry) = entries.next().filter(|_| count < MAX_ENTRIES) {
        let entry = entry.inspect_err(|error| refusals::GETDENTS64.failed(*error))?;
        // The directory is open, and its parent may be outside of what was learnt.
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            let _ = statat(directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW);
        }
        count += 1;
    }
    Ok(())
}
