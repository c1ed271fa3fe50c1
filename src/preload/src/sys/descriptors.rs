//! The application's descriptors: its numbers in calls of ours, and room in its table, made before it is needed.
//!
//! The kernel enlarges a table, to twice its size, when a number does not fit into it. Where threads share
//! the table, whoever wanted that number waits for all processors meanwhile (`synchronize_rcu`): 2 to 12 ms
//! on a machine with two. The completion thread shares the table of a program that may have been
//! alone in it, so this wait would be ours.

use super::{errno, status};
use rustix::fd::BorrowedFd;
use rustix::process::{getrlimit, Resource};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering::Relaxed};

/// One of the application's numbers, for a call of ours. Rust knows no descriptor -1, and panics where it
/// is to borrow that; so a number that names nothing, ever, stands for all that are negative. The kernel's
/// answer is the same.
///
/// # Safety
/// The number is the application's to use, or ours, for as long as it is borrowed; it need not name anything.
#[inline]
#[allow(clippy::disallowed_methods)]
pub unsafe fn borrow<'a>(number: i32) -> BorrowedFd<'a> {
    let number = if number < 0 { i32::MAX } else { number };
    // SAFETY: not -1; the rest is the caller's promise.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// What is known of numbers is kept for so many at once.
pub const CHUNK: usize = 256;

/// Numbers up to a million; a connection with a higher one passes through.
pub const CHUNKS: usize = 4096;

/// How many numbers there is room for at the least, once there are threads of ours: 32 KiB of the
/// kernel's memory, and no server takes half of it while a table is enlarged.
const LEAST: u32 = 4096;

/// From this number on more room is wanted. None, as long as nobody shares the table because of us.
static ENOUGH: AtomicI32 = AtomicI32::new(i32::MAX);

/// The largest number beyond that which was seen.
static BEYOND: AtomicI32 = AtomicI32::new(0);

/// How many numbers the application's table would have room for without us; all, as long as nobody has asked.
static STOCK: AtomicU32 = AtomicU32::new(UNASKED);

/// Whether it has room for more because of us.
static IS_ENLARGED: AtomicBool = AtomicBool::new(false);

/// Also greater than any number.
const UNASKED: u32 = u32::MAX;

/// The kernel's smallest table.
const SMALLEST: i32 = 64;

/// How many of so many numbers there would be room for without us, as far as is known. Asked once, where it matters.
#[inline]
pub fn in_stock(count: i32) -> i32 {
    let stock = || match STOCK.load(Relaxed) {
        UNASKED => ask_for_stock(0),
        known => known,
    };
    match count > SMALLEST {
        true => count.min(i32::try_from(stock()).unwrap_or(i32::MAX)),
        false => count,
    }
}

/// How many of so many numbers `select` would look at without us, where those from `end` on are no members: it passes over
/// those beyond the table, and refuses those in it that name nothing.
#[inline]
pub fn within_stock(count: i32, end: i32) -> i32 {
    match end > in_stock(end) {
        true => cut_to_stock(count),
        false => count,
    }
}

/// Without `/proc`, what fits the number that is known of.
#[cold]
fn ask_for_stock(number: i32) -> u32 {
    let _errno = errno::Guard::new();
    let size = size().unwrap_or(kernels_size(number.unsigned_abs()));
    // Whoever makes room has asked before.
    let other = STOCK.compare_exchange(UNASKED, size, Relaxed, Relaxed);
    other.err().unwrap_or(size)
}

/// Whether the table has room for some of so many numbers only because of us.
pub fn is_beyond_stock(count: i32) -> bool {
    IS_ENLARGED.load(Relaxed) && count > in_stock(count)
}

#[cold]
fn cut_to_stock(count: i32) -> i32 {
    if !IS_ENLARGED.load(Relaxed) {
        let size = size().and_then(|size| i32::try_from(size).ok());
        return count.min(size.unwrap_or(i32::MAX));
    }
    // The table may have grown since, for a number that is open.
    let known = STOCK.load(Relaxed).cast_signed();
    // SAFETY: it is asked whether the number names anything.
    let is_open = |number: &i32| rustix::io::fcntl_getfd(unsafe { borrow(*number) }).is_ok();
    // A set has no more bits than that in any C library.
    const MOST: i32 = 1 << 16;
    if let Some(highest) = (known..count.min(MOST)).rev().find(is_open) {
        STOCK.fetch_max(kernels_size(highest.unsigned_abs()), Relaxed);
    }
    count.min(i32::try_from(STOCK.load(Relaxed)).unwrap_or(i32::MAX))
}

/// The kernel's size of a table in which this number fits.
fn kernels_size(number: u32) -> u32 {
    const STEP: u32 = 1024 / size_of::<usize>() as u32;
    const SMALLEST: u32 = self::SMALLEST.unsigned_abs();
    match number < SMALLEST {
        true => SMALLEST,
        false => (number / STEP + 1).next_power_of_two().saturating_mul(STEP),
    }
}

/// The size of this process' table; nothing without `/proc`.
fn size() -> Option<u32> {
    status::number("FDSize:")
}

/// The application was given this number.
#[inline]
pub fn seen(fd: i32) {
    if fd.unsigned_abs() >= STOCK.load(Relaxed) && fd >= 0 {
        STOCK.fetch_max(kernels_size(fd.unsigned_abs()), Relaxed);
    }
    if fd >= ENOUGH.load(Relaxed) {
        BEYOND.fetch_max(fd, Relaxed);
    }
}

/// For which number more room is wanted, if it is: told once, to whoever then calls [`make_room`].
#[inline]
pub fn wanted() -> Option<i32> {
    if BEYOND.load(Relaxed) == 0 {
        return None;
    }
    ENOUGH.store(i32::MAX, Relaxed);
    Some(BEYOND.swap(0, Relaxed)).filter(|number| *number > 0)
}

/// Makes room for twice that number. The caller waits, where threads share the table.
pub fn make_room(number: i32) {
    if STOCK.load(Relaxed) == UNASKED {
        ask_for_stock(number);
    }
    IS_ENLARGED.store(true, Relaxed);
    let limit = limit();
    // The kernel's own sizes: up to one of them all numbers are to be had, and the next is as far again.
    let double = (number.unsigned_abs() + 1).saturating_mul(2).max(LEAST);
    let room = double
        .checked_next_power_of_two()
        .unwrap_or(limit)
        .min(limit);
    enlarge(room);
    // Where the limit is in the way nothing is wanted before it is raised.
    let enough = if room < limit { room / 2 } else { room };
    ENOUGH.store(enough.cast_signed(), Relaxed);
}

/// How many numbers a process may have at the moment, which binds each table of it.
pub fn limit() -> u32 {
    const MOST: u32 = i32::MAX as u32;
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(MOST, |limit| u32::try_from(limit).unwrap_or(MOST).min(MOST))
}

/// Takes the numbers that the application is likely to use out of this thread's own table, up to a quarter of what it may
/// have.
///
/// Somebody else's code may run on a helper: the C library calls the program's allocator where a thread is made and where it
/// ends, and an allocator may look at the stack by way of a pipe that it keeps (libunwind does). Not finding its pipe here it
/// makes another one, and the numbers of that are taken for its pipe by all threads: they would be the program's standard
/// output, or a client. With all others taken, only those that it closes are free, and these are its own.
pub fn occupy() {
    use rustix::fs::{open, Mode, OFlags};
    use rustix::io::fcntl_dupfd_cloexec;
    use std::os::fd::{AsRawFd as _, IntoRawFd as _};
    const MOST: u32 = 1024;
    let most = (limit() / 4).min(MOST).cast_signed();
    // To read it or to write to it is refused as if it were closed.
    let Ok(first) = open("/dev/null", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) else {
        return;
    };
    while let Ok(taken) = fcntl_dupfd_cloexec(&first, 0) {
        if taken.as_raw_fd() >= most {
            break;
        }
        let _ = taken.into_raw_fd();
    }
    let _ = first.into_raw_fd();
}

/// After a fork: nobody shares the child's table.
pub fn abandon() {
    ENOUGH.store(i32::MAX, Relaxed);
    BEYOND.store(0, Relaxed);
    STOCK.store(UNASKED, Relaxed);
    IS_ENLARGED.store(false, Relaxed);
}

/// Has the kernel enlarge this thread's descriptor table to `room` numbers, without taking one of them: it
/// makes room for the number onto which a descriptor is to be duplicated before it finds that there is no
/// such descriptor.
pub fn enlarge(room: u32) {
    // SAFETY: -1 is no descriptor, so nothing is duplicated or closed.
    unsafe { libc::syscall(libc::SYS_dup3, -1, room.saturating_sub(1), libc::O_CLOEXEC) };
}

/// Gives this thread (and those that it starts) an empty descriptor table of its own, with room for so many numbers.
pub fn leave_table(room: u32) -> bool {
    // SAFETY: the range is closed in the new table only; this thread holds no descriptor.
    let done = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            0,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_UNSHARE,
        )
    };
    if done == 0 {
        occupy();
    }
    enlarge(room);
    done == 0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rustix::io::Errno;
    use rustix::process::{setrlimit, Rlimit};

    /// Without it, an application's failing call on -1 ended its process, where we asked about the number.
    #[test]
    fn negative_numbers_name_nothing() {
        for number in [-1, -2, libc::AT_FDCWD, i32::MIN] {
            // SAFETY: it names nothing.
            let nothing = unsafe { borrow(number) };
            assert_eq!(rustix::fs::fstat(nothing).unwrap_err(), Errno::BADF);
        }
    }

    fn size() -> u32 {
        super::size().unwrap()
    }

    /// Without it, a server with many files would stop for 10 ms each time that their number doubles.
    #[test]
    fn there_is_room_before_it_is_needed() {
        let limit = getrlimit(Resource::Nofile).maximum;
        let all = Rlimit {
            current: limit,
            maximum: limit,
        };
        setrlimit(Resource::Nofile, all).unwrap();
        let first = LEAST.cast_signed();
        seen(first);
        assert_eq!(wanted(), None, "nobody shares the table");
        make_room(0);
        assert!(size() >= LEAST);
        seen(first / 2 - 1);
        assert_eq!(wanted(), None, "half of it is free");
        seen(first / 2 + 1);
        seen(first / 2);
        assert_eq!(wanted(), Some(first / 2 + 1));
        seen(first - 1);
        assert_eq!(wanted(), None, "somebody is at it");
        make_room(first / 2 + 1);
        assert!(size() >= 2 * LEAST);
        seen(first - 1);
        assert_eq!(wanted(), None, "half of it is free again");
    }

    /// Without it, the application could find a descriptor in its table that is not its own.
    #[test]
    fn no_number_is_taken() {
        // In a table of its own: other tests open files meanwhile.
        let counts = std::thread::spawn(|| {
            // SAFETY: this thread leaves the table to the others.
            assert_eq!(unsafe { libc::unshare(libc::CLONE_FILES) }, 0);
            let open = || std::fs::read_dir("/proc/thread-self/fd").unwrap().count();
            let before = open();
            enlarge(2 * LEAST);
            (before, open())
        });
        let (before, after) = counts.join().unwrap();
        assert_eq!(before, after);
    }
}
