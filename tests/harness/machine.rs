//! Processes and locks of the machine that tests run on.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// Whether this process is root.
pub fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Whether this kernel tells of a name whether it is in memory (`RESOLVE_CACHED`, Linux 5.12): without that no request is held back.
pub fn tells_names() -> bool {
    const RESOLVE_CACHED: u64 = 0x20;
    // SAFETY: all-zero is a valid `open_how`.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = libc::O_PATH as u64;
    how.resolve = RESOLVE_CACHED;
    // SAFETY: the path is NUL-terminated, the structure has the size that is told, and a descriptor is owned and closed here.
    unsafe {
        let size = size_of_val(&how);
        let fd = libc::syscall(
            libc::SYS_openat2,
            libc::AT_FDCWD,
            c"/".as_ptr(),
            &raw const how,
            size,
        );
        fd >= 0 && libc::close(fd as libc::c_int) == 0
    }
}

/// An exclusive `flock` for as long as it lives.
pub struct FileLock(#[allow(dead_code)] File);

impl FileLock {
    /// Waits for the lock on `path`, which is created when it is missing.
    pub fn take(path: &Path) -> std::io::Result<Self> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        // SAFETY: the descriptor is open, and the call touches no memory of ours.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(Self(file))
    }
}

/// How many times as long as usual this machine may take: `LAIO_TEST_PATIENCE`, for one that is emulated.
fn patience() -> u32 {
    let factor = std::env::var("LAIO_TEST_PATIENCE").ok();
    factor.and_then(|factor| factor.parse().ok()).unwrap_or(1)
}

/// Waits for `child` within `limit`; `None` when it had to be killed. With `group`, what is left of its process group
/// is killed too, before the leader is reaped and its number becomes free.
pub fn wait_within(child: &mut Child, limit: Duration, group: bool) -> Option<ExitStatus> {
    let pid = child.id() as libc::pid_t;
    let deadline = Instant::now() + limit * patience();
    let mut pause = Duration::from_millis(1);
    let mut in_time = true;
    while !has_ended(pid) {
        if Instant::now() >= deadline {
            in_time = false;
            break;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    // SAFETY: `child` is not reaped yet, so its number still names it, and its group where it leads one.
    unsafe {
        if group {
            libc::kill(-pid, libc::SIGKILL);
        } else if !in_time {
            libc::kill(pid, libc::SIGKILL);
        }
    }
    let status = child.wait().ok();
    status.filter(|_| in_time)
}

/// Whether a child of ours has ended, without reaping it.
fn has_ended(pid: libc::pid_t) -> bool {
    // SAFETY: `info` is a valid siginfo_t for the kernel to fill; all-zero is a valid value of it.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        let result = libc::waitid(libc::P_PID, pid as libc::id_t, &mut info, flags);
        result != 0 || info.si_pid() == pid
    }
}

/// How a process ended, in words that two runs can be compared by.
pub fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (_, Some(signal)) => format!("killed by signal {signal}"),
        _ => "ended".into(),
    }
}
