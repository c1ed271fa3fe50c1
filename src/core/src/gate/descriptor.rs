//! One descriptor: where it is registered, and which of its gates are closed.

use super::interest::*;
use super::registration::{Registration, Reported};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    /// Waiting for so many jobs with this ticket.
    Closed {
        ticket: u32,
        jobs: u32,
    },
}

/// What to undo if the kernel refuses an `epoll_ctl`; from [`Descriptor::control`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Undo {
    before: Option<Registration>,
    after: Option<Registration>,
    several: bool,
    armed: bool,
    arms: u32,
}

/// The state of one accepted connection.
#[derive(Debug)]
pub struct Descriptor {
    registration: Option<Registration>,
    /// Registered in several instances at once, or in one whose number has gone: readiness is not
    /// ours to hold back.
    several: bool,
    gates: [Gate; 2],
    /// The gate of this side is closed, and its readiness is reported all the same.
    pub(super) ajar: bool,
    /// A one-shot interest that the application takes to be armed: what the kernel reported of it was not handed
    /// out when the first gate was closed, or it was armed again since.
    armed: bool,
    /// Counts gates and owners: a ticket from before never matches.
    ticket: u32,
    /// Counts how often it was asked for, and owners: what was reported before is not of this registration.
    arms: u32,
}

impl Default for Descriptor {
    fn default() -> Self {
        Descriptor {
            registration: None,
            several: false,
            gates: [Gate::Open; 2],
            ajar: false,
            armed: false,
            ticket: 1,
            arms: 1,
        }
    }
}

impl Descriptor {
    /// The number now names a new connection; whatever was pending for the old one is void.
    pub fn reset(&mut self) {
        *self = Descriptor {
            ticket: self.ticket.wrapping_add(1),
            arms: self.arms.wrapping_add(1),
            ..Descriptor::default()
        };
    }

    /// Whether any gate is closed on it.
    pub fn is_closed(&self) -> bool {
        Side::BOTH.iter().any(|&side| self.holds(side))
    }

    /// Whether an interest in it is known. It may have one all the same: of a kind that no hook sees, or
    /// the server has not come to registering it yet.
    pub fn is_registered(&self) -> bool {
        self.registration.is_some()
    }

    /// Whether this side is held back.
    pub fn holds(&self, side: Side) -> bool {
        self.gates[side as usize] != Gate::Open
    }

    /// Whether this is the registration that an epoll instance names by the cookie `data`.
    pub fn is_registered_as(&self, instance: i32, data: u64) -> bool {
        let named = |r: Registration| r.instance == instance && r.data == data;
        !self.several && self.registration.is_some_and(named)
    }

    /// The instance and the cookie of its registration, where one is known.
    pub fn cookie(&self) -> Option<(i32, u64)> {
        self.registration.map(|r| (r.instance, r.data))
    }

    /// What a report of its registration is, where it has one.
    pub fn reported(&self) -> Option<Reported> {
        self.registration.map(|registration| Reported {
            arms: self.arms,
            one_shot: registration.events & ONESHOT != 0,
        })
    }

    /// Whether it is registered in this instance, for one event only.
    pub fn is_one_shot_in(&self, instance: i32) -> bool {
        let is_its = |r: Registration| r.instance == instance && r.events & ONESHOT != 0;
        self.registration.is_some_and(is_its)
    }

    /// Whether the kernel reports nothing of what is held back: it is masked, not just reported once.
    pub fn masks(&self, events: u32) -> bool {
        let level = |r: Registration| r.events & (EDGE | ONESHOT) == 0;
        self.held() & events != 0 && self.registration.is_some_and(level)
    }

    /// Whether the kernel may report these events of it by what the application has registered. If not, it was
    /// registered by ways that no hook sees, and is not ours to hold back.
    pub fn explains(&self, events: u32) -> bool {
        let asked = self.registration.map_or(0, |r| r.events);
        events & !(asked | ERR | HUP) == 0
    }

    /// The events that are held back.
    pub(super) fn held(&self) -> u32 {
        let is_held = |side: Side| self.holds(side) && !(side == Side::Read && self.ajar);
        let sides = Side::BOTH.into_iter().filter(|&side| is_held(side));
        sides.fold(0, |events, side| events | side.events())
    }

    /// Closes a gate: returns the job's ticket and the calls that hold the readiness back, or
    /// nothing where this descriptor's readiness cannot be held back. `swallowed` is what the kernel has just
    /// reported of it, if nothing of that is handed to the application. Where another thread has registered it otherwise
    /// since, nobody may report that again.
    pub fn close_gate(
        &mut self,
        side: Side,
        swallowed: Option<Reported>,
    ) -> Option<(u32, Controls)> {
        let is_its = swallowed.is_none() || swallowed == self.reported();
        if self.several || self.holds(side) || !is_its {
            return None;
        }
        let swallowed = swallowed.is_some();
        self.armed = swallowed || self.armed && self.is_closed();
        self.arms = self.arms.wrapping_add(u32::from(swallowed));
        self.ticket = self.ticket.wrapping_add(1);
        self.gates[side as usize] = Gate::Closed {
            ticket: self.ticket,
            jobs: 1,
        };
        Some((self.ticket, self.mask(swallowed)))
    }

    /// The gate that was closed with this ticket opens when so many jobs are done, of which none is yet.
    pub fn awaits(&mut self, ticket: u32, jobs: u32) {
        if let Some(side) = self.side(ticket) {
            self.gates[side as usize] = Gate::Closed { ticket, jobs };
        }
    }

    /// The side whose gate was closed with this ticket.
    fn side(&self, ticket: u32) -> Option<Side> {
        let is_its = |side: &Side| self.ticket(*side) == Some(ticket);
        Side::BOTH.into_iter().find(is_its)
    }

    /// Takes out of the kernel's interest what is held back.
    fn mask(&self, swallowed: bool) -> Controls {
        let masks = |r: &Registration| {
            if r.events & ONESHOT != 0 {
                // Disarmed by its report: what is not held back of it is to be reported still.
                swallowed
            } else {
                // An edge has been reported already, and the next one is not handed out.
                r.events & EDGE == 0
            }
        };
        let masked = self.registration.filter(masks);
        masked.map_or_else(Controls::new, |r| r.controls(r.events & !self.held()))
    }

    /// The kernel has reported what is held back already, and nothing of that report is handed to the application:
    /// returns the calls to make. Nothing where another thread has armed or registered it otherwise since: nobody may
    /// report this again.
    pub fn swallowed(&mut self, reported: Reported) -> Option<Controls> {
        if self.reported() != Some(reported) {
            return None;
        }
        self.armed = true;
        self.arms = self.arms.wrapping_add(1);
        Some(self.mask(true))
    }

    /// An event of this registration is handed to the application. Where it was armed since, while a gate was closed, the
    /// kernel knows only a part of that, and is owed the rest.
    pub fn delivered(&mut self, reported: Reported) {
        self.armed &= self.reported() != Some(reported);
    }

    /// The read gate that was closed with this ticket is set ajar: the calls that report the readiness. Nothing
    /// where it is not closed any more.
    pub fn set_ajar(&mut self, ticket: u32) -> Option<Controls> {
        if self.side(ticket) != Some(Side::Read) || self.ajar {
            return None;
        }
        self.ajar = true;
        Some(self.restore())
    }

    /// A part was read: the gate is closed as before.
    pub fn shut(&mut self) -> Controls {
        if !core::mem::take(&mut self.ajar) {
            return Controls::new();
        }
        // A one-shot report of it was handed out, and the application has to arm it again.
        self.mask(false)
    }

    /// The ticket of a closed gate.
    pub fn ticket(&self, side: Side) -> Option<u32> {
        match self.gates[side as usize] {
            Gate::Closed { ticket, .. } => Some(ticket),
            Gate::Open => None,
        }
    }

    /// A job with this ticket is done. After the last one: the side that it was for, and the calls that report its
    /// readiness. Nothing for a stale one.
    pub fn complete(&mut self, ticket: u32) -> Option<(Side, Controls)> {
        let side = self.side(ticket)?;
        let gate = &mut self.gates[side as usize];
        if let Gate::Closed {
            jobs: jobs @ 2.., ..
        } = gate
        {
            *jobs -= 1;
            return None;
        }
        *gate = Gate::Open;
        self.ajar &= side != Side::Read;
        Some((side, self.restore()))
    }

    /// Opens all gates before their jobs are done (the client is gone, the descriptor is closed).
    pub fn abandon(&mut self) -> Controls {
        if !self.is_closed() {
            return Controls::new();
        }
        self.gates = [Gate::Open; 2];
        self.ajar = false;
        self.restore()
    }

    /// Whether all that comes after the last report is reported, and what has come before and was not read. `ended` tells that
    /// the report was of the end as well: of an edge that is told once.
    pub fn reports_rest(&self, ended: bool) -> bool {
        let tells = |r: Registration| !r.is_edge() || r.events & RDHUP != 0 && !ended;
        !self.several && self.registration.is_none_or(tells)
    }

    /// The calls by which an edge-triggered interest reports what is there already; none where the kernel does so by itself.
    pub fn report_again(&self) -> Controls {
        let edge = self.registration.filter(|r| r.is_edge() && !self.several);
        edge.map_or_else(Controls::new, |r| r.controls(r.events & !self.held()))
    }

    /// Reports what is not held back any more.
    fn restore(&self) -> Controls {
        match self.registration {
            // Disarmed: the application has been told and owes the kernel the next step.
            Some(registration) if registration.events & ONESHOT != 0 && !self.armed => {
                Controls::new()
            }
            Some(registration) => registration.controls(registration.events & !self.held()),
            None => Controls::new(),
        }
    }

    /// The application calls `epoll_ctl`: returns the events to pass on in place of its own, calls
    /// to make first, and what to undo if the kernel refuses.
    pub fn control(&mut self, wanted: Control) -> (u32, Controls, Undo) {
        let before = self.registration;
        let (several, armed, arms) = (self.several, self.armed, self.arms);
        let Control {
            instance,
            operation,
            events,
            data,
        } = wanted;
        let same_instance = before.is_none_or(|registration| registration.instance == instance);
        let mut first = Controls::new();
        match operation {
            ADD | MOD if same_instance => {
                self.registration = Some(Registration {
                    instance,
                    events,
                    data,
                });
                self.armed = true;
            }
            ADD => {
                first = self.abandon();
                self.several = true;
            }
            // By the instance's other number (`dup`), or a call that the kernel will refuse.
            MOD => {
                first = self.abandon();
                self.registration = Some(Registration {
                    instance,
                    events,
                    data,
                });
                self.armed = true;
            }
            DEL => {
                if !same_instance {
                    first = self.abandon();
                }
                self.registration = None;
            }
            _ => {}
        }
        if operation != DEL {
            self.arms = arms.wrapping_add(1);
        }
        let held = if same_instance { self.held() } else { 0 };
        let passed = events & !held;
        let undo = Undo {
            before,
            after: self.registration,
            several,
            armed,
            arms,
        };
        (passed, first, undo)
    }

    /// The connection has another number, or another process has it: readiness is not ours to hold back any more.
    pub fn share(&mut self) -> Controls {
        let restore = self.abandon();
        self.several = true;
        restore
    }

    /// The number of this instance goes, by which readiness is given back; the instance itself may
    /// have another. Returns the calls to make before.
    pub fn lose_instance(&mut self, instance: i32) -> Controls {
        if self.registration.is_none_or(|r| r.instance != instance) {
            return Controls::new();
        }
        let restore = self.abandon();
        self.registration = None;
        self.several = true;
        restore
    }

    /// The application has called `epoll_ctl` where nothing could be recorded: in signal handlers that have interrupted a
    /// record. How it is registered is not known any more, and its readiness is not ours to hold back. Returns the calls to
    /// make: none where the registration that was known is [replaced](Descriptor::is_replaced_by).
    pub fn called_unseen(&mut self, is_replaced: bool) -> Controls {
        let owed = match is_replaced {
            true => Controls::new(),
            false => self.abandon(),
        };
        *self = Descriptor {
            several: true,
            ticket: self.ticket,
            arms: self.arms.wrapping_add(1),
            ..Descriptor::default()
        };
        owed
    }

    /// Whether such a call has replaced the registration that is known, as the kernel has it: by its instance's number, or
    /// by another one (`alias` tells that it has some). What is added is not there yet by any number, and what is removed
    /// by another one may be a number alone, which is closed.
    pub fn is_replaced_by(&self, instance: i32, operation: i32, alias: bool) -> bool {
        let alias = alias && operation == MOD;
        let is_its = |r: Registration| r.instance == instance || alias;
        self.registration.is_none_or(is_its)
    }

    /// The kernel refused the call: what the application asked for did not happen.
    pub fn refused(&mut self, undo: Undo) {
        // Only if nothing else has happened to it meanwhile.
        if self.registration == undo.after {
            self.registration = undo.before;
            self.several = undo.several;
            self.armed = undo.armed;
            self.arms = undo.arms;
        }
    }
}
