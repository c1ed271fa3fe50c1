//! The file system on which documents lie, and how the library treats it.

use crate::format;
use crate::report::{Level, Report};
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// How long an answer may take: a network disk that hangs gives none.
const PATIENCE: Duration = Duration::from_secs(2);

/// The magic numbers of `statfs`(2), with names; the library treats them so in `fetch::file_system`.
const KINDS: &[(u64, &str, Policy)] = &[
    (0xef53, "ext4", Policy::Asks),
    (0x5846_5342, "XFS", Policy::Asks),
    (0x9123_683e, "Btrfs", Policy::Asks),
    (0xf2f5_2010, "F2FS", Policy::Asks),
    (0x0102_1994, "tmpfs", Policy::Memory),
    (0x8584_58f6, "ramfs", Policy::Memory),
    (0x9584_58f6, "hugetlbfs", Policy::Memory),
    (0x9fa0, "proc", Policy::Memory),
    (0x6265_6572, "sysfs", Policy::Memory),
    (0x6573_5546, "FUSE", Policy::Server),
    (0x6969, "NFS", Policy::Server),
    (0xff53_4d42, "CIFS", Policy::Server),
    (0xfe53_4d42, "SMB", Policy::Server),
    (0x0102_1997, "9p", Policy::Server),
    (0x00c3_6400, "Ceph", Policy::Server),
    (0x794c_7630, "overlayfs", Policy::CannotSay),
    (0x7371_7368, "squashfs", Policy::CannotSay),
    (0x2fc1_2fc1, "ZFS", Policy::CannotSay),
];

#[derive(Clone, Copy)]
enum Policy {
    Asks,
    Memory,
    Server,
    CannotSay,
}

/// Tells of the file system of a directory.
pub fn look(report: &mut Report, directory: &Path) {
    let (answer, answered) = channel();
    let asked = directory.to_owned();
    // It ends with the process, if it does not answer.
    thread::spawn(move || {
        answer.send(rustix::fs::statfs(&asked).map(|status| status.f_type as u64))
    });
    let path = format::path(directory);
    let kind = match answered.recv_timeout(PATIENCE) {
        Ok(Ok(kind)) => kind,
        Ok(Err(error)) => {
            let why = std::io::Error::from(error);
            return report.add(
                Level::Warn,
                format!("{path} cannot be looked at: {why}"),
                "",
            );
        }
        Err(_) => {
            return report.add(
                Level::Fail,
                format!("the file system of {path} does not answer within 2 s"),
                "look at the disk, or at the server of a network disk",
            )
        }
    };
    let known = KINDS.iter().find(|(magic, ..)| *magic == kind);
    let (name, policy) = match known {
        Some((_, name, policy)) => ((*name).to_owned(), *policy),
        None => (
            format!("a file system of type {kind:#x}"),
            Policy::CannotSay,
        ),
    };
    match policy {
        Policy::Asks => report.ok(format!("{path} is on {name}: the kernel says what is in memory")),
        Policy::Memory => report.note(format!("{path} is on {name}, in memory: nothing there is cold")),
        Policy::Server => report.add(
            Level::Warn,
            format!("{path} is on {name}, which asks its server at each open: nobody can do that ahead"),
            "mount FUSE with kernel_cache; what else helps is in docs/limitations.md",
        ),
        Policy::CannotSay => report.note(format!(
            "{path} is on {name}, which cannot say what is in memory: a file is held back until it was read once"
        )),
    }
}
