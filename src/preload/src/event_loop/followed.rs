//! Clients that speak TLS or HTTP/2: the same looks and the same gates, but only so much is read as was looked at.
//!
//! Behind that may be requests that nobody has looked at. So all that is known of a request is noted when it is judged, and
//! what is read then is only counted.

use super::reading::{taken_error, Verdict};
use super::request::Look;
use super::state::{EventLoop, Seen};
use crate::gate::may_be_refused;
use crate::gate::sessions::Entry;
use crate::gate::slot::{Read, Slot};
use crate::gate::told::NEVER;
use rustix::io::Errno;
use std::sync::atomic::Ordering::Relaxed;

impl EventLoop {
    /// Such a client is about to be read.
    pub(super) fn before_followed_read(&mut self, fd: i32, slot: &Slot, entry: &Entry) -> Verdict {
        let mut may_hold = !self.is_full;
        match slot.read() {
            Read::Pass => may_hold = false,
            Read::Part => return self.part_of(fd, slot),
            Read::Wait => return self.read_while_closed(fd, slot),
            Read::Look => {}
        }
        if let Some(error) = taken_error(slot) {
            return Verdict::Fail(error);
        }
        if let judged @ 1.. = entry.judged.load(Relaxed) {
            return Verdict::AtMost(judged);
        }
        let iteration = self.iteration.number();
        let refusable = || may_hold && slot.is_alone() && slot.is_stream(fd) && may_be_refused(fd);
        // What was reported has been read: what is there may have come since.
        let has_read = entry.read_in.load(Relaxed) == iteration;
        let goes_on = || has_read && slot.told.may_refuse_again() && refusable();
        if entry.seen_in.load(Relaxed) == iteration {
            // All bytes that were there are read. What has come since, or behind them, will be reported, and looked at.
            let ended = entry.open_in.load(Relaxed) != iteration;
            if slot.reports_rest(fd, ended) && goes_on() {
                let _ = self.refuse_read(slot);
                return Verdict::Nothing;
            }
        }
        match self.look(fd, slot, true) {
            Look::Warm | Look::Empty => {}
            Look::Cold(cold) if goes_on() => {
                if self.hold_back(fd, slot, cold, None) {
                    slot.told.has_read(iteration, self.now(), 0, true);
                    return Verdict::Fail(Errno::AGAIN);
                }
                self.accept_seen(fd, slot, entry, true);
            }
            Look::Cold(_) => {
                self.put_back();
                let in_sets = self.sets.are_waited_for;
                if refusable() && slot.told.may_refuse_read(iteration, in_sets) {
                    return self.refuse_read(slot);
                }
                self.accept_seen(fd, slot, entry, true);
            }
            // Helpers start where the loop waits next.
            Look::Unstaffed if goes_on() => {
                slot.report_again(fd);
                return self.refuse_read(slot);
            }
            Look::Unstaffed => self.accept_seen(fd, slot, entry, false),
        }
        if let Some(error) = taken_error(slot) {
            return Verdict::Fail(error);
        }
        match entry.judged.load(Relaxed) {
            0 => Verdict::Unseen,
            judged => Verdict::AtMost(judged),
        }
    }

    /// What is in the socket of such a client.
    pub(super) fn look_followed(&mut self, fd: i32, slot: &Slot, entry: &Entry) -> Look {
        self.looks.seen = Seen::default();
        if entry.judged.load(Relaxed) > 0 {
            return Look::Warm;
        }
        let look = match entry.is_sealed() {
            true => self.look_sealed(fd, slot, entry),
            false => self.look_at_frames(fd, slot, entry),
        };
        match look {
            Look::Warm => self.accept_seen(fd, slot, entry, false),
            Look::Cold(_) | Look::Unstaffed | Look::Empty => slot.cut.store(false, Relaxed),
        }
        look
    }

    /// What was seen by the last look may be read: notes what is known of it. `remembers` tells whether its requests are not yet.
    fn accept_seen(&mut self, fd: i32, slot: &Slot, entry: &Entry, remembers: bool) {
        let seen = std::mem::take(&mut self.looks.seen);
        entry.judged.store(seen.judged, Relaxed);
        entry.owes.store(seen.is_cut, Relaxed);
        let seen_in = if seen.is_all {
            self.iteration.number()
        } else {
            NEVER
        };
        entry.seen_in.store(seen_in, Relaxed);
        let cut = slot.cut.swap(false, Relaxed);
        if entry.has_frames() {
            return self.accept_frames(entry, seen, remembers);
        }
        if seen.length == 0 {
            return;
        }
        let mut length = seen.length;
        if slot.partial.swap(false, Relaxed) {
            // It was joined when it was judged.
            length = self.looks.joined(fd, length);
            self.looks.drop_part(fd);
        }
        if cut || remembers {
            self.recognise_shown(fd, slot, (length, seen.unseen), remembers);
        }
    }

    /// The application has read such a client, while requests are looked at.
    pub(super) fn has_read_followed(
        &mut self,
        fd: i32,
        slot: &Slot,
        entry: &Entry,
        (bytes, count): (&[u8], usize),
    ) {
        let judged = entry.judged.load(Relaxed);
        entry.judged.store(judged.saturating_sub(count), Relaxed);
        entry.read_in.store(self.iteration.number(), Relaxed);
        match entry.is_sealed() {
            true => self.has_read_sealed(fd, slot, entry, (bytes, count), judged),
            false => self.has_read_frames(entry, (bytes, count), judged, true),
        }
        // Of HTTP/2 most of what is read while answers are sent makes room for them.
        if !entry.has_frames() || entry.asks.swap(false, Relaxed) {
            slot.told.is_asked();
        }
        if judged == count && entry.owes.swap(false, Relaxed) {
            slot.report_again(fd);
        }
    }

    /// The same, while nobody looks.
    pub(super) fn read_followed_disarmed(
        &mut self,
        fd: i32,
        slot: &Slot,
        entry: &Entry,
        (bytes, count): (&[u8], usize),
    ) {
        let judged = entry.judged.load(Relaxed);
        entry.judged.store(judged.saturating_sub(count), Relaxed);
        match entry.is_sealed() {
            true => self.read_sealed_disarmed(fd, slot, entry, (bytes, count), judged),
            false => self.has_read_frames(entry, (bytes, count), judged, false),
        }
    }
}
