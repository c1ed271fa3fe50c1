//! A limit on the memory of a server, page cache included: a control group of its own, of version 1 or 2.
//!
//! The kernel charges a page to the group of whoever has it read first. So everything that reads the files belongs into the
//! group, and nobody else may touch them.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{bail, Context, Result};

/// Where the memory controller of version 1 is, if it is.
const VERSION_1: &str = "/sys/fs/cgroup/memory";

/// Where version 2 is, if it has no version 1 beside it.
const VERSION_2: &str = "/sys/fs/cgroup";

/// A control group that is removed when this is dropped. Its processes should have ended by then.
pub struct Limit {
    directory: PathBuf,
}

impl Limit {
    /// A group without processes that may have so many bytes of memory.
    pub fn new(bytes: u64) -> Result<Self> {
        let (root, file) = controller()?;
        let name = format!("laio-paper-{}", std::process::id());
        let directory = root.join(name);
        fs::create_dir(&directory)
            .with_context(|| format!("cannot make the control group {}", directory.display()))?;
        let limit = Self { directory };
        limit.write(file, &bytes.to_string())?;
        // Memory is meant, and not a disk that is as slow. Where there is no swap there is no such file either.
        let _ = limit.write("memory.swap.max", "0");
        let _ = limit.write("memory.swappiness", "0");
        Ok(limit)
    }

    /// Takes in a process; the children that it has later belong to the group as well.
    pub fn adopt(&self, process: i32) -> Result<()> {
        self.write("cgroup.procs", &process.to_string())
    }

    fn write(&self, file: &str, what: &str) -> Result<()> {
        let path = self.directory.join(file);
        fs::write(&path, what).with_context(|| format!("cannot write {what} to {}", path.display()))
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        // A process that has been waited for may be in its group for a moment longer.
        for _ in 0..100 {
            match fs::remove_dir(&self.directory) {
                Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                    thread::sleep(Duration::from_millis(20));
                }
                _ => return,
            }
        }
        eprintln!("{} could not be removed", self.directory.display());
    }
}

/// The directory of the memory controller, and the file that holds a group's limit.
fn controller() -> Result<(PathBuf, &'static str)> {
    if Path::new(VERSION_1).join("memory.limit_in_bytes").exists() {
        return Ok((VERSION_1.into(), "memory.limit_in_bytes"));
    }
    let root = PathBuf::from(VERSION_2);
    let controllers = fs::read_to_string(root.join("cgroup.controllers"))
        .context("there are no control groups with a memory controller here")?;
    if !controllers.split_whitespace().any(|name| name == "memory") {
        bail!("the control groups here have no memory controller");
    }
    fs::write(root.join("cgroup.subtree_control"), "+memory")
        .context("cannot have the memory controller for a control group of our own")?;
    Ok((root, "memory.max"))
}
