//! The sets of `poll` and `select`, and the copies that the kernel is shown in their place.

use crate::event_loop::held_wait::Set;
use laio_core::gate::{Side, IN};
use libc::{c_int, fd_set, nfds_t, pollfd, timespec, FD_SETSIZE};
use std::mem::{take, ManuallyDrop};
use std::ptr::null_mut;

/// Most entries of a `poll` that are copied; beyond, the call goes through as it is.
const MOST: usize = 1 << 20;

/// Memory for copies. It is the event loop's, to be used again.
#[derive(Debug, Default)]
pub struct Room {
    entries: Vec<pollfd>,
    words: Vec<u64>,
}

/// The set of a `poll`. `W` is the real call.
pub struct PollSet<'a, W> {
    theirs: &'a mut [pollfd],
    /// Not dropped where a thread is cancelled during the real call: that unwinds past us.
    ours: ManuallyDrop<Vec<pollfd>>,
    wait: W,
}

impl<W> PollSet<'_, W> {
    /// The set at this address; nothing where that cannot be one.
    pub fn new(theirs: *mut pollfd, count: nfds_t, wait: W) -> Option<Self> {
        let count = usize::try_from(count).ok().filter(|&count| count <= MOST)?;
        if theirs.is_null() {
            return None;
        }
        // SAFETY: the application passes this to `poll` as so many entries, which are the call's
        // alone until it returns.
        let theirs = unsafe { std::slice::from_raw_parts_mut(theirs, count) };
        Some(PollSet {
            theirs,
            ours: ManuallyDrop::default(),
            wait,
        })
    }
}

impl<W: FnMut(*mut pollfd, nfds_t, *const timespec) -> c_int> Set for PollSet<'_, W> {
    fn look(&self, held: impl Fn(c_int) -> u32) -> (bool, c_int) {
        let mut holds = false;
        let mut highest = -1;
        for entry in &*self.theirs {
            highest = highest.max(entry.fd);
            holds |= entry.events != 0 && entry.events & held(entry.fd) as i16 != 0;
        }
        (holds, highest)
    }

    fn take_room(&mut self, room: &mut Room) -> bool {
        *self.ours = take(&mut room.entries);
        self.ours.try_reserve(self.theirs.len() + 1).is_ok()
    }

    fn copy(&mut self, held: impl Fn(c_int) -> u32, bell: Option<c_int>) {
        self.ours.clear();
        self.ours.extend_from_slice(self.theirs);
        for entry in &mut *self.ours {
            entry.events &= !(held(entry.fd) as i16);
        }
        self.ours.extend(bell.map(|bell| pollfd {
            fd: bell,
            events: IN as i16,
            revents: 0,
        }));
    }

    fn wait(&mut self, timeout: &timespec) -> c_int {
        let count = self.ours.len() as nfds_t;
        (self.wait)(self.ours.as_mut_ptr(), count, timeout)
    }

    fn has_rung(&self, _bell: c_int) -> bool {
        self.ours.last().is_some_and(|bell| bell.revents != 0)
    }

    fn report(&mut self, _bell: Option<c_int>, _ready: c_int) {
        // The kernel writes them even where a signal ends the wait.
        for (theirs, ours) in self.theirs.iter_mut().zip(&*self.ours) {
            theirs.revents = ours.revents;
        }
    }

    fn give_back(&mut self, room: &mut Room) {
        room.entries = take(&mut *self.ours);
    }
}

/// The sets of a `select`: what is to be readable, writable, exceptional. `W` is the real call.
pub struct SelectSet<'a, W> {
    count: c_int,
    theirs: [Option<&'a mut [u64]>; 3],
    /// One after the other, each of `words`.
    ours: ManuallyDrop<Vec<u64>>,
    /// What the kernel is told instead of `count`.
    shown: c_int,
    wait: W,
}

/// What is held back of the members of each.
const EVENTS: [u32; 3] = [Side::Read.events(), Side::Write.events(), 0];

/// How many words hold the bits of so many descriptors.
fn words(count: c_int) -> usize {
    usize::try_from(count).unwrap_or(0).div_ceil(64)
}

/// The sets at these addresses. A larger `count` than a set has bits is legal (the kernel looks no
/// further than at the highest open descriptor), and then nobody knows where they end.
fn slices<'a>(count: c_int, sets: [*mut fd_set; 3]) -> Option<[Option<&'a mut [u64]>; 3]> {
    if !(0..=FD_SETSIZE as c_int).contains(&count) {
        return None;
    }
    // SAFETY: the application passes these to `select` as sets of so many descriptors; they are
    // whole words, and the call's alone until it returns.
    let slice = |set: *mut fd_set| unsafe {
        (!set.is_null()).then(|| std::slice::from_raw_parts_mut(set.cast(), words(count)))
    };
    Some(sets.map(slice))
}

/// How many descriptors are to be readable.
pub fn readable(count: c_int, sets: [*mut fd_set; 3]) -> u32 {
    let [readable, ..] = slices(count, sets).unwrap_or_default();
    readable.map_or(0, |set| members(set, count).count() as u32)
}

/// The numbers in a set.
fn members(set: &[u64], count: c_int) -> impl Iterator<Item = c_int> + '_ {
    let bits = |(number, &word): (usize, &u64)| {
        let mut rest = word;
        std::iter::from_fn(move || {
            let bit = rest.trailing_zeros();
            rest &= rest.checked_sub(1)?;
            Some(number as c_int * 64 + bit as c_int)
        })
    };
    let all = set.iter().enumerate().flat_map(bits);
    all.take_while(move |&fd| fd < count)
}

impl<W> SelectSet<'_, W> {
    /// The sets at these addresses; nothing where they cannot be looked at.
    pub fn new(count: c_int, theirs: [*mut fd_set; 3], wait: W) -> Option<Self> {
        Some(SelectSet {
            count,
            theirs: slices(count, theirs)?,
            ours: ManuallyDrop::default(),
            shown: count,
            wait,
        })
    }
}

impl<W: FnMut(c_int, [*mut fd_set; 3], *const timespec) -> c_int> Set for SelectSet<'_, W> {
    fn look(&self, held: impl Fn(c_int) -> u32) -> (bool, c_int) {
        let sets = self.theirs.iter().flatten();
        let highest = sets.filter_map(|set| members(set, self.count).last()).max();
        let holds = self.theirs.iter().zip(EVENTS).any(|(set, events)| {
            let set = set.as_deref().unwrap_or_default();
            events != 0 && members(set, self.count).any(|fd| held(fd) & events != 0)
        });
        (holds, highest.unwrap_or(-1))
    }

    fn take_room(&mut self, room: &mut Room) -> bool {
        *self.ours = take(&mut room.words);
        true
    }

    fn copy(&mut self, held: impl Fn(c_int) -> u32, bell: Option<c_int>) {
        self.shown = self.count.max(bell.map_or(0, |bell| bell + 1));
        let words = words(self.shown);
        self.ours.clear();
        self.ours.resize(3 * words, 0);
        let parts = self.ours.chunks_exact_mut(words.max(1));
        for ((ours, theirs), events) in parts.zip(&self.theirs).zip(EVENTS) {
            for fd in members(theirs.as_deref().unwrap_or_default(), self.count) {
                if events == 0 || held(fd) & events == 0 {
                    insert(ours, fd);
                }
            }
        }
        // Among those that are to be readable, which come first.
        if let Some(bell) = bell {
            insert(&mut self.ours, bell);
        }
    }

    fn wait(&mut self, timeout: &timespec) -> c_int {
        let mut sets = [null_mut(); 3];
        let parts = self.ours.chunks_exact_mut(words(self.shown).max(1));
        for (set, ours) in sets.iter_mut().zip(parts) {
            *set = ours.as_mut_ptr().cast();
        }
        (self.wait)(self.shown, sets, timeout)
    }

    fn has_rung(&self, bell: c_int) -> bool {
        self.ours
            .get(bell as usize / 64)
            .is_some_and(|word| word & bit(bell) != 0)
    }

    fn report(&mut self, bell: Option<c_int>, ready: c_int) {
        // An error leaves the sets alone.
        if ready < 0 {
            return;
        }
        if let Some(bell) = bell {
            if let Some(word) = self.ours.get_mut(bell as usize / 64) {
                *word &= !bit(bell);
            }
        }
        let parts = self.ours.chunks_exact(words(self.shown).max(1));
        for (ours, theirs) in parts.zip(&mut self.theirs) {
            let theirs = theirs.as_deref_mut().unwrap_or_default();
            for (theirs, ours) in theirs.iter_mut().zip(ours) {
                *theirs = *ours;
            }
        }
    }

    fn give_back(&mut self, room: &mut Room) {
        room.words = take(&mut *self.ours);
    }
}

/// Where in its word the bit of a descriptor is.
fn bit(fd: c_int) -> u64 {
    1 << (fd % 64)
}

fn insert(set: &mut [u64], fd: c_int) {
    if let Some(word) = set.get_mut(fd as usize / 64) {
        *word |= bit(fd);
    }
}
