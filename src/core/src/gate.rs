//! What one descriptor's readiness owes to whom: a state machine without a system call.
//!
//! A gate is closed on a connection whose next request would make its handler wait for the disk:
//! reads answer `EAGAIN`, and the readable interest is taken out of what the kernel was told. When
//! the files are there it is put back with `EPOLL_CTL_MOD`, at which the kernel checks readiness
//! afresh and wakes the loop by itself, whether the interest is level-triggered, edge-triggered or
//! one-shot. Every closed gate is one debt: one restore, by whoever opens it.
//!
//! The methods return the [`Control`]s that the caller has to carry out, in order.

/// `EPOLLIN`
pub const IN: u32 = 0x001;
/// `EPOLLRDNORM`
pub const RDNORM: u32 = 0x040;
/// `EPOLLRDBAND`
pub const RDBAND: u32 = 0x080;
/// `EPOLLRDHUP`
pub const RDHUP: u32 = 0x2000;
/// `EPOLLEXCLUSIVE`
pub const EXCLUSIVE: u32 = 1 << 28;
/// `EPOLLONESHOT`
pub const ONESHOT: u32 = 1 << 30;
/// `EPOLLET`
pub const EDGE: u32 = 1 << 31;

/// What is held back: everything that would make a handler read.
const READABLE: u32 = IN | RDNORM | RDBAND | RDHUP;

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
}

/// The state of one accepted connection.
#[derive(Debug)]
pub struct Descriptor {
    registration: Option<Registration>,
    /// Registered in several instances at once: readiness is not ours to hold back.
    several: bool,
    gate: Gate,
    /// A one-shot interest that was armed again since the gate was closed.
    armed: bool,
    /// Counts gates and owners: a ticket from before never matches.
    ticket: u32,
}

impl Default for Descriptor {
    fn default() -> Self {
        Descriptor {
            registration: None,
            several: false,
            gate: Gate::Open,
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

    /// Whether a gate is closed on it.
    pub fn is_closed(&self) -> bool {
        matches!(self.gate, Gate::Closed(_))
    }

    /// Whether an interest in it is known. It may have one all the same: of a kind that no hook sees, or
    /// the server has not come to registering it yet.
    pub fn is_registered(&self) -> bool {
        self.registration.is_some()
    }

    /// Closes the gate: returns the job's ticket and the calls that hold the readiness back, or
    /// nothing where this descriptor's readiness cannot be held back.
    pub fn close_gate(&mut self) -> Option<(u32, Controls)> {
        if self.several || self.gate != Gate::Open {
            return None;
        }
        self.ticket = self.ticket.wrapping_add(1);
        self.gate = Gate::Closed(self.ticket);
        self.armed = false;
        // An edge has been reported already and the next one needs new bytes; a one-shot interest
        // was disarmed by its report. Both keep quiet by themselves.
        let masked = match self.registration {
            Some(registration) if registration.events & (EDGE | ONESHOT) == 0 => {
                registration.controls(registration.events & !READABLE)
            }
            _ => Controls::new(),
        };
        Some((self.ticket, masked))
    }

    /// The job with this ticket is done: the calls that report readiness. Nothing for a stale one.
    pub fn complete(&mut self, ticket: u32) -> Option<Controls> {
        (self.gate == Gate::Closed(ticket)).then(|| self.abandon())
    }

    /// Opens a closed gate before its job is done (the client is gone, the descriptor is closed).
    pub fn abandon(&mut self) -> Controls {
        if !self.is_closed() {
            return Controls::new();
        }
        let restore = self.restore();
        self.gate = Gate::Open;
        restore
    }

    fn restore(&self) -> Controls {
        match self.registration {
            // Disarmed: the application has been told and owes the kernel the next step.
            Some(registration) if registration.events & ONESHOT != 0 && !self.armed => {
                Controls::new()
            }
            Some(registration) => registration.controls(registration.events),
            None => Controls::new(),
        }
    }

    /// The application calls `epoll_ctl`: returns the events to pass on in place of its own, calls
    /// to make first, and what to undo if the kernel refuses.
    pub fn control(&mut self, wanted: Control) -> (u32, Controls, Undo) {
        let before = self.registration;
        let several = self.several;
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
            DEL if same_instance => self.registration = None,
            // Another instance's business, or a call that the kernel will refuse.
            _ => {}
        }
        let hold = self.is_closed() && same_instance;
        let passed = if hold { events & !READABLE } else { events };
        let undo = Undo {
            before,
            after: self.registration,
            several,
        };
        (passed, first, undo)
    }

    /// The kernel refused the call: what the application asked for did not happen.
    pub fn refused(&mut self, undo: Undo) {
        // Only if nothing else has happened to it meanwhile.
        if self.registration == undo.after {
            self.registration = undo.before;
            self.several = undo.several;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
        let mut descriptor = registered(IN | RDHUP | 4);
        let (ticket, masked) = descriptor.close_gate().unwrap();
        assert_eq!(masked.as_slice(), [modify(4)]);
        assert!(descriptor.is_closed());
        assert_eq!(
            descriptor.complete(ticket).unwrap().as_slice(),
            [modify(IN | RDHUP | 4)]
        );
        assert!(!descriptor.is_closed());
    }

    #[test]
    fn an_edge_is_not_masked_but_restored() {
        let mut descriptor = registered(IN | EDGE);
        let (ticket, masked) = descriptor.close_gate().unwrap();
        assert!(masked.is_empty());
        assert_eq!(
            descriptor.complete(ticket).unwrap().as_slice(),
            [modify(IN | EDGE)]
        );
    }

    #[test]
    fn a_disarmed_one_shot_interest_is_not_armed_for_the_application() {
        let mut descriptor = registered(IN | ONESHOT);
        let (ticket, masked) = descriptor.close_gate().unwrap();
        assert!(masked.is_empty());
        assert!(descriptor
            .complete(ticket)
            .is_none_or(|owed| owed.is_empty()));

        let mut descriptor = registered(IN | ONESHOT);
        let (ticket, _) = descriptor.close_gate().unwrap();
        let (passed, ..) = descriptor.control(modify(IN | ONESHOT));
        assert_eq!(passed, ONESHOT);
        assert_eq!(
            descriptor.complete(ticket).unwrap().as_slice(),
            [modify(IN | ONESHOT)]
        );
    }

    #[test]
    fn an_exclusive_interest_is_removed_and_added() {
        let mut descriptor = registered(IN | EXCLUSIVE);
        let (ticket, masked) = descriptor.close_gate().unwrap();
        let operations = |c: &Controls| {
            c.iter()
                .map(|c| (c.operation, c.events))
                .collect::<Vec<_>>()
        };
        assert_eq!(operations(&masked), [(DEL, EXCLUSIVE), (ADD, EXCLUSIVE)]);
        let restored = descriptor.complete(ticket).unwrap();
        assert_eq!(
            operations(&restored),
            [(DEL, IN | EXCLUSIVE), (ADD, IN | EXCLUSIVE)]
        );
    }

    #[test]
    fn read_before_registered() {
        let mut descriptor = Descriptor::default();
        let (ticket, masked) = descriptor.close_gate().unwrap();
        assert!(masked.is_empty());
        let (passed, ..) = descriptor.control(add(IN | 4));
        assert_eq!(passed, 4);
        assert_eq!(
            descriptor.complete(ticket).unwrap().as_slice(),
            [modify(IN | 4)]
        );
    }

    #[test]
    fn a_stale_ticket_is_void() {
        let mut descriptor = registered(IN);
        let (ticket, _) = descriptor.close_gate().unwrap();
        descriptor.reset();
        assert!(descriptor
            .complete(ticket)
            .is_none_or(|owed| owed.is_empty()));
        let (other, _) = descriptor.close_gate().unwrap();
        assert_ne!(ticket, other);
        assert!(descriptor
            .complete(ticket)
            .is_none_or(|owed| owed.is_empty()));
        assert!(descriptor.is_closed());
    }

    #[test]
    fn a_second_instance_opens_the_gate_for_good() {
        let mut descriptor = registered(IN);
        let (ticket, _) = descriptor.close_gate().unwrap();
        let other = Control {
            instance: 4,
            ..add(IN)
        };
        let (passed, first, _) = descriptor.control(other);
        assert_eq!((passed, first.as_slice()), (IN, &[modify(IN)][..]));
        assert!(descriptor
            .complete(ticket)
            .is_none_or(|owed| owed.is_empty()));
        assert!(descriptor.close_gate().is_none());
    }

    #[test]
    fn moved_to_another_instance_while_closed() {
        let mut descriptor = registered(IN);
        let (ticket, _) = descriptor.close_gate().unwrap();
        let _ = descriptor.control(Control {
            operation: DEL,
            ..add(0)
        });
        let (passed, ..) = descriptor.control(Control {
            instance: 9,
            ..add(IN)
        });
        assert_eq!(passed, 0);
        let restored = descriptor.complete(ticket).unwrap();
        assert_eq!((restored[0].instance, restored[0].events), (9, IN));
    }

    #[test]
    fn a_refused_call_changes_nothing() {
        let mut descriptor = registered(IN);
        let (_, _, undo) = descriptor.control(add(4));
        descriptor.refused(undo);
        let (ticket, _) = descriptor.close_gate().unwrap();
        assert_eq!(
            descriptor.complete(ticket).unwrap().as_slice(),
            [modify(IN)]
        );
    }

    /// An epoll instance with one descriptor whose socket always holds bytes to read.
    #[derive(Default)]
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

        /// What one wait reports, with the application's side of one-shot and edges.
        fn wait(&mut self) -> bool {
            let Some((events, data)) = self.interest else {
                return false;
            };
            let edge_or_shot = events & (EDGE | ONESHOT) != 0;
            let reported = events & IN != 0 && (!edge_or_shot || self.due);
            if reported {
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
        Read,
        Wait,
        Complete,
        Stale,
        ClientGone,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let flags = prop::sample::select(vec![0, EDGE, ONESHOT, EDGE | ONESHOT, EXCLUSIVE]);
        let interest = prop::sample::select(vec![IN, IN | RDHUP, 4, IN | 4, 0]);
        let control = (prop::sample::select(vec![ADD, MOD, DEL]), flags, interest)
            .prop_map(|(operation, flags, interest)| Step::Control(operation, flags | interest));
        let step = prop_oneof![
            3 => control,
            3 => Just(Step::Read),
            2 => Just(Step::Wait),
            2 => Just(Step::Complete),
            1 => Just(Step::Stale),
            1 => Just(Step::ClientGone),
        ];
        prop::collection::vec(step, 1..60)
    }

    proptest! {
        /// Beside a kernel without us, an application is told of readable bytes whenever it would
        /// be, once every job is done; and while a gate is closed it is never woken in a circle.
        #[test]
        fn no_wake_up_is_lost_and_none_spins(steps in steps()) {
            let (mut ours, mut plain) = (Kernel::default(), Kernel::default());
            let mut descriptor = Descriptor::default();
            let mut ticket = None;
            for step in steps {
                match step {
                    Step::Control(operation, events) => {
                        let wanted = Control { instance: 1, operation, events, data: 5 };
                        let (passed, first, undo) = descriptor.control(wanted);
                        first.into_iter().for_each(|c| prop_assert_ours(&mut ours, c));
                        let done = ours.control(Control { events: passed, ..wanted });
                        if !done {
                            descriptor.refused(undo);
                        }
                        prop_assert_eq!(done, plain.control(wanted));
                    }
                    // A read by the server: here every request is cold.
                    Step::Read => if let Some((number, masked)) = descriptor.close_gate() {
                        masked.into_iter().for_each(|c| prop_assert_ours(&mut ours, c));
                        ticket = Some(number);
                    },
                    Step::Wait => {
                        // A report that one side gives late it still owes.
                        let reported = ours.wait();
                        if reported && descriptor.is_closed() {
                            prop_assert!(!ours.wait() , "a closed gate spins");
                        }
                        plain.wait();
                    }
                    Step::Complete => if let Some(number) = ticket.take() {
                        descriptor.complete(number).into_iter().flatten().for_each(|c| prop_assert_ours(&mut ours, c));
                    },
                    Step::Stale => prop_assert!(descriptor.complete(0).is_none()),
                    Step::ClientGone => descriptor.abandon().into_iter().for_each(|c| prop_assert_ours(&mut ours, c)),
                }
            }
            if let Some(number) = ticket.take() {
                descriptor.complete(number).into_iter().flatten().for_each(|c| prop_assert_ours(&mut ours, c));
            }
            // Interests are the application's own again; a one-shot may have fired on one side only.
            let one_shot = plain.interest.is_some_and(|(events, _)| events & ONESHOT != 0);
            if !one_shot {
                prop_assert_eq!(ours.interest, plain.interest);
            }
            if plain.wait() {
                prop_assert!(ours.wait(), "a wake-up is lost");
            }
        }
    }

    fn prop_assert_ours(kernel: &mut Kernel, control: Control) {
        assert!(kernel.control(control), "the kernel refuses {control:?}");
    }
}
