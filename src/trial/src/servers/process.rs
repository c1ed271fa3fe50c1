//! What the kernel says about somebody else's process.

use std::fs;
use std::ops::Add;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sched::{sched_setaffinity, CpuSet};
use nix::sys::resource::{getrlimit, setrlimit, Resource};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use serde::Serialize;

/// What a process holds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Usage {
    /// Open descriptors.
    pub descriptors: u64,
    /// Resident memory that is its own (anonymous), in KiB. Pages of files come and go with the page cache.
    pub anonymous_kib: u64,
    /// Threads.
    pub threads: u64,
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            descriptors: self.descriptors + other.descriptors,
            anonymous_kib: self.anonymous_kib + other.anonymous_kib,
            threads: self.threads + other.threads,
        }
    }
}

/// What process `pid` holds now.
pub fn usage(pid: i32) -> Result<Usage> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("cannot read the status of process {pid}"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Ok(Usage {
        descriptors: fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64,
        anonymous_kib: field("RssAnon:").context("no RssAnon in /proc/PID/status")?,
        threads: field("Threads:").context("no Threads in /proc/PID/status")?,
    })
}

/// CPU time of process `pid`, threads that have ended included, to the nanosecond: the scheduler's own count, where
/// /proc/PID/stat has hundredths of a second.
pub fn cpu_time(pid: i32) -> Result<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(pid))
        .with_context(|| format!("no CPU clock for process {pid}"))?;
    Ok(clock_gettime(clock)?.into())
}

/// The child processes of `pid`, in order.
pub fn children(pid: i32) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let mut children: Vec<i32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|child| parent(*child) == Some(pid))
        .collect();
    children.sort_unstable();
    children
}

/// The processes of an nginx that serve; those that look after its caches do not.
pub fn nginx_workers(master: i32) -> Vec<i32> {
    let mut all = children(master);
    all.retain(|pid| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.starts_with("nginx: worker ")
    });
    all
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces and parentheses.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let running = fields.next()? != "Z";
    let parent = fields.next()?.parse().ok()?;
    running.then_some(parent)
}

/// Has process `pid` loaded `library`?
pub fn has_mapped(pid: i32, library: &Path) -> Result<bool> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))
        .with_context(|| format!("cannot read the memory map of process {pid}"))?;
    Ok(maps
        .lines()
        .any(|line| line.ends_with(&*library.to_string_lossy())))
}

/// Raises the number of descriptors that servers started from now on may have, as far as is allowed; what it is then.
pub fn raise_descriptor_limit() -> Result<u64> {
    const WANTED: u64 = 65_536;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    // Only root may exceed the hard limit; everyone may reach it.
    let raised = hard.max(WANTED);
    if setrlimit(Resource::RLIMIT_NOFILE, raised, raised).is_ok() {
        return Ok(raised);
    }
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}

/// Keeps all threads of process `pid`, or the calling thread for 0, on one CPU.
pub fn pin(pid: i32, cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    if pid == 0 {
        return Ok(sched_setaffinity(Pid::from_raw(0), &set)?);
    }
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        if let Some(task) = task?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        {
            sched_setaffinity(Pid::from_raw(task), &set)?;
        }
    }
    Ok(())
}
