//! A bound on the memory of a process and the pages that are read for it.

use laio_tests::Result;
use std::fs;
use std::path::{Path, PathBuf};

/// A group of control whose memory is limited. It is removed when its process has gone.
pub struct MemoryLimit(PathBuf);

impl MemoryLimit {
    /// Puts a process into one; nothing where there is no controller of memory.
    pub fn new(pid: u32, bytes: u64) -> Result<Option<MemoryLimit>> {
        let groups = [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max"),
        ];
        for (root, limit) in groups {
            let group = Path::new(root).join(format!("laio-soak.{pid}"));
            if !Path::new(root).join("cgroup.procs").exists() || fs::create_dir(&group).is_err() {
                continue;
            }
            let group = MemoryLimit(group);
            if group.0.join(limit).exists() {
                fs::write(group.0.join(limit), bytes.to_string())?;
                fs::write(group.0.join("cgroup.procs"), pid.to_string())?;
                return Ok(Some(group));
            }
        }
        println!("no memory limit: this machine has no controller of it that can be written to");
        Ok(None)
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        // Its process goes to the group above.
        let processes = fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
        let above = self.0.with_file_name("cgroup.procs");
        for process in processes.lines() {
            let _ = fs::write(&above, process);
        }
        let _ = fs::remove_dir(&self.0);
    }
}
