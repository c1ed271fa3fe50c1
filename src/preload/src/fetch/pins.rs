//! Files that helpers hold on to.

use super::file_system::Status;
use super::resolver::File;
use crate::sys::clock;
use crate::sys::lock::{Lock, Order};
use rustix::fs::Dev;
use std::collections::VecDeque;
use std::mem::take;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;
use std::time::Duration;

/// How long a file is held at the least. As often a helper looks for those that have been held longer, so none is held
/// for more than twice as long: a second.
pub const HELD: Duration = Duration::from_millis(500);

/// Files held on to for a while, so that what a job brought in stays until the handler has used it: whoever
/// holds a file keeps its name and its inode in memory. Not for longer than that: the space of a file that was
/// deleted stays taken meanwhile, and its file system cannot be unmounted.
#[derive(Debug)]
pub struct Pins {
    /// The oldest first.
    files: Lock<VecDeque<Pin>>,
    most: AtomicUsize,
    /// Files that are open for reading, where to open one anew drops what is in memory of it: the parts of a body are read
    /// by one open file.
    open: Lock<Vec<Open>>,
}

/// A file that is held.
#[derive(Debug)]
struct Pin {
    /// The millisecond at which it came.
    since: u64,
    #[allow(dead_code)] // It is held, and closed when this is dropped.
    file: File,
    /// To close it may be to ask its server.
    asks: bool,
}

/// Most files that are shared.
const MOST_OPEN: usize = 64;

/// A file that is held open, for as long as parts of it are asked for, and some time.
#[derive(Debug)]
struct Open {
    device: Dev,
    inode: u64,
    /// The millisecond at which it was last used.
    used: u64,
    file: Arc<File>,
}

/// Whether what was used at this millisecond has been held for long enough.
fn is_over(used: u64, now: u64) -> bool {
    used.saturating_add(HELD.as_millis() as u64) <= now
}

impl Default for Pins {
    fn default() -> Pins {
        Pins {
            files: Lock::new(Order::Pins, VecDeque::new()),
            most: AtomicUsize::new(0),
            open: Lock::new(Order::Pins, Vec::new()),
        }
    }
}

impl Pins {
    /// From now on so many, and half of what the process may have open: its `limit` binds the helpers' table too, and they
    /// need some for what they do.
    pub fn set_most(&self, most: usize, limit: u32) {
        self.most.store(most.min(limit as usize / 2), Relaxed);
    }

    /// Holds on to a name until so many newer ones have come, or for [`HELD`].
    pub fn keep(&self, named: File) {
        self.push(named, false);
    }

    /// The same of an open file, of which the last descriptor asks a server when it is closed: that should not be the
    /// application's.
    pub fn keep_open(&self, file: File) {
        self.push(file, true);
    }

    fn push(&self, file: File, asks: bool) {
        let mut pins = self.files.lock();
        pins.push_back(Pin {
            since: clock::milliseconds(),
            file,
            asks,
        });
        let oldest = if pins.len() > self.most.load(Relaxed) {
            pins.pop_front()
        } else {
            None
        };
        drop(pins);
        drop(oldest);
    }

    /// The open file that is held for this one.
    pub fn open(&self, status: &Status) -> Option<Arc<File>> {
        let mut open = self.open.lock();
        let is_it = |o: &&mut Open| (o.device, o.inode) == (status.device, status.inode);
        let found = open.iter_mut().find(is_it)?;
        found.used = clock::milliseconds();
        Some(Arc::clone(&found.file))
    }

    /// Holds a file open for [`Pins::open`], if there are not too many.
    pub fn share(&self, status: &Status, file: File) -> Arc<File> {
        let file = Arc::new(file);
        let mut open = self.open.lock();
        if open.len() < MOST_OPEN {
            open.push(Open {
                device: status.device,
                inode: status.inode,
                used: clock::milliseconds(),
                file: Arc::clone(&file),
            });
        }
        file
    }

    /// Whether any file is held.
    pub fn is_any(&self) -> bool {
        !self.files.lock().is_empty() || !self.open.lock().is_empty()
    }

    /// Whether [`Pins::expire`] may wait: to close an open file may be to ask its server.
    pub fn may_wait(&self) -> bool {
        let now = clock::milliseconds();
        let files = self.files.lock();
        let mut expired = files.iter().take_while(|pin| is_over(pin.since, now));
        let asks = expired.any(|pin| pin.asks);
        drop(files);
        asks || self.open.lock().iter().any(|open| is_over(open.used, now))
    }

    /// Closes those that have been held for [`HELD`]. On a helper only: the numbers are of the helpers'
    /// descriptor table.
    pub fn expire(&self) {
        self.expire_at(clock::milliseconds());
    }

    fn expire_at(&self, now: u64) {
        let mut pins = self.files.lock();
        let expired = pins.partition_point(|pin| is_over(pin.since, now));
        let left = pins.split_off(expired);
        let expired = std::mem::replace(&mut *pins, left);
        drop(pins);
        let mut open = self.open.lock();
        let all = take(&mut *open).into_iter();
        let (closed, left) = all.partition(|open| is_over(open.used, now));
        *open = left;
        drop(open);
        // Closing the last of a deleted file waits for the disk: not under the locks.
        drop::<(_, Vec<Open>)>((expired, closed));
    }

    /// Closes all of them. On a helper only.
    pub fn release(&self) {
        let pins = take(&mut *self.files.lock());
        let open = take(&mut *self.open.lock());
        drop((pins, open));
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        // Whoever drops the pool last may not be a helper. Their table closes what is left with them.
        let files = take(self.files.get_mut()).into_iter();
        files.for_each(std::mem::forget);
        let open = take(self.open.get_mut()).into_iter();
        open.for_each(std::mem::forget);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rustix::fs::{open, Mode, OFlags};

    fn null() -> File {
        let null = open("/dev/null", OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        null.unwrap().into()
    }

    /// Without it, helpers of a server that may have 1,024 files open had all of them in hand after as many
    /// cold requests, and could open no more.
    #[test]
    fn pins_leave_room_for_work() {
        let pins = Pins::default();
        pins.set_most(1000, 64);
        (0..40).for_each(|_| pins.keep(null()));
        assert_eq!(pins.files.lock().len(), 32);
        pins.release();
        pins.set_most(1000, 1 << 20);
        assert_eq!(pins.most.load(Relaxed), 1000);
    }

    /// Without it, the space of deleted files stayed taken for as long as a loop was busy.
    #[test]
    fn pins_expire_by_time() {
        let pins = Pins::default();
        pins.set_most(1000, 64);
        let held = HELD.as_millis() as u64;
        for at in [1000, 1001, 1400] {
            let (since, file, asks) = (at, null(), at == 1001);
            pins.files.lock().push_back(Pin { since, file, asks });
        }
        pins.expire_at(1000 + held - 1);
        assert_eq!(pins.files.lock().len(), 3);
        pins.expire_at(1001 + held);
        assert_eq!(pins.files.lock().len(), 1);
        pins.expire_at(1400 + held);
        assert!(!pins.is_any());
    }

    /// Without it, each part of a body on FUSE dropped the parts that were brought in before, and a file that is held open
    /// would stay so.
    #[test]
    fn a_file_is_held_open_while_it_is_used() {
        let pins = Pins::default();
        let status = |inode| Status {
            device: 1,
            inode,
            mode: 0,
            size: 0,
        };
        assert!(pins.open(&status(1)).is_none());
        let file = pins.share(&status(1), null());
        let again = pins.open(&status(1)).unwrap();
        assert!(Arc::ptr_eq(&file, &again) && pins.open(&status(2)).is_none());
        let used = pins.open.lock().first().unwrap().used;
        pins.expire_at(used);
        assert!(pins.is_any());
        pins.expire_at(used + HELD.as_millis() as u64);
        assert!(!pins.is_any() && pins.open(&status(1)).is_none());
    }
}
