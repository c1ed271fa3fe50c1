//! The disks that files are served from: made, filled, made cold again before every run, and removed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{ensure, Context, Result};
use nix::unistd::geteuid;
use tempfile::TempDir;

use crate::files::{FileSet, Sizes};
use crate::interrupt;

/// Which disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Every read takes some milliseconds.
    Slow,
    /// The same, but four times as many reads at once.
    Deep,
    /// A read takes microseconds.
    Fast,
    /// This machine's own.
    Local,
}

/// Number of the first large file: beyond those of all others.
const LARGE: u32 = 60_000;

/// The sets of files on a disk.
pub trait Files {
    /// All of them.
    fn all(&self) -> Vec<&FileSet>;
}

impl Files for FileSet {
    fn all(&self) -> Vec<&FileSet> {
        vec![self]
    }
}

/// The files on a disk of the trial.
#[derive(Clone, Debug)]
pub struct Sets {
    /// More than are asked for in one run: none repeats.
    pub cold: FileSet,
    /// A few that are always cached: the working set of most sites.
    pub hot: FileSet,
    /// A few of different sizes, for what a cached request costs.
    pub small: FileSet,
    /// Large ones, none of which repeats in a run either.
    pub large: FileSet,
}

impl Sets {
    /// `cold` files of 16 KiB and `large` ones of 4 MiB that are read once, and the small sets.
    pub fn new(cold: u32, large: u32) -> Self {
        Self {
            hot: FileSet::new("hot", 0..100, Sizes::All(16 << 10)),
            small: FileSet::new("small", 100..200, Sizes::UpToKib(16)),
            cold: FileSet::new("cold", 1000..1000 + cold, Sizes::All(16 << 10)),
            large: FileSet::new("large", LARGE..LARGE + large, Sizes::All(4 << 20)),
        }
    }
}

impl Files for Sets {
    fn all(&self) -> Vec<&FileSet> {
        vec![&self.cold, &self.hot, &self.small, &self.large]
    }
}

/// A disk with its files.
pub struct Disk<S: Files = Sets> {
    kind: Kind,
    /// Who makes it and takes it down; none for the local disk.
    script: Option<PathBuf>,
    /// Removed when this is dropped, after the disk.
    directory: TempDir,
    docroot: PathBuf,
    /// Its files.
    pub sets: S,
}

impl<S: Files> Disk<S> {
    /// Makes a disk beneath `work` and writes the files.
    pub fn make(kind: Kind, work: &Path, scripts: &Path, delay: &str, sets: S) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("disk-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in(work)?;
        let (script, mount) = match kind {
            Kind::Slow | Kind::Deep => (
                Some(scripts.join("slow-disk")),
                directory.path().join("mnt"),
            ),
            Kind::Fast => (
                Some(scripts.join("fast-disk")),
                directory.path().join("mnt"),
            ),
            Kind::Local => (None, directory.path().to_path_buf()),
        };
        let disk = Self {
            kind,
            script,
            directory,
            docroot: mount.join("www"),
            sets,
        };
        match kind {
            Kind::Slow => disk.script("up", &["--delay", delay])?,
            Kind::Deep => {
                disk.script("up", &["--delay", delay, "--lanes", "4", "--size", "4G"])?;
            }
            Kind::Fast => disk.script("up", &[])?,
            Kind::Local => {}
        }
        disk.fill()?;
        Ok(disk)
    }

    fn fill(&self) -> Result<()> {
        fs::create_dir(&self.docroot).context("cannot make the docroot")?;
        fs::set_permissions(&self.docroot, fs::Permissions::from_mode(0o755))?;
        for set in self.sets.all() {
            interrupt::check()?;
            set.create(&self.docroot)?;
        }
        nix::unistd::sync();
        Ok(())
    }

    /// Beneath it all of this disk is, and room for what is mounted on top of it.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Where the files are.
    pub fn docroot(&self) -> &Path {
        &self.docroot
    }

    /// Makes every file cold. No server may have one open.
    pub fn make_cold(&self) -> Result<()> {
        interrupt::check()?;
        match self.kind {
            Kind::Slow | Kind::Deep | Kind::Fast => self.script("cold", &[]),
            Kind::Local => self.drop_caches(),
        }
    }

    /// Makes every file cold while servers run. As root this drops everything else that is cached as well, the programs
    /// included; otherwise only the files' pages.
    pub fn drop_caches(&self) -> Result<()> {
        if is_root() {
            nix::unistd::sync();
            return fs::write("/proc/sys/vm/drop_caches", "3")
                .context("cannot drop the page cache");
        }
        self.sets
            .all()
            .iter()
            .try_for_each(|set| set.drop_pages(&self.docroot))
    }

    /// Brings `set` into the page cache.
    pub fn warm(&self, set: &FileSet) -> Result<()> {
        set.warm(&self.docroot)
    }

    fn script(&self, verb: &str, arguments: &[&str]) -> Result<()> {
        let Some(script) = &self.script else {
            return Ok(());
        };
        let output = Command::new("bash")
            .arg(script)
            .arg(verb)
            .arg(self.directory.path())
            .args(arguments)
            .stdin(Stdio::null())
            // Ctrl-C is for us: a script that was interrupted half-way would leave half a disk.
            .process_group(0)
            .output()
            .with_context(|| format!("cannot run {}", script.display()))?;
        ensure!(
            output.status.success(),
            "{} {verb} failed: {}",
            script.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    }
}

impl<S: Files> Drop for Disk<S> {
    fn drop(&mut self) {
        if let Err(error) = self.script("down", &[]) {
            eprintln!("{error:#}");
        }
    }
}

/// May this process make disks and drop caches?
pub fn is_root() -> bool {
    geteuid().is_root()
}
