//! What whoever polls waits with: an epoll instance, in which descriptors are that operations wait for, and an eventfd
//! that is rung when a helper has completed one.
//!
//! Both are in the application's descriptor table: the instance is what `laio_eventfd` gives out.

//! The application may close them, as `closefrom` does; their numbers are then those of its own files.

use libc::{c_int, c_uint};
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{eventfd, EventfdFlags, Timespec};
use rustix::fd::{AsRawFd, BorrowedFd, IntoRawFd};
use rustix::fs::fstat;
use rustix::io::Errno;
use std::mem::MaybeUninit;

use crate::gate::numbers::{self, OpenFile};
use crate::sys::descriptors;
use crate::sys::lock::{Lock, Order};

/// Stands for the eventfd in the data of an event; others have their descriptor's number there.
const RUNG: u64 = u64::MAX;

/// As many events are taken at once.
const EVENTS: usize = 64;

/// The instance and the eventfd in it.
#[derive(Debug)]
pub struct Watch(Lock<Ends>);

#[derive(Debug)]
struct Ends {
    instance: OpenFile,
    rung: OpenFile,
    /// Device and inode of the eventfd, which it shares with its like and with no file.
    kind: (u64, u64),
}

/// A number of ours, while nobody has closed it.
fn borrow<'a>(file: OpenFile) -> Option<BorrowedFd<'a>> {
    // SAFETY: it was ours, and no hook has seen it closed. Where it was closed otherwise, the calls below fail, or find
    // another kind of file.
    (numbers::open_file(file.fd) == Some(file)).then(|| unsafe { descriptors::borrow(file.fd) })
}

impl Ends {
    fn new() -> Result<Ends, Errno> {
        let instance = epoll::create(CreateFlags::CLOEXEC)?;
        let rung = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        // Edge-triggered: each ring is reported once, and nobody has to read it.
        let how = EventFlags::IN | EventFlags::ET;
        epoll::add(&instance, &rung, EventData::new_u64(RUNG), how)?;
        let status = fstat(&rung)?;
        let numbers = [instance.as_raw_fd(), rung.as_raw_fd()].map(numbers::open_file);
        let [Some(instance_file), Some(rung_file)] = numbers else {
            return Err(Errno::NOMEM);
        };
        // They stay open.
        let _ = (instance.into_raw_fd(), rung.into_raw_fd());
        Ok(Ends {
            instance: instance_file,
            rung: rung_file,
            kind: (status.st_dev, status.st_ino),
        })
    }

    /// The eventfd's number, where it is still that of one: what was closed unseen may be a file by now.
    fn rung(&self) -> Option<BorrowedFd<'_>> {
        let is_one = |rung: &BorrowedFd<'_>| {
            fstat(rung).is_ok_and(|status| (status.st_dev, status.st_ino) == self.kind)
        };
        borrow(self.rung).filter(is_one)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Ends { instance, rung, .. } = self.0.get_mut();
        for file in [instance, rung] {
            // SAFETY: made just now, and shown to nobody. By a raw call, past our own hook.
            unsafe { rustix::io::close(file.fd) };
        }
    }
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
        Ends::new().map(|ends| Watch(Lock::new(Order::Watch, ends)))
    }

    /// Whether nobody has closed either, as far as was seen.
    pub fn is_whole(&self) -> bool {
        let ends = self.0.lock();
        [ends.instance, ends.rung]
            .into_iter()
            .all(|file| borrow(file).is_some())
    }

    /// In the place of what was closed. Nothing is waited for.
    pub fn renew(&self) -> Result<(), Errno> {
        let new = Ends::new()?;
        let old = std::mem::replace(&mut *self.0.lock(), new);
        if let Some(rung) = old.rung() {
            // SAFETY: made by `new`, and used by nobody who does not look first. By a raw call, past our own hook.
            unsafe { rustix::io::close(rung.as_raw_fd()) };
        }
        Ok(())
    }

    /// The instance's number.
    pub fn number(&self) -> c_int {
        self.0.lock().instance.fd
    }

    /// Makes the instance readable, and wakes one who waits.
    pub fn ring(&self) {
        let ends = self.0.lock();
        if let Some(rung) = ends.rung() {
            let _ = rustix::io::write(rung, &1u64.to_ne_bytes());
        }
    }

    /// From now on tells of these sides of a descriptor, once; false where it has no readiness.
    pub fn tell_of(&self, fd: c_int, read: bool, write: bool) -> bool {
        let ends = self.0.lock();
        let Some(instance) = borrow(ends.instance) else {
            return false;
        };
        // SAFETY: the application keeps it open until its operation is complete; the kernel refuses others.
        let descriptor = unsafe { descriptors::borrow(fd) };
        let mut how = EventFlags::ONESHOT;
        how.set(EventFlags::IN, read);
        how.set(EventFlags::OUT, write);
        let data = EventData::new_u64(u64::from(fd as c_uint));
        // Mostly it was waited for before, and is still in.
        match epoll::modify(instance, descriptor, data, how) {
            Err(Errno::NOENT) => epoll::add(instance, descriptor, data, how).is_ok(),
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
        let instance = self.0.lock().instance;
        let instance = borrow(instance).ok_or(Errno::BADF)?;
        let (events, _) = epoll::wait(instance, room, timeout)?;
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
