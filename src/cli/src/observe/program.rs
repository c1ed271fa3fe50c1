//! The program that is started to be observed, and all that it starts.

use super::children::descendants;
use super::options::Observe;
use crate::process::image;
use crate::run::FAILED;
use anyhow::{Context, Result};
use laio_core::stats::Snapshot;
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};

/// A program that was started here.
#[derive(Debug)]
pub struct Program {
    child: Child,
    status: Option<ExitStatus>,
    /// Where its processes write their counters when they end; nothing where somebody has said where else.
    last_words: Option<PathBuf>,
}

impl Program {
    /// Starts it, by `laio run`.
    pub fn start(observe: &Observe) -> Result<Program> {
        // A daemon stays a child of this command's.
        // SAFETY: numbers only.
        unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
        let this = std::env::current_exe().context("where is this command?")?;
        let mut command = Command::new(this);
        command.arg("run");
        if let Some(library) = &observe.library {
            command.arg("--library").arg(library);
        }
        command
            .args(["--mode", "observe", "--"])
            .args(&observe.words);
        let mut last_words = None;
        if std::env::var_os("LAIO_STATS").is_none_or(|value| value.is_empty()) {
            let directory = directory()?;
            command.env("LAIO_STATS", directory.join("%p"));
            last_words = Some(directory);
        }
        let child = command.spawn().context("cannot start `laio run`");
        Ok(Program {
            child: child.inspect_err(|_| remove(last_words.as_ref()))?,
            status: None,
            last_words,
        })
    }

    /// Its processes that run. Those that have ended are forgotten.
    pub fn processes(&mut self) -> Vec<u32> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        if self.status.is_some() {
            // Daemons, and what they have left behind.
            // SAFETY: no status is asked for. The child itself has been waited for.
            while unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } > 0 {}
        }
        descendants(std::process::id())
    }

    /// Tells it to end; where only daemons of it are left, those.
    pub fn end(&self, runs: &[u32]) {
        let own = [self.child.id()];
        let those = if self.status.is_none() { &own } else { runs };
        for pid in those {
            // SAFETY: a number of a child that was not waited for, or of one that was there a moment ago.
            unsafe { libc::kill(pid.cast_signed(), libc::SIGTERM) };
        }
    }

    /// How it has ended, as a shell tells it. None of its processes runs any more.
    pub fn status(&mut self) -> Option<u8> {
        let status = match self.status {
            Some(status) => status,
            None => self.child.wait().ok()?,
        };
        let number = status.code().or(status.signal().map(|signal| 128 + signal));
        Some(
            number
                .and_then(|number| number.try_into().ok())
                .unwrap_or(FAILED),
        )
    }

    /// What a process has written at its end.
    pub fn last_words(&self, pid: u32) -> Option<(Snapshot, u32)> {
        let path = self.last_words.as_ref()?.join(pid.to_string());
        let owner = fs::symlink_metadata(&path).ok()?.uid();
        let bytes = image::read(&path).ok()?;
        Some((serde_json::from_slice(&bytes).ok()?, owner))
    }

    /// Those of the processes that have written something at their end, as this user.
    pub fn speakers(&self) -> Vec<u32> {
        let directory = self
            .last_words
            .iter()
            .filter_map(|path| fs::read_dir(path).ok());
        let names = directory.flatten().flatten().map(|entry| entry.file_name());
        names
            .filter_map(|name| name.to_str()?.parse().ok())
            .collect()
    }

    /// Removes what was made for it.
    pub fn clean_up(&self) {
        remove(self.last_words.as_ref());
    }
}

fn remove(directory: Option<&PathBuf>) {
    if let Some(directory) = directory {
        let _ = fs::remove_dir_all(directory);
    }
}

/// A directory for the counters. Servers change their user: of root's it is open to all, who cannot look into it.
fn directory() -> Result<PathBuf> {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;
    let path = std::env::temp_dir().join(format!("laio-observe.{}", std::process::id()));
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&path)
        .with_context(|| format!("cannot make {}", path.display()))?;
    if rustix::process::geteuid().is_root() {
        fs::set_permissions(&path, Permissions::from_mode(0o1733))?;
    }
    Ok(path)
}
