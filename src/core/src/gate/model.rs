//! The gate against a model of the kernel, in all orders of calls: no wake-up is lost, and nothing spins.

use super::*;
use proptest::prelude::*;

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
    /// The ticket of each side's gate, and how many of its jobs are not done.
    tickets: [Option<(u32, u32)>; 2],
}

impl Ours {
    fn close(&mut self, side: Side, swallowed: bool) {
        let swallowed = self.descriptor.reported().filter(|_| swallowed);
        if let Some((ticket, masked)) = self.descriptor.close_gate(side, swallowed) {
            self.kernel.carry_out(masked);
            let jobs = 1 + ticket % 3;
            self.descriptor.awaits(ticket, jobs);
            self.tickets[side as usize] = Some((ticket, jobs));
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
            if let Some(reported) = self.descriptor.reported().filter(|r| r.is_one_shot()) {
                let masked = self.descriptor.swallowed(reported);
                self.kernel
                    .carry_out(masked.expect("nobody has armed it since"));
            }
        }
        for side in closing {
            self.close(side, shown == 0);
        }
        if let Some(reported) = self.descriptor.reported().filter(|_| shown != 0) {
            self.descriptor.delivered(reported);
        }
        if shown & IN != 0 {
            // The application reads; where the gate is ajar, a part.
            let masked = self.descriptor.shut();
            self.kernel.carry_out(masked);
        }
        shown
    }

    /// A job of this side is done.
    fn complete(&mut self, side: Side) {
        if let Some((ticket, jobs)) = self.tickets[side as usize].take() {
            let held = self.descriptor.ticket(side) == Some(ticket);
            self.kernel.complete(&mut self.descriptor, ticket);
            assert_eq!(
                held && jobs > 1,
                self.descriptor.ticket(side) == Some(ticket)
            );
            self.tickets[side as usize] = (jobs > 1).then_some((ticket, jobs - 1));
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
                Step::Ajar => if let Some((ticket, _)) = ours.tickets[Side::Read as usize] {
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
        for side in Side::BOTH {
            while ours.tickets[side as usize].is_some() {
                ours.complete(side);
            }
        }
        // Interests are the application's own again; a one-shot may have fired on one side only.
        let one_shot = plain.interest.is_some_and(|(events, _)| events & ONESHOT != 0);
        if !one_shot {
            prop_assert_eq!(ours.kernel.interest, plain.interest);
        }
        let (owed, told) = (plain.wait() | late, ours.kernel.wait());
        prop_assert_eq!(owed & !told, 0, "a wake-up is lost");
    }
}
