//! The application of the model: a few threads, each with some steps.

mod acts;
mod loops;
mod program;
mod serving;

pub use acts::Act;
pub use loops::Loop;
pub use program::{run, steps};
pub use serving::*;

use crate::event_loop::epoll_wait::{self, Call, Slice};
use crate::event_loop::time::{Time, Timeout};
use crate::event_loop::{self, held_wait, LoopHandle};
use crate::gate::sets::PollSet;
use crate::gate::table;
use crate::hooks::{descriptor, registration};
use crate::sys::kernel::{self, Control, Socket};
use crate::sys::sync::trace;
use crate::sys::{errno, handler, mask, signals};
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
    /// While the next call is made, a signal handler takes the two steps after it.
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

/// The cookie of a registration: which descriptor, and by which call.
pub fn cookie(fd: i32, call: u32) -> u64 {
    u64::from(call) << 32 | u64::from(fd.unsigned_abs())
}

fn fd_of(data: u64) -> i32 {
    data as u32 as i32
}

/// The number of the first instance that a program makes.
const FIRST: c_int = 3;
