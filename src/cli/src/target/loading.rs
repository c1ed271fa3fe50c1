//! Whether the library can be loaded into a program.

use super::program::Target;
use rustix::fs::{getxattr, statvfs, StatVfsMountFlags};
use std::fmt::{Display, Formatter, Result as Formatted};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Why it cannot, or may not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Nothing is linked when it starts.
    Static {
        /// It is made by Go.
        go: bool,
    },
    /// It is for another processor.
    Processor(String),
    /// It has another C library.
    CLibrary(&'static str),
    /// The dynamic linker that it names is not there.
    NoLinker(String),
    /// It runs as another user or group than whoever starts it.
    SetId(&'static str),
    /// It has rights of its own.
    Capabilities,
}

impl Obstacle {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Obstacle::Static { go: false } => {
                "use a build that is linked dynamically, as distributions have it"
            }
            Obstacle::Static { go: true } => {
                "none: Go programs make system calls of their own. Put a server that is not \
                 (nginx, lighttpd) in front of the files"
            }
            Obstacle::Processor(_) => {
                "use a build for this machine, or the library on that machine"
            }
            Obstacle::CLibrary(_) => "use a build for glibc, as Debian and RHEL have it",
            Obstacle::NoLinker(_) => "install the C library that the program was built for",
            Obstacle::SetId(_) => "start it as the user whose rights it needs, without the bit",
            Obstacle::Capabilities => {
                "give the rights by the service manager instead (systemd: \
                 AmbientCapabilities=), and take them off the file: setcap -r"
            }
        }
    }
}

impl Display for Obstacle {
    fn fmt(&self, f: &mut Formatter<'_>) -> Formatted {
        match self {
            Obstacle::Static { go: false } => write!(
                f,
                "it is statically linked: there is no dynamic linker that would load the library"
            ),
            Obstacle::Static { go: true } => write!(
                f,
                "it is a static Go program: there is no dynamic linker that would load the library"
            ),
            Obstacle::Processor(name) => write!(
                f,
                "it is built for {name}, and the library for {}",
                if cfg!(target_arch = "aarch64") { "AArch64" } else { "x86-64" }
            ),
            Obstacle::CLibrary(name) => {
                write!(f, "it is built for {name}, and the library for glibc")
            }
            Obstacle::NoLinker(path) => {
                write!(f, "its dynamic linker {path} is not there, so it cannot start at all")
            }
            Obstacle::SetId(what) => write!(
                f,
                "it is {what}: the dynamic linker ignores LD_PRELOAD (secure execution)"
            ),
            Obstacle::Capabilities => write!(
                f,
                "its file has capabilities: the dynamic linker ignores LD_PRELOAD (secure execution)"
            ),
        }
    }
}

/// Who starts a program, and where.
#[derive(Clone, Copy)]
pub struct Starter<'s> {
    /// The user.
    pub user: u32,
    /// The group; nothing where it is not known.
    pub group: Option<u32>,
    /// Whether a file can give more rights than the starter has (not by `PR_SET_NO_NEW_PRIVS`).
    pub gains_rights: bool,
    /// Whether there is a file of this name.
    pub has: &'s dyn Fn(&Path) -> bool,
}

impl Starter<'_> {
    /// Whoever runs this command.
    pub fn this_process() -> Self {
        Starter {
            user: rustix::process::getuid().as_raw(),
            group: Some(rustix::process::getgid().as_raw()),
            gains_rights: true,
            has: &Path::exists,
        }
    }
}

/// Everything that stands in the way.
pub fn obstacles(target: &Target, starter: Starter<'_>) -> Vec<Obstacle> {
    let mut found = Vec::new();
    let elf = &target.elf;
    if !elf.is_own_processor {
        found.push(Obstacle::Processor(elf.processor.clone()));
    } else if elf.is_static() {
        found.push(Obstacle::Static { go: elf.is_go });
    } else if elf.c_library() != "glibc" {
        found.push(Obstacle::CLibrary(elf.c_library()));
    } else if let Some(linker) = elf.interpreter.as_deref() {
        if !(starter.has)(Path::new(linker)) {
            found.push(Obstacle::NoLinker(linker.to_owned()));
        }
    }
    if starter.gains_rights {
        found.extend(secure_execution(&target.image, starter));
    }
    found
}

/// Whether the kernel would start a file with more rights than its starter has. On a script's file it ignores those.
fn secure_execution(image: &Path, starter: Starter<'_>) -> Option<Obstacle> {
    let status = std::fs::metadata(image).ok()?;
    let mount = statvfs(image).ok()?;
    if mount.f_flag.contains(StatVfsMountFlags::NOSUID) {
        return None;
    }
    let set_user = status.mode() & 0o4000 != 0 && status.uid() != starter.user;
    let set_group = status.mode() & 0o2010 == 0o2010 && Some(status.gid()) != starter.group;
    if set_user || set_group {
        let what = if set_user {
            "set-user-ID"
        } else {
            "set-group-ID"
        };
        return Some(Obstacle::SetId(what));
    }
    // Who is root already gains nothing by them.
    (has_capabilities(image) && starter.user != 0).then_some(Obstacle::Capabilities)
}

/// Whether a program runs as its file's user or group.
pub fn is_set_id(image: &Path) -> bool {
    let mode = std::fs::metadata(image).map_or(0, |status| status.mode());
    mode & 0o4000 != 0 || mode & 0o2010 == 0o2010
}

/// Whether a file has capabilities.
pub fn has_capabilities(image: &Path) -> bool {
    let mut room = [0; 64];
    getxattr(image, "security.capability", &mut room[..]).is_ok_and(|length| length > 0)
}
