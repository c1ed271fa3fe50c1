//! What tests cannot do without: whether it is there, and how it is had.

use crate::library;
use crate::machine::{is_root, FileLock};
use crate::test::Need;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where a command is: on the path, with the commands for administrators, or unpacked beside what was built.
pub fn find_command(command: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let places = path.split(':').chain(["/usr/sbin", "/sbin"]);
    let built = [
        library::unpacked(),
        library::demo_servers(),
        library::python_with_uvloop(),
    ];
    let mut places = places.map(PathBuf::from).chain(built);
    places.find_map(|dir| Some(dir.join(command)).filter(|file| file.is_file()))
}

pub(crate) fn out_of_reach(need: Need) -> Option<String> {
    match need {
        Need::Root if !is_root() => Some("it needs root".into()),
        Need::SlowDisk if !is_root() => Some("the slow disk needs root".into()),
        Need::SlowDisk if !Path::new("/dev/fuse").exists() => {
            Some("the slow disk needs FUSE and there is no dev fuse".into())
        }
        Need::Command(command, package) if find_command(command).is_none() && !is_root() => Some(
            format!("{command} is missing and installing {package} needs root"),
        ),
        Need::Program(command) if find_command(command).is_none() => {
            Some(format!("{command} is not on the PATH"))
        }
        Need::Libevent if !has_libevent() && !is_root() => {
            Some("libevent is missing and installing libevent-dev needs root".into())
        }
        Need::Package(package) if !is_root() && !has_package(package) => {
            Some(format!("installing {package} needs root"))
        }
        _ => None,
    }
}

/// What the slow disk is made with, and where it comes from.
const SLOW_DISK: [(&str, &str); 4] = [
    ("nbdkit", "nbdkit"),
    ("nbdfuse", "libnbd-bin"),
    ("fusermount3", "fuse3"),
    ("mkfs.ext4", "e2fsprogs"),
];

/// Installs what is missing; an error is the reason to skip.
pub(crate) fn provide(need: Need) -> Result<(), String> {
    match need {
        Need::Root | Need::Program(_) => Ok(()),
        Need::Command(command, package) => install(command, package),
        Need::SlowDisk => SLOW_DISK
            .iter()
            .try_for_each(|(command, package)| install(command, package)),
        Need::Libevent => {
            install("make", "make")?;
            install_unless(has_libevent, "libevent", "libevent-dev")
        }
        Need::Package(package) => install_unless(|| has_package(package), package, package),
        Need::Uvloop => {
            let _guard = install_lock()?;
            let script = library::workspace().join("scripts/install-uvloop");
            let output = Command::new(script).stdin(Stdio::null()).output();
            match output {
                Ok(output) if output.status.success() => Ok(()),
                _ => Err("uvloop 0.22 cannot be had".into()),
            }
        }
        Need::Merecat => {
            let _guard = install_lock()?;
            let script = library::workspace().join("scripts/install-merecat");
            let _ = Command::new(script).stdin(Stdio::null()).output();
            match find_command("merecat") {
                Some(_) => Ok(()),
                None => Err("merecat is missing and could not be unpacked".into()),
            }
        }
    }
}

/// One test at a time installs something.
fn install_lock() -> Result<FileLock, String> {
    let lock = library::work_dir().join("install.lock");
    FileLock::take(&lock).map_err(|e| format!("{}: {e}", lock.display()))
}

fn has_package(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f", "${db:Status-Status}", package]);
    query.output().is_ok_and(|o| o.stdout == b"installed")
}

fn has_libevent() -> bool {
    Path::new("/usr/include/event2/event.h").exists()
}

fn install(command: &str, package: &str) -> Result<(), String> {
    install_unless(|| find_command(command).is_some(), command, package)
}

fn install_unless(is_there: impl Fn() -> bool, what: &str, package: &str) -> Result<(), String> {
    if is_there() {
        return Ok(());
    }
    let _guard = install_lock()?;
    let apt_get = |arguments: &[&str]| {
        let command = Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .output();
        command.is_ok_and(|output| output.status.success())
    };
    let arguments = [
        "install",
        "-y",
        "--no-install-recommends",
        "--no-remove",
        package,
    ];
    // The list of packages may be older than the package.
    if is_there() || apt_get(&arguments) || (apt_get(&["update"]) && apt_get(&arguments)) {
        return Ok(());
    }
    Err(format!(
        "{what} is missing and {package} could not be installed"
    ))
}
