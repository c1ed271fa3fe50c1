//! The drop-in that makes systemd start a service with the library. No file that this command has not written is touched.

use super::root::Root;
use crate::files;
use anyhow::{bail, ensure, Context as _, Result};
use std::fs::{create_dir_all, remove_dir, remove_file, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Its name.
pub const FILE: &str = "laio.conf";

/// Its first line.
const MARK: &str = "# Written by `laio enable`; `laio disable` removes it.";

const UNITS: &str = "/etc/systemd/system";

/// What writing it came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// There was none.
    New,
    /// There was another one.
    Changed,
    /// There was the same.
    Same,
}

/// Whether this command has written it.
pub fn is_ours(text: &str) -> bool {
    text.lines().next() == Some(MARK)
}

/// Its text.
pub fn text(lines: &[String]) -> String {
    format!("{MARK}\n[Service]\n{}\n", lines.join("\n"))
}

/// Where systemd finds it.
pub fn path(service: &str) -> PathBuf {
    Path::new(UNITS).join(format!("{service}.d")).join(FILE)
}

/// The same in the file system of this process.
fn file(root: &Root, service: &str) -> PathBuf {
    let path = path(service);
    let inside = path.strip_prefix(UNITS).unwrap_or(&path);
    match root.resolve(Path::new(UNITS)) {
        Ok(units) => units.join(inside),
        Err(_) => root.join(&path),
    }
}

/// What stands in it.
fn current(file: &Path) -> Result<Option<String>> {
    let status = match file.symlink_metadata() {
        Ok(status) => status,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| file.display().to_string()),
    };
    let text = match status.is_file() {
        true => std::fs::read(file).with_context(|| file.display().to_string())?,
        false => Vec::new(),
    };
    let text = String::from_utf8_lossy(&text).into_owned();
    ensure!(
        is_ours(&text),
        "{} was not written by laio, and is left alone: move it away, or give it another name",
        file.display()
    );
    Ok(Some(text))
}

/// Fails where the place is taken by somebody else's file.
pub fn look(root: &Root, service: &str) -> Result<()> {
    current(&file(root, service)).map(|_| ())
}

/// Writes it, as a whole or not at all.
pub fn write(root: &Root, service: &str, text: &str) -> Result<Written> {
    let file = file(root, service);
    let before = current(&file)?;
    if before.as_deref() == Some(text) {
        return Ok(Written::Same);
    }
    let directory = file.parent().unwrap_or(Path::new("/"));
    // Whatever the mask of whoever is root here: others may read it, as they may all units.
    let made = match directory.exists() {
        true => Ok(()),
        false => create_dir_all(directory)
            .and_then(|()| std::fs::set_permissions(directory, Permissions::from_mode(0o755))),
    };
    let written = made.and_then(|()| {
        files::replace(&file, |new| {
            new.write_all(text.as_bytes())?;
            new.set_permissions(Permissions::from_mode(0o644))?;
            new.sync_all()
        })
    });
    match written {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            bail!("cannot write {}: {error}: are you root?", file.display())
        }
        written => written.with_context(|| format!("cannot write {}", file.display()))?,
    }
    Ok(match before {
        Some(_) => Written::Changed,
        None => Written::New,
    })
}

/// Removes it, and its directory where nothing else is in it; tells whether there was one.
pub fn remove(root: &Root, service: &str) -> Result<bool> {
    let file = file(root, service);
    if current(&file)?.is_none() {
        return Ok(false);
    }
    remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    if let Some(directory) = file.parent() {
        // It stays where it has other files.
        let _ = remove_dir(directory);
    }
    Ok(true)
}
