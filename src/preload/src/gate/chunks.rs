//! Tables by descriptor number, in chunks that are made as they are needed.
//!
//! They come from the kernel, not from an allocator: a hook may be a signal handler's. They are never freed.

use crate::sys::descriptors::{CHUNK, CHUNKS};
use crate::sys::memory;
use crate::sys::sync::atomic::{AtomicPtr, Ordering::*};
use std::ffi::c_void;
use std::ptr::null_mut;

/// A table with an entry for each number.
pub struct Chunks<T: 'static> {
    chunks: [AtomicPtr<[T; CHUNK]>; CHUNKS],
    fresh: fn() -> T,
    map: fn(usize) -> Option<*mut c_void>,
}

impl<T> Chunks<T> {
    /// An empty table, of which each entry is made by `fresh`.
    pub const fn new(fresh: fn() -> T) -> Chunks<T> {
        Chunks::from(memory::map, fresh)
    }

    /// The same, of secrets.
    pub const fn of_secrets(fresh: fn() -> T) -> Chunks<T> {
        Chunks::from(memory::map_for_secrets, fresh)
    }

    const fn from(map: fn(usize) -> Option<*mut c_void>, fresh: fn() -> T) -> Chunks<T> {
        Chunks {
            chunks: [const { AtomicPtr::new(null_mut()) }; CHUNKS],
            fresh,
            map,
        }
    }

    fn chunk(&self, number: usize) -> Option<&'static [T; CHUNK]> {
        let chunk = self.chunks.get(number)?.load(Acquire);
        // SAFETY: a chunk that was once published is never freed; null means that there is none yet.
        unsafe { chunk.as_ref() }
    }

    /// The entry of a number, where its chunk was made.
    #[inline]
    pub fn get(&self, fd: i32) -> Option<&'static T> {
        let fd = usize::try_from(fd).ok()?;
        self.chunk(fd / CHUNK)?.get(fd % CHUNK)
    }

    /// The entry of a number, whose chunk is made where that was not done; nothing where there is no memory.
    #[inline]
    pub fn get_or_make(&self, fd: i32) -> Option<&'static T> {
        self.get(fd).or_else(|| self.make(fd))
    }

    #[cold]
    fn make(&self, fd: i32) -> Option<&'static T> {
        let place = self.chunks.get(usize::try_from(fd).ok()? / CHUNK)?;
        let chunk = (self.map)(size_of::<[T; CHUNK]>())?.cast::<[T; CHUNK]>();
        for number in 0..CHUNK {
            // SAFETY: within the mapping, which begins at a page and so is aligned.
            unsafe { chunk.cast::<T>().add(number).write((self.fresh)()) };
        }
        let published = place.compare_exchange(null_mut(), chunk, AcqRel, Acquire);
        if published.is_err() {
            // SAFETY: another thread was first; this one was never published.
            unsafe { memory::unmap(chunk.cast(), size_of::<[T; CHUNK]>()) };
        }
        self.get(fd)
    }

    /// All numbers whose chunks were made, with their entries.
    pub fn all(&self) -> impl Iterator<Item = (i32, &'static T)> + '_ {
        self.range(0, u32::MAX)
    }

    /// Those from `first` to `last`, both included.
    pub fn range(&self, first: u32, last: u32) -> impl Iterator<Item = (i32, &'static T)> + '_ {
        let (first, last) = (first as usize, last as usize);
        let chunks = first / CHUNK..CHUNKS.min(last / CHUNK + 1);
        let entries = chunks.filter_map(|number| Some((number, self.chunk(number)?)));
        let entries = entries.flat_map(|(number, chunk)| {
            let fd = move |place| number * CHUNK + place;
            chunk
                .iter()
                .enumerate()
                .map(move |(place, entry)| (fd(place), entry))
        });
        let wanted = entries.filter(move |(fd, _)| (first..=last).contains(fd));
        wanted.map(|(fd, entry)| (fd as i32, entry))
    }

    /// Forgets all, after a fork. What there was stays where it is: its locks may be held for ever.
    pub fn leave_behind(&self) {
        for chunk in &self.chunks {
            chunk.store(null_mut(), Release);
        }
    }
}
