//! Running a program under the library, and making sure that it really is.

use crate::report::wrap;
use crate::settings;
use crate::target::{self, obstacles, Starter, Target};
use anyhow::{bail, ensure, Context, Result};
use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::io::{Error, Read as _};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr::null;

/// The exit status of wrappers (`env`, `timeout`, `nohup`) where they fail themselves.
pub const FAILED: u8 = 125;

/// What to run, and how.
#[derive(Debug)]
pub struct Run<'r> {
    /// The library, where it is named.
    pub library: Option<PathBuf>,
    /// Whether to run what the library cannot be loaded into.
    pub force: bool,
    /// Variables of the library.
    pub settings: Vec<(&'static str, String)>,
    /// The program and its arguments.
    pub program: &'r [OsString],
}

/// Replaces this process by the program; returns the exit status for whoever asked, only if that fails.
pub fn run(run: Run<'_>) -> Result<u8> {
    let name = run.program.first().context("no program is named")?;
    let path = match target::find(name) {
        Ok(path) => path,
        Err(missing) => {
            eprintln!("laio: {missing}");
            return Ok(missing.status());
        }
    };
    if let Err(refusal) = examine(&path) {
        ensure!(
            run.force,
            "{refusal:#}\nTo run it without the library's help: --force"
        );
        eprintln!("laio: {refusal:#}\nlaio: run all the same (--force)");
    }
    let library = match run.library {
        Some(library) => library,
        None => beside_this_command()?,
    };
    let library = library
        .canonicalize()
        .with_context(|| format!("the library {} is not there", library.display()))?;
    let preload = joined(&library, std::env::var_os("LD_PRELOAD").as_deref());
    check(&library, &preload)?;
    let is_chosen = |name: &OsString| run.settings.iter().any(|(chosen, _)| name == chosen);
    let mut environment: BTreeMap<_, _> = std::env::vars_os().collect();
    let told = environment
        .clone()
        .into_iter()
        .filter(|(name, _)| !is_chosen(name));
    for mistake in settings::mistakes(told) {
        eprintln!("laio: {}", mistake.text);
        if mistake.is_told_twice {
            environment.remove(&mistake.name);
        }
    }
    environment.insert("LD_PRELOAD".into(), preload);
    // Whoever starts it so is told that it works, and of what stalls.
    environment
        .entry("LAIO_LOG".into())
        .or_insert_with(|| "info".into());
    let settings = run.settings.into_iter();
    environment.extend(settings.map(|(name, value)| (name.into(), value.into())));
    let mut error = execute(&path, run.program, &environment);
    if error.raw_os_error() == Some(libc::ENOEXEC) && !is_elf(&path) {
        // A script without a first line that names its shell, as shells take it.
        let shell = Path::new("/bin/sh");
        let words = [shell.into(), path.clone().into()];
        let words: Vec<_> = words.into_iter().chain(run.program[1..].to_vec()).collect();
        error = execute(shell, &words, &environment);
    }
    eprintln!("laio: cannot run {}: {error}", path.display());
    Ok(match error.kind() {
        std::io::ErrorKind::NotFound => 127,
        _ => 126,
    })
}

/// Becomes the program; returns only if that fails. Not by `execvp`, which has a shell read what the kernel does not know,
/// programs for other processors among them.
fn execute(path: &Path, words: &[OsString], environment: &BTreeMap<OsString, OsString>) -> Error {
    let pairs = environment.iter().map(|(name, value)| {
        let mut pair = name.clone();
        pair.push("=");
        pair.push(value);
        pair
    });
    let text = |word: OsString| CString::new(word.into_vec());
    let list = |words: &[CString]| {
        let words = words.iter().map(|word| word.as_ptr());
        words.chain([null()]).collect::<Vec<_>>()
    };
    let path = text(path.into());
    let words = words
        .iter()
        .cloned()
        .map(text)
        .collect::<Result<Vec<_>, _>>();
    let pairs = pairs.map(text).collect::<Result<Vec<_>, _>>();
    let (Ok(path), Ok(words), Ok(pairs)) = (path, words, pairs) else {
        return Error::other("a word of it has a byte that is zero");
    };
    // SAFETY: three texts, or lists of them that end with null, which live until the call returns, if it does.
    unsafe { libc::execve(path.as_ptr(), list(&words).as_ptr(), list(&pairs).as_ptr()) };
    Error::last_os_error()
}

fn is_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    read.is_err() || &magic == b"\x7fELF"
}

/// Columns of what is written to the standard error.
const WIDTH: usize = 80;

/// Whether the library can be loaded into a program.
fn examine(path: &Path) -> Result<()> {
    let target = match Target::inspect(path) {
        Ok(target) => target,
        // A program may be executed by who may not read it; and the kernel knows more formats than this command.
        Err(error) => {
            eprintln!("laio: {error:#}: not checked");
            return Ok(());
        }
    };
    let obstacles = obstacles(&target, Starter::this_process());
    if obstacles.is_empty() {
        return Ok(());
    }
    let mut text = format!(
        "the library cannot be loaded into {}",
        target.image.display()
    );
    for obstacle in obstacles {
        text.push_str("\n  ");
        wrap(&mut text, &obstacle.to_string(), "  ", WIDTH, 2);
        text.push_str("  > ");
        wrap(&mut text, obstacle.remedy(), "    ", WIDTH, 4);
    }
    bail!(text.trim_end().to_owned())
}

/// Where the library is, seen from this command: built, installed by hand, or from a package.
const PLACES: [&str; 4] = [
    "",
    "../lib",
    if cfg!(target_arch = "aarch64") {
        "../lib/aarch64-linux-gnu"
    } else {
        "../lib/x86_64-linux-gnu"
    },
    "../lib64",
];

/// The library that belongs to this command.
pub fn beside_this_command() -> Result<PathBuf> {
    let command = std::env::current_exe().context("where is this command?")?;
    let directory = command
        .parent()
        .context("this command is in no directory")?;
    let places = PLACES.map(|place| directory.join(place).join("liblaio.so"));
    match places.into_iter().find(|place| place.exists()) {
        Some(place) => Ok(place),
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
pub fn check(library: &Path, preload: &OsStr) -> Result<()> {
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
