//! The file servers of `demo-servers/lazy`, built against the library that is tested.

use crate::library;
use crate::machine::FileLock;
use crate::Result;
use anyhow::{bail, Context as _};
use std::process::Command;

/// Builds what has changed.
pub fn build() -> Result {
    let out = library::demo_servers();
    std::fs::create_dir_all(&out)?;
    let _lock = FileLock::take(&out.join("lock"))?;
    let library = library::path()?;
    let built = Command::new("make")
        .arg("-C")
        .arg(library::workspace().join("demo-servers/lazy"))
        .arg(format!("OUT={}", out.display()))
        .arg(format!(
            "LAIO_LIB={}",
            library.parent().unwrap_or(&library).display()
        ))
        .output()
        .context("make")?;
    if !built.status.success() {
        bail!(
            "demo-servers/lazy cannot be built:\n{}",
            String::from_utf8_lossy(&built.stderr)
        );
    }
    Ok(())
}
