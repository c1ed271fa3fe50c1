//! Running a program under the library, and making sure that it really is.

use anyhow::{bail, ensure, Context, Result};
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Replaces this process by the program; returns only if that fails.
pub fn run(library: Option<PathBuf>, program: &[OsString]) -> Result<()> {
    let (name, arguments) = program.split_first().context("no program is named")?;
    let library = match library {
        Some(library) => library,
        None => beside_this_command()?,
    };
    let library = library
        .canonicalize()
        .with_context(|| format!("the library {} is not there", library.display()))?;
    let preload = joined(&library, std::env::var_os("LD_PRELOAD").as_deref());
    check(&library, &preload)?;
    let error = Command::new(name)
        .args(arguments)
        .env("LD_PRELOAD", preload)
        .exec();
    Err(error).with_context(|| format!("cannot run {}", name.display()))
}

fn beside_this_command() -> Result<PathBuf> {
    let command = std::env::current_exe().context("where is this command?")?;
    let directory = command
        .parent()
        .context("this command is in no directory")?;
    let places = [
        directory.join("liblaio.so"),
        directory.join("../lib/liblaio.so"),
    ];
    match places.iter().find(|place| place.exists()) {
        Some(place) => Ok(place.clone()),
        None => bail!(
            "no liblaio.so beside {}: name it with --library",
            command.display()
        ),
    }
}

/// The library in front of what is preloaded already.
fn joined(library: &Path, before: Option<&OsStr>) -> OsString {
    let mut list = library.as_os_str().to_owned();
    if let Some(before) = before.filter(|before| !before.is_empty()) {
        list.push(":");
        list.push(before);
    }
    list
}

/// The dynamic linker only warns when it cannot load a library, so a small program is asked first.
fn check(library: &Path, preload: &OsStr) -> Result<()> {
    ensure!(
        !library
            .as_os_str()
            .as_encoded_bytes()
            .iter()
            .any(|byte| b": ".contains(byte)),
        "{} cannot be preloaded: LD_PRELOAD has no way to write a space or a colon",
        library.display()
    );
    let maps = Command::new("cat")
        .arg("/proc/self/maps")
        .env("LD_PRELOAD", preload)
        .env("LAIO", "off")
        .output()
        .context("cannot try the library on cat")?;
    let loaded = maps
        .stdout
        .windows(library.as_os_str().len())
        .any(|part| part == library.as_os_str().as_encoded_bytes());
    let said = String::from_utf8_lossy(&maps.stderr);
    ensure!(
        loaded,
        "{} was not loaded: {}",
        library.display(),
        said.trim()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_preload_is_kept() {
        let library = Path::new("/lib/liblaio.so");
        assert_eq!(
            joined(library, Some(OsStr::new("/a.so"))),
            "/lib/liblaio.so:/a.so"
        );
        assert_eq!(joined(library, Some(OsStr::new(""))), "/lib/liblaio.so");
        assert_eq!(joined(library, None), "/lib/liblaio.so");
    }
}
