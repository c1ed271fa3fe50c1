//! What the library has published in a running process, read out of its memory without its knowledge.
//!
//! What is looked at belongs to that process, which may mean harm: its mappings, and the file that goes by the library's
//! name. Neither is believed before it has proved right.

use super::image;
use super::kernel::Kernel;
use anyhow::{Context, Result};
use laio_core::escape::Escaped;
use laio_core::stats::{version, Snapshot, SIZE};
use std::ffi::OsStr;
use std::fmt::{Display, Formatter, Result as Formatted};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Mappings that are looked at, at most: one is the usual case.
const MOST: usize = 64;

/// Why nothing can be told of a process.
#[derive(Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// There is none.
    NoProcess(u32),
    /// The library is not in it.
    NotLoaded(u32, String),
    /// It may not be looked at.
    Forbidden(u32),
    /// It has a library whose counters lie otherwise.
    Version(u32, Option<String>),
    /// Something else.
    Other(u32, String),
}

impl Display for Unreadable {
    fn fmt(&self, f: &mut Formatter<'_>) -> Formatted {
        match self {
            Unreadable::NoProcess(pid) => write!(f, "there is no process {pid}"),
            Unreadable::NotLoaded(pid, name) => write!(
                f,
                "process {pid} ({name}) runs without liblaio.so: start it by `laio run -- …`"
            ),
            Unreadable::Forbidden(pid) => write!(
                f,
                "process {pid} may not be looked at: use sudo. The process's own user may as well, where \
                 /proc/sys/kernel/yama/ptrace_scope is 0 and the process has not changed its user"
            ),
            Unreadable::Version(pid, Some(version)) => write!(
                f,
                "process {pid} runs liblaio.so {version}, and this is laio {}: use the command that came \
                 with the library, or restart the process",
                env!("CARGO_PKG_VERSION")
            ),
            Unreadable::Version(pid, None) => write!(
                f,
                "process {pid} runs another version of liblaio.so: use the command that came with it, or \
                 restart the process"
            ),
            Unreadable::Other(pid, why) => write!(f, "process {pid} cannot be looked at: {why}"),
        }
    }
}

impl std::error::Error for Unreadable {}

impl Unreadable {
    /// The process.
    pub fn pid(&self) -> u32 {
        match self {
            Unreadable::NoProcess(pid)
            | Unreadable::NotLoaded(pid, _)
            | Unreadable::Forbidden(pid)
            | Unreadable::Version(pid, _)
            | Unreadable::Other(pid, _) => *pid,
        }
    }
}

/// A process whose counters were found.
#[derive(Debug)]
pub struct Attached {
    /// The process.
    pub kernel: Kernel,
    /// Its program's file name.
    pub program: String,
    /// The library's file, as the process sees it.
    pub library: PathBuf,
    /// Whether there is another file by that name now, or none.
    pub is_replaced: bool,
    memory: File,
    address: u64,
}

/// The beginning of a file called liblaio.so in a process's memory.
#[derive(Debug, PartialEq, Eq)]
struct Mapped<'m> {
    /// The addresses, as `maps` has them.
    range: &'m str,
    base: u64,
    /// As the process sees it.
    path: &'m [u8],
}

impl Attached {
    /// Finds the counters of the process with this id.
    pub fn to(pid: u32) -> Result<Attached, Unreadable> {
        let maps = fs::read(format!("/proc/{pid}/maps")).map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => Unreadable::Forbidden(pid),
            _ => Unreadable::NoProcess(pid),
        })?;
        let mut failed = None;
        // A program may have mapped any file of this name, for whatever reason.
        for mapped in mapped_libraries(&maps).take(MOST) {
            match attach(pid, &mapped) {
                Ok(attached) => return Ok(attached),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        let not_loaded = || Unreadable::NotLoaded(pid, Kernel(pid).program());
        Err(failed.unwrap_or_else(not_loaded))
    }

    /// The counters as they are now; nothing where the process has ended, or has become another program.
    pub fn read(&self) -> Option<Snapshot> {
        let bytes = self.bytes().ok()?;
        Snapshot::decode(&bytes, self.kernel.0, &self.program, monotonic())
    }

    fn bytes(&self) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; SIZE];
        self.memory.read_exact_at(&mut bytes, self.address)?;
        Ok(bytes)
    }
}

/// Milliseconds of the monotonic clock.
fn monotonic() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1000 + now.tv_nsec.unsigned_abs() / 1_000_000
}

fn attach(pid: u32, mapped: &Mapped<'_>) -> Result<Attached, Unreadable> {
    let other = |error: anyhow::Error| Unreadable::Other(pid, format!("{error:#}"));
    let address = address(pid, mapped).map_err(other)?;
    let memory = File::open(format!("/proc/{pid}/mem")).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => Unreadable::Forbidden(pid),
        _ => Unreadable::NoProcess(pid),
    })?;
    let kernel = Kernel(pid);
    let attached = Attached {
        kernel,
        program: kernel.program(),
        library: PathBuf::from(OsStr::from_bytes(plain(mapped.path))),
        is_replaced: is_replaced(pid, mapped),
        memory,
        address,
    };
    let bytes = attached.bytes().map_err(|error| other(error.into()))?;
    match Snapshot::decode(&bytes, pid, &attached.program, monotonic()) {
        Some(_) => Ok(attached),
        None => Err(Unreadable::Version(pid, version(&bytes))),
    }
}

/// Where in the process's memory the library has its counters.
fn address(pid: u32, mapped: &Mapped<'_>) -> Result<u64> {
    let shown = Escaped(mapped.path);
    // The very file that is mapped, which may have been replaced since; and where that is not allowed, the one that
    // the process sees by this name in its own root.
    let image = image::read(&mapping_of(pid, mapped))
        .or_else(|_| image::read(&in_root_of(pid, mapped.path)))
        .with_context(|| format!("cannot read {shown} as process {pid} sees it"))?;
    let place = image::place_of_counters(&image).with_context(|| format!("in {shown}"))?;
    let address = mapped.base.checked_add(place);
    address.with_context(|| format!("in {shown}: an address that there is not"))
}

fn mapping_of(pid: u32, mapped: &Mapped<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/map_files/{}", mapped.range))
}

/// Whether the file by the library's name is another one than that which is mapped.
fn is_replaced(pid: u32, mapped: &Mapped<'_>) -> bool {
    use std::os::unix::fs::MetadataExt;
    if plain(mapped.path) != mapped.path {
        return true;
    }
    let identity = |path: &Path| fs::metadata(path).map(|status| (status.dev(), status.ino()));
    match (
        identity(&mapping_of(pid, mapped)),
        identity(&in_root_of(pid, mapped.path)),
    ) {
        (Ok(loaded), Ok(there)) => loaded != there,
        _ => false,
    }
}

fn plain(path: &[u8]) -> &[u8] {
    path.strip_suffix(b" (deleted)").unwrap_or(path)
}

fn in_root_of(pid: u32, path: &[u8]) -> PathBuf {
    let mut whole = format!("/proc/{pid}/root").into_bytes();
    whole.extend_from_slice(path);
    PathBuf::from(OsStr::from_bytes(&whole))
}

/// Where files called liblaio.so begin in memory.
fn mapped_libraries(maps: &[u8]) -> impl Iterator<Item = Mapped<'_>> {
    maps.split(|&byte| byte == b'\n').filter_map(|line| {
        // Addresses, rights, offset, device, inode, and the path behind some spaces.
        let path = line.get(line.iter().position(|&byte| byte == b'/')?..)?;
        let name = plain(path).rsplit(|&byte| byte == b'/').next()?;
        // Installed it has its SONAME.
        let version = name.strip_prefix(b"liblaio.so")?;
        if !matches!(version, [] | [b'.', b'0'..=b'9', ..]) {
            return None;
        }
        let mut fields = line.split(|&byte| byte == b' ');
        let range = std::str::from_utf8(fields.next()?).ok()?;
        let offset = std::str::from_utf8(fields.nth(1)?).ok()?;
        if u64::from_str_radix(offset, 16) != Ok(0) {
            return None;
        }
        let base = u64::from_str_radix(range.split_once('-')?.0, 16).ok()?;
        Some(Mapped { range, base, path })
    })
}

/// Whether a file called liblaio.so is in a process's memory, as far as that may be asked.
pub fn is_loaded(pid: u32) -> bool {
    let maps = fs::read(format!("/proc/{pid}/maps")).unwrap_or_default();
    let is_loaded = mapped_libraries(&maps).next().is_some();
    is_loaded
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_beginnings_of_the_library_count() {
        let maps = b"55d0-55d1 r--p 00000000 08:01 1 /usr/sbin/nginx\n\
                     7f00-7f10 r--p 00000000 08:01 2  /opt/a b/liblaio.so\n\
                     7f10-7f20 r-xp 00010000 08:01 2  /opt/a b/liblaio.so\n\
                     7f30-7f40 r--p 00000000 08:01 3  /opt/\xff/liblaio.so (deleted)\n\
                     7f50-7f60 r--p 00000000 08:01 4  /x/notliblaio.so\n\
                     7f50-7f60 r--p 00000000 08:01 4  /x/liblaio.so.old\n\
                     7f60-7f70 r--p 00000000 08:01 5  /lib/liblaio.so.0\n\
                     nothing r--p 00000000 08:01 4  /x/liblaio.so\n";
        let found: Vec<_> = mapped_libraries(maps).collect();
        let one = |range, base, path| Mapped { range, base, path };
        assert_eq!(
            found,
            [
                one("7f00-7f10", 0x7f00, &b"/opt/a b/liblaio.so"[..]),
                one("7f30-7f40", 0x7f30, b"/opt/\xff/liblaio.so (deleted)"),
                one("7f60-7f70", 0x7f60, b"/lib/liblaio.so.0"),
            ]
        );
    }

    proptest! {
        /// Without it, a file name in another process could end whoever looks at it.
        #[test]
        fn any_lines_are_read(
            lines in prop::collection::vec(
                ("[0-9a-f-]{0,20} ?", "[ rwxp-]{0,6}", "[0-9a-g]{0,9}", any::<Vec<u8>>()), 0..5,
            ),
        ) {
            let mut maps = Vec::new();
            for (range, rights, offset, path) in lines {
                maps.extend_from_slice(format!("{range} {rights} {offset} 08:01 1 /").as_bytes());
                maps.extend_from_slice(&path);
                maps.extend_from_slice(b"/liblaio.so\n");
            }
            for mapped in mapped_libraries(&maps) {
                prop_assert!(mapped.path.ends_with(b"liblaio.so"));
            }
        }
    }

    /// Without it, who asks for the counters of a wrong process could be told anything.
    #[test]
    fn a_process_without_the_library_is_told_so() {
        let said = Attached::to(std::process::id()).unwrap_err().to_string();
        assert!(said.contains("runs without liblaio.so"), "{said}");
        let said = Attached::to(u32::MAX).unwrap_err();
        assert_eq!(said, Unreadable::NoProcess(u32::MAX));
    }
}
