//! Cold files: pages dropped from the page cache, and a disk on which a miss takes long enough to matter.

use crate::{library, test, Result};
use anyhow::{bail, Context as _};
use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Drops the pages of one file (a hint: on a file system without a page cache of its own it does nothing).
pub fn drop_pages(path: &Path) -> Result {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    file.sync_all()?;
    // SAFETY: the descriptor is open for the length of the call, which touches no memory of ours.
    let result = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    if result != 0 {
        bail!(
            "{}: {}",
            path.display(),
            std::io::Error::from_raw_os_error(result)
        );
    }
    Ok(())
}

/// A disk whose reads take five milliseconds each. It is removed when this is dropped, or by the test runner when the
/// test did not live to do so.
pub struct SlowDisk {
    dir: PathBuf,
}

impl SlowDisk {
    /// Makes the disk. A machine that cannot have one makes the test count as skipped.
    pub fn up() -> Result<Self> {
        // A short path: the disk has a Unix socket, whose name may have 107 bytes.
        let dir = std::env::temp_dir().join(format!("laio-slow.{}", std::process::id()));
        let mut list = File::options()
            .create(true)
            .append(true)
            .open(list(&test::scratch()))?;
        writeln!(list, "{}", dir.display())?;
        let output = script(&["up", &dir.to_string_lossy()])?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).replace('\n', " ");
            return test::skip(format!("no slow disk can be made here: {said}"));
        }
        Ok(Self { dir })
    }

    /// Where its file system is mounted.
    pub fn root(&self) -> PathBuf {
        self.dir.join("mnt")
    }

    /// From now on reads fail.
    pub fn fail(&self) -> Result {
        File::create(self.broken())?;
        Ok(())
    }

    /// They do so no more.
    pub fn heal(&self) -> Result {
        match fs::remove_file(self.broken()) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e.into()),
            _ => Ok(()),
        }
    }

    fn broken(&self) -> PathBuf {
        self.dir.join(".disk/broken")
    }

    /// No read ends for so long.
    pub fn hang(&self, time: Duration) -> Result {
        let mut servers = Vec::new();
        for lane in fs::read_dir(self.dir.join(".disk"))? {
            if let Ok(pid) = fs::read_to_string(lane?.path().join("nbdkit.pid")) {
                servers.push(pid.trim().parse::<i32>()?);
            }
        }
        let signal = |signal: i32| {
            for &pid in &servers {
                // SAFETY: they are the disk's own processes, which live as long as it does.
                unsafe { libc::kill(pid, signal) };
            }
        };
        signal(libc::SIGSTOP);
        std::thread::sleep(time);
        signal(libc::SIGCONT);
        Ok(())
    }

    /// Makes everything on it cold, data and metadata.
    pub fn chill(&self) -> Result {
        let output = script(&["cold", &self.dir.to_string_lossy()])?;
        if !output.status.success() {
            bail!(
                "slow-disk cold: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(())
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        let _ = script(&["down", &self.dir.to_string_lossy()]);
    }
}

fn list(scratch: &Path) -> PathBuf {
    scratch.join("slow-disks")
}

fn script(arguments: &[&str]) -> Result<std::process::Output> {
    let script = library::workspace().join("scripts/slow-disk");
    // Its helpers outlive it: they must not hold the pipes that its output is read from.
    let out = test::scratch().join("slow-disk.out");
    let err = test::scratch().join("slow-disk.err");
    let status = Command::new(&script)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(File::create(&out)?)
        .stderr(File::create(&err)?)
        .status()
        .with_context(|| script.display().to_string())?;
    Ok(std::process::Output {
        status,
        stdout: fs::read(&out)?,
        stderr: fs::read(&err)?,
    })
}

/// Removes the slow disks of a test that ended without doing so.
pub(crate) fn clean_up_after(scratch: &Path) {
    for dir in fs::read_to_string(list(scratch))
        .unwrap_or_default()
        .lines()
    {
        if Path::new(dir).exists() {
            let _ = Command::new(library::workspace().join("scripts/slow-disk"))
                .args(["down", dir])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
    }
}
