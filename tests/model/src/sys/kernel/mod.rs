//! A model of the kernel: descriptor numbers, sockets and epoll instances.
//!
//! Each epoll instance keeps two lists of registrations: the *real* one, which the library changes beneath the application,
//! and the one that the application has *asked* for. What it may find wrong with the first by the second is found here.

mod calls;
mod check;
mod control;
mod state;

use super::clock;
use super::local::{place, Local};
use super::sync::{point, trace, yield_now};
use arrayvec::ArrayVec;
pub use calls::*;
pub use check::*;
pub use control::*;
use laio_core::gate::{
    ADD, DEL, EDGE, ERR, EXCLUSIVE, HUP, IN, MOD, ONESHOT, OUT, RDHUP, RDNORM, WRNORM,
};
use rustix::io::Errno;
use shuttle::current::{self, TaskId};
use shuttle::thread::{self, Thread};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

/// The flags of a registration, which its report leaves.
const FLAGS: u32 = EDGE | ONESHOT | EXCLUSIVE;

/// What a peer has done to a socket.
#[derive(Clone, Debug, Default)]
pub struct Socket {
    pub bytes: u32,
    pub ended: bool,
    pub reset: bool,
    pub full: bool,
    /// The files of the request that is in it are not in memory.
    pub cold: bool,
    /// The next part of a body is not.
    pub cold_body: bool,
    /// How often its readiness has changed.
    edges: u64,
}

impl Socket {
    fn ready(&self) -> u32 {
        let on = |condition: bool, events: u32| if condition { events } else { 0 };
        on(self.bytes > 0 || self.ended || self.reset, IN | RDNORM)
            | on(self.ended, RDHUP)
            | on(!self.full || self.reset, OUT | WRNORM)
            | on(self.reset, ERR | HUP)
    }
}

#[derive(Clone, Debug)]
struct Registration {
    fd: i32,
    file: usize,
    events: u32,
    data: u64,
    /// A one-shot interest has reported.
    disarmed: bool,
    /// Events of an edge-triggered interest that are due, where they are ready.
    due: u32,
    /// Which call of the application's it is by, and by which number of the instance.
    generation: u64,
    instance: i32,
    /// Reports of what was asked for before, which the application has not been handed, and may be later.
    late: usize,
}

#[derive(Debug, Default)]
struct Epoll {
    /// It is the library's.
    ours: bool,
    real: Vec<Registration>,
    asked: Vec<Registration>,
}

#[derive(Debug)]
enum Kind {
    Socket(Socket),
    Epoll(Epoll),
}

#[derive(Debug)]
struct File {
    kind: Kind,
    numbers: usize,
}

/// A call of `epoll_ctl`.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub struct Control {
    pub instance: i32,
    pub operation: i32,
    pub fd: i32,
    pub events: u32,
    pub data: u64,
}

/// What a wait has reported.
#[derive(Clone, Debug)]
pub struct Reported {
    pub events: u32,
    pub data: u64,
    instance: i32,
    epoll: usize,
    fd: i32,
    file: usize,
    generation: u64,
    edges: u64,
}

/// A report to a wait of this thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct UnderWay {
    thread: TaskId,
    fd: i32,
    file: usize,
}

#[derive(Default)]
struct Kernel {
    numbers: Vec<Option<usize>>,
    files: Vec<File>,
    waiting: Vec<Thread>,
    /// Descriptors of calls of `epoll_ctl` that have not returned.
    calls: Vec<i32>,
    /// Numbers that one of the application's threads is about to close, or has not been told of.
    claimed: HashSet<i32>,
    generation: u64,
    /// What was reported to waits that have not ended.
    under_way: Vec<UnderWay>,
    /// Files that signal handlers have registered, or that were reported by another number of the instance: a one-shot
    /// interest of theirs may report once more.
    handled: HashSet<usize>,
}

thread_local! {
    static KERNEL: RefCell<Kernel> = RefCell::default();
}

/// The application's call that is being made by this thread, as long as the kernel has not been asked.
/// A signal handler runs.
static HANDLER: Local<Cell<bool>> = Local::at(place::HANDLER);

static CALL: Local<Cell<*mut Control>> = Local::at(place::CALL);

/// The first numbers are taken.
const FIRST: usize = 3;

pub fn begin() {
    KERNEL.with_borrow_mut(|kernel| {
        *kernel = Kernel::default();
        kernel.numbers.resize(FIRST, None);
    });
}

/// One system call.
fn step<R>(act: impl FnOnce(&mut Kernel) -> R) -> R {
    point();
    let (result, woken) = KERNEL.with_borrow_mut(|kernel| {
        let result = act(kernel);
        (result, std::mem::take(&mut kernel.waiting))
    });
    woken.iter().for_each(Thread::unpark);
    result
}

/// What is known without a call.
fn look<R>(act: impl FnOnce(&Kernel) -> R) -> R {
    KERNEL.with_borrow(act)
}

/// A wait for so long.
fn wait<R>(most: Duration, mut look: impl FnMut(&mut Kernel) -> Option<R>) -> Option<R> {
    const LONG: Duration = Duration::from_millis(900);
    let found = step(&mut look);
    if found.is_some() || most.is_zero() {
        return found;
    }
    if most < LONG {
        yield_now();
        clock::pass(most);
        return step(&mut look);
    }
    loop {
        KERNEL.with_borrow_mut(|kernel| kernel.waiting.push(thread::current()));
        let found = KERNEL.with_borrow_mut(&mut look);
        if found.is_some() {
            return found;
        }
        thread::park();
    }
}
