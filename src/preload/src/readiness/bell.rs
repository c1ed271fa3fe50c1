//! What wakes a loop that waits in `poll` or `select`: an epoll instance of our own in its set.
//!
//! It is in the application's descriptor table for the length of the kernel's wait only, under a
//! number above all others of the set, so that a single-threaded application never meets it. It rings
//! when the connection that may be read again is registered in it, since its request is still in
//! the socket. Should its number have been taken over by another thread, that `epoll_ctl` fails and
//! does no harm, where a write to an eventfd would have written into somebody's file.

use crate::event_loop::Here;
use crate::guest::lock::Lock;
use libc::c_int;
use rustix::event::epoll;
use rustix::fd::{AsRawFd, BorrowedFd, IntoRawFd};

/// Where the bell of an event loop hangs, while it does.
#[derive(Debug, Default)]
pub struct Place(Lock<Option<c_int>>);

impl Place {
    /// Rings, if the loop waits: the connection `fd` may be read again.
    pub fn ring(&self, fd: c_int) {
        let place = self.0.lock();
        let Some(bell) = *place else { return };
        // SAFETY: both are used for this one call, under the lock; the kernel refuses a number that
        // is no epoll instance, or names nothing any more.
        let (bell, socket) = unsafe { (BorrowedFd::borrow_raw(bell), BorrowedFd::borrow_raw(fd)) };
        let data = epoll::EventData::new_u64(0);
        let _ = epoll::add(bell, socket, data, epoll::EventFlags::IN);
    }
}

/// Hangs a bell under a number above `highest`; nothing where no descriptor is to be had.
pub fn hang(here: Here, highest: c_int) -> Option<c_int> {
    let mut bell = epoll::create(epoll::CreateFlags::CLOEXEC).ok()?;
    if bell.as_raw_fd() <= highest {
        let above = rustix::io::fcntl_dupfd_cloexec(&bell, highest + 1);
        close(bell.into_raw_fd());
        bell = above.ok()?;
    }
    let bell = bell.into_raw_fd();
    here.with(|state| *state.bell().0.lock() = Some(bell));
    Some(bell)
}

/// Takes it down again: nobody rings it any more.
pub fn take_down(here: Here, bell: c_int) {
    here.with(|state| *state.bell().0.lock() = None);
    close(bell);
}

/// By a raw system call, past our own hook.
fn close(bell: c_int) {
    // SAFETY: made by `hang`, which gave it to nobody else.
    unsafe { rustix::io::close(bell) };
}
