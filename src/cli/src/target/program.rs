//! A program that was found: which file the kernel runs, and what that is.

use super::elf::Elf;
use super::find::find;
use crate::process::image;
use anyhow::{Context, Result};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Scripts whose interpreters are scripts, at most; the kernel has a limit, too.
const DEPTH: usize = 4;

const SHELLS: [&str; 4] = ["sh", "bash", "dash", "zsh"];

/// Programs that run others' scripts, by the beginning of their names.
const INTERPRETERS: [&str; 9] = [
    "python", "pypy", "ruby", "perl", "php", "node", "lua", "java", "beam",
];

/// A program that was found.
#[derive(Debug)]
pub struct Target {
    /// The file that was named.
    pub path: PathBuf,
    /// The file that the kernel runs: another one where that is a script.
    pub image: PathBuf,
    /// What that is.
    pub elf: Elf,
}

impl Target {
    /// Finds out what a file is.
    pub fn inspect(path: &Path) -> Result<Target> {
        Target::inspect_by(path, &|name| {
            find(name).map_err(|missing| anyhow::anyhow!("the script's interpreter: {missing}"))
        })
    }

    /// The same; interpreters of scripts are found by `find`.
    pub fn inspect_by(path: &Path, find: &dyn Fn(&OsStr) -> Result<PathBuf>) -> Result<Target> {
        let mut image = path.to_path_buf();
        for _ in 0..DEPTH {
            let bytes = image::read(&image)
                .with_context(|| format!("{} cannot be read", image.display()))?;
            match interpreter(&bytes) {
                Some(words) => image = find(interpreter_name(&words)?)?,
                None => {
                    let elf = Elf::parse(&bytes)
                        .with_context(|| format!("{} is no program", image.display()))?;
                    let path = path.to_path_buf();
                    return Ok(Target { path, image, elf });
                }
            }
        }
        anyhow::bail!("{} is a script of a script of a script", path.display())
    }

    /// Whether it is a script.
    pub fn is_script(&self) -> bool {
        self.path != self.image
    }

    /// Whether a shell reads it, which hands over to other programs.
    pub fn is_shell_script(&self) -> bool {
        self.is_script() && SHELLS.iter().any(|shell| self.image.ends_with(shell))
    }

    /// Whether its calls are those of modules that a script has loaded.
    pub fn is_interpreter(&self) -> bool {
        let name = self.image.file_name().unwrap_or_default().to_string_lossy();
        INTERPRETERS
            .iter()
            .any(|interpreter| name.starts_with(interpreter))
    }

    /// The file name that was named.
    pub fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        laio_core::escape::Escaped(name.as_bytes()).to_string()
    }
}

/// The words behind `#!`.
fn interpreter(bytes: &[u8]) -> Option<Vec<OsString>> {
    let line = bytes.strip_prefix(b"#!")?;
    let line = line.split(|&byte| byte == b'\n').next()?;
    let words = line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    Some(
        words
            .map(|word| OsStr::from_bytes(word).to_owned())
            .collect(),
    )
}

/// The name of an interpreter; of `env`, that of what it starts.
fn interpreter_name(words: &[OsString]) -> Result<&OsStr> {
    let first = words.first().context("the script names no interpreter")?;
    let is_env = Path::new(first).file_name() == Some(OsStr::new("env"));
    let is_plain =
        |word: &&OsString| !word.as_bytes().starts_with(b"-") && !word.as_bytes().contains(&b'=');
    Ok(match words[1..].iter().find(is_plain) {
        Some(second) if is_env => second,
        _ => first,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters_are_found() {
        let words = |line: &str| interpreter(line.as_bytes());
        assert_eq!(
            words("#!/bin/sh -e\nexit"),
            Some(vec!["/bin/sh".into(), "-e".into()])
        );
        assert_eq!(words("\x7fELF"), None);
        let name = |line: &str| interpreter_name(&words(line).unwrap()).map(OsStr::to_owned);
        assert_eq!(name("#! /bin/sh\n").unwrap(), "/bin/sh");
        assert_eq!(name("#!/usr/bin/env -S A=1 sh\n").unwrap(), "sh");
        assert!(name("#!\n").is_err());
    }
}
