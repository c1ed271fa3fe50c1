//! What two threads do in every order while a gate is closed.

use super::*;

/// One of two threads that are run in every order, while a gate is closed: it was closed with this ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Complete,
    Modify,
    Delete,
    AddElsewhere,
    Close,
    /// Another connection gets its number, and is registered.
    CloseAndAccept,
    Dup,
    /// Another connection takes its number over.
    Replace,
    CloseInstance,
    Abandon,
    HandOutAPart,
    CloseAnotherGate,
    /// A wait finds out whether an event is this connection's.
    Look,
}

impl Act {
    pub const ALL: [Act; 12] = [
        Act::Complete,
        Act::Modify,
        Act::Delete,
        Act::AddElsewhere,
        Act::Close,
        Act::CloseAndAccept,
        Act::Dup,
        Act::Replace,
        Act::CloseInstance,
        Act::Abandon,
        Act::HandOutAPart,
        Act::CloseAnotherGate,
    ];

    /// Those that a loop takes where it has its state, and in which a signal may come.
    pub const INTERRUPTED: [Act; 6] = [
        Act::Complete,
        Act::Abandon,
        Act::HandOutAPart,
        Act::CloseAnotherGate,
        Act::Look,
        Act::Modify,
    ];

    /// Those that a signal handler takes. It closes nothing that has another number: that is a known limit.
    pub const HANDLERS: [Act; 5] = [
        Act::Modify,
        Act::Delete,
        Act::AddElsewhere,
        Act::Close,
        Act::Dup,
    ];

    /// The same, and a signal handler takes two others behind so many locks.
    pub fn interrupted(self, handler: [Act; 2], locks: usize, flags: u32, ticket: u32) {
        // A hook enters one itself.
        let _section = (self != Act::Modify).then(handler::enter);
        let handle = move || {
            let acts = || handler.iter().for_each(|act| act.run(flags, ticket));
            kernel::aside(acts);
        };
        signals::with_signal(locks, handle, || self.run(flags, ticket));
    }

    pub fn run(self, flags: u32, ticket: u32) {
        let (fd, second) = (FIRST + 2, FIRST + 1);
        let slot = table::accepted(fd);
        match self {
            Act::Complete => slot.into_iter().for_each(|slot| slot.complete(fd, ticket)),
            Act::Modify => {
                control(FIRST, MOD, fd, IN | OUT | flags, cookie(fd, 1));
            }
            Act::Delete => {
                control(FIRST, DEL, fd, 0, 0);
            }
            Act::AddElsewhere => {
                control(second, ADD, fd, IN | flags, cookie(fd, 2));
            }
            Act::Close => {
                close(fd);
            }
            Act::CloseAndAccept => {
                close(fd);
                let new = accept(Peer::Sends { cold: true });
                control(FIRST, ADD, new, OUT, cookie(new, 3));
            }
            Act::Dup => {
                duplicate(fd);
            }
            Act::Replace => {
                descriptor::replaced(|| kernel::dup2(fd + 1, fd), fd + 1, fd);
            }
            Act::CloseInstance => {
                let number = duplicate(FIRST);
                close(FIRST);
                trace(number, false);
            }
            Act::Abandon => slot.into_iter().for_each(|slot| slot.abandon(fd)),
            Act::HandOutAPart => slot.into_iter().for_each(|slot| {
                slot.hand_out_part(fd, ticket);
                slot.part_is_read(fd);
            }),
            Act::Look => slot.into_iter().for_each(|slot| {
                let _ = slot.is_meant(FIRST, cookie(fd, 0), OUT);
            }),
            Act::CloseAnotherGate => {
                if let Some(slot) = table::accepted(fd) {
                    if let Some(ticket) = slot.close_gate(fd, Side::Write, 0, None, false) {
                        slot.complete(fd, ticket);
                    }
                }
            }
        }
    }

    /// Two instances, a connection whose gate is closed in the first, and another one. Returns the ticket.
    pub fn prepare(flags: u32) -> u32 {
        let (first, _) = (kernel::create(), kernel::create());
        let fd = accept(Peer::Sends { cold: true });
        accept(Peer::Sends { cold: true });
        control(first, ADD, fd, IN | OUT | flags, cookie(fd, 0));
        let reported = kernel::epoll_wait(first, 1, Duration::ZERO).unwrap_or_default();
        let slot = table::accepted(fd);
        let ticket = slot.and_then(|slot| {
            let swallowed = slot.is_meant(first, cookie(fd, 0), IN);
            slot.close_gate(fd, Side::Read, 0, swallowed, false)
        });
        kernel::end_wait(&reported);
        ticket.unwrap_or(0)
    }

    /// The job is done at last.
    pub fn settle(ticket: u32) {
        let fd = FIRST + 2;
        if let Some(slot) = table::accepted(fd) {
            slot.complete(fd, ticket);
        }
    }
}
