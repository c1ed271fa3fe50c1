//! Which connection an event of `epoll_wait` is about: the kernel names a registration by the application's cookie.
//!
//! A hash table of descriptor numbers, in levels that are made as they are needed. What it says is a hint: each number's
//! own entry says under which cookie it is registered. Several connections may have the same one. It has no lock, for `epoll_ctl` may be a signal handler's: a hint that is lost is a connection
//! that is not looked at until it is registered anew.

use super::numbers::{cookie_hash, set_cookie_hash};
use crate::sys::memory;
use crate::sys::sync::atomic::{AtomicI32, AtomicPtr, Ordering::*};
use std::ptr::null_mut;

/// Numbers that share a hash.
const WAYS: usize = 4;

/// Buckets of the first level; each further one has four times as many.
const BUCKETS: usize = 1024;

const MOST_LEVELS: usize = 6;

/// Descriptor numbers, plus one: nothing stands for none.
type Bucket = [AtomicI32; WAYS];

static LEVELS: [AtomicPtr<Bucket>; MOST_LEVELS] =
    [const { AtomicPtr::new(null_mut()) }; MOST_LEVELS];

/// Connections that have the same cookie, looked at to tell which one an event is about.
pub const MOST: usize = 8;

/// Some descriptors.
pub type Candidates = arrayvec::ArrayVec<i32, MOST>;

/// The hash of a registration; never 0.
fn hash(instance: i32, data: u64) -> u64 {
    let mixed = (data ^ (instance as u64) << 48).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29) | 1
}

fn buckets(level: usize) -> usize {
    BUCKETS << (2 * level)
}

fn bucket(level: usize, hash: u64) -> Option<&'static Bucket> {
    let first = LEVELS.get(level)?.load(Acquire);
    if first.is_null() {
        return None;
    }
    // SAFETY: a level that was once published has as many buckets, and is never freed.
    Some(unsafe { &*first.add((hash >> 32) as usize % buckets(level)) })
}

/// A descriptor is registered in an instance under this cookie from now on, or in none. Of a connection: under its lock.
pub fn set(fd: i32, cookie: Option<(i32, u64)>) {
    let hash = cookie.map_or(0, |(instance, data)| hash(instance, data));
    if set_cookie_hash(fd, hash) && hash != 0 {
        insert(hash, fd);
    }
}

fn insert(hash: u64, fd: i32) {
    for level in 0..MOST_LEVELS {
        let Some(bucket) = bucket(level, hash).or_else(|| grow(level, hash)) else {
            return;
        };
        if bucket.iter().any(|way| way.load(Relaxed) == fd + 1) {
            return;
        }
        for way in bucket {
            let old = way.load(Relaxed);
            let is_free = old == 0 || !belongs(level, hash, old - 1);
            if is_free && way.compare_exchange(old, fd + 1, AcqRel, Relaxed).is_ok() {
                return;
            }
        }
    }
}

/// Whether the number in a bucket is still that of a registration that hashes to it.
fn belongs(level: usize, hash: u64, fd: i32) -> bool {
    let place = |hash: u64| (hash >> 32) as usize % buckets(level);
    let named = cookie_hash(fd);
    named != 0 && place(named) == place(hash)
}

/// What may be registered under this cookie, connections and others; nothing where there are too many.
pub fn find(instance: i32, data: u64) -> Candidates {
    let hash = hash(instance, data);
    let mut found = Candidates::new();
    for level in 0..MOST_LEVELS {
        let Some(bucket) = bucket(level, hash) else {
            break;
        };
        for way in bucket {
            let fd = way.load(Acquire) - 1;
            if cookie_hash(fd) != hash || found.contains(&fd) {
                continue;
            }
            if found.try_push(fd).is_err() {
                return Candidates::new();
            }
        }
    }
    found
}

#[cold]
fn grow(level: usize, hash: u64) -> Option<&'static Bucket> {
    let place = LEVELS.get(level)?;
    let size = buckets(level) * size_of::<Bucket>();
    // Zeroes are valid numbers.
    let level_memory = memory::map(size)?;
    if place
        .compare_exchange(null_mut(), level_memory.cast(), AcqRel, Acquire)
        .is_err()
    {
        // SAFETY: another thread was first; this one was never published.
        unsafe { memory::unmap(level_memory, size) };
    }
    bucket(level, hash)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_is_found_by_its_cookie() {
        let (first, second) = (900, 901);
        set(first, Some((3, 77)));
        set(second, Some((3, 78)));
        let number = |data| find(3, data).first().copied();
        assert_eq!(
            (number(77), number(78), number(79)),
            (Some(first), Some(second), None)
        );
        set(second, Some((3, 77)));
        assert_eq!((find(3, 77).len(), number(78)), (2, None));
        set(second, None);
        assert_eq!(number(77), Some(first));
    }

    #[test]
    fn many_are_found() {
        let numbers = || 1000..9000;
        numbers().for_each(|fd| set(fd, Some((4, 5 * fd as u64))));
        let lost = numbers().filter(|&fd| find(4, 5 * fd as u64).first() != Some(&fd));
        assert_eq!(lost.count(), 0);
        assert!(!LEVELS[1].load(Acquire).is_null());
    }
}
