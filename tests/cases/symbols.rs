//! The library as a file: which names it exports, which it needs, and which of its own hooks it calls itself.

use anyhow::{bail, ensure};
use laio_tests::library;
use laio_tests::{run, Need, Result, Test};
use std::collections::BTreeSet;
use std::process::{Command, ExitCode};

/// The names that it exports.
fn exported() -> Result<BTreeSet<String>> {
    let nm = Command::new("nm")
        .args(["-D", "--defined-only"])
        .arg(library::path()?)
        .output()?;
    Ok(String::from_utf8(nm.stdout)?
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2))
        .map(|name| name.split('@').next().unwrap_or(name).to_owned())
        .collect())
}

fn exports() -> Result {
    let listed = Command::new(library::command()?).arg("symbols").output()?;
    if !listed.status.success() {
        bail!("laio symbols: {}", String::from_utf8_lossy(&listed.stderr));
    }
    let promised: BTreeSet<String> = String::from_utf8(listed.stdout)?
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    let exported = exported()?;
    let missing: Vec<_> = promised.difference(&exported).collect();
    let unexpected: Vec<_> = exported.difference(&promised).collect();
    if promised.is_empty() || !missing.is_empty() || !unexpected.is_empty() {
        bail!("promised and missing: {missing:?}; exported and not promised: {unexpected:?}");
    }
    // The names through which real servers come in.
    for name in [
        "open64",
        "__open_2",
        "stat64",
        "__xstat64",
        "pread64",
        "__read_chk",
        "recv",
        "readv",
        "epoll_wait",
        "epoll_ctl",
        "accept4",
        "close",
        "dup2",
        "close_range",
        "opendir",
        "fcntl64",
        "pwrite64",
        "fsync",
    ] {
        if !exported.contains(name) {
            bail!("{name} is not exported: servers that call it are not helped");
        }
    }
    Ok(())
}

/// What the library needs of glibc, whatever was installed where it was built.
fn needs_no_newer_glibc() -> Result {
    const OLDEST: u32 = 31;
    let output = Command::new("objdump")
        .arg("-T")
        .arg(library::path()?)
        .output()?;
    let listed = String::from_utf8(output.stdout)?;
    let needed: Vec<_> = listed.lines().filter(|l| l.contains("*UND*")).collect();
    ensure!(
        needed.iter().any(|line| line.contains("(GLIBC_2.")),
        "nothing is needed: {listed}"
    );
    let minor = |line: &str| -> Option<u32> {
        let version = line.split("(GLIBC_2.").nth(1)?;
        version.split(['.', ')']).next()?.parse().ok()
    };
    // What is weak may be missing.
    let newer = needed
        .iter()
        .filter(|line| minor(line).is_some_and(|minor| minor > OLDEST) && !line.contains(" w "));
    let newer: Vec<_> = newer.collect();
    ensure!(newer.is_empty(), "newer than 2.{OLDEST}: {newer:#?}");
    Ok(())
}

/// The hooks that the library may call by their names, and why.
const CALLED: [(&str, &str); 4] = [
    ("syscall", "a call of the paper's interface that hooks have to see; a helper leaves the descriptor table"),
    ("execv", "`execl` goes on as that"),
    ("execve", "`execle` goes on as that"),
    ("execvp", "`execlp` goes on as that"),
];

/// What the standard library calls by their names where a thread panics, which nothing here does, and in files and clocks
/// of its own, which nothing here uses.
const OF_PANICS: [&str; 11] = [
    "close", "fstat64", "mmap64", "munmap", "open64", "read", "readlink", "stat64", "statx",
    "write", "writev",
];

/// The library's own calls go past its hooks: what refers to an exported name would be bound to the library's own.
fn calls_no_hook() -> Result {
    let relocations = Command::new("readelf")
        .arg("-rW")
        .arg(library::path()?)
        .output()?;
    let bound: BTreeSet<String> = String::from_utf8(relocations.stdout)?
        .lines()
        .filter_map(|line| line.split_whitespace().nth(4))
        .map(|name| name.split('@').next().unwrap_or(name).to_owned())
        .collect();
    ensure!(bound.contains("pthread_create"), "no relocations are found");
    let hooks = exported()?;
    let is_meant = |name: &&String| {
        let is_called = CALLED.iter().any(|(called, _)| called == name);
        !is_called && !OF_PANICS.contains(&name.as_str())
    };
    let unexpected: Vec<_> = bound.intersection(&hooks).filter(is_meant).collect();
    ensure!(
        unexpected.is_empty(),
        "hooks that the library calls itself: {unexpected:?}"
    );
    Ok(())
}

fn main() -> ExitCode {
    run(vec![
        // Without it, a name could be exported by accident and take over a function of the application.
        Test::new("exports", exports).needs(Need::Command("nm", "binutils")),
        // Without it, the dynamic linker of an older system would end each program that the library is preloaded into.
        Test::new("needs no newer glibc", needs_no_newer_glibc)
            .needs(Need::Command("objdump", "binutils")),
        // Without it, a call of the library's own could be taken for the application's.
        Test::new("calls no hook of its own", calls_no_hook)
            .needs(Need::Command("readelf", "binutils")),
    ])
}
