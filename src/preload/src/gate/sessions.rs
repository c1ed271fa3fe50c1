//! What is followed of clients whose requests do not simply stand one after the other. Of TLS: where in their records the
//! application reads, and the keys to what it has not read yet. Of HTTP/2: where in its frames it reads.
//!
//! Keys lie in memory of their own, which is in no core dump and is zeroed in the child of a fork. A session ends, and is zeroed,
//! when its connection is closed, and when the process ends.

use super::chunks::Chunks;
use crate::sys::lock::{Lock, Order};
use crate::sys::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*};
use crate::sys::{log, process, program};
use laio_core::http2;
use laio_core::tls::{Reason, Session};
use zeroize::Zeroize;

static TABLE: Chunks<Entry> = Chunks::of_secrets(Entry::fresh);

/// Whether any TLS library of the process tells its secrets.
static ARE_TOLD: AtomicBool = AtomicBool::new(false);

/// Whether it was said that none does, though clients speak TLS.
static IS_SAID: AtomicBool = AtomicBool::new(false);

/// One connection's.
#[derive(Debug)]
pub struct Entry {
    session: Lock<Session>,
    /// Its secret has not come yet.
    awaits: AtomicBool,
    /// It speaks HTTP/2: what was read of that, or may be without another look. One, once any client of this number has.
    requests: Lock<Vec<http2::Connection>>,
    has_frames: AtomicBool,
    /// What it speaks is not by TLS.
    is_clear: AtomicBool,
    /// Bytes, from the next one to be read on, whose requests are known: so much may be read without another look.
    pub judged: AtomicUsize,
    /// Of HTTP/2, there are requests among them, or may be.
    pub asks: AtomicBool,
    /// Behind them is what was there already, and may not be reported again.
    pub owes: AtomicBool,
    /// The iteration of the last report, if that told of no end and no error.
    pub open_in: AtomicU64,
    /// The iteration in which something was read of it last.
    pub read_in: AtomicU64,
    /// The iteration of the last look, if that has seen all that was there.
    pub seen_in: AtomicU64,
}

impl Entry {
    fn fresh() -> Entry {
        Entry {
            session: Lock::new(Order::Session, Session::default()),
            awaits: AtomicBool::new(false),
            requests: Lock::new(Order::Requests, Vec::new()),
            has_frames: AtomicBool::new(false),
            is_clear: AtomicBool::new(false),
            judged: AtomicUsize::new(0),
            asks: AtomicBool::new(false),
            owes: AtomicBool::new(false),
            open_in: AtomicU64::new(0),
            read_in: AtomicU64::new(0),
            seen_in: AtomicU64::new(0),
        }
    }

    /// Acts on the session; not in a signal handler that has interrupted the thread that does.
    #[inline]
    pub fn with<R>(&self, act: impl FnOnce(&mut Session) -> R) -> Option<R> {
        (!self.session.is_own()).then(|| act(&mut self.session.lock()))
    }

    /// Whether its client speaks HTTP/2.
    #[inline]
    pub fn has_frames(&self) -> bool {
        self.has_frames.load(Relaxed)
    }

    /// Whether its client speaks TLS.
    #[inline]
    pub fn is_sealed(&self) -> bool {
        !self.is_clear.load(Relaxed)
    }

    /// Copies what is known of its frames.
    pub fn copy_frames(&self, to: &mut http2::Connection) {
        self.with_frames(|frames| to.clone_from(frames));
    }

    /// Takes over what is known of its frames, and leaves what was.
    pub fn swap_frames(&self, with: &mut http2::Connection) {
        self.with_frames(|frames| std::mem::swap(with, frames));
    }

    /// Something of its frames was read that nobody has seen.
    pub fn lose_frames(&self) {
        if self.has_frames() {
            self.with_frames(http2::Connection::lose);
        }
    }

    /// Acts on what is known of its frames; not in a signal handler that has interrupted the thread that does.
    fn with_frames(&self, act: impl FnOnce(&mut http2::Connection)) {
        if !self.requests.is_own() {
            self.requests.lock().first_mut().map(act);
        }
    }

    /// It speaks HTTP/2, of which this is known. False where there is no memory for it.
    fn begin_frames(&self, frames: http2::Connection) -> bool {
        let mut requests = self.requests.lock();
        // The memory of the number's last client is given back here, and not when that is closed: a signal handler may do so.
        requests.clear();
        let has_room = requests.try_reserve_exact(1).is_ok();
        if has_room {
            requests.push(frames);
        }
        self.has_frames.store(has_room, Relaxed);
        has_room
    }

    fn wipe(&self) {
        self.with(Zeroize::zeroize);
        self.lose_frames();
        self.has_frames.store(false, Relaxed);
        self.is_clear.store(false, Relaxed);
        self.awaits.store(false, Relaxed);
        self.judged.store(0, Relaxed);
        self.asks.store(false, Relaxed);
        self.owes.store(false, Relaxed);
        self.open_in.store(0, Relaxed);
        self.read_in.store(0, Relaxed);
        self.seen_in.store(0, Relaxed);
    }
}

/// The session of a connection that speaks TLS or HTTP/2.
#[inline]
pub fn of(fd: i32) -> Option<&'static Entry> {
    TABLE.get(fd)
}

/// A connection begins to speak TLS: nothing where that is not wanted, or there is no room for its secrets.
pub(super) fn begin(fd: i32) -> Option<&'static Entry> {
    program::config().filter(|config| config.tls)?;
    let entry = TABLE.get_or_make(fd)?;
    entry.wipe();
    entry.awaits.store(true, Relaxed);
    Some(entry)
}

/// A connection begins to speak HTTP/2 in the clear: nothing where that is not wanted, or there is no room.
pub(super) fn begin_clear(fd: i32) -> Option<&'static Entry> {
    program::config().filter(|config| config.http2)?;
    let entry = TABLE.get_or_make(fd)?;
    entry.wipe();
    entry.is_clear.store(true, Relaxed);
    let has_begun = entry.begin_frames(http2::Connection::new());
    has_begun.then_some(entry)
}

/// Its connection is closed.
pub(super) fn end(fd: i32) {
    if let Some(entry) = of(fd) {
        entry.wipe();
    }
}

/// A TLS library of the process tells its secrets from now on.
pub fn will_be_told() {
    ARE_TOLD.store(true, Relaxed);
}

/// Whether one does.
pub fn are_told() -> bool {
    ARE_TOLD.load(Relaxed)
}

/// Tells the user, once, that this program's TLS is one that nobody can look into.
#[cold]
pub fn say_that_none_are_told() {
    if IS_SAID.swap(true, Relaxed) {
        return;
    }
    log::complain(&format!(
        "liblaio: process {} speaks TLS by a library that tells no keys (it is linked statically, or not OpenSSL's): what its \
         clients ask for by TLS is not looked at\n",
        process::pid()
    ));
}

/// The secret of the connection whose client has sent this random number. It is that of the number `last`, most often.
/// `by_http2` tells that it has agreed upon that.
pub fn learn(random: &[u8; 32], last: i32, by_http2: bool, learn: impl FnOnce(&mut Session)) {
    let is_its = |entry: &&Entry| {
        let found = entry.with(|session| session.reading().random() == Some(random));
        found == Some(true)
    };
    let all = || TABLE.all().map(|(_, entry)| entry);
    let all = || all().filter(|entry| entry.awaits.load(Relaxed));
    let entry = of(last).filter(is_its).or_else(|| all().find(is_its));
    if let Some(entry) = entry {
        // Some of it may have been read.
        let is_new = by_http2 && !entry.has_frames();
        if is_new && !entry.begin_frames(http2::Connection::late()) {
            entry.with(|session| session.give_up(Reason::Protocol));
        }
        entry.with(learn);
        entry.awaits.store(false, Relaxed);
    }
}

/// The process ends: nothing is left of any secret.
pub fn wipe_all() {
    TABLE.all().for_each(|(_, entry)| entry.wipe());
}

/// A signal handler has jumped out of the library on this thread: what it had locked is forgotten.
pub(super) fn recover() {
    for (_, entry) in TABLE.all() {
        entry.session.take_over(Zeroize::zeroize);
        // Its memory may be half changed.
        let forget = |it: &mut Vec<_>| std::mem::forget(std::mem::take(it));
        entry.requests.take_over(forget);
    }
}

/// After a fork: they are the parent's, and the kernel has zeroed them.
pub(super) fn abandon() {
    TABLE.leave_behind();
}
