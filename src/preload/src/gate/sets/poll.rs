//! The set of a `poll`.

use super::set::*;
use crate::sys::address::are_readable;
use laio_core::gate::IN;
use libc::{c_int, nfds_t, pollfd, timespec};
use std::mem::{take, ManuallyDrop};

/// Most entries of a `poll` that are copied; beyond, the call goes through as it is.
const MOST: usize = 1 << 20;

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

    fn show(&mut self, held: impl Fn(c_int) -> u32, waker: Option<c_int>) -> bool {
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
        self.ours.extend(waker.map(|waker| pollfd {
            fd: waker,
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

    fn has_woken(&self, _waker: c_int) -> bool {
        self.ours.last().is_some_and(|waker| waker.revents != 0)
    }

    fn admit(&mut self, _waker: Option<c_int>, mut shown: impl FnMut(c_int, u32) -> u32) -> c_int {
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

    fn report(&mut self, _waker: Option<c_int>, _ready: c_int) {
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
