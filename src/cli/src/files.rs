//! Files that are replaced as a whole: whoever reads them finds the old one or the new one.

use std::fs::{remove_file, rename, File, OpenOptions};
use std::io::Result;
use std::path::{Path, PathBuf};

/// Writes a file beside another one, and puts it in its place.
pub fn replace(path: &Path, write: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(name);
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&beside);
    let written = file
        .and_then(|mut file| write(&mut file))
        .and_then(|()| rename(&beside, path));
    written.inspect_err(|_| drop(remove_file(&beside)))
}
