//! Where symbolic links have led the server out of a learnt directory: helpers follow it there, and nowhere else.
//!
//! A helper that meets such a link notes where it leads. When the server itself then opens that path, what the link leads to is learnt.

use std::sync::atomic::{AtomicBool, Ordering::*};
use std::sync::{Mutex, OnceLock};

/// Most directories that are learnt; what is beyond stalls.
const MOST: usize = 64;

/// Links that were met and not yet followed, at most: the oldest gives way.
const PENDING: usize = 16;

#[derive(Debug, Default)]
struct Pending {
    /// The path as the server names it, and what a link in it leads to.
    met: Vec<(u64, Box<[u8]>)>,
    next: usize,
}

/// What one event loop and its helpers know of links.
#[derive(Debug)]
pub struct Links {
    /// Each ends in a slash. They are never taken away.
    followed: Vec<OnceLock<Box<[u8]>>>,
    /// Never waited for.
    pending: Mutex<Pending>,
    is_any_pending: AtomicBool,
}

impl Default for Links {
    fn default() -> Links {
        Links {
            // Not where it is made: the stack may be small.
            followed: (0..MOST).map(|_| OnceLock::new()).collect(),
            pending: Mutex::default(),
            is_any_pending: AtomicBool::new(false),
        }
    }
}

impl Links {
    fn followed(&self) -> impl Iterator<Item = &[u8]> {
        let known = self.followed.iter().map_while(OnceLock::get);
        known.map(|directory| &directory[..])
    }

    /// How much of a path is a directory to which the server has followed a link; the longest such.
    pub fn reach(&self, path: &[u8]) -> Option<usize> {
        let within = self.followed().filter(|it| path.starts_with(it));
        within.map(<[u8]>::len).max()
    }

    /// A link was met on the way of the path with this hash, which leads into that directory. It ends in a slash.
    #[cold]
    pub fn meets(&self, hash: u64, directory: &[u8]) {
        let Ok(mut pending) = self.pending.try_lock() else {
            return;
        };
        let Pending { met, next } = &mut *pending;
        let same = met.iter().position(|(other, _)| *other == hash);
        let is_full = met.len() == PENDING;
        let place =
            same.or_else(|| is_full.then(|| std::mem::replace(next, (*next + 1) % PENDING)));
        let it = (hash, Box::from(directory));
        match place.and_then(|place| met.get_mut(place)) {
            Some(old) => *old = it,
            None => met.push(it),
        }
        self.is_any_pending.store(true, Release);
    }

    /// Whether any was met that is not followed yet.
    #[inline]
    pub fn are_pending(&self) -> bool {
        self.is_any_pending.load(Acquire)
    }

    /// The server has opened the path with this hash.
    #[cold]
    pub fn is_opened(&self, hash: u64) {
        let Ok(mut pending) = self.pending.try_lock() else {
            return;
        };
        let Some(place) = pending.met.iter().position(|(other, _)| *other == hash) else {
            return;
        };
        let (_, mut directory) = pending.met.swap_remove(place);
        pending.next = 0;
        self.is_any_pending.store(!pending.met.is_empty(), Release);
        if self.followed().any(|known| *known == *directory) {
            return;
        }
        for known in &self.followed {
            match known.set(directory) {
                Ok(()) => return,
                Err(back) => directory = back,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_met_is_learnt_when_it_is_opened() {
        let links = Links::default();
        assert!(!links.are_pending());
        links.meets(1, b"/data/");
        links.meets(2, b"/data/far/");
        assert_eq!(links.reach(b"/data/x"), None, "nobody has followed it");
        links.is_opened(3);
        assert_eq!(links.reach(b"/data/x"), None, "another path");
        links.is_opened(1);
        links.is_opened(1);
        assert_eq!(links.reach(b"/data/x"), Some(6));
        assert_eq!(links.reach(b"/datax"), None);
        assert!(links.are_pending());
        links.is_opened(2);
        assert_eq!(links.reach(b"/data/far/x"), Some(10));
        assert!(!links.are_pending());
    }

    #[test]
    fn there_is_room_for_some() {
        let links = Links::default();
        for number in 0..3 * PENDING as u64 {
            links.meets(number, format!("/d{number}/").as_bytes());
        }
        (0..2 * PENDING as u64).for_each(|number| links.is_opened(number));
        assert_eq!(links.followed().count(), 0, "these gave way");
        for number in 0..2 * MOST as u64 {
            links.meets(number, format!("/d{number}/").as_bytes());
            links.is_opened(number);
            links.meets(number, format!("/d{number}/").as_bytes());
            links.is_opened(number);
        }
        assert_eq!(links.followed().count(), MOST);
        let last = format!("/d{}/x", MOST - 1);
        assert!(links.reach(last.as_bytes()).is_some(), "none stands twice");
    }
}
