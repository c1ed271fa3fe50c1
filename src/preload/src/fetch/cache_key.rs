//! The key of a cache file, read by a helper for the loop that wants to learn of it.

use super::resolver::{Patience, Resolver};
use crate::sys::lock::{Lock, Order};
use crate::sys::sync::atomic::{AtomicBool, Ordering::*};
use arrayvec::ArrayVec;
use laio_core::cache::{key_in, CacheFile, MAX_KEY};
use laio_core::paths::MAX_PATH;
use laio_core::predictions::{Depth, Prediction, RuleId};
use laio_core::recognise::Span;
use rustix::fd::AsFd;
use rustix::fs::{fstat, FileType};
use rustix::io::{pread, Errno};

/// How much of a file is read: the header of nginx's, and the longest key.
const HEAD: usize = MAX_KEY + 1024;

#[derive(Debug, Default)]
struct State {
    path: ArrayVec<u8, MAX_PATH>,
    /// Empty where there is none.
    key: ArrayVec<u8, MAX_KEY>,
}

/// One file's key, on its way.
#[derive(Debug)]
pub struct CacheKey {
    state: Lock<State>,
    is_read: AtomicBool,
}

impl Default for CacheKey {
    fn default() -> CacheKey {
        CacheKey {
            state: Lock::new(Order::Queue, State::default()),
            is_read: AtomicBool::new(false),
        }
    }
}

impl CacheKey {
    /// Which file's. Nobody reads another one.
    pub fn begin(&self, path: &[u8]) {
        let mut state = self.state.lock();
        state.path.clear();
        state.key.clear();
        let _ = state.path.try_extend_from_slice(path);
        drop(state);
        self.is_read.store(false, Release);
    }

    /// Whether a helper is done with it.
    pub fn is_read(&self) -> bool {
        self.is_read.load(Acquire)
    }

    /// Shows path and key.
    pub fn show<R>(&self, act: impl FnOnce(&[u8], &[u8]) -> R) -> R {
        let state = self.state.lock();
        act(&state.path, &state.key)
    }

    /// Reads it, on a helper's thread. Tells whether it is the file's own.
    pub fn read(&self) -> bool {
        let path = self.state.lock().path.clone();
        let key = read(&path);
        let is_one = key.is_ok();
        if let Ok(key) = key {
            self.state.lock().key = key;
        }
        self.is_read.store(true, Release);
        is_one
    }
}

fn read(path: &[u8]) -> Result<ArrayVec<u8, MAX_KEY>, Errno> {
    let file = CacheFile::of(path).ok_or(Errno::INVAL)?;
    // The server has just opened it.
    let prediction = Prediction {
        path,
        root: file.directory.len(),
        depth: Depth::Data,
        span: Span::From(0),
        doublings: 0,
        hash: 0,
        stands_for: 0,
        rule: RuleId::default(),
    };
    let mut beneath = Resolver::new(prediction, Patience::Wait)?;
    let named = beneath.look()?;
    if FileType::from_raw_mode(fstat(named.as_fd())?.st_mode) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    let opened = beneath.open()?;
    let mut head = [0; HEAD];
    let count = pread(&opened, &mut head[..], 0)?;
    let head = head.get(..count).unwrap_or_default();
    let key = key_in(head, file.name).ok_or(Errno::INVAL)?;
    ArrayVec::try_from(key).map_err(|_| Errno::INVAL)
}
