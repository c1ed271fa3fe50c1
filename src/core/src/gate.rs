//! What one descriptor's readiness owes to whom: a state machine without a system call.
//!
//! A gate is closed on a connection whose next request, or the next part of whose body, would make
//! its handler wait for the disk: the readable (or writable) interest is taken out of what the kernel
//! was told. When the files are there it is put back with `EPOLL_CTL_MOD`, at which the kernel checks
//! readiness afresh and wakes the loop by itself, whether the interest is level-triggered,
//! edge-triggered or one-shot. Every closed gate is one debt: one restore, by the one who opens it.
//!
//! A gate that stays closed for long may be set *ajar*: the interest is put back although the files
//! are not there, for one read of a part of the request.
//!
//! The methods return the [`Control`]s that the caller has to carry out, in order.

/// `EPOLLIN`
pub const IN: u32 = 0x001;
/// `EPOLLOUT`
pub const OUT: u32 = 0x004;
/// `EPOLLERR`
pub const ERR: u32 = 0x008;
/// `EPOLLHUP`
pub const HUP: u32 = 0x010;
/// `EPOLLRDNORM`
pub const RDNORM: u32 = 0x040;
/// `EPOLLRDBAND`
pub const RDBAND: u32 = 0x080;
/// `EPOLLWRNORM`
pub const WRNORM: u32 = 0x100;
/// `EPOLLWRBAND`
pub const WRBAND: u32 = 0x200;
/// `EPOLLRDHUP`
pub const RDHUP: u32 = 0x2000;
/// `EPOLLEXCLUSIVE`
pub const EXCLUSIVE: u32 = 1 << 28;
/// `EPOLLONESHOT`
pub const ONESHOT: u32 = 1 << 30;
/// `EPOLLET`
pub const EDGE: u32 = 1 << 31;

/// Which side of a connection is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The request has not arrived yet, as far as the server is told.
    Read,
    /// The client takes no more of the body yet, as far as the server is told.
    Write,
}

impl Side {
    /// Both.
    pub const BOTH: [Side; 2] = [Side::Read, Side::Write];

    /// The events that are held back. `poll` has the same bits.
    pub const fn events(self) -> u32 {
        match self {
            Side::Read => IN | RDNORM | RDBAND | RDHUP,
            Side::Write => OUT | WRNORM | WRBAND,
        }
    }
}

/// `EPOLL_CTL_ADD`
pub const ADD: i32 = 1;
/// `EPOLL_CTL_DEL`
pub const DEL: i32 = 2;
/// `EPOLL_CTL_MOD`
pub const MOD: i32 = 3;

/// One `epoll_ctl` call on the descriptor that the state belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    /// The epoll instance.
    pub instance: i32,
    /// [`ADD`], [`MOD`] or [`DEL`].
    pub operation: i32,
    /// The interest.
    pub events: u32,
    /// The application's own cookie.
    pub data: u64,
}

/// Up to two calls, in order: an exclusive interest cannot be modified, only removed and added.
pub type Controls = arrayvec::ArrayVec<Control, 2>;

/// The application's registration, as it asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Registration {
    instance: i32,
    events: u32,
    data: u64,
}

impl Registration {
    fn controls(self, events: u32) -> Controls {
        let Registration { instance, data, .. } = self;
        let control = |operation| Control {
            instance,
            operation,
            events,
            data,
        };
        let exclusive = self.events & EXCLUSIVE != 0;
        let operations: &[i32] = if exclusive { &[DEL, ADD] } else { &[MOD] };
        operations
            .iter()
            .map(|&operation| control(operation))
            .collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    /// Waiting for the job with this ticket.
    Closed(u32),
}

/// What to undo if the kernel refuses an `epoll_ctl`; from [`Descriptor::control`].
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Undo {
    before: Option<Registration>,
    after: Option<Registration>,
    several: bool,
    armed: bool,
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
    ajar: bool,
    /// A one-shot interest that the application takes to be armed: what the kernel reported of it was not handed
    /// out when the first gate was closed, or it was armed again since.
    armed: bool,
    /// Counts gates and owners: a ticket from before never matches.
    ticket: u32,
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
        }
    }
}

impl Descriptor {
    /// The number now names a new connection; whatever was pending for the old one is void.
    pub fn reset(&mut self) {
        *self = Descriptor {
            ticket: self.ticket.wrapping_add(1),
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

    /// Whether the application has registered it with this flag.
    pub fn asks_for(&self, flag: u32) -> bool {
        self.registration.is_some_and(|r| r.events & flag != 0)
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
    fn held(&self) -> u32 {
        let is_held = |side: Side| self.holds(side) && !(side == Side::Read && self.ajar);
        let sides = Side::BOTH.into_iter().filter(|&side| is_held(side));
        sides.fold(0, |events, side| events | side.events())
    }

    /// Closes a gate: returns the job's ticket and the calls that hold the readiness back, or
    /// nothing where this descriptor's readiness cannot be held back. `swallowed` tells that the kernel has
    /// just reported it, and that nothing of that report is handed to the application.
    pub fn close_gate(&mut self, side: Side, swallowed: bool) -> Option<(u32, Controls)> {
        if self.several || self.holds(side) {
            return None;
        }
        self.armed = swallowed || self.armed && self.is_closed();
        self.ticket = self.ticket.wrapping_add(1);
        self.gates[side as usize] = Gate::Closed(self.ticket);
        Some((self.ticket, self.mask(swallowed)))
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
    /// returns the calls to make.
    pub fn swallowed(&mut self) -> Controls {
        let disarmed = self.registration.is_some_and(|r| r.events & ONESHOT != 0);
        if !disarmed {
            return Controls::new();
        }
        self.armed = true;
        self.mask(true)
    }

    /// An event of this registration is handed to the application.
    pub fn delivered(&mut self) {
        self.armed = false;
    }

    /// The read gate that was closed with this ticket is set ajar: the calls that report the readiness. Nothing
    /// where it is not closed any more.
    pub fn set_ajar(&mut self, ticket: u32) -> Option<Controls> {
        let is_its = self.gates[Side::Read as usize] == Gate::Closed(ticket);
        if !is_its || self.ajar {
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
            Gate::Closed(ticket) => Some(ticket),
            Gate::Open => None,
        }
    }

    /// The job with this ticket is done: the side that it was for, and the calls that report its
    /// readiness. Nothing for a stale one.
    pub fn complete(&mut self, ticket: u32) -> Option<(Side, Controls)> {
        let is_its = |side: &Side| self.gates[*side as usize] == Gate::Closed(ticket);
        let side = Side::BOTH.into_iter().find(is_its)?;
        self.gates[side as usize] = Gate::Open;
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
        let (several, armed) = (self.several, self.armed);
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
        let held = if same_instance { self.held() } else { 0 };
        let passed = events & !held;
        let undo = Undo {
            before,
            after: self.registration,
            several,
            armed,
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

    /// The application has called `epoll_ctl` where nothing could be recorded: in a signal handler that has interrupted a
    /// record. Its readiness is not ours to hold back any more. Returns the calls to make.
    pub fn called_unseen(&mut self, called: Control) -> (Controls, Controls) {
        let (_, first, _) = self.control(called);
        let owed = self.abandon();
        self.several = true;
        (first, owed)
    }

    /// The kernel refused the call: what the application asked for did not happen.
    pub fn refused(&mut self, undo: Undo) {
        // Only if nothing else has happened to it meanwhile.
        if self.registration == undo.after {
            self.registration = undo.before;
            self.several = undo.several;
            self.armed = undo.armed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Without it, a request could stay held back by a registration that a signal handler has changed.
    #[test]
    fn what_a_handler_has_registered_is_not_held_back() {
        let control = |operation, events| Control {
            instance: 3,
            operation,
            events,
            data: 7,
        };
        let closed = || {
            let mut state = Descriptor::default();
            let _ = state.control(control(ADD, 1));
            assert!(state.close_gate(Side::Read, false).is_some());
            state
        };
        let mut state = closed();
        let (first, owed) = state.called_unseen(control(MOD, 5));
        assert!(first.is_empty() && !state.is_closed());
        let owed: Vec<_> = owed.into_iter().map(|call| call.events).collect();
        assert_eq!(owed.last(), Some(&5));
        assert!(state.close_gate(Side::Read, false).is_none());
        let mut state = closed();
        let (first, owed) = state.called_unseen(control(DEL, 0));
        assert!(first.is_empty() && owed.is_empty() && !state.is_closed());
    }

    fn add(events: u32) -> Control {
        Control {
            instance: 3,
            operation: ADD,
            events,
            data: 7,
        }
    }

    fn registered(events: u32) -> Descriptor {
        let mut descriptor = Descriptor::default();
        let (passed, first, _) = descriptor.control(add(events));
        assert_eq!((passed, first.len()), (events, 0));
        descriptor
    }

    fn modify(events: u32) -> Control {
        Control {
            operation: MOD,
            ..add(events)
        }
    }

    #[test]
    fn a_level_triggered_interest_is_masked_and_restored() {
        let mut descriptor = registered(IN | RDHUP | OUT);
        let (ticket, masked) = descriptor.close_gate(Side::Read, false).unwrap();
        assert_eq!(masked.as_slice(), [modify(OUT)]);
        assert!(descriptor.is_closed());
        assert_eq!(
            descriptor.complete(ticket).unwrap().1.as_slice(),
            [modify(IN | RDHUP | OUT)]
        );
        assert!(!descriptor.is_closed());
    }

    #[test]
    fn an_edge_is_not_masked_but_restored() {
        let mut descriptor = registered(IN | EDGE);
        let (ticket, masked) = descriptor.close_gate(Side::Read, false).unwrap();
        assert!(masked.is_empty());
        assert_eq!(
            descriptor.complete(ticket).unwrap().1.as_slice(),
            [modify(IN | EDGE)]
        );
    }

    #[test]
    fn a_disarmed_one_shot_interest_is_not_armed_for_the_application() {
        let mut descriptor = registered(IN | ONESHOT);
        let (ticket, masked) = descriptor.close_gate(Side::Read, false).unwrap();
        assert!(masked.is_empty());
        assert!(descriptor
            .complete(ticket)
            .is_none_or(|(_, owed)| owed.is_empty()));

        let mut descriptor = registered(IN | ONESHOT);
        let (ticket, _) = descriptor.close_gate(Side::Read, false).unwrap();
        let (passed, ..) = descriptor.control(modify(IN | ONESHOT));
        assert_eq!(passed, ONESHOT);
        assert_eq!(
            descriptor.complete(ticket).unwrap().1.as_slice(),
            [modify(IN | ONESHOT)]
        );
    }

    #[test]
    fn an_exclusive_interest_is_removed_and_added() {
        let mut descriptor = registered(IN | EXCLUSIVE);
        let (ticket, masked) = descriptor.close_gate(Side::Read, false).unwrap();
        let operations = |c: &Controls| {
            c.iter()
                .map(|c| (c.operation, c.events))
                .collect::<Vec<_>>()
        };
        assert_eq!(operations(&masked), [(DEL, EXCLUSIVE), (ADD, EXCLUSIVE)]);
        let (_, restored) = descriptor.complete(ticket).unwrap();
        assert_eq!(
            operations(&restored),
            [(DEL, IN | EXCLUSIVE), (ADD, IN | EXCLUSIVE)]
        );
    }

    #[test]
    fn two_sides_are_held_back_and_reported_each_for_itself() {
        let mut descriptor = registered(IN | OUT);
        let (read, _) = descriptor.close_gate(Side::Read, false).unwrap();
        let (write, masked) = descriptor.close_gate(Side::Write, false).unwrap();
        assert_eq!(masked.as_slice(), [modify(0)]);
        let (side, owed) = descriptor.complete(write).unwrap();
        assert_eq!((side, owed.as_slice()), (Side::Write, &[modify(OUT)][..]));
        let (side, owed) = descriptor.complete(read).unwrap();
        assert_eq!(
            (side, owed.as_slice()),
            (Side::Read, &[modify(IN | OUT)][..])
        );
    }

    #[test]
    fn read_before_registered() {
        let mut descriptor = Descriptor::default();
        let (ticket, masked) = descriptor.close_gate(Side::Read, false).unwrap();
        assert!(masked.is_empty());
        let (passed, ..) = descriptor.control(add(IN | OUT));
        assert_eq!(passed, OUT);
        assert_eq!(
            descriptor.complete(ticket).unwrap().1.as_slice(),
            [modify(IN | OUT)]
        );
    }

    #[test]
    fn a_one_shot_report_that_is_not_handed_out_is_made_again() {
        let mut descriptor = registered(IN | OUT | ONESHOT);
        let (ticket, masked) = descriptor.close_gate(Side::Read, true).unwrap();
        assert_eq!(masked.as_slice(), [modify(OUT | ONESHOT)]);
        let (_, owed) = descriptor.complete(ticket).unwrap();
        assert_eq!(owed.as_slice(), [modify(IN | OUT | ONESHOT)]);

        let mut descriptor = registered(IN | OUT | ONESHOT);
        let (ticket, _) = descriptor.close_gate(Side::Read, true).unwrap();
        descriptor.delivered();
        assert!(descriptor.complete(ticket).unwrap().1.is_empty());
    }

    /// Without it, a call that fails had a report made that the application has not asked for.
    #[test]
    fn a_refused_call_does_not_arm_a_one_shot() {
        let mut descriptor = registered(IN | OUT | ONESHOT);
        let (ticket, _) = descriptor.close_gate(Side::Read, false).unwrap();
        descriptor.delivered();
        let (_, _, undo) = descriptor.control(add(IN | OUT | ONESHOT));
        descriptor.refused(undo);
        assert!(descriptor.complete(ticket).unwrap().1.is_empty());
    }

    #[test]
    fn what_is_shared_is_not_held() {
        let mut descriptor = registered(IN);
        let (ticket, _) = descriptor.close_gate(Side::Read, true).unwrap();
        assert_eq!(descriptor.share().as_slice(), [modify(IN)]);
        assert!(descriptor.complete(ticket).is_none());
        assert!(descriptor.close_gate(Side::Read, true).is_none());
    }

    #[test]
    fn a_gate_is_set_ajar_for_one_read() {
        let mut descriptor = registered(IN | OUT);
        let (ticket, _) = descriptor.close_gate(Side::Read, true).unwrap();
        let controls = descriptor.set_ajar(ticket).unwrap();
        assert_eq!(controls.as_slice(), [modify(IN | OUT)]);
        assert!(descriptor.set_ajar(ticket).is_none());
        assert_eq!(descriptor.shut().as_slice(), [modify(OUT)]);
        assert!(descriptor.shut().is_empty());
        assert_eq!(
            descriptor.complete(ticket).unwrap().1.as_slice(),
            [modify(IN | OUT)]
        );
        assert!(descriptor.set_ajar(ticket).is_none());
    }

    #[test]
    fn an_event_that_was_not_registered_by_a_hook_is_told_apart() {
        let descriptor = registered(IN);
        assert!(descriptor.explains(IN | HUP) && !descriptor.explains(OUT));
        assert!(descriptor.is_registered_as(3, 7) && !descriptor.is_registered_as(3, 8));
    }

    #[test]
    fn a_stale_ticket_is_void() {
        let mut descriptor = registered(IN);
        let (ticket, _) = descriptor.close_gate(Side::Read, false).unwrap();
        descriptor.reset();
        assert!(descriptor
            .complete(ticket)
            .is_none_or(|(_, owed)| owed.is_empty()));
        let (other, _) = descriptor.close_gate(Side::Read, false).unwrap();
        assert_ne!(ticket, other);
        assert!(descriptor
            .complete(ticket)
            .is_none_or(|(_, owed)| owed.is_empty()));
        assert!(descriptor.is_closed());
    }

    #[test]
    fn a_second_instance_opens_the_gate_for_good() {
        let mut descriptor = registered(IN);
        let (ticket, _) = descriptor.close_gate(Side::Read, false).unwrap();
        let other = Control {
            instance: 4,
            ..add(IN)
        };
        let (passed, first, _) = descriptor.control(other);
        assert_eq!((passed, first.as_slice()), (IN, &[modify(IN)][..]));
        assert!(descriptor
            .complete(ticket)
            .is_none_or(|(_, owed)| owed.is_empty()));
        assert!(descriptor.close_gate(Side::Read, false).is_none());
    }

    #[test]
    fn moved_to_another_instance_while_closed() {
        let mut descriptor = registered(IN);
        let (ticket, _) = descriptor.close_gate(Side::Read, false).unwrap();
        let _ = descriptor.control(Control {
            operation: DEL,
            ..add(0)
        });
        let (passed, ..) = descriptor.control(Control {
            instance: 9,
            ..add(IN)
        });
        assert_eq!(passed, 0);
        let (_, restored) = descriptor.complete(ticket).unwrap();
        assert_eq!((restored[0].instance, restored[0].events), (9, IN));
    }

    #[test]
    fn modified_by_another_number_of_its_instance() {
        let mut descriptor = registered(IN);
        let (ticket, _) = descriptor.close_gate(Side::Read, false).unwrap();
        let alias = Control {
            instance: 9,
            data: 8,
            ..modify(IN | OUT)
        };
        let (passed, first, _) = descriptor.control(alias);
        assert_eq!((passed, first.as_slice()), (IN | OUT, &[modify(IN)][..]));
        assert!(descriptor.complete(ticket).is_none());
        let (_, masked) = descriptor.close_gate(Side::Read, false).unwrap();
        assert_eq!(
            masked.as_slice(),
            [Control {
                events: OUT,
                ..alias
            }]
        );
    }

    #[test]
    fn what_is_owed_is_paid_before_the_instance_loses_its_number() {
        let mut descriptor = registered(IN | EDGE);
        let (ticket, _) = descriptor.close_gate(Side::Read, false).unwrap();
        assert!(descriptor.lose_instance(4).is_empty());
        assert_eq!(descriptor.lose_instance(3).as_slice(), [modify(IN | EDGE)]);
        assert!(descriptor.complete(ticket).is_none());
        assert!(descriptor.close_gate(Side::Read, false).is_none());
    }

    #[test]
    fn a_refused_call_changes_nothing() {
        let mut descriptor = registered(IN);
        let (_, _, undo) = descriptor.control(add(OUT));
        descriptor.refused(undo);
        let (ticket, _) = descriptor.close_gate(Side::Read, false).unwrap();
        assert_eq!(
            descriptor.complete(ticket).unwrap().1.as_slice(),
            [modify(IN)]
        );
    }

    /// An epoll instance with one descriptor whose socket always holds bytes to read and has room.
    #[derive(Clone, Default)]
    struct Kernel {
        interest: Option<(u32, u64)>,
        /// An edge or a one-shot report that is due.
        due: bool,
    }

    impl Kernel {
        fn control(&mut self, control: Control) -> bool {
            let possible = match control.operation {
                ADD => self.interest.is_none(),
                MOD => self
                    .interest
                    .is_some_and(|(events, _)| (events | control.events) & EXCLUSIVE == 0),
                _ => self.interest.is_some(),
            };
            if possible {
                let there = control.operation != DEL;
                self.interest = there.then_some((control.events, control.data));
                self.due = there;
            }
            possible
        }

        fn carry_out(&mut self, controls: Controls) {
            for control in controls {
                assert!(self.control(control), "the kernel refuses {control:?}");
            }
        }

        fn complete(&mut self, descriptor: &mut Descriptor, ticket: u32) {
            if let Some((_, owed)) = descriptor.complete(ticket) {
                self.carry_out(owed);
            }
        }

        /// Something has changed on the socket.
        fn edge(&mut self) {
            self.due |= self.interest.is_some_and(|(events, _)| events & EDGE != 0);
        }

        /// The events that one wait reports, with the application's side of one-shot and edges.
        fn wait(&mut self) -> u32 {
            let Some((events, data)) = self.interest else {
                return 0;
            };
            let edge_or_shot = events & (EDGE | ONESHOT) != 0;
            if edge_or_shot && !self.due {
                return 0;
            }
            let reported = events & (IN | OUT);
            if reported != 0 {
                self.due = false;
                if events & ONESHOT != 0 {
                    self.interest = Some((events & (EDGE | ONESHOT), data));
                }
            }
            reported
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Control(i32, u32),
        /// A wait; what becomes ready on these sides is cold.
        Wait([bool; 2]),
        /// A part of a body was sent, and the rest is cold.
        Sent,
        Complete(Side),
        Ajar,
        Stale,
        ClientGone,
        Edge,
        Closed,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let flags = prop::sample::select(vec![0, EDGE, ONESHOT, EDGE | ONESHOT, EXCLUSIVE]);
        let interest = prop::sample::select(vec![IN, IN | RDHUP, OUT, IN | OUT, 0]);
        let side = prop::sample::select(Side::BOTH.to_vec());
        let control = (prop::sample::select(vec![ADD, MOD, DEL]), flags, interest)
            .prop_map(|(operation, flags, interest)| Step::Control(operation, flags | interest));
        let step = prop_oneof![
            3 => control,
            4 => any::<[bool; 2]>().prop_map(Step::Wait),
            1 => Just(Step::Sent),
            2 => side.prop_map(Step::Complete),
            1 => Just(Step::Ajar),
            1 => Just(Step::Stale),
            1 => Just(Step::ClientGone),
            1 => Just(Step::Edge),
            1 => Just(Step::Closed),
        ];
        prop::collection::vec(step, 1..60)
    }

    /// The library beside the kernel.
    #[derive(Default)]
    struct Ours {
        kernel: Kernel,
        descriptor: Descriptor,
        tickets: [Option<u32>; 2],
    }

    impl Ours {
        fn close(&mut self, side: Side, swallowed: bool) {
            if let Some((ticket, masked)) = self.descriptor.close_gate(side, swallowed) {
                self.kernel.carry_out(masked);
                self.tickets[side as usize] = Some(ticket);
            }
        }

        /// What a wait hands to the application.
        fn wait(&mut self, cold: [bool; 2]) -> u32 {
            let reported = self.kernel.wait();
            let mut shown = reported & !self.descriptor.held();
            let is_cold = |side: &Side| {
                let ajar = *side == Side::Read && self.descriptor.ajar;
                cold[*side as usize] && shown & side.events() != 0 && !ajar
            };
            let closing: Vec<Side> = Side::BOTH.into_iter().filter(is_cold).collect();
            for side in &closing {
                shown &= !side.events();
            }
            if reported != 0 && shown == 0 && closing.is_empty() {
                let masked = self.descriptor.swallowed();
                self.kernel.carry_out(masked);
            }
            for side in closing {
                self.close(side, shown == 0);
            }
            if shown != 0 {
                self.descriptor.delivered();
            }
            if shown & IN != 0 {
                // The application reads; where the gate is ajar, a part.
                let masked = self.descriptor.shut();
                self.kernel.carry_out(masked);
            }
            shown
        }

        fn complete(&mut self, side: Side) {
            if let Some(ticket) = self.tickets[side as usize].take() {
                self.kernel.complete(&mut self.descriptor, ticket);
            }
        }
    }

    proptest! {
        /// Beside a kernel without us, an application is told of readable bytes and of room whenever
        /// it would be, once every job is done; and while a gate is closed it is never woken in a
        /// circle by what the gate holds back.
        #[test]
        fn no_wake_up_is_lost_and_none_spins(steps in steps()) {
            let (mut ours, mut plain) = (Ours::default(), Kernel::default());
            // What the plain kernel has told of, and we have not.
            let mut late = 0;
            for step in steps {
                match step {
                    Step::Control(operation, events) => {
                        let wanted = Control { instance: 1, operation, events, data: 5 };
                        let (passed, first, undo) = ours.descriptor.control(wanted);
                        ours.kernel.carry_out(first);
                        let done = ours.kernel.control(Control { events: passed, ..wanted });
                        if done {
                            late = 0;
                        } else {
                            ours.descriptor.refused(undo);
                        }
                        prop_assert_eq!(done, plain.control(wanted));
                    }
                    Step::Wait(cold) => {
                        let told = ours.wait(cold);
                        let shot = plain.interest.is_some_and(|(events, _)| events & ONESHOT != 0);
                        late = (late | plain.wait()) & !told;
                        if shot && told != 0 {
                            // The application arms it again, and is told of all then.
                            late = 0;
                        }
                        let circle = ours.kernel.clone().wait() & ours.descriptor.held();
                        let edge = ours.kernel.interest.is_some_and(|(events, _)| events & EDGE != 0);
                        prop_assert!(circle == 0 || edge, "a closed gate spins");
                    }
                    Step::Sent => ours.close(Side::Write, false),
                    Step::Complete(side) => ours.complete(side),
                    Step::Ajar => if let Some(ticket) = ours.tickets[Side::Read as usize] {
                        if let Some(controls) = ours.descriptor.set_ajar(ticket) {
                            ours.kernel.carry_out(controls);
                        }
                    },
                    Step::Stale => prop_assert!(ours.descriptor.complete(0).is_none()),
                    Step::ClientGone => {
                        let owed = ours.descriptor.abandon();
                        ours.kernel.carry_out(owed);
                    }
                    // More bytes have come, or the client has taken some: after a short transfer this
                    // may be before its job is done.
                    Step::Edge => {
                        ours.kernel.edge();
                        plain.edge();
                    }
                    // The number is another connection's from now on. Tickets of before are still about.
                    Step::Closed => {
                        let owed = ours.descriptor.abandon();
                        ours.kernel.carry_out(owed);
                        ours.descriptor.reset();
                        (ours.kernel, plain, late) = (Kernel::default(), Kernel::default(), 0);
                    }
                }
            }
            Side::BOTH.into_iter().for_each(|side| ours.complete(side));
            // Interests are the application's own again; a one-shot may have fired on one side only.
            let one_shot = plain.interest.is_some_and(|(events, _)| events & ONESHOT != 0);
            if !one_shot {
                prop_assert_eq!(ours.kernel.interest, plain.interest);
            }
            let (owed, told) = (plain.wait() | late, ours.kernel.wait());
            prop_assert_eq!(owed & !told, 0, "a wake-up is lost");
        }
    }
}
