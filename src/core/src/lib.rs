//! The decisions of liblaio, without a single system call.
//!
//! A request's way through this crate: [`recognise`] finds the request in the bytes at hand,
//! [`rules`] makes [`predictions`] of the files that its handler will touch, with [`cache`] for those of nginx's caches, [`warmth`] remembers
//! which of them were in memory a moment ago, [`widths`] how much of them is read at once, [`links`] where the server was seen to follow
//! symbolic links to, [`gate`] keeps what one descriptor's readiness owes to
//! whom, [`holds`] says when a part of a request that is held back for long is handed out, [`batch`] how much
//! is told at once while nothing is looked at.
//! Where an application behind the server names the file, its answer is found by [`recognise`] as well, as long as [`behind`] says that it is worth it.
//! Where other threads than the loop's touch the files, [`reports`] tell of those that were slow, and [`awaited`] of what was touched at all.
//! Where a client speaks [`tls`], what it says is opened first; where it speaks [`http2`], its requests are found by their frames.
//! For programs that are written for it, [`handles`] name operations in the background and [`interests`]
//! say which of them wait for a descriptor.
//! [`config`] is the table of settings, [`stats`] the counters and their format.
//!
//! But for [`handles`] and [`interests`], which no hook uses, and three that know less where there is no memory, [`rules`], of which there
//! may be thousands, [`http2`] and, of a connection that is sent several bodies at once, [`stream`], nothing here allocates after
//! construction, so all of it may run inside a hook.

#![forbid(unsafe_code)]

pub mod awaited;
pub mod batch;
pub mod behind;
pub mod cache;
pub mod config;
pub mod escape;
pub mod gate;
pub mod handles;
pub mod holds;
pub mod http2;
pub mod inflight;
pub mod interests;
pub mod links;
pub mod mappings;
pub mod paths;
pub mod places;
pub mod predictions;
pub mod queue;
pub mod recent;
pub mod recognise;
pub mod reports;
pub mod rules;
pub mod stats;
#[cfg(test)]
mod strangers;
pub mod stream;
pub mod symbols;
pub mod tls;
pub mod warmth;
pub mod widths;

use core::hash::{BuildHasher, Hasher};

/// A 64-bit hash of a path or a host name; the same bytes give the same number in every thread.
///
/// A collision, also one that somebody contrived, can only make a cold file look warm (a stall) or
/// a warm one cold (a wasted read): answers never depend on it.
pub fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = hasher();
    hasher.write(bytes);
    hasher.finish()
}

/// The same of several things, one after the other.
pub(crate) fn hasher() -> impl Hasher {
    foldhash::fast::FixedState::with_seed(0x6c61_696f).build_hasher()
}
