//! The sets of a `select`.

use super::set::*;
use crate::sys::address::are_readable;
use laio_core::gate::{Side, IN, OUT};
use libc::{c_int, fd_set, timespec, FD_SETSIZE};
use std::mem::{take, ManuallyDrop};
use std::ptr::null_mut;

/// Leaves out of the results of a `select`, of which each set has so many bits, what is not to be handed out; tells how many
/// that are.
///
/// # Safety
///
/// The kernel has just written these sets.
pub unsafe fn leave_out(
    count: c_int,
    sets: [*mut fd_set; 3],
    mut shown: impl FnMut(c_int, u32) -> u32,
) -> c_int {
    let mut left_out = 0;
    for (set, events) in sets.into_iter().zip(EVENTS) {
        let first: *mut u64 = set.cast();
        for number in 0..if first.is_null() { 0 } else { words(count) } {
            // SAFETY: within the set, which the kernel has read and written.
            let place = unsafe { first.add(number) };
            // SAFETY: as above.
            let word = unsafe { place.read_unaligned() };
            if word == 0 {
                continue;
            }
            let left = admit_word(number, word, events, &mut shown);
            if left != word {
                // SAFETY: as above.
                unsafe { place.write_unaligned(left) };
                left_out += (word ^ left).count_ones() as c_int;
            }
        }
    }
    left_out
}

/// What is handed out of the members in a word of a set.
fn admit_word(
    number: usize,
    word: u64,
    events: u32,
    shown: &mut impl FnMut(c_int, u32) -> u32,
) -> u64 {
    let reported = events & (IN | OUT);
    let mut left = word;
    if reported != 0 {
        for fd in members(&[word]) {
            if shown(number as c_int * 64 + fd, reported) == 0 {
                left &= !bit(fd);
            }
        }
    }
    left
}

/// The sets of a `select`: what is to be readable, writable, exceptional. `W` is the real call.
pub struct SelectSet<W> {
    count: c_int,
    theirs: [*mut fd_set; 3],
    /// One after the other: the three as they were given, and the three as they are shown.
    ours: Copied<u64>,
    held: Copied<Held>,
    /// What the kernel is told instead of `count`.
    shown: c_int,
    within: Within,
    wait: W,
}

/// How many of so many numbers the kernel would look at, where those from another one on are no members.
type Within = fn(c_int, c_int) -> c_int;

/// What is held back of the members of each.
const EVENTS: [u32; 3] = [Side::Read.events(), Side::Write.events(), 0];

/// How many words hold the bits of so many descriptors.
fn words(count: c_int) -> usize {
    usize::try_from(count).unwrap_or(0).div_ceil(64)
}

/// Whether the ends of sets of so many descriptors are known. A larger `count` than a set has bits is
/// legal: the kernel looks no further than at the highest open descriptor.
fn is_bounded(count: c_int) -> bool {
    (0..=FD_SETSIZE as c_int).contains(&count)
}

/// Reads the words of a set; none where there is no set. False where they cannot be read; `known` tells of those that
/// can.
fn read(
    set: *mut fd_set,
    count: c_int,
    known: &mut (usize, usize),
    mut each: impl FnMut(usize, u64),
) -> bool {
    let first: *const u64 = set.cast();
    if first.is_null() {
        return true;
    }
    let words = words(count);
    let is_known = known.0 == first.addr() && words <= known.1;
    let readable = is_known || are_readable(first, words);
    *known = match readable {
        true => (first.addr(), words.max(known.1 * usize::from(is_known))),
        false => (0, 0),
    };
    if readable {
        for number in 0..words {
            // SAFETY: all of them can be read, and a set is whole words.
            let word = unsafe { first.add(number).read_unaligned() };
            // What the count leaves out of the last word is no member.
            let beyond = (number + 1) * 64 - (count as usize).min((number + 1) * 64);
            each(number, word << beyond >> beyond);
        }
    }
    readable
}

/// How many descriptors are to be readable, where that can be told.
pub fn readable(count: c_int, [readable, ..]: [*mut fd_set; 3]) -> u32 {
    let mut members = 0;
    if is_bounded(count) {
        read(readable, count, &mut (0, 0), |_, word| {
            members += word.count_ones();
        });
    }
    members
}

/// The number from which on a set has no members.
fn end_of(set: &[u64]) -> c_int {
    let mut words = set.iter().enumerate().rev();
    let last = words.find(|(_, word)| **word != 0);
    last.map_or(0, |(number, word)| {
        (number + 1) as c_int * 64 - word.leading_zeros() as c_int
    })
}

/// The numbers in a set.
fn members(set: &[u64]) -> impl Iterator<Item = c_int> + '_ {
    set.iter().enumerate().flat_map(|(number, &word)| {
        let mut rest = word;
        std::iter::from_fn(move || {
            let bit = rest.trailing_zeros();
            rest &= rest.checked_sub(1)?;
            Some(number as c_int * 64 + bit as c_int)
        })
    })
}

impl<W> SelectSet<W> {
    /// The sets at these addresses; nothing where nobody knows where they end.
    pub fn new(count: c_int, theirs: [*mut fd_set; 3], within: Within, wait: W) -> Option<Self> {
        is_bounded(count).then(|| SelectSet {
            count,
            theirs,
            ours: ManuallyDrop::default(),
            held: ManuallyDrop::default(),
            shown: count,
            within,
            wait,
        })
    }

    /// How many words each set has.
    fn words(&self) -> usize {
        words(self.count)
    }

    /// The three as they were given.
    fn given(&self) -> impl Iterator<Item = &[u64]> {
        self.ours.chunks_exact(self.words().max(1)).take(3)
    }

    /// Those that are shown, one after the other.
    fn shown(&mut self) -> &mut [u64] {
        let given = 3 * self.words();
        self.ours.get_mut(given..).unwrap_or_default()
    }

    fn copy(&mut self, known: &mut [(usize, usize); 3]) -> bool {
        if !self.copy_all(known) {
            return false;
        }
        let end = self.given().map(end_of).max().unwrap_or(0);
        let within = (self.within)(self.count, end);
        if within == self.count {
            return true;
        }
        self.count = within;
        self.copy_all(known)
    }

    fn copy_all(&mut self, known: &mut [(usize, usize); 3]) -> bool {
        let words = self.words();
        self.ours.clear();
        self.held.clear();
        if self.ours.try_reserve(6 * words).is_err() {
            return false;
        }
        self.ours.resize(3 * words, 0);
        let parts = self.ours.chunks_exact_mut(words.max(1));
        let mut sets = parts.zip(self.theirs).zip(known);
        words == 0
            || sets.all(|((ours, theirs), known)| {
                read(theirs, self.count, known, |number, word| {
                    if let Some(place) = ours.get_mut(number) {
                        *place = word;
                    }
                })
            })
    }

    /// Notes what is held back; false where nothing is.
    fn note(&mut self, held: impl Fn(c_int) -> u32) -> bool {
        let mut list = take(&mut *self.held);
        let sets = self.given().zip(EVENTS).filter(|(_, events)| *events != 0);
        let mut all = sets.flat_map(|(set, events)| members(set).map(move |fd| (fd, events)));
        let noted = all.all(|(fd, events)| {
            let member = fd as usize;
            held(fd) & events == 0 || push(&mut list, Held { member, events })
        });
        drop(all);
        let holds = noted && !list.is_empty();
        *self.held = list;
        holds
    }
}

impl<W: FnMut(c_int, [*mut fd_set; 3], *const timespec) -> c_int> Set for SelectSet<W> {
    fn take(&mut self, room: &mut Room, all: bool, held: impl Fn(c_int) -> u32) -> bool {
        *self.ours = take(&mut room.words);
        *self.held = take(&mut room.held);
        let holds = self.copy(&mut room.readable) && (self.note(held) || all);
        if !holds {
            self.give_back(room);
        }
        holds
    }

    fn contains(&self, fd: c_int) -> bool {
        let mut sets = self.given();
        sets.any(|set| set.get(word(fd)).is_some_and(|word| word & bit(fd) != 0))
    }

    fn is_held(&self, held: impl Fn(c_int) -> u32) -> bool {
        let mut members = self.held.iter();
        members.any(|&Held { member, events }| events & held(member as c_int) != 0)
    }

    fn show(&mut self, held: impl Fn(c_int) -> u32, waker: Option<c_int>) -> bool {
        let (count, given) = (self.count, 3 * self.words());
        self.ours.truncate(given);
        // Without the memory that a high number needs, it is not heard.
        let heard = waker.filter(|&waker| self.ours.try_reserve(3 * words(waker + 1)).is_ok());
        self.shown = count.max(heard.map_or(0, |waker| waker + 1));
        let each = words(self.shown);
        self.ours.resize(given + 3 * each, 0);
        let (theirs, ours) = self.ours.split_at_mut(given);
        let theirs = theirs.chunks_exact(words(count).max(1));
        let mut lacks = false;
        for ((ours, theirs), events) in ours.chunks_exact_mut(each.max(1)).zip(theirs).zip(EVENTS) {
            for (ours, theirs) in ours.iter_mut().zip(theirs) {
                *ours = *theirs;
            }
            for member in self.held.iter().filter(|held| held.events == events) {
                let fd = member.member as c_int;
                if held(fd) & events != 0 {
                    lacks = true;
                    if let Some(word) = ours.get_mut(word(fd)) {
                        *word &= !bit(fd);
                    }
                }
            }
        }
        // Among those that are to be readable, which come first.
        if let Some(waker) = heard {
            if let Some(word) = ours.get_mut(word(waker)) {
                *word |= bit(waker);
            }
        }
        lacks
    }

    #[inline(always)]
    fn wait(&mut self, timeout: &timespec) -> c_int {
        let mut sets = [null_mut(); 3];
        let shown = self.shown;
        let parts = self.shown().chunks_exact_mut(words(shown).max(1));
        for (set, ours) in sets.iter_mut().zip(parts) {
            *set = ours.as_mut_ptr().cast();
        }
        (self.wait)(shown, sets, timeout)
    }

    fn has_woken(&self, waker: c_int) -> bool {
        let given = 3 * self.words();
        let readable = self.ours.get(given..given + words(self.shown));
        let word = readable.and_then(|set| set.get(word(waker)));
        word.is_some_and(|word| word & bit(waker) != 0)
    }

    fn admit(&mut self, waker: Option<c_int>, mut shown: impl FnMut(c_int, u32) -> u32) -> c_int {
        let given = 3 * self.words();
        let each = words(self.shown).max(1);
        let mut held = take(&mut *self.held);
        let mut ready = 0;
        let ours = self.ours.get_mut(given..).unwrap_or_default();
        for (set, events) in ours.chunks_exact_mut(each).zip(EVENTS) {
            for (number, word) in set.iter_mut().enumerate().filter(|(_, word)| **word != 0) {
                // The waker is among those that are to be readable.
                let is_its = |fd: &c_int| self::word(*fd) == number && events & IN != 0;
                let waker = waker.filter(is_its).map_or(0, bit) & *word;
                let left = admit_word(number, *word & !waker, events, &mut shown);
                for fd in members(&[*word & !waker & !left]) {
                    let member = number * 64 + fd as usize;
                    push(&mut held, Held { member, events });
                }
                *word = left | waker;
                ready += left.count_ones() as c_int;
            }
        }
        *self.held = held;
        ready
    }

    fn report(&mut self, waker: Option<c_int>, ready: c_int) {
        // An error leaves the sets alone.
        if ready < 0 {
            return;
        }
        if let Some(waker) = waker {
            if let Some(word) = self.shown().get_mut(word(waker)) {
                *word &= !bit(waker);
            }
        }
        let (count, shown, theirs) = (words(self.count), words(self.shown), self.theirs);
        let parts = self.shown().chunks_exact(shown.max(1));
        for (ours, theirs) in parts.zip(theirs).filter(|(_, theirs)| !theirs.is_null()) {
            for (number, word) in ours.iter().take(count).enumerate() {
                // SAFETY: the application passes this to `select` as a set to be written to, which has
                // as many words.
                unsafe { theirs.cast::<u64>().add(number).write_unaligned(*word) };
            }
        }
    }

    fn give_back(&mut self, room: &mut Room) {
        room.words = take(&mut *self.ours);
        room.held = take(&mut *self.held);
    }
}

/// The word of a set in which the bit of a descriptor is.
fn word(fd: c_int) -> usize {
    fd as usize / 64
}

/// Where in its word it is.
fn bit(fd: c_int) -> u64 {
    1 << (fd % 64)
}
