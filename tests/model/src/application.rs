//! The application of the model: a few threads, each with some steps.

use crate::event_loop::epoll_wait::{self, Call, Slice};
use crate::event_loop::time::{Time, Timeout};
use crate::event_loop::{self, held_wait, LoopHandle};
use crate::gate::sets::PollSet;
use crate::gate::table;
use crate::hooks::{descriptor, registration};
use crate::sys::kernel::{self, Control, Socket};
use crate::sys::sync::trace;
use crate::sys::{errno, handler, mask};
use laio_core::gate::{Side, ADD, DEL, EDGE, EXCLUSIVE, HUP, IN, MOD, ONESHOT, OUT, RDHUP};
use libc::{c_int, epoll_event, nfds_t, pollfd, timespec};
use shuttle::rand::{thread_rng, Rng};
use std::cell::Cell;
use std::time::Duration;

/// One thing that a thread does. Connections and instances are chosen among those that are there.
#[derive(Clone, Copy, Debug, Hash)]
pub enum Step {
    /// `epoll_ctl` with this operation and these events, of the instance and the connection that are so many.
    Control(i32, u32, usize, usize),
    Close(usize),
    Dup(usize),
    Dup2(usize, usize),
    Accept(Peer),
    Peer(usize, Peer),
    DupInstance(usize),
    /// The loop waits, so long at the most, and reads, writes or arms again what it is told of.
    Wait(Time4, usize),
    /// The loop sends a body of which more is cold.
    Send(usize),
    Read(usize),
    /// While the next call is made, a signal handler takes the step after it.
    Interrupt,
}

/// How long a wait lasts.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub enum Time4 {
    Never,
    Short,
    Zero,
}

/// What a peer does to its socket.
#[derive(Clone, Copy, Debug, Hash)]
pub enum Peer {
    /// Sends a request for cold files, or warm ones.
    Sends {
        cold: bool,
    },
    Ends,
    Resets,
    /// Takes, or takes no more; the next part of its body is cold or not.
    Takes {
        full: bool,
        cold: bool,
    },
}

impl Peer {
    fn act(self, socket: &mut Socket) {
        match self {
            Peer::Sends { cold } => {
                socket.bytes += 2;
                socket.cold = cold;
            }
            Peer::Ends => socket.ended = true,
            Peer::Resets => socket.reset = true,
            Peer::Takes { full, cold } => {
                socket.full = full;
                socket.cold_body = cold;
            }
        }
    }
}

fn nth(numbers: &[i32], which: usize) -> Option<i32> {
    numbers.get(which.checked_rem(numbers.len())?).copied()
}

fn connection(which: usize) -> Option<i32> {
    nth(&kernel::numbers(true), which)
}

fn instance(which: usize) -> Option<i32> {
    nth(&kernel::numbers(false), which)
}

/// `epoll_ctl`, by its hook.
pub fn control(instance: i32, operation: i32, fd: i32, events: u32, data: u64) -> i32 {
    let mut event = epoll_event { events, u64: data };
    let call = Control {
        instance,
        operation,
        fd,
        events,
        data,
    };
    kernel::application_control(call, |real| {
        registration::registered(real, instance, operation, fd, &raw mut event)
    })
}

pub fn accept(peer: Peer) -> i32 {
    kernel::making_a_number(|made| {
        descriptor::accepted(|| {
            let mut socket = Socket::default();
            peer.act(&mut socket);
            made(kernel::accept(socket))
        })
    })
}

fn duplicate(fd: i32) -> i32 {
    kernel::making_a_number(|made| descriptor::duplicated(|| made(kernel::dup(fd)), fd))
}

pub fn close(fd: i32) -> i32 {
    descriptor::closed(|| kernel::application_close(fd), fd)
}

/// What a thread that is an event loop knows.
pub struct Loop {
    here: LoopHandle,
    /// It waits in `poll`, not in `epoll_wait`.
    polls: bool,
}

impl Loop {
    pub fn begin(number: usize, polls: bool) -> Loop {
        let here = event_loop::begin(number);
        Loop { here, polls }
    }

    pub fn end(self) {
        event_loop::end();
    }

    /// Waits, and reads what it is told of.
    pub fn wait(&self, time: Time4, which: usize) {
        for (fd, events) in self.told(time, which) {
            if events & (IN | RDHUP) != 0 {
                self.read(fd);
            }
        }
    }

    fn told(&self, time: Time4, which: usize) -> Vec<(i32, u32)> {
        match self.polls {
            true => self.poll(time),
            false => match instance(which) {
                Some(instance) => self.epoll(instance, time),
                None => Vec::new(),
            },
        }
    }

    fn epoll(&self, instance: i32, time: Time4) -> Vec<(i32, u32)> {
        const MOST: usize = 4;
        /// A wait in which so much is swallowed turns in a circle.
        const CIRCLE: usize = 60;
        let mut events = [epoll_event { events: 0, u64: 0 }; MOST];
        let first = events.as_mut_ptr();
        let call = Call {
            instance,
            events: first,
            most: MOST as c_int,
        };
        let (asked, timeout) = time.asked();
        let reported = std::cell::RefCell::new(Vec::new());
        let waits = Cell::new(0);
        let wait = |offset: usize, most: c_int, time: Duration| {
            let Ok(found) = kernel::epoll_wait(instance, most.unsigned_abs() as usize, time) else {
                return -1;
            };
            waits.set(waits.get() + usize::from(!found.is_empty()));
            assert!(waits.get() < CIRCLE, "the wait spins: {found:x?}");
            for (number, one) in found.iter().enumerate() {
                let (events, u64) = (one.events, one.data);
                // SAFETY: within the array: the library passes where there is room for so many.
                unsafe {
                    first
                        .add(offset + number)
                        .write(epoll_event { events, u64 })
                };
            }
            reported.borrow_mut().extend(found.iter().cloned());
            found.len() as c_int
        };
        let real = || wait(0, MOST as c_int, asked);
        let again = |offset, most, slice| {
            let time = match slice {
                Slice::Whole => asked,
                Slice::Part(time) => time.unwrap_or(Duration::MAX),
            };
            wait(offset, most, time)
        };
        let count = epoll_wait::wait(self.here, call, || timeout, real, again);
        let told = events.iter().take(count.max(0).unsigned_abs() as usize);
        let told = told.map(|event| {
            let (events, data) = (event.events, event.u64);
            kernel::deliver(&mut reported.borrow_mut(), events, data);
            (fd_of(data), events)
        });
        let told = told.collect();
        kernel::end_wait(&reported.borrow());
        told
    }

    fn poll(&self, time: Time4) -> Vec<(i32, u32)> {
        let wanted = (IN | RDHUP) as i16;
        let entry = |fd| pollfd {
            fd,
            events: wanted,
            revents: 0,
        };
        let mut set: Vec<pollfd> = kernel::numbers(true).into_iter().map(entry).collect();
        let (asked, timeout) = time.asked();
        let real = |set: *mut pollfd, count: nfds_t, time: Duration| {
            // SAFETY: the set is the application's or the library's copy of it, of so many entries.
            let set = unsafe { std::slice::from_raw_parts_mut(set, count as usize) };
            let pairs: Vec<_> = set.iter().map(|e| (e.fd, e.events as u32)).collect();
            let ready = kernel::poll(&pairs, time);
            for (entry, ready) in set.iter_mut().zip(&ready) {
                entry.revents = *ready as i16;
            }
            ready.iter().filter(|ready| **ready != 0).count() as c_int
        };
        let here = self.here;
        here.with(|state| state.begins_to_wait_in_sets(true));
        let Some(time) = Time::begin(timeout) else {
            return Vec::new();
        };
        let (first, count) = (set.as_mut_ptr(), set.len() as nfds_t);
        let held = |begun| {
            let copied = |set, count, time: *const timespec| {
                // SAFETY: the library passes a time of its own.
                let time = unsafe { &*time };
                let time = Duration::new(time.tv_sec as u64, time.tv_nsec as u32);
                real(set, count, time)
            };
            let set = PollSet::new(first, count, copied)?;
            held_wait::wait(here, set, false, begun, time)
        };
        // As `hooks::polling` does.
        here.with(|state| state.waits_for(time.asked));
        let holds = here.with(|state| state.holds_back()) == Some(true);
        if holds && held(false).is_some() {
            here.with(|state| state.is_told(true));
        } else if real(first, count, asked) > 0 {
            let told = here.with(|state| {
                state.begin_iteration();
                let admit = |fd, events| state.admit_member(fd, events);
                // SAFETY: the kernel has just written the results.
                unsafe { crate::gate::sets::admit_in_place(first, count, admit) }
            });
            if told == Some(0) && held(true).is_none() {
                real(first, count, asked);
            }
            here.with(|state| state.is_told(true));
        } else {
            here.with(|state| {
                state.begin_iteration();
                state.is_told(false);
            });
        }
        let told = set.iter().filter(|entry| entry.revents != 0);
        told.map(|entry| (entry.fd, u32::from(entry.revents as u16)))
            .collect()
    }

    /// Reads a connection; tells how much.
    pub fn read(&self, fd: i32) -> u32 {
        let Some(slot) = table::accepted(fd) else {
            return kernel::read(fd, u32::MAX).unwrap_or(0);
        };
        let most = self.here.with(|state| state.before_read(fd, slot));
        let Some(most) = most.flatten() else {
            return 0;
        };
        let count = kernel::read(fd, most).unwrap_or(0);
        self.here
            .with(|state| state.has_read(fd, slot, most, count));
        count
    }

    pub fn send(&self, fd: i32) {
        if let Some(slot) = table::accepted(fd) {
            self.here.with(|state| state.sends(fd, slot));
        }
    }
}

impl Time4 {
    fn asked(self) -> (Duration, Timeout) {
        let time = match self {
            Time4::Never => return (Duration::MAX, Timeout::Never),
            Time4::Short => Duration::from_millis(100),
            Time4::Zero => Duration::ZERO,
        };
        (time, Timeout::After(time))
    }
}

/// The cookie of a registration: which descriptor, and by which call.
pub fn cookie(fd: i32, call: u32) -> u64 {
    u64::from(call) << 32 | u64::from(fd.unsigned_abs())
}

fn fd_of(data: u64) -> i32 {
    data as u32 as i32
}

/// A thread's steps.
pub fn run(steps: &[Step], of_loop: Option<&Loop>) {
    let mut steps = steps.iter();
    while let Some(step) = steps.next() {
        match step {
            Step::Interrupt => {
                if let (Some(outer), Some(inner)) = (steps.next(), steps.next()) {
                    interrupted(outer, inner);
                }
            }
            step => take(step, of_loop),
        }
    }
}

/// A signal handler comes in the middle of a call, before or after the kernel has been asked: where it has the lock of a
/// connection. Where signals are kept off, it comes when the call is over.
fn interrupted(outer: &Step, inner: &Step) {
    let Step::Control(operation, events, which, fd) = outer else {
        return take(outer, None);
    };
    let (Some(instance), Some(fd)) = (instance(*which), connection(*fd)) else {
        return;
    };
    let before = thread_rng().gen();
    let has_come = Cell::new(false);
    let comes = |now: bool| {
        if now && !has_come.get() && !mask::is_shielded() {
            has_come.set(true);
            kernel::aside(|| take(inner, None));
        }
    };
    let data = cookie(fd, 1);
    let mut event = epoll_event {
        events: *events,
        u64: data,
    };
    let call = Control {
        instance,
        operation: *operation,
        fd,
        events: *events,
        data,
    };
    kernel::application_control(call, |real| {
        let real = || {
            comes(before);
            let result = real();
            comes(true);
            result
        };
        registration::registered(real, instance, *operation, fd, &raw mut event)
    });
    comes(true);
}

fn take(step: &Step, of_loop: Option<&Loop>) {
    trace(step, true);
    match *step {
        Step::Control(operation, events, which, fd) => {
            if let (Some(instance), Some(fd)) = (instance(which), connection(fd)) {
                control(instance, operation, fd, events, cookie(fd, events & 7));
            }
        }
        Step::Close(fd) => {
            if let Some(fd) = connection(fd).filter(|fd| kernel::claim(*fd)) {
                close(fd);
            }
        }
        Step::Dup(fd) => {
            if let Some(fd) = connection(fd) {
                duplicate(fd);
            }
        }
        Step::Dup2(fd, onto) => {
            if let (Some(fd), Some(onto)) = (connection(fd), connection(onto)) {
                if fd == onto || kernel::claim(onto) {
                    descriptor::replaced(|| kernel::dup2(fd, onto), fd, onto);
                }
            }
        }
        Step::Accept(peer) => {
            accept(peer);
        }
        Step::Peer(fd, peer) => {
            if let Some(fd) = connection(fd) {
                kernel::of_peer(fd, |socket| peer.act(socket));
            }
        }
        Step::DupInstance(which) => {
            if let Some(fd) = instance(which) {
                duplicate(fd);
            }
        }
        Step::Wait(time, which) => {
            if let Some(state) = of_loop {
                state.wait(time, which);
            }
        }
        Step::Send(fd) => {
            if let (Some(state), Some(fd)) = (of_loop, connection(fd)) {
                state.send(fd);
            }
        }
        Step::Read(fd) => {
            if let (Some(state), Some(fd)) = (of_loop, connection(fd)) {
                state.read(fd);
            }
        }
        Step::Interrupt => {}
    }
}

/// Some steps, at random.
pub fn steps(count: usize, waits: bool, signals: bool) -> Vec<Step> {
    let mut random = thread_rng();
    let mut steps = Vec::new();
    while steps.len() < count {
        let step = if waits && random.gen_bool(0.6) {
            loop_step(&mut random)
        } else {
            any_step(&mut random)
        };
        if signals && random.gen_bool(0.2) {
            let (outer, inner) = (control_step(&mut random), any_step(&mut random));
            steps.extend([Step::Interrupt, outer, inner]);
        } else {
            steps.push(step);
        }
    }
    steps
}

fn loop_step(random: &mut impl Rng) -> Step {
    match random.gen_range(0..10) {
        0 => Step::Send(random.gen_range(0..4)),
        1 => Step::Read(random.gen_range(0..4)),
        2..=4 => Step::Wait(Time4::Short, random.gen_range(0..3)),
        _ => Step::Wait(Time4::Zero, random.gen_range(0..3)),
    }
}

fn control_step(random: &mut impl Rng) -> Step {
    let flags = [0, 0, EDGE, ONESHOT, EDGE | ONESHOT, EXCLUSIVE];
    let interests = [IN, IN, IN | OUT, OUT, 0];
    let operation = [ADD, MOD, MOD, DEL][random.gen_range(0..4)];
    let mut events = flags[random.gen_range(0..6)] | interests[random.gen_range(0..5)];
    if events & EXCLUSIVE == 0 && random.gen_bool(0.3) {
        events |= RDHUP;
    }
    let instance = if random.gen_bool(0.7) {
        0
    } else {
        random.gen_range(0..3)
    };
    Step::Control(operation, events, instance, random.gen_range(0..4))
}

fn peer(random: &mut impl Rng) -> Peer {
    match random.gen_range(0..10) {
        0..=4 => Peer::Sends { cold: true },
        5 => Peer::Sends { cold: false },
        6 => Peer::Ends,
        7 => Peer::Resets,
        _ => Peer::Takes {
            full: random.gen(),
            cold: random.gen(),
        },
    }
}

fn any_step(random: &mut impl Rng) -> Step {
    let fd = random.gen_range(0..4);
    match random.gen_range(0..20) {
        0..=7 => control_step(random),
        8 | 9 => Step::Close(fd),
        10 => Step::Dup(fd),
        11 => Step::Dup2(fd, random.gen_range(0..4)),
        12..=14 => Step::Accept(peer(random)),
        15..=17 => Step::Peer(fd, peer(random)),
        _ => Step::DupInstance(random.gen_range(0..3)),
    }
}

/// Two instances, and two connections in the first.
pub fn prepare() {
    let (first, _) = (kernel::create(), kernel::create());
    for _ in 0..2 {
        let fd = accept(Peer::Sends { cold: true });
        control(first, ADD, fd, IN | RDHUP, cookie(fd, 0));
    }
}

/// A loop that waits until it has read so many bytes, however long that takes, while others do what harms nobody: to wait for
/// ever is a fault, which the checker finds.
pub fn serve(flags: u32, polls: bool, bytes: u32) {
    let of_loop = Loop::begin(0, polls);
    let mut read = 0;
    while read < bytes {
        for (fd, events) in of_loop.told(Time4::Never, 0) {
            if events & IN != 0 {
                read += of_loop.read(fd);
            }
            if flags & ONESHOT != 0 {
                control(FIRST, MOD, fd, IN | flags, cookie(fd, 1));
            }
        }
    }
    of_loop.end();
}

/// A loop that waits so often, for short times.
pub fn wait_often(polls: bool, times: usize) {
    let of_loop = Loop::begin(0, polls);
    (0..times).for_each(|_| of_loop.wait(Time4::Short, 0));
    of_loop.end();
}

/// Two instances, and a connection that has room, of which the first one reports once.
pub fn prepare_to_send() {
    let (first, _) = (kernel::create(), kernel::create());
    let peer = Peer::Takes {
        full: false,
        cold: false,
    };
    let fd = accept(peer);
    control(first, ADD, fd, OUT | ONESHOT, cookie(fd, 0));
}

/// A second loop sends on that connection.
pub fn send() {
    let of_loop = Loop::begin(1, false);
    of_loop.wait(Time4::Zero, 1);
    of_loop.send(FIRST + 2);
    of_loop.wait(Time4::Zero, 1);
    of_loop.end();
}

/// Its client may have gone. It is registered in the second instance, or the first one is known by another number from now on.
pub fn register_elsewhere(how: usize) {
    let (second, fd) = (FIRST + 1, FIRST + 2);
    if how >= 4 {
        kernel::of_peer(fd, |socket| Peer::Resets.act(socket));
    }
    if how % 4 == 3 {
        duplicate(FIRST);
        close(FIRST);
        return;
    }
    control(second, ADD, fd, IN, cookie(fd, 1));
    match how % 4 {
        1 => control(second, MOD, fd, IN | RDHUP, cookie(fd, 2)),
        2 => control(second, DEL, fd, 0, 0),
        _ => 0,
    };
}

/// Closes a connection, and accepts another one, which gets its number and a request for cold files.
pub fn accept_again() {
    close(FIRST + 1);
    let fd = accept(Peer::Sends { cold: true });
    control(FIRST, ADD, fd, IN, cookie(fd, 1));
}

/// The number of the first instance that a program makes.
const FIRST: c_int = 3;

/// What another thread does to a connection without any effect on what its loop is owed.
pub fn meddle(flags: u32, how: usize) {
    let (second, fd) = (kernel::create(), FIRST + 1);
    match how {
        0 => {
            control(FIRST, MOD, fd, IN | flags, cookie(fd, 2));
        }
        1 => {
            let number = duplicate(fd);
            close(number);
        }
        2 => {
            control(second, ADD, fd, IN, cookie(fd, 3));
            control(second, DEL, fd, 0, 0);
        }
        3 => {
            control(FIRST, ADD, fd, IN, cookie(fd, 4));
            control(second, DEL, fd, 0, 0);
        }
        _ => {
            let number = duplicate(FIRST);
            control(number, MOD, fd, IN | flags, cookie(fd, 5));
            close(number);
        }
    }
    close(second);
}

/// One instance, and two connections in it, each with a request for cold files. Each is two bytes.
pub fn prepare_to_serve(flags: u32) {
    let instance = kernel::create();
    for _ in 0..2 {
        let fd = accept(Peer::Sends { cold: true });
        control(instance, ADD, fd, IN | flags, cookie(fd, 0));
    }
}

/// A connection's peer sends another request.
pub fn ask_again() {
    kernel::of_peer(FIRST + 1, |socket| Peer::Sends { cold: true }.act(socket));
}

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
