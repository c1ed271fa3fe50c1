//! The sets of `poll` and `select`, and the copies that the kernel is shown in their place.
//!
//! The application's set is read once, where the wait begins, as the kernel does: another thread may
//! change it meanwhile. What is held back is found then; what is done for each further wait costs no
//! more than there is of it.

use crate::sys::address::are_readable;
use laio_core::gate::{Side, IN, OUT};
use libc::{c_int, fd_set, nfds_t, pollfd, timespec, FD_SETSIZE};
use std::mem::{take, ManuallyDrop};
use std::ptr::null_mut;

/// Most entries of a `poll` that are copied; beyond, the call goes through as it is.
const MOST: usize = 1 << 20;

/// What a `poll` or a `select` waits for: the application's set, and a copy to show to the kernel.
pub trait Set {
    /// Reads the set, once, as the kernel does, into memory from `room`. False where it cannot be read, or nothing in it
    /// is held back and not `all` sets are wanted: then nothing is taken.
    fn take(&mut self, room: &mut Room, all: bool, held: impl Fn(c_int) -> u32) -> bool;

    /// Whether a number is in the set.
    fn contains(&self, fd: c_int) -> bool;

    /// Whether anything of the set is still held back.
    fn is_held(&self, held: impl Fn(c_int) -> u32) -> bool;

    /// Makes the copy for one wait, without what is held back and with the bell, if there is one. Tells
    /// whether anything was left out.
    fn show(&mut self, held: impl Fn(c_int) -> u32, bell: Option<c_int>) -> bool;

    /// Waits for the copy. A thread that is cancelled ends here, and its stack is unwound: nothing
    /// that has to be dropped may be alive in the callers.
    fn wait(&mut self, timeout: &timespec) -> c_int;

    /// Whether the bell has rung.
    fn has_rung(&self, bell: c_int) -> bool;

    /// Leaves in what the kernel said of the copy what is to be handed out of each member's events; tells how many
    /// are left. The bell is none of them.
    fn admit(&mut self, bell: Option<c_int>, shown: impl FnMut(c_int, u32) -> u32) -> c_int;

    /// Hands what the kernel said of the copy to the application, but for the bell: `ready` are, or
    /// the call has failed.
    fn report(&mut self, bell: Option<c_int>, ready: c_int);

    /// Gives the memory back.
    fn give_back(&mut self, room: &mut Room);
}

/// Memory for copies. It is the event loop's, to be used again.
#[derive(Debug, Default)]
pub struct Room {
    entries: Vec<pollfd>,
    words: Vec<u64>,
    held: Vec<Held>,
    /// Where the sets of the last `select` were that could be read, and how many words. They are not asked about again: what
    /// is unmapped meanwhile is taken out.
    readable: [(usize, usize); 3],
}

impl Room {
    /// This memory is no more what it was.
    pub fn forget(&mut self, gone: std::ops::Range<usize>) {
        for (at, words) in &mut self.readable {
            if *at < gone.end && gone.start < at.saturating_add(8 * *words) {
                *words = 0;
            }
        }
    }
}

/// A member of a set whose readiness is held back.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// Which entry of a `poll`, or which descriptor of a `select`.
    member: usize,
    /// What the application waits for.
    events: u32,
}

/// Not dropped where a thread is cancelled during the real call: that unwinds past us.
type Copied<T> = ManuallyDrop<Vec<T>>;

/// Adds to a list, if there is memory.
fn push<T>(list: &mut Vec<T>, item: T) -> bool {
    let room = list.try_reserve(1).is_ok();
    if room {
        list.push(item);
    }
    room
}

/// The set of a `poll`. `W` is the real call.
pub struct PollSet<W> {
    theirs: *mut pollfd,
    count: usize,
    ours: Copied<pollfd>,
    held: Copied<Held>,
    wait: W,
}

impl<W> PollSet<W> {
    /// The set at this address; nothing where that cannot be one.
    pub fn new(theirs: *mut pollfd, count: nfds_t, wait: W) -> Option<Self> {
        let count = usize::try_from(count).ok().filter(|&count| count <= MOST)?;
        Some(PollSet {
            theirs,
            count,
            ours: ManuallyDrop::default(),
            held: ManuallyDrop::default(),
            wait,
        })
    }

    fn copy(&mut self) -> bool {
        self.ours.clear();
        self.held.clear();
        if !are_readable(self.theirs.cast(), self.count)
            || self.ours.try_reserve(self.count + 1).is_err()
        {
            return false;
        }
        let (from, to) = (self.theirs.cast::<u8>(), self.ours.as_mut_ptr().cast());
        // SAFETY: as many entries can be read, wherever they begin, and there is room for them.
        unsafe {
            from.copy_to_nonoverlapping(to, self.count * size_of::<pollfd>());
            self.ours.set_len(self.count);
        }
        true
    }

    /// Notes what is held back; false where nothing is.
    fn note(&mut self, held: impl Fn(c_int) -> u32) -> bool {
        for (member, entry) in self.ours.iter().enumerate() {
            let events = entry.events as u32;
            if events != 0
                && events & held(entry.fd) != 0
                && !push(&mut self.held, Held { member, events })
            {
                return false;
            }
        }
        !self.held.is_empty()
    }
}

impl<W: FnMut(*mut pollfd, nfds_t, *const timespec) -> c_int> Set for PollSet<W> {
    fn take(&mut self, room: &mut Room, all: bool, held: impl Fn(c_int) -> u32) -> bool {
        *self.ours = take(&mut room.entries);
        *self.held = take(&mut room.held);
        let holds = self.copy() && (self.note(held) || all);
        if !holds {
            self.give_back(room);
        }
        holds
    }

    fn contains(&self, fd: c_int) -> bool {
        self.ours.iter().any(|entry| entry.fd == fd)
    }

    fn is_held(&self, held: impl Fn(c_int) -> u32) -> bool {
        let mut members = self.held.iter();
        members.any(|&Held { member, events }| {
            let entry = self.ours.get(member);
            entry.is_some_and(|entry| events & held(entry.fd) != 0)
        })
    }

    fn show(&mut self, held: impl Fn(c_int) -> u32, bell: Option<c_int>) -> bool {
        let mut lacks = false;
        for &Held { member, events } in &*self.held {
            if let Some(entry) = self.ours.get_mut(member) {
                let shown = events & !held(entry.fd);
                entry.events = shown as i16;
                lacks |= shown != events;
            }
        }
        self.ours.truncate(self.count);
        // There is room for it.
        self.ours.extend(bell.map(|bell| pollfd {
            fd: bell,
            events: IN as i16,
            revents: 0,
        }));
        lacks
    }

    #[inline(always)]
    fn wait(&mut self, timeout: &timespec) -> c_int {
        let count = self.ours.len() as nfds_t;
        (self.wait)(self.ours.as_mut_ptr(), count, timeout)
    }

    fn has_rung(&self, _bell: c_int) -> bool {
        self.ours.last().is_some_and(|bell| bell.revents != 0)
    }

    fn admit(&mut self, _bell: Option<c_int>, mut shown: impl FnMut(c_int, u32) -> u32) -> c_int {
        let (count, held) = (self.count, &mut *self.held);
        let mut ready = 0;
        for (member, entry) in self.ours.iter_mut().take(count).enumerate() {
            let reported = u32::from(entry.revents as u16);
            if reported == 0 {
                continue;
            }
            let left = shown(entry.fd, reported);
            if left != reported {
                entry.revents = left as i16;
                // What was left out of the copy before is known by the application's own events.
                let known = held.iter().any(|held| held.member == member);
                let events = entry.events as u32;
                if !known {
                    push(held, Held { member, events });
                }
            }
            ready += c_int::from(left != 0);
        }
        ready
    }

    fn report(&mut self, _bell: Option<c_int>, _ready: c_int) {
        // The kernel writes them even where a signal ends the wait.
        for (member, ours) in self.ours.iter().take(self.count).enumerate() {
            // SAFETY: the application passes this to `poll` as so many entries to be written to.
            unsafe {
                let theirs = &raw mut (*self.theirs.add(member)).revents;
                theirs.write_unaligned(ours.revents);
            }
        }
    }

    fn give_back(&mut self, room: &mut Room) {
        room.entries = take(&mut *self.ours);
        room.held = take(&mut *self.held);
    }
}

/// Leaves in the results of a `poll` what is to be handed out of each member's events; tells how many are left.
///
/// # Safety
///
/// The kernel has just written the results of so many entries.
pub unsafe fn admit_in_place(
    set: *mut pollfd,
    count: nfds_t,
    mut shown: impl FnMut(c_int, u32) -> u32,
) -> c_int {
    let mut ready = 0;
    for number in 0..usize::try_from(count).unwrap_or(0) {
        // SAFETY: within the set, which the kernel has read and written.
        let (entry, results) = unsafe {
            let entry = set.add(number);
            (entry.read_unaligned(), &raw mut (*entry).revents)
        };
        let reported = u32::from(entry.revents as u16);
        if reported == 0 {
            continue;
        }
        let left = shown(entry.fd, reported);
        if left != reported {
            // SAFETY: as above.
            unsafe { results.write_unaligned(left as i16) };
        }
        ready += c_int::from(left != 0);
    }
    ready
}

/// The same for the results of a `select`, of which each set has so many bits.
///
/// # Safety
///
/// The kernel has just written these sets.
pub unsafe fn admit_selected(
    count: c_int,
    sets: [*mut fd_set; 3],
    mut shown: impl FnMut(c_int, u32) -> u32,
) -> c_int {
    let mut ready = 0;
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
            }
            ready += left.count_ones() as c_int;
        }
    }
    ready
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
    wait: W,
}

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
    pub fn new(count: c_int, theirs: [*mut fd_set; 3], wait: W) -> Option<Self> {
        is_bounded(count).then(|| SelectSet {
            count,
            theirs,
            ours: ManuallyDrop::default(),
            held: ManuallyDrop::default(),
            shown: count,
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

    fn show(&mut self, held: impl Fn(c_int) -> u32, bell: Option<c_int>) -> bool {
        let (count, given) = (self.count, 3 * self.words());
        self.ours.truncate(given);
        // Without the memory that a high number needs, it is not heard.
        let heard = bell.filter(|&bell| self.ours.try_reserve(3 * words(bell + 1)).is_ok());
        self.shown = count.max(heard.map_or(0, |bell| bell + 1));
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
        if let Some(bell) = heard {
            if let Some(word) = ours.get_mut(word(bell)) {
                *word |= bit(bell);
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

    fn has_rung(&self, bell: c_int) -> bool {
        let given = 3 * self.words();
        let readable = self.ours.get(given..given + words(self.shown));
        let word = readable.and_then(|set| set.get(word(bell)));
        word.is_some_and(|word| word & bit(bell) != 0)
    }

    fn admit(&mut self, bell: Option<c_int>, mut shown: impl FnMut(c_int, u32) -> u32) -> c_int {
        let given = 3 * self.words();
        let each = words(self.shown).max(1);
        let mut held = take(&mut *self.held);
        let mut ready = 0;
        let ours = self.ours.get_mut(given..).unwrap_or_default();
        for (set, events) in ours.chunks_exact_mut(each).zip(EVENTS) {
            for (number, word) in set.iter_mut().enumerate().filter(|(_, word)| **word != 0) {
                // The bell is among those that are to be readable.
                let rings = |fd: &c_int| self::word(*fd) == number && events & IN != 0;
                let bell = bell.filter(rings).map_or(0, bit) & *word;
                let left = admit_word(number, *word & !bell, events, &mut shown);
                for fd in members(&[*word & !bell & !left]) {
                    let member = number * 64 + fd as usize;
                    push(&mut held, Held { member, events });
                }
                *word = left | bell;
                ready += left.count_ones() as c_int;
            }
        }
        *self.held = held;
        ready
    }

    fn report(&mut self, bell: Option<c_int>, ready: c_int) {
        // An error leaves the sets alone.
        if ready < 0 {
            return;
        }
        if let Some(bell) = bell {
            if let Some(word) = self.shown().get_mut(word(bell)) {
                *word &= !bit(bell);
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
