//! Programs that are started as clients. None outlives the trial, or its patience.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use nix::sys::signal::{killpg, Signal};
use nix::unistd::Pid;

use crate::interrupt;

/// How often it is looked whether it has ended.
const TICK: Duration = Duration::from_millis(10);

/// A program that runs, with what it started.
pub struct ClientProgram {
    name: String,
    child: Child,
    output: PathBuf,
    errors: PathBuf,
}

impl ClientProgram {
    /// Starts it. What it prints goes into files that begin with `output`.
    pub fn start(mut command: Command, output: PathBuf) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let errors = output.with_extension("errors");
        command
            .env_remove("LD_PRELOAD")
            .stdin(Stdio::null())
            .stdout(File::create(&output)?)
            .stderr(File::create(&errors)?)
            // Ctrl-C is for us, and we end it with all that it started.
            .process_group(0);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            name,
            child,
            output,
            errors,
        })
    }

    /// Waits for its end; what it printed, or nothing if it was not in time.
    pub fn finish(mut self, limit: Instant) -> Result<Option<String>> {
        let name = &self.name;
        let status = loop {
            interrupt::check()?;
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() > limit {
                return Ok(None);
            }
            std::thread::sleep(TICK);
        };
        let read = |file| fs::read_to_string(file).unwrap_or_default();
        let errors = read(&self.errors);
        ensure!(status.success(), "{name} failed ({status}): {errors}");
        Ok(Some(read(&self.output)))
    }
}

impl Drop for ClientProgram {
    fn drop(&mut self) {
        // What has ended may have given its number to somebody else.
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        let _ = killpg(Pid::from_raw(self.child.id() as i32), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}
