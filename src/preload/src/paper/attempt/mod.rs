//! The first attempt: a system call without blocking the caller, by the best means that the kernel has for it.

#![allow(non_upper_case_globals)] // These are the kernel's names of system calls.

mod names;
mod outcome;
mod target;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
mod transfer;

pub use outcome::Attempt;
pub use transfer::partly_transferred;

use super::calls::{Call, Way};
use crate::gate::is_nonblocking;
use libc::*;
use names::{ask, look_up, open};
use outcome::*;
use transfer::{accept, message, send_file, transfer};

/// Tries a call. The caller has seen that it is not to be refused.
pub fn attempt(call: &Call, way: Way) -> Attempt {
    match way {
        Way::Transfer(side) => transfer(call, side),
        Way::AtOnce | Way::Refused => at_once(call),
        Way::Message(side, flags) => message(call, side, flags),
        Way::Accept => accept(call),
        Way::Open(path) => open(call, path),
        Way::LookUp(path) => look_up(call, path),
        Way::Ask | Way::Close => ask(call),
        Way::Sendfile => send_file(call),
        Way::Helper => left(call, QUICK),
        Way::Endless if !may_wait(call) => at_once(call),
        Way::Endless => left(call, ENDLESS),
        Way::Slow => left(call, SLOW),
        Way::Sleep => left(call, SLEEP),
    }
}

/// Whether a call that waits for somebody was not told to wait no time.
fn may_wait(call: &Call) -> bool {
    match call.number {
        #[cfg(target_arch = "x86_64")]
        SYS_poll => call.int(2) != 0,
        #[cfg(target_arch = "x86_64")]
        SYS_epoll_wait => call.int(3) != 0,
        SYS_epoll_pwait => call.int(3) != 0,
        SYS_flock => call.int(1) & LOCK_NB == 0,
        SYS_wait4 => call.int(2) & WNOHANG == 0,
        SYS_waitid => call.int(3) & WNOHANG == 0,
        SYS_connect => !is_nonblocking(call.int(0)),
        _ => true,
    }
}
