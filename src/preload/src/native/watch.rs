//! What whoever polls waits with: an epoll instance, in which descriptors are that operations wait for, and an eventfd
//! that is rung when a helper has completed one.
//!
//! Both are in the application's descriptor table: the instance is what `laio_eventfd` gives out.

use libc::{c_int, c_uint};
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{eventfd, EventfdFlags, Timespec};
use rustix::fd::{AsFd, AsRawFd};
use rustix::io::Errno;
use std::mem::MaybeUninit;

use crate::engine::beneath::File;
use crate::guest::descriptors;

/// Stands for the eventfd in the data of an event; others have their descriptor's number there.
const RUNG: u64 = u64::MAX;

/// As many events are taken at once.
const EVENTS: usize = 64;

/// The instance and the eventfd in it.
#[derive(Debug)]
pub struct Watch {
    instance: File,
    rung: File,
}

/// What has become ready.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// The descriptor.
    pub fd: c_int,
    /// It can be read, or has ended.
    pub read: bool,
    /// It can be written, or has ended.
    pub write: bool,
}

impl Watch {
    /// Nothing is waited for.
    pub fn new() -> Result<Watch, Errno> {
        let instance = File::from(epoll::create(CreateFlags::CLOEXEC)?);
        let rung = File::from(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        // Edge-triggered: each ring is reported once, and nobody has to read it.
        let how = EventFlags::IN | EventFlags::ET;
        epoll::add(&instance, &rung, EventData::new_u64(RUNG), how)?;
        Ok(Watch { instance, rung })
    }

    /// The instance's number.
    pub fn number(&self) -> c_int {
        self.instance.as_fd().as_raw_fd()
    }

    /// Makes the instance readable, and wakes one who waits.
    pub fn ring(&self) {
        let _ = rustix::io::write(&self.rung, &1u64.to_ne_bytes());
    }

    /// From now on tells of these sides of a descriptor, once; false where it has no readiness.
    pub fn tell_of(&self, fd: c_int, read: bool, write: bool) -> bool {
        // SAFETY: the application keeps it open until its operation is complete; the kernel refuses others.
        let descriptor = unsafe { descriptors::borrow(fd) };
        let mut how = EventFlags::ONESHOT;
        how.set(EventFlags::IN, read);
        how.set(EventFlags::OUT, write);
        let data = EventData::new_u64(u64::from(fd as c_uint));
        // Mostly it was waited for before, and is still in.
        match epoll::modify(&self.instance, descriptor, data, how) {
            Err(Errno::NOENT) => epoll::add(&self.instance, descriptor, data, how).is_ok(),
            modified => modified.is_ok(),
        }
    }

    /// Waits until something is ready or was rung, and hands over up to `most` descriptors.
    pub fn wait(
        &self,
        most: usize,
        timeout: Option<&Timespec>,
        mut take: impl FnMut(Ready),
    ) -> Result<(), Errno> {
        let mut room = [const { MaybeUninit::<Event>::uninit() }; EVENTS];
        let room = room.get_mut(..most.clamp(1, EVENTS)).unwrap_or_default();
        let (events, _) = epoll::wait(&self.instance, room, timeout)?;
        for event in events {
            let data = event.data.u64();
            if data == RUNG {
                continue;
            }
            let flags = event.flags;
            let ended = flags.intersects(EventFlags::HUP | EventFlags::ERR);
            take(Ready {
                fd: data as c_int,
                read: ended || flags.contains(EventFlags::IN),
                write: ended || flags.contains(EventFlags::OUT),
            });
        }
        Ok(())
    }
}
