//! File systems that a test mounts: unmounted when they are dropped, or by the test runner when the test did not live to do so.

use crate::library::Preload;
use crate::program::{compile, Build};
use crate::{test, Result};
use anyhow::Context as _;
use std::fs::{self, DirEntry, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A mounted file system.
pub struct Mount(PathBuf);

impl Mount {
    /// Mounts a file system at `at`, which is made. A kind that this machine does not have makes the test count as skipped.
    pub fn new(kind: &str, source: &Path, at: &Path, options: &str) -> Result<Self> {
        let mount = Self::expected(at)?;
        let output = Command::new("mount")
            .args(["-t", kind, "-o", options])
            .args([source, at])
            .output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).replace('\n', " ");
            return test::skip(format!("{kind} cannot be mounted here: {said}"));
        }
        Ok(mount)
    }

    /// Somebody else will mount something there.
    fn expected(at: &Path) -> Result<Self> {
        fs::create_dir_all(at)?;
        let mut list = File::options()
            .create(true)
            .append(true)
            .open(list(&test::scratch()))?;
        writeln!(list, "{}", at.display())?;
        Ok(Self(at.to_path_buf()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        unmount(&self.0);
    }
}

/// A FUSE file system (`tests/programs/fuse_files.c`), which hangs while its server is stopped.
pub struct FuseFiles {
    server: Child,
    _mount: Mount,
}

impl FuseFiles {
    /// Shows the files of `source` at `at`. With the option `keep`, opening a file leaves what is in memory of it; with
    /// `flush`, closing one waits for the server; with `slow`, asking what one is like does, for 5 ms.
    pub fn mount(source: &Path, at: &Path, option: &str) -> Result<Self> {
        let program = compile("fuse_files", Build::Program)?;
        let mount = Mount::expected(at)?;
        let mut server = Preload::stock()
            .command(&program)
            .args([source, at])
            .arg(option)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(server.stdout.take().context("no stdout")?).read_line(&mut line)?;
        if line != "mounted\n" {
            server.wait()?;
            return test::skip("FUSE cannot be mounted here");
        }
        Ok(Self {
            server,
            _mount: mount,
        })
    }

    /// Sends its server a signal. It has stopped then, if that is what was sent: until each of its threads has, it answers.
    pub fn signal(&self, signal: i32) {
        // SAFETY: a child of ours that was not reaped.
        unsafe { libc::kill(self.server.id() as libc::pid_t, signal) };
        while signal == libc::SIGSTOP && !self.has_stopped() {
            std::thread::yield_now();
        }
    }

    fn has_stopped(&self) -> bool {
        let tasks = format!("/proc/{}/task", self.server.id());
        let runs = |task: std::io::Result<DirEntry>| {
            let stat = task.and_then(|task| fs::read_to_string(task.path().join("stat")));
            // Behind its name, which is in parentheses.
            let state = stat
                .ok()
                .and_then(|stat| Some(stat.rsplit_once(") ")?.1.starts_with(['T', 'Z'])));
            state == Some(false)
        };
        fs::read_dir(tasks).is_ok_and(|mut tasks| !tasks.any(runs))
    }
}

impl Drop for FuseFiles {
    fn drop(&mut self) {
        // Whoever waits for it gets an error.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn list(scratch: &Path) -> PathBuf {
    scratch.join("mounts")
}

fn unmount(at: &Path) {
    let _ = Command::new("umount")
        .arg("-l")
        .arg(at)
        .stderr(Stdio::null())
        .status();
}

/// Unmounts what a test that ended without doing so has left, newest first.
pub(crate) fn clean_up_after(scratch: &Path) {
    let text = fs::read_to_string(list(scratch)).unwrap_or_default();
    let mounted = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let left = |at: &&str| mounted.contains(&format!(" {at} "));
    text.lines()
        .rev()
        .filter(left)
        .for_each(|at| unmount(Path::new(at)));
}
