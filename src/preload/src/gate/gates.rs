//! Closing and opening the gates of a connection.

use super::slot::{are_all_open, Slot, PART, PASS, WAIT};
use super::waker;
use crate::sys::process::is_same_process;
use crate::sys::sync::atomic::Ordering::*;
use crate::sys::sync::yield_now;
use crate::sys::{handler, kernel};
use laio_core::gate::{Descriptor, Reported, Side, DEL};

impl Slot {
    /// The number is about to be closed: settles what its connection is owed. False where it lives on, in a process that
    /// shares this one's memory.
    pub fn close(&self, fd: i32) -> bool {
        let section = handler::enter();
        let Some(mut state) = self.lock(fd, &section) else {
            let is_ours = is_same_process();
            if is_ours {
                self.unseen.closed();
            }
            return is_ours;
        };
        if state.is_closed() {
            // A `vfork` child closes its own copy: the connection lives on in its parent.
            if !is_same_process() {
                return false;
            }
            if state.holds(Side::Read) && self.is_alone() {
                discard(fd);
            }
            // The description may have another number (`dup`), under which the registration lives on.
            let owed = state.abandon();
            self.carry_out(fd, &mut state, owed);
        }
        state.reset();
        true
    }

    /// A signal handler has jumped out of the library on this thread, which may have had it locked. Tells whether it had: then
    /// what it is owed is given back, and it is nobody's.
    pub fn recover(&self, fd: i32) -> bool {
        // It may have been left in the middle of a change, or the allocator.
        self.stream
            .take_over(|stream| std::mem::forget(std::mem::take(stream)));
        let mut had = false;
        self.state.take_over(|state| {
            self.abandon_locked(fd, state);
            state.reset();
            had = true;
        });
        had
    }

    /// Opens its gates for good, though another thread may hold its lock.
    pub fn open_gates(&self, fd: i32) {
        /// A thread that holds a lock lets it go after some calls; a signal handler may have interrupted it.
        const TIMES: usize = 10_000;
        let lock = || {
            let state = self.state.try_lock();
            if state.is_none() {
                yield_now();
            }
            state
        };
        if let Some(mut state) = std::iter::repeat_with(lock).take(TIMES).flatten().next() {
            if state.is_closed() {
                self.abandon_locked(fd, &mut state);
            }
        }
    }

    /// Closes a gate and holds readiness back, in the name of the event loop `keeper`: returns the
    /// job's ticket, or nothing where the readiness of this connection is not ours to hold back. `swallowed`
    /// is what the kernel has just reported of it, if nothing of that is handed to the application; `in_set` tells
    /// that the loop waits in `poll` or `select`.
    pub fn close_gate(
        &self,
        fd: i32,
        side: Side,
        keeper: usize,
        swallowed: Option<Reported>,
        in_set: bool,
    ) -> Option<u32> {
        let mut state = self.settled(fd);
        // The number may have been closed since it was found to be a connection's: nobody would open the gate.
        let is_there = self.is_accepted() && !self.is_shared();
        let is_known = (state.is_registered() || in_set) && is_there;
        if are_all_open() || !is_known || !self.is_stream(fd) {
            return None;
        }
        let (ticket, masked) = state.close_gate(side, swallowed)?;
        self.keeper.store(keeper, Relaxed);
        match side {
            Side::Read => self.next_read.store(WAIT, Release),
            Side::Write => self.write_waits.store(true, Release),
        }
        self.carry_out(fd, &mut state, masked);
        Some(ticket)
    }

    /// The gate that was closed with this ticket opens when so many jobs are done. None of them was submitted yet.
    pub fn awaits(&self, ticket: u32, jobs: u32) {
        self.state.lock().awaits(ticket, jobs);
    }

    /// The kernel has reported what is held back already, and nothing of it is handed to the application. False where nobody
    /// may report it again, for it is registered otherwise by now.
    pub fn swallowed(&self, fd: i32, reported: Reported) -> bool {
        let mut state = self.state.lock();
        let Some(masked) = state.swallowed(reported) else {
            return false;
        };
        self.carry_out(fd, &mut state, masked);
        true
    }

    /// An event of a registration for one event is handed to the application.
    pub fn delivered(&self, reported: Reported) {
        self.state.lock().delivered(reported);
    }

    /// Whether the read gate is still closed by this ticket.
    pub fn is_held_by(&self, ticket: u32) -> bool {
        self.state.lock().ticket(Side::Read) == Some(ticket)
    }

    /// Has the kernel report a held-back request, of which a part is handed out.
    pub fn hand_out_part(&self, fd: i32, ticket: u32) {
        let mut state = self.state.lock();
        if let Some(controls) = state.set_ajar(ticket) {
            self.next_read.store(PART, Release);
            self.carry_out(fd, &mut state, controls);
        }
    }

    /// The application has read that part.
    pub fn part_is_read(&self, fd: i32) {
        let mut state = self.state.lock();
        if self.next_read.load(Acquire) == PART {
            self.next_read.store(WAIT, Release);
            let masked = state.shut();
            self.carry_out(fd, &mut state, masked);
        }
    }

    /// A job with this ticket is done: after the last one reports readiness, if it is still waited for. Under the
    /// lock: a `close` in between would hand the number to somebody else.
    pub fn complete(&self, fd: i32, ticket: u32) {
        let mut state = self.settled(fd);
        let Some((side, owed)) = state.complete(ticket) else {
            return;
        };
        match side {
            Side::Read => self.next_read.store(PASS, Release),
            Side::Write => self.write_waits.store(false, Release),
        }
        self.carry_out(fd, &mut state, owed);
        waker::wake(self.keeper(), fd);
    }

    /// The number of an epoll instance goes: opens the gate if readiness is given back there.
    pub fn lose_instance(&self, fd: i32, instance: i32, section: &handler::Section) {
        let Some(mut state) = self.lock(fd, section) else {
            // As if it had been taken out of it.
            self.called_unseen(fd, instance, DEL);
            return;
        };
        let owed = state.lose_instance(instance);
        self.registered(fd, &state);
        self.carry_out(fd, &mut state, owed);
    }

    /// An epoll instance has another number: what is registered there for one event is not ours to hold back.
    pub fn share_instance(&self, fd: i32, instance: i32, section: &handler::Section) {
        // Where a handler cannot have the lock, the thread that it has interrupted finds the mark of the number.
        if let Some(mut state) = self.lock(fd, section) {
            self.leave_one_shot(fd, &mut state, instance);
        }
    }

    /// Leaves a registration for one event in this instance alone from now on.
    pub fn leave_one_shot(&self, fd: i32, state: &mut Descriptor, instance: i32) {
        if state.is_one_shot_in(instance) {
            let owed = state.share();
            self.settle(fd, state);
            self.carry_out(fd, state, owed);
        }
    }

    /// Opens all gates before their jobs are done.
    pub fn abandon(&self, fd: i32) {
        self.abandon_locked(fd, &mut self.settled(fd));
    }

    fn abandon_locked(&self, fd: i32, state: &mut Descriptor) {
        let owed = state.abandon();
        self.settle(fd, state);
        self.carry_out(fd, state, owed);
    }

    /// The same, and what is read next is not looked at: the server waits for the disk itself.
    pub fn let_through(&self, fd: i32) {
        let mut state = self.state.lock();
        self.abandon_locked(fd, &mut state);
        self.next_read.store(PASS, Release);
    }

    /// Whether all that the client sends after the last report is reported, and its end ([`Descriptor::reports_rest`]).
    pub fn reports_rest(&self, fd: i32, ended: bool) -> bool {
        self.settled(fd).reports_rest(ended)
    }

    /// Has the kernel report again what an edge has told of, and was not read: the application was handed less than there is.
    pub fn report_again(&self, fd: i32) {
        let mut state = self.settled(fd);
        let controls = state.report_again();
        self.carry_out(fd, &mut state, controls);
    }

    /// It has from now on: what is told by one number is not known by the other.
    pub fn share(&self, fd: i32) {
        self.shared.store(true, Relaxed);
        // A handler leaves the gate to the thread that holds the lock, or has closed it.
        if let Some(mut state) = self.lock(fd, &handler::enter()) {
            let owed = state.share();
            self.settle(fd, &state);
            self.carry_out(fd, &mut state, owed);
        }
    }
}

/// Reads what a client has sent, which the application closes without having been told of it: unread, it would have the
/// kernel reset the connection, and what was sent to the client before could be lost.
#[cold]
fn discard(fd: i32) {
    const TIMES: usize = 64;
    let mut bytes = [0; 1024];
    for _ in 0..TIMES {
        if !matches!(kernel::receive(fd, &mut bytes), Ok(1..)) {
            break;
        }
    }
}
