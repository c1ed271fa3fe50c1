//! The libraries of a program.

use super::elf::Elf;
use super::program::Target;
use crate::process::image;
use anyhow::{ensure, Context, Result};
use std::path::PathBuf;
use std::process::Command;

/// The dynamic linker of this machine.
const LINKER: &str = if cfg!(target_arch = "aarch64") {
    "/lib/ld-linux-aarch64.so.1"
} else {
    "/lib64/ld-linux-x86-64.so.2"
};

/// The C library's own: what they call among themselves no hook sees.
const C_LIBRARY: [&str; 8] = [
    "libc.so",
    "ld-linux",
    "libpthread.so",
    "libdl.so",
    "librt.so",
    "libm.so",
    "libresolv.so",
    "linux-vdso",
];

/// What a program is linked with.
#[derive(Debug, Default)]
pub struct Libraries {
    /// Those that were found: the name, the file, and what it says of itself.
    pub found: Vec<(String, PathBuf, Elf)>,
    /// Those that were not.
    pub missing: Vec<String>,
}

impl Libraries {
    /// Asks the dynamic linker, which maps the program and its libraries without running any of them.
    pub fn of(target: &Target) -> Result<Libraries> {
        let output = Command::new(LINKER)
            .arg("--list")
            .arg(&target.image)
            .env_remove("LD_PRELOAD")
            .output()
            .with_context(|| format!("cannot run {LINKER}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        let list = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success() || list.contains("not found"),
            "the dynamic linker says: {}",
            said.trim()
        );
        let mut libraries = Libraries::default();
        for (name, path) in list.lines().filter_map(line) {
            match path {
                _ if C_LIBRARY.iter().any(|own| name.starts_with(own)) => {}
                None => libraries.missing.push(name.to_owned()),
                Some(path) => {
                    let elf = image::read(path.as_ref()).and_then(|bytes| Elf::parse(&bytes));
                    let elf = elf.unwrap_or_default();
                    libraries.found.push((name.to_owned(), path.into(), elf));
                }
            }
        }
        Ok(libraries)
    }

    /// The first whose name begins so.
    pub fn named(&self, beginning: &str) -> Option<&str> {
        let mut names = self.found.iter().map(|(name, ..)| name.as_str());
        names.find(|name| name.starts_with(beginning))
    }
}

/// `libz.so.1 => /lib/libz.so.1 (0x7f…)`, and the same with `not found`.
fn line(line: &str) -> Option<(&str, Option<&str>)> {
    let line = line.trim();
    let Some((name, rest)) = line.split_once(" => ") else {
        // Named by a path; the first word is the file.
        let path = line.split(" (0x").next()?;
        let name = path.rsplit('/').next()?;
        return Some((name, Some(path)));
    };
    let path = rest
        .split(" (0x")
        .next()
        .filter(|path| path.starts_with('/'));
    Some((name, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_linker_are_understood() {
        assert_eq!(
            line("\tlibz.so.1 => /lib/x y/libz.so.1 (0x00007f)"),
            Some(("libz.so.1", Some("/lib/x y/libz.so.1")))
        );
        assert_eq!(line("\tlibq.so => not found"), Some(("libq.so", None)));
        assert_eq!(
            line("\t/lib64/ld-linux-x86-64.so.2 (0x7)").unwrap().0,
            "ld-linux-x86-64.so.2"
        );
    }

    #[test]
    fn this_program_has_libraries_that_are_found() {
        let target = Target::inspect("/proc/self/exe".as_ref()).unwrap();
        let libraries = Libraries::of(&target).unwrap();
        assert_eq!(libraries.missing, [""; 0]);
        // Only the C library's are left out.
        assert_eq!(libraries.named("libc.so"), None);
    }
}
