//! What is masked and restored, call by call; all orders of calls are in `model`.

use super::*;

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
        assert!(state.close_gate(Side::Read, None).is_some());
        state
    };
    // The kernel has it as the handler asked for it.
    for (instance, operation, alias) in [(3, MOD, false), (3, DEL, false), (4, MOD, true)] {
        let mut state = closed();
        assert!(state.is_replaced_by(instance, operation, alias));
        assert!(state.called_unseen(true).is_empty());
        assert!(!state.is_closed() && state.close_gate(Side::Read, None).is_none());
    }
    // In another instance it was added, or that one's number is closed: what is held back here is still.
    for (operation, alias) in [(ADD, false), (ADD, true), (DEL, true), (MOD, false)] {
        let mut state = closed();
        assert!(!state.is_replaced_by(4, operation, alias));
        assert_eq!(state.called_unseen(false).as_slice(), [control(MOD, 1)]);
        assert!(!state.is_closed() && state.close_gate(Side::Read, None).is_none());
    }
}

/// Closes the read gate where nothing of what was just reported is handed out.
fn swallow(descriptor: &mut Descriptor) -> Option<(u32, Controls)> {
    descriptor.close_gate(Side::Read, descriptor.reported())
}

/// Without it, a one-shot interest could report twice where its number has changed hands since its first report.
#[test]
fn what_was_reported_of_another_registration_is_not_held_back() {
    let mut descriptor = registered(IN);
    let reported = descriptor.reported();
    let _ = descriptor.control(modify(OUT | ONESHOT));
    assert!(descriptor.close_gate(Side::Read, reported).is_none());
    let _ = descriptor.control(Control {
        operation: DEL,
        ..add(0)
    });
    assert!(descriptor.close_gate(Side::Read, reported).is_none());
    descriptor.reset();
    let _ = descriptor.control(add(IN));
    assert!(descriptor.close_gate(Side::Read, reported).is_none());
    assert!(swallow(&mut descriptor).is_some());
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
    let (ticket, masked) = descriptor.close_gate(Side::Read, None).unwrap();
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
    let (ticket, masked) = descriptor.close_gate(Side::Read, None).unwrap();
    assert!(masked.is_empty());
    assert_eq!(
        descriptor.complete(ticket).unwrap().1.as_slice(),
        [modify(IN | EDGE)]
    );
}

#[test]
fn a_disarmed_one_shot_interest_is_not_armed_for_the_application() {
    let mut descriptor = registered(IN | ONESHOT);
    let (ticket, masked) = descriptor.close_gate(Side::Read, None).unwrap();
    assert!(masked.is_empty());
    assert!(descriptor
        .complete(ticket)
        .is_none_or(|(_, owed)| owed.is_empty()));

    let mut descriptor = registered(IN | ONESHOT);
    let (ticket, _) = descriptor.close_gate(Side::Read, None).unwrap();
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
    let (ticket, masked) = descriptor.close_gate(Side::Read, None).unwrap();
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
    let (read, _) = descriptor.close_gate(Side::Read, None).unwrap();
    let (write, masked) = descriptor.close_gate(Side::Write, None).unwrap();
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
    let (ticket, masked) = descriptor.close_gate(Side::Read, None).unwrap();
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
    let (ticket, masked) = swallow(&mut descriptor).unwrap();
    assert_eq!(masked.as_slice(), [modify(OUT | ONESHOT)]);
    let (_, owed) = descriptor.complete(ticket).unwrap();
    assert_eq!(owed.as_slice(), [modify(IN | OUT | ONESHOT)]);

    let mut descriptor = registered(IN | OUT | ONESHOT);
    let (ticket, _) = swallow(&mut descriptor).unwrap();
    descriptor.delivered(descriptor.reported().unwrap());
    assert!(descriptor.complete(ticket).unwrap().1.is_empty());
}

/// Without it, a call that fails had a report made that the application has not asked for.
#[test]
fn a_refused_call_does_not_arm_a_one_shot() {
    let mut descriptor = registered(IN | OUT | ONESHOT);
    let (ticket, _) = descriptor.close_gate(Side::Read, None).unwrap();
    let reported = descriptor.reported().unwrap();
    let (_, _, undo) = descriptor.control(add(IN | OUT | ONESHOT));
    descriptor.refused(undo);
    descriptor.delivered(reported);
    assert!(descriptor.complete(ticket).unwrap().1.is_empty());
}

/// Without it, a thread that arms it while another one is about to hand out its last report would wait for ever.
#[test]
fn what_was_armed_since_its_report_is_given_back() {
    let mut descriptor = registered(IN | OUT | ONESHOT);
    let reported = descriptor.reported().unwrap();
    let (ticket, _) = descriptor.close_gate(Side::Read, None).unwrap();
    let (passed, ..) = descriptor.control(modify(IN | OUT | ONESHOT));
    assert_eq!(passed, OUT | ONESHOT);
    descriptor.delivered(reported);
    assert!(descriptor.swallowed(reported).is_none());
    let (_, owed) = descriptor.complete(ticket).unwrap();
    assert_eq!(owed.as_slice(), [modify(IN | OUT | ONESHOT)]);
    descriptor.reset();
    let (ticket, _) = descriptor.close_gate(Side::Read, None).unwrap();
    let _ = descriptor.control(add(IN | ONESHOT));
    descriptor.delivered(reported);
    assert_eq!(
        descriptor.complete(ticket).unwrap().1.len(),
        1,
        "another owner"
    );
}

#[test]
fn what_is_shared_is_not_held() {
    let mut descriptor = registered(IN);
    let (ticket, _) = swallow(&mut descriptor).unwrap();
    assert_eq!(descriptor.share().as_slice(), [modify(IN)]);
    assert!(descriptor.complete(ticket).is_none());
    assert!(swallow(&mut descriptor).is_none());
}

#[test]
fn a_gate_is_set_ajar_for_one_read() {
    let mut descriptor = registered(IN | OUT);
    let (ticket, _) = swallow(&mut descriptor).unwrap();
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
    let (ticket, _) = descriptor.close_gate(Side::Read, None).unwrap();
    descriptor.reset();
    assert!(descriptor
        .complete(ticket)
        .is_none_or(|(_, owed)| owed.is_empty()));
    let (other, _) = descriptor.close_gate(Side::Read, None).unwrap();
    assert_ne!(ticket, other);
    assert!(descriptor
        .complete(ticket)
        .is_none_or(|(_, owed)| owed.is_empty()));
    assert!(descriptor.is_closed());
}

#[test]
fn a_second_instance_opens_the_gate_for_good() {
    let mut descriptor = registered(IN);
    let (ticket, _) = descriptor.close_gate(Side::Read, None).unwrap();
    let other = Control {
        instance: 4,
        ..add(IN)
    };
    let (passed, first, _) = descriptor.control(other);
    assert_eq!((passed, first.as_slice()), (IN, &[modify(IN)][..]));
    assert!(descriptor
        .complete(ticket)
        .is_none_or(|(_, owed)| owed.is_empty()));
    assert!(descriptor.close_gate(Side::Read, None).is_none());
}

#[test]
fn moved_to_another_instance_while_closed() {
    let mut descriptor = registered(IN);
    let (ticket, _) = descriptor.close_gate(Side::Read, None).unwrap();
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
    let (ticket, _) = descriptor.close_gate(Side::Read, None).unwrap();
    let alias = Control {
        instance: 9,
        data: 8,
        ..modify(IN | OUT)
    };
    let (passed, first, _) = descriptor.control(alias);
    assert_eq!((passed, first.as_slice()), (IN | OUT, &[modify(IN)][..]));
    assert!(descriptor.complete(ticket).is_none());
    let (_, masked) = descriptor.close_gate(Side::Read, None).unwrap();
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
    let (ticket, _) = descriptor.close_gate(Side::Read, None).unwrap();
    assert!(descriptor.lose_instance(4).is_empty());
    assert_eq!(descriptor.lose_instance(3).as_slice(), [modify(IN | EDGE)]);
    assert!(descriptor.complete(ticket).is_none());
    assert!(descriptor.close_gate(Side::Read, None).is_none());
}

#[test]
fn a_refused_call_changes_nothing() {
    let mut descriptor = registered(IN);
    let (_, _, undo) = descriptor.control(add(OUT));
    descriptor.refused(undo);
    let (ticket, _) = descriptor.close_gate(Side::Read, None).unwrap();
    assert_eq!(
        descriptor.complete(ticket).unwrap().1.as_slice(),
        [modify(IN)]
    );
}
