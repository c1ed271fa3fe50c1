//! Where the library is, and the environment that loads it.

use crate::{test, Result};
use anyhow::{bail, Context as _};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace's root directory.
pub fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// Cargo's target directory.
fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => workspace().join(dir),
        None => workspace().join("target"),
    }
}

/// Where `scripts/install-merecat` puts programs that it does not install.
pub fn unpacked() -> PathBuf {
    target().join("unpacked/usr/sbin")
}

/// Python with uvloop, where `scripts/install-uvloop` puts it.
pub fn python_with_uvloop() -> PathBuf {
    target().join("uvloop/bin")
}

/// Where `demo-servers/lazy` is built.
pub fn demo_servers() -> PathBuf {
    target().join("laio-tests/demo-servers")
}

/// Where the tests keep compiled programs and scratch directories.
pub fn work_dir() -> PathBuf {
    let dir = target().join("laio-tests");
    if let Err(error) = std::fs::create_dir_all(&dir) {
        eprintln!("{}: {error}", dir.display());
    }
    dir
}

/// `liblaio.so`: `LAIO_TEST_LIBRARY`, or the release build of this workspace.
pub fn path() -> Result<PathBuf> {
    let chosen = std::env::var_os("LAIO_TEST_LIBRARY");
    let path = chosen.map_or_else(
        || workspace().join("target/release/liblaio.so"),
        PathBuf::from,
    );
    path.canonicalize().with_context(|| {
        format!(
            "the library is not there: {}. Build it with `cargo build --release -p laio-preload -p laio-cli`, or set \
             LAIO_TEST_LIBRARY",
            path.display()
        )
    })
}

/// The `laio` command: `LAIO_TEST_COMMAND`, or the release build of this workspace.
pub fn command() -> Result<PathBuf> {
    let chosen = std::env::var_os("LAIO_TEST_COMMAND");
    let path = chosen.map_or_else(|| workspace().join("target/release/laio"), PathBuf::from);
    path.canonicalize()
        .with_context(|| format!("the laio command is not there: {}", path.display()))
}

/// Whether, and how, a program is run under the library.
#[derive(Clone, Debug)]
pub struct Preload {
    /// A word for reports.
    pub name: String,
    /// Libraries to preload, in order; empty for a stock run.
    pub libraries: Vec<PathBuf>,
    /// Variables for the library.
    pub variables: BTreeMap<String, String>,
}

impl Preload {
    /// Without the library.
    pub fn stock() -> Self {
        Self {
            name: "stock".into(),
            libraries: Vec::new(),
            variables: BTreeMap::new(),
        }
    }

    /// A program that is linked with the library, with `LAIO` set to `mode`.
    pub fn linked(mode: &str) -> Self {
        let mut preload = Self::stock();
        preload.name = format!("linked, LAIO={mode}");
        preload.variables.insert("LAIO".into(), mode.into());
        preload
    }

    /// Under the library with `LAIO` set to `mode` (`on`, `off`, `observe`).
    pub fn mode(mode: &str) -> Result<Self> {
        let mut preload = Self {
            name: format!("LAIO={mode}"),
            libraries: vec![path()?],
            variables: BTreeMap::new(),
        };
        preload.variables.insert("LAIO".into(), mode.into());
        Ok(preload)
    }

    /// Under the library, acting.
    pub fn on() -> Result<Self> {
        Self::mode("on")
    }

    /// Adds a variable.
    pub fn with(mut self, name: &str, value: impl AsRef<Path>) -> Self {
        self.variables
            .insert(name.into(), value.as_ref().to_string_lossy().into_owned());
        self
    }

    /// Adds another library: after liblaio, or before it.
    pub fn with_library(mut self, library: &Path, before: bool) -> Self {
        let at = if before { 0 } else { self.libraries.len() };
        self.libraries.insert(at, library.to_path_buf());
        self
    }

    /// Whether liblaio is among the libraries.
    pub fn is_stock(&self) -> bool {
        self.variables.is_empty()
    }

    /// `LD_PRELOAD`'s value.
    pub fn ld_preload(&self) -> String {
        let names: Vec<_> = self
            .libraries
            .iter()
            .map(|p| p.to_string_lossy().into_owned())
            .collect();
        names.join(":")
    }

    /// A command whose program runs in this way. Variables of the library that the caller's environment has are removed.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("LAIO") {
                command.env_remove(name);
            }
        }
        command.env_remove("LD_PRELOAD");
        command.env("LC_ALL", "C").env("TZ", "UTC");
        if !self.libraries.is_empty() {
            command.env("LD_PRELOAD", self.ld_preload());
        }
        command.envs(&self.variables);
        command
    }

    /// The same, under `strace` with `options`: only the traced program has the preload, not the tracer.
    pub fn traced(&self, program: &Path, options: &[&str], output: &Path) -> Command {
        let mut command = Preload::stock().command(Path::new("strace"));
        command.args(options).arg("-o").arg(output);
        if !self.libraries.is_empty() {
            command
                .arg("-E")
                .arg(format!("LD_PRELOAD={}", self.ld_preload()));
        }
        for (name, value) in &self.variables {
            command.arg("-E").arg(format!("{name}={value}"));
        }
        command.arg(program);
        command
    }
}

/// Fails when `liblaio.so` was asked for and the process does not have it mapped: the dynamic linker only warns.
pub fn check_loaded(pid: u32) -> Result {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let library = path()?;
    if !maps.contains(&*library.to_string_lossy()) {
        bail!("process {pid} does not have {} mapped", library.display());
    }
    Ok(())
}

/// Names of the threads of a process.
pub fn threads(pid: u32) -> Result<Vec<(u32, String)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let entry = entry?;
        // A thread may leave between the two reads.
        if let Ok(name) = std::fs::read_to_string(entry.path().join("comm")) {
            let tid = entry.file_name().to_string_lossy().parse()?;
            found.push((tid, name.trim_end().to_owned()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// How many descriptors a process has open.
pub fn descriptors(pid: u32) -> Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// A fresh directory of this name in the running test's scratch directory, writable for servers that drop privileges.
pub fn fresh_dir(name: &str) -> Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = test::scratch().join(name);
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    std::fs::create_dir_all(&dir)?;
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o777))?;
    Ok(dir)
}
