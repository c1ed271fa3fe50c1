//! The small C programs of `tests/programs`: compiled once, run with and without the library, compared.

use crate::library::{self, Preload};
use crate::machine::{ending, tells_names, wait_within, FileLock};
use crate::stats::Stats;
use crate::test::scratch;
use crate::Result;
use anyhow::{bail, Context as _};
use std::ffi::CString;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How a source file is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// A program.
    Program,
    /// A program whose libc calls are the fortified ones (`__read_chk`, `__open_2`, …).
    Fortified,
    /// A shared object.
    Library,
    /// A program with OpenSSL.
    Openssl,
    /// A program with OpenSSL inside.
    StaticOpenssl,
}

/// Compiles `tests/programs/NAME.c` unless that was done since it changed.
pub fn compile(name: &str, build: Build) -> Result<PathBuf> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs");
    let source = sources.join(format!("{name}.c"));
    let dir = library::work_dir().join("bin");
    fs::create_dir_all(&dir)?;
    let (output, flags): (_, &[&str]) = match build {
        Build::Program => (dir.join(name), &["-U_FORTIFY_SOURCE"]),
        Build::Fortified => (
            dir.join(format!("{name}-fortified")),
            &["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"],
        ),
        Build::Library => (dir.join(format!("{name}.so")), &["-shared", "-fPIC"]),
        Build::Openssl => (dir.join(name), &[]),
        Build::StaticOpenssl => (dir.join(format!("{name}-static")), &[]),
    };
    let libraries: &[&str] = match build {
        Build::Openssl => &["-lssl", "-lcrypto"],
        Build::StaticOpenssl => &["-l:libssl.a", "-l:libcrypto.a"],
        _ => &[],
    };
    let _lock = FileLock::take(&dir.join("lock"))?;
    let changed = |p: &Path| fs::metadata(p).and_then(|m| m.modified());
    let mut newest = changed(&source)?;
    for header in headers(&sources)? {
        newest = newest.max(changed(&header)?);
    }
    if changed(&output).is_ok_and(|built| built > newest) {
        return Ok(output);
    }
    let partial = output.with_extension("partial");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let compiled = Command::new(&compiler)
        .args(["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-pthread"])
        // Wrong arguments are what some programs are about.
        .args([
            "-Wno-nonnull",
            "-Wno-stringop-overflow",
            "-Wno-stringop-overread",
        ])
        .args(flags)
        .arg("-o")
        .arg(&partial)
        .arg(&source)
        .args(libraries)
        .arg("-ldl")
        .output()
        .with_context(|| compiler.clone())?;
    if !compiled.status.success() {
        bail!(
            "{}: {}",
            source.display(),
            String::from_utf8_lossy(&compiled.stderr)
        );
    }
    fs::rename(&partial, &output)?;
    Ok(output)
}

/// What programs include, of their own folder and of those in it: some share a header.
fn headers(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(headers(&path)?);
        } else if path.extension().is_some_and(|e| e == "h") {
            found.push(path);
        }
    }
    Ok(found)
}

/// What one run showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// Exit status or signal.
    pub ending: String,
}

/// Runs a program in a fresh directory that has the same name in every run, so that paths in outputs agree.
pub fn observe(program: &Path, arguments: &[&str], preload: &Preload) -> Result<Observed> {
    observe_in(&library::fresh_dir("work")?, program, arguments, preload)
}

/// Runs a program in this directory.
pub fn observe_in(
    dir: &Path,
    program: &Path,
    arguments: &[&str],
    preload: &Preload,
) -> Result<Observed> {
    let mut command = preload.command(program);
    command.args(arguments);
    observe_command(dir, command)
}

/// Runs a command in this directory.
pub fn observe_command(dir: &Path, mut command: Command) -> Result<Observed> {
    let program = PathBuf::from(command.get_program());
    let out = scratch().join("stdout");
    let err = scratch().join("stderr");
    let mut child = command
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(File::create(&out)?)
        .stderr(File::create(&err)?)
        .spawn()
        .with_context(|| program.display().to_string())?;
    let limit = Duration::from_secs(30);
    let status = wait_within(&mut child, limit, false);
    let observed = Observed {
        stdout: fs::read(&out)?,
        stderr: fs::read(&err)?,
        ending: status.map_or_else(|| "still running after 30 s".into(), ending),
    };
    Ok(observed)
}

/// Fails unless a run under `preload` shows exactly what the stock run showed.
pub fn compare(stock: &Observed, other: &Observed, preload: &Preload) -> Result {
    let mut wrong = String::new();
    if stock.ending != other.ending {
        wrong += &format!(
            "stock: {}; {}: {}\n",
            stock.ending, preload.name, other.ending
        );
    }
    for (what, a, b) in [
        ("stdout", &stock.stdout, &other.stdout),
        ("stderr", &stock.stderr, &other.stderr),
    ] {
        if a != b {
            wrong += &format!(
                "{what}: stock (-) and {} (+) differ:\n{}",
                preload.name,
                difference(a, b)
            );
        }
    }
    if !wrong.is_empty() {
        bail!("{wrong}");
    }
    Ok(())
}

/// The lines that differ, with one line of context before the first.
fn difference(a: &[u8], b: &[u8]) -> String {
    let (a, b) = (String::from_utf8_lossy(a), String::from_utf8_lossy(b));
    let (a, b): (Vec<_>, Vec<_>) = (a.lines().collect(), b.lines().collect());
    let first = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let tail = a[first..]
        .iter()
        .rev()
        .zip(b[first..].iter().rev())
        .take_while(|(x, y)| x == y)
        .count();
    let mut text = String::new();
    if first > 0 {
        text += &format!("    {}\n", a[first - 1]);
    }
    for line in a[first..a.len() - tail].iter().take(20) {
        text += &format!("  - {line}\n");
    }
    for line in b[first..b.len() - tail].iter().take(20) {
        text += &format!("  + {line}\n");
    }
    text
}

/// The whole comparison for one program: stock twice, to know that it is deterministic, then acting, observing and off.
pub fn same_with_and_without(program: &Path, arguments: &[&str]) -> Result {
    let stock = observe(program, arguments, &Preload::stock())?;
    if !stock.ending.starts_with("exit status 0") {
        bail!(
            "the program itself fails without the library: {}\n{}{}",
            stock.ending,
            String::from_utf8_lossy(&stock.stdout),
            String::from_utf8_lossy(&stock.stderr)
        );
    }
    if stock.stdout.is_empty() {
        bail!("the program observes nothing");
    }
    let again = observe(program, arguments, &Preload::stock())?;
    let mut second = Preload::stock();
    second.name = "stock, second run".into();
    compare(&stock, &again, &second).context("the program is not deterministic")?;
    let stats = library::fresh_dir("stats")?;
    for mode in ["on", "observe", "off"] {
        let mut preload = Preload::mode(mode)?;
        if mode == "on" && arguments == ["engaged"] {
            preload = preload.with("LAIO_STATS", stats.join("laio-%p.json"));
        }
        compare(&stock, &observe(program, arguments, &preload)?, &preload)?;
    }
    // On a file system in memory nothing is ever cold.
    if arguments == ["engaged"] && !in_memory(&stats) && tells_names() {
        let stats = Stats::read(&stats)?;
        if stats.gated() == 0 {
            bail!("an engaged program, and no request was held back: this tested nothing\n{stats}");
        }
    }
    Ok(())
}

/// Whether a directory is on tmpfs.
pub fn in_memory(dir: &Path) -> bool {
    let Ok(path) = CString::new(dir.as_os_str().as_bytes()) else {
        return false;
    };
    // SAFETY: the path is NUL-terminated and lives across the call; all-zero is a valid statfs to fill.
    unsafe {
        let mut status: libc::statfs = std::mem::zeroed();
        libc::statfs(path.as_ptr(), &mut status) == 0 && status.f_type == libc::TMPFS_MAGIC
    }
}
