//! What a file system can say about blocking, by its magic number.

use rustix::fd::BorrowedFd;
use rustix::fs::{fstatfs, statfs, StatFs};

/// How a file system is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Answers `RWF_NOWAIT` truthfully.
    Probing,
    /// Has no disk behind it.
    Memory,
    /// Cannot say: a file is cold until a helper has brought it in.
    Opaque,
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

/// Classifies the file system of an open file.
pub fn kind(file: BorrowedFd<'_>) -> Kind {
    fstatfs(file).map_or(Kind::Opaque, classify)
}

/// Classifies the file system on which a path lies (or would lie).
pub fn kind_at(path: &[u8]) -> Kind {
    statfs(path).map_or(Kind::Opaque, classify)
}

fn classify(status: StatFs) -> Kind {
    match status.f_type as u64 {
        TMPFS | RAMFS | PROC | SYSFS | DEVPTS | HUGETLBFS => Kind::Memory,
        EXT | XFS | BTRFS | F2FS => Kind::Probing,
        _ => Kind::Opaque,
    }
}
