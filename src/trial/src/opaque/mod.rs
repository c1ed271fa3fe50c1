//! File systems that cannot say what they hold in memory, mounted for one run: overlayfs over the slow disk, and FUSE.

mod daemon;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};
use nix::mount::{mount, umount2, MntFlags, MsFlags};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

use crate::disks::Disk;
use crate::files::{FileSet, Sizes};
use crate::interrupt;
use crate::options::Options;
use crate::plan::Section;

/// Where in the docroot FUSE is mounted; the rest of it is the disk's.
const FUSE: &str = "fuse";

/// The files on FUSE: more than are asked for in one run.
fn fuse_files() -> FileSet {
    FileSet::new(FUSE, 1000..60_000, Sizes::All(16 << 10))
}

/// What this process does instead of a trial where it was started for that: shows files at `mount_point`.
pub fn serve(mount_point: &Path, options: &Options) -> Result<()> {
    daemon::run(fuse_files(), mount_point, options.delay()?)
}

/// Where a run's cold files are.
pub struct Place {
    /// What the server serves.
    pub docroot: PathBuf,
    /// The files.
    pub cold: FileSet,
    over: Over,
}

/// What was mounted for it. Held on to, it stays mounted.
enum Over {
    Nothing,
    Overlay(#[expect(dead_code, reason = "dropped, it is unmounted")] Mount),
    Fuse(Fuse),
}

impl Place {
    /// The place that a section is about: the disk's own file system, unless it is an opaque one. No server may outlive it.
    pub fn of(section: Section, disk: &Disk, options: &Options) -> Result<Self> {
        let docroot = disk.docroot().to_path_buf();
        let cold = disk.sets.cold.clone();
        let (docroot, cold, over) = match section {
            Section::Overlay => {
                let mount = overlay(disk)?;
                (mount.point.clone(), cold, Over::Overlay(mount))
            }
            Section::Fuse | Section::Hung => {
                let fuse = Fuse::start(&docroot.join(FUSE), options)?;
                (docroot, fuse_files(), Over::Fuse(fuse))
            }
            _ => (docroot, cold, Over::Nothing),
        };
        Ok(Self {
            docroot,
            cold,
            over,
        })
    }

    /// Stops what serves the cold files after a while and has it go on after another; returns how long it was stopped. Does
    /// nothing where nobody serves them.
    pub fn hang(&self, after: Duration, during: Duration) -> Result<Duration> {
        let Over::Fuse(fuse) = &self.over else {
            return Ok(Duration::ZERO);
        };
        interrupt::sleep(after)?;
        let start = Instant::now();
        let stopped = fuse.stop()?;
        interrupt::sleep(during)?;
        drop(stopped);
        Ok(start.elapsed())
    }
}

/// A mounted file system; unmounted when this is dropped, whoever uses it or hangs in it.
struct Mount {
    point: PathBuf,
}

impl Drop for Mount {
    fn drop(&mut self) {
        if let Err(error) = umount2(&self.point, MntFlags::MNT_DETACH) {
            eprintln!("cannot unmount {}: {error}", self.point.display());
        }
        let _ = fs::remove_dir(&self.point);
    }
}

/// The disk's files as the lower layer of an overlay, as in a container. What would be written goes to the same disk.
fn overlay(disk: &Disk) -> Result<Mount> {
    let lower = disk.docroot();
    let [upper, work] = ["upper", "work"].map(|name| lower.with_file_name(name));
    let point = disk.directory().join("overlay");
    for directory in [&upper, &work, &point] {
        fs::create_dir_all(directory)?;
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
    }
    let layers = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.display(),
        upper.display(),
        work.display()
    );
    let kind = "overlay";
    mount(
        Some(kind),
        &point,
        Some(kind),
        MsFlags::MS_NOATIME,
        Some(layers.as_str()),
    )
    .with_context(|| format!("cannot mount overlayfs at {}", point.display()))?;
    Ok(Mount { point })
}

/// A FUSE file system and the process that serves it.
struct Fuse {
    daemon: Child,
    // Unmounted after the daemon's end: then nobody waits for an answer any more.
    _mount: Mount,
}

impl Fuse {
    fn start(mount_point: &Path, options: &Options) -> Result<Self> {
        fs::create_dir_all(mount_point)?;
        // This program, even if another has been built in its place.
        let mut daemon = Command::new("/proc/self/exe")
            .arg0("laio-trial")
            .arg("--serve")
            .arg(mount_point)
            .args(["--delay", &options.delay])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C is for us.
            .process_group(0)
            .spawn()
            .context("cannot start the FUSE daemon")?;
        let mut said = String::new();
        if let Some(output) = daemon.stdout.take() {
            BufReader::new(output).read_line(&mut said)?;
        }
        if said.trim_end() != daemon::READY {
            let _ = daemon.kill();
            let output = daemon.wait_with_output()?;
            let error = String::from_utf8_lossy(&output.stderr);
            // Most likely nothing is mounted.
            let _ = umount2(mount_point, MntFlags::MNT_DETACH);
            let _ = fs::remove_dir(mount_point);
            bail!("the FUSE daemon ended: {}", error.trim());
        }
        Ok(Self {
            daemon,
            _mount: Mount {
                point: mount_point.to_path_buf(),
            },
        })
    }

    /// Stops the daemon in the middle of what it does, until the answer is dropped.
    fn stop(&self) -> Result<Stopped> {
        let daemon = Pid::from_raw(self.daemon.id() as i32);
        kill(daemon, Signal::SIGSTOP).context("cannot stop the FUSE daemon")?;
        Ok(Stopped(daemon))
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        // A stopped one can be killed as well. Whoever waits for it gets an error.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// A stopped process.
struct Stopped(Pid);

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGCONT);
    }
}
