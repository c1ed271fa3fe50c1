//! The counters as files: one for each process, once or again and again.

use crate::files;
use crate::process::{select, select_new, Attached};
use anyhow::{Context as _, Result};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

/// Writes `PROGRAM-PID.json` for each process into a directory; with `every`, again and again until all have ended. A file is replaced
/// as a whole, and that of a process that has ended stays as it was last.
pub fn dump(wanted: &[String], directory: &Path, every: Option<Duration>) -> Result<u8> {
    let chosen = select(wanted)?;
    chosen.complain()?;
    let status = if chosen.failed.is_empty() {
        0
    } else {
        crate::FAILED
    };
    let mut processes = chosen.attached;
    loop {
        let mut error = None;
        processes.retain(|attached| {
            write(directory, attached).unwrap_or_else(|why| {
                error = Some(why);
                true
            })
        });
        if let Some(error) = error {
            return Err(error);
        }
        let Some(every) = every.filter(|_| !processes.is_empty()) else {
            return Ok(status);
        };
        sleep(every);
        let is_known = |pid| processes.iter().any(|known| known.kernel.0 == pid);
        // Once there is none of that name any more, the next look at the known ones tells so.
        if let Ok(chosen) = select_new(wanted, is_known) {
            processes.extend(chosen.attached);
        }
    }
}

/// Writes one; tells whether the process is still there.
fn write(directory: &Path, attached: &Attached) -> Result<bool> {
    let Some(snapshot) = attached.read() else {
        return Ok(false);
    };
    let json = serde_json::to_vec_pretty(&snapshot)?;
    let path = directory.join(name(&attached.program, attached.kernel.0));
    files::replace(&path, |file| {
        file.write_all(&json)?;
        file.write_all(b"\n")
    })
    .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(true)
}

/// A program's name may hold anything but the end of a name.
fn name(program: &str, pid: u32) -> PathBuf {
    let plain = |c: char| match c {
        '/' | '\\' => '_',
        _ => c,
    };
    let program: String = program.chars().map(plain).collect();
    PathBuf::from(format!("{program}-{pid}.json"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_name_stays_in_its_directory() {
        let name = |program| super::name(program, 7).display().to_string();
        assert_eq!(name("nginx"), "nginx-7.json");
        assert_eq!(name("../x/y"), ".._x_y-7.json");
    }
}
