//! The gate: what of the readiness that a wait reports is handed to the application.
//!
//! What is handed out succeeds: what would make the handler wait for the disk is held back before it is told of.

use super::request::Look;
use super::state::EventLoop;
use crate::gate::slot::Slot;
use crate::gate::table::connection_of;
use crate::gate::told::NEVER;
use crate::sys::errno;
use laio_core::config::Mode;
use laio_core::gate::{Reported, Side, ERR, HUP, RDHUP};
use laio_core::stats::Counter;
use libc::epoll_event;
use std::sync::atomic::Ordering::Relaxed;

const READ: u32 = Side::Read.events();
const WRITE: u32 = Side::Write.events();

impl EventLoop {
    /// Whether what a wait reports is looked at: requests are, or some are held back.
    pub fn admits(&self) -> bool {
        self.config.mode == Mode::On && (self.is_armed() || self.holds_back())
    }

    /// What of these events of an epoll instance is handed out, moved to the front: how many are left.
    pub(super) fn admit_events(&mut self, instance: i32, events: &mut [epoll_event]) -> usize {
        let _errno = errno::Guard::new();
        let mut left = 0;
        for index in 0..events.len() {
            let Some(&event) = events.get(index) else {
                break;
            };
            let (reported, data) = (event.events, event.u64);
            let shown = match connection_of(instance, data, reported) {
                Some((fd, slot, which)) => self.admit(fd, slot, reported, Some(which)),
                None => {
                    // It may be a connection's, under another number of the instance.
                    self.iteration.trust_from_now();
                    reported
                }
            };
            if shown == 0 {
                continue;
            }
            if let Some(place) = events.get_mut(left) {
                *place = epoll_event {
                    events: shown,
                    u64: data,
                };
                left += 1;
            }
        }
        left
    }

    /// What of this readiness of a connection is handed out. `which` registration it was reported of is not known where the loop
    /// waits in `poll` or `select`; of one for one event only the kernel reports no more until the application asks for it.
    pub fn admit(&mut self, fd: i32, slot: &Slot, reported: u32, which: Option<Reported>) -> u32 {
        let one_shot = which.filter(|which| which.is_one_shot());
        let mut held = slot.held();
        if let Some(entry) = slot.session(fd) {
            let is_open = reported & (RDHUP | ERR | HUP) == 0;
            let open_in = if is_open {
                self.iteration.number()
            } else {
                NEVER
            };
            entry.open_in.store(open_in, Relaxed);
        }
        if reported & (ERR | HUP) != 0 && held != 0 {
            // Nobody waits for it any more. The kernel reports it again, with all that it has.
            self.counters.count(Counter::ClientGone);
            let comes_again = one_shot.is_none_or(|reported| slot.swallowed(fd, reported));
            slot.abandon(fd);
            if comes_again {
                return 0;
            }
            held = 0;
        }
        let mut shown = reported & !held;
        let looks = self.is_armed() && reported & (ERR | HUP) == 0;
        let mut cold = None;
        if looks && shown & READ != 0 && slot.wants_look() {
            match self.look_at_reported(fd, slot) {
                Look::Cold(request) => {
                    cold = Some(request);
                    shown &= !READ;
                }
                Look::Unstaffed => self.counters.count(Counter::Unstaffed),
                Look::Warm | Look::Empty => {}
            }
        }
        let missing = (looks && shown & WRITE != 0 && self.gates_bodies())
            .then(|| self.missing_part(fd, slot))
            .flatten();
        if missing.is_some() {
            shown &= !WRITE;
        }
        if let (0, None, None, Some(armed)) = (shown, &cold, &missing, one_shot) {
            if !slot.swallowed(fd, armed) {
                slot.abandon(fd);
                shown = reported;
            }
        }
        if let Some(request) = cold {
            // Of two gates the last one knows whether anything is handed out.
            let swallowed = which.filter(|_| shown == 0 && missing.is_none());
            if !self.hold_back(fd, slot, request, swallowed) {
                shown |= reported & READ;
            }
        }
        if let Some(part) = missing {
            let swallowed = which.filter(|_| shown == 0);
            if !self.hold_back_part(fd, slot, part, swallowed) {
                shown |= reported & WRITE;
            }
        }
        if shown & READ != 0 {
            let ended = reported & (RDHUP | ERR | HUP) != 0;
            slot.told
                .readable(self.iteration.number(), self.now(), ended);
        }
        if shown & WRITE != 0 {
            slot.told.writable();
        }
        if let Some(reported) = one_shot.filter(|_| shown != 0) {
            slot.delivered(reported);
        }
        shown
    }

    /// A look, unless the application may give up a connection that has not begun a request.
    fn look_at_reported(&mut self, fd: i32, slot: &Slot) -> Look {
        if self.is_full {
            self.counters.count_alone(Counter::Full);
            return Look::Warm;
        }
        self.look(fd, slot, self.sets.know_errors)
    }
}
