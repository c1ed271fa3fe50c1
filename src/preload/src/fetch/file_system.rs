//! What a file system can say about blocking, by its magic number.
//!
//! The question itself may wait: FUSE and network file systems pass it on to a server, which may hang.
//! Helpers ask, once for each device; the event loop looks up what they were told.

use super::residency::STRIDE;
use super::resolver::File;
use crate::sys::clock;
use rustix::fd::BorrowedFd;
use rustix::fs::{fstatfs, major, makedev, minor, open, statfs, statx, AtFlags, Dev};
use rustix::fs::{Mode, OFlags, StatFs, Statx, StatxFlags};
use rustix::io::Errno;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How a file system is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Answers `RWF_NOWAIT` truthfully.
    Probing,
    /// Has no disk behind it.
    Memory,
    /// Cannot say: a file is cold until a helper has brought it in.
    Opaque,
    /// Nor can it say, and its server is asked where the last descriptor of a file is closed (NFS).
    Remote,
    /// Nor can it say, and what is in memory of a file may be dropped when it is opened (FUSE).
    Forgetful,
}

const TMPFS: u64 = 0x0102_1994;
const RAMFS: u64 = 0x8584_58f6;
const PROC: u64 = 0x9fa0;
const SYSFS: u64 = 0x6265_6572;
const DEVPTS: u64 = 0x1cd1;
const HUGETLBFS: u64 = 0x9584_58f6;
const EXT: u64 = 0xef53;
const XFS: u64 = 0x5846_5342;
const BTRFS: u64 = 0x9123_683e;
const F2FS: u64 = 0xf2f5_2010;
const FUSE: u64 = 0x6573_5546;
const NFS: u64 = 0x6969;

/// What is known of an open file without a look at its disk, or a word with its server.
#[derive(Clone, Copy, Debug)]
pub struct Status {
    /// The device.
    pub device: Dev,
    /// The inode.
    pub inode: u64,
    /// Type and permissions.
    pub mode: u32,
    /// Its length, as it was when it was last asked for.
    pub size: u64,
}

/// Asks for it.
pub fn status(file: BorrowedFd<'_>) -> Result<Status, Errno> {
    let how = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let wanted = StatxFlags::TYPE | StatxFlags::SIZE | StatxFlags::INO;
    let Statx {
        stx_dev_major,
        stx_dev_minor,
        stx_ino,
        stx_mode,
        stx_size,
        ..
    } = statx(file, "", how, wanted)?;
    Ok(Status {
        device: makedev(stx_dev_major, stx_dev_minor),
        inode: stx_ino,
        mode: u32::from(stx_mode),
        size: stx_size,
    })
}

/// Has what a whole `stat` of a file tells brought into memory: to read it has changed the time of its last use, which NFS 4 asks
/// its server for.
pub fn ask_status(file: BorrowedFd<'_>) {
    let _ = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS);
}

impl Status {
    /// The key under which a table of what is warm knows the part of the file that holds `at`.
    pub fn key(&self, at: u64) -> u64 {
        let mut name = [0; 24];
        for (place, word) in name
            .chunks_exact_mut(8)
            .zip([self.device, self.inode, at / STRIDE])
        {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        laio_core::hash(&name)
    }
}

/// Devices that are told apart; two that want the same place are asked for in turn.
const DEVICES: usize = 64;

/// How many seconds an answer is believed: the number of a device that is gone is given to another.
const BELIEVED: u64 = 60;

/// Answers by device: one word each, so that there is nothing to lock. The device's number (low bits),
/// the second of the answer (24 bits), the binary logarithm of its read-ahead (5), the kind (3).
static ANSWERS: [AtomicU64; DEVICES] = [const { AtomicU64::new(0) }; DEVICES];

/// The bits of a second in such a word.
const SECONDS: u64 = 0xff_ffff;

/// What a helper was told of a device.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// How its file system is treated.
    pub kind: Kind,
    /// How many bytes the kernel asks of it at once where a file is just read, at the least.
    pub read_ahead: u64,
}

const ALL: [Kind; 5] = [
    Kind::Probing,
    Kind::Memory,
    Kind::Opaque,
    Kind::Remote,
    Kind::Forgetful,
];

fn place(device: Dev) -> Option<&'static AtomicU64> {
    ANSWERS.get(laio_core::hash(&device.to_ne_bytes()) as usize % DEVICES)
}

fn seconds() -> u64 {
    (clock::milliseconds() / 1000) & SECONDS
}

/// How a device's file system is treated, where that is known, without asking it.
pub fn known(device: Dev) -> Option<Kind> {
    remembered(device).map(|answer| answer.kind)
}

fn remembered(device: Dev) -> Option<Answer> {
    let word = place(device)?.load(Relaxed);
    let is_its = word != 0 && word >> 32 == device & 0xffff_ffff;
    let age = seconds().wrapping_sub((word >> 8) & SECONDS) & SECONDS;
    let answer = Answer {
        kind: *ALL.get((word & 7) as usize)?,
        read_ahead: 1 << ((word >> 3) & 31),
    };
    (is_its && age <= BELIEVED).then_some(answer)
}

/// Asks for the kind of an open file's file system and for its device's read-ahead, which may wait for
/// it, and remembers the answer.
pub fn learn(file: BorrowedFd<'_>, device: Dev) -> Answer {
    if let Some(answer) = remembered(device) {
        return answer;
    }
    let kind = kind(file);
    let number = ALL.iter().position(|&other| other == kind).unwrap_or(2) as u64;
    let order = read_ahead(device).unwrap_or(0).checked_ilog2();
    let order = order.unwrap_or(0).min(31);
    if let Some(place) = place(device) {
        let answer = (u64::from(order) << 3) | number;
        place.store(
            ((device & 0xffff_ffff) << 32) | (seconds() << 8) | answer,
            Relaxed,
        );
    }
    Answer {
        kind,
        read_ahead: 1 << order,
    }
}

/// A device's read-ahead in bytes.
fn read_ahead(device: Dev) -> Option<u64> {
    let path = format!(
        "/sys/class/bdi/{}:{}/read_ahead_kb",
        major(device),
        minor(device)
    );
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(open(path, flags, Mode::empty()).ok()?);
    let mut text = [0; 20];
    let length = rustix::io::read(&file, &mut text).ok()?;
    let text = std::str::from_utf8(text.get(..length)?).ok()?;
    text.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Classifies the file system of an open file, which may wait for it.
pub fn kind(file: BorrowedFd<'_>) -> Kind {
    fstatfs(file).map_or(Kind::Opaque, classify)
}

/// Classifies the file system on which a path lies (or would lie), which may wait for it.
pub fn kind_at(path: &[u8]) -> Kind {
    statfs(path).map_or(Kind::Opaque, classify)
}

fn classify(status: StatFs) -> Kind {
    match status.f_type as u64 {
        TMPFS | RAMFS | PROC | SYSFS | DEVPTS | HUGETLBFS => Kind::Memory,
        EXT | XFS | BTRFS | F2FS => Kind::Probing,
        NFS => Kind::Remote,
        FUSE => Kind::Forgetful,
        _ => Kind::Opaque,
    }
}
