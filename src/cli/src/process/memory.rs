//! The counters of a running process, read out of its memory without its knowledge.
//!
//! What is looked at belongs to that process, which may mean harm: its mappings, and the file that goes by the library's
//! name. Neither is believed before it has proved right.

use crate::image;
use anyhow::{bail, Context, Result};
use laio_core::escape::Escaped;
use laio_core::stats::{Snapshot, SIZE};
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Mappings that are looked at, at most: one is the usual case.
const MOST: usize = 64;

/// The beginning of a file called liblaio.so in a process's memory.
#[derive(Debug, PartialEq, Eq)]
struct Mapped<'m> {
    /// The addresses, as `maps` has them.
    range: &'m str,
    base: u64,
    /// As the process sees it.
    path: &'m [u8],
}

/// Reads the counters of the process with this id.
pub fn snapshot(pid: u32) -> Result<Snapshot> {
    let maps = fs::read(format!("/proc/{pid}/maps"))
        .with_context(|| format!("there is no process {pid}, or it may not be looked at"))?;
    let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let program = program.file_name().unwrap_or_default().to_string_lossy();
    let mut failed = None;
    // A program may have mapped any file of this name, for whatever reason.
    for mapped in mapped_libraries(&maps).take(MOST) {
        match counters(pid, &mapped) {
            Ok(bytes) => match Snapshot::decode(&bytes, pid, &program) {
                Some(snapshot) => return Ok(snapshot),
                None => failed = failed.or(Some(another_version(pid))),
            },
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    match failed {
        Some(error) => Err(error),
        None => bail!("process {pid} runs without liblaio.so"),
    }
}

fn another_version(pid: u32) -> anyhow::Error {
    anyhow::anyhow!("process {pid} runs another version of liblaio.so")
}

/// What stands in the process's memory where the library has its counters.
fn counters(pid: u32, mapped: &Mapped<'_>) -> Result<Vec<u8>> {
    let shown = Escaped(mapped.path);
    // The very file that is mapped, which may have been replaced since; and where that is not allowed, the one that
    // the process sees by this name in its own root.
    let image = image::read(Path::new(&format!(
        "/proc/{pid}/map_files/{}",
        mapped.range
    )))
    .or_else(|_| image::read(&in_root_of(pid, mapped.path)))
    .with_context(|| format!("cannot read {shown} as process {pid} sees it"))?;
    let place = image::place_of_counters(&image).with_context(|| format!("in {shown}"))?;
    let address = mapped.base.checked_add(place);
    let address = address.with_context(|| format!("in {shown}: an address that there is not"))?;
    let mut memory = fs::File::open(format!("/proc/{pid}/mem"))
        .with_context(|| format!("the memory of process {pid} may not be read"))?;
    let mut bytes = vec![0; SIZE];
    memory
        .seek(SeekFrom::Start(address))
        .and_then(|_| memory.read_exact(&mut bytes))
        .with_context(|| format!("reading process {pid}"))?;
    Ok(bytes)
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
        let name = path.strip_suffix(b" (deleted)").unwrap_or(path);
        if name.rsplit(|&byte| byte == b'/').next() != Some(b"liblaio.so") {
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
                     nothing r--p 00000000 08:01 4  /x/liblaio.so\n";
        let found: Vec<_> = mapped_libraries(maps).collect();
        let one = |range, base, path| Mapped { range, base, path };
        assert_eq!(
            found,
            [
                one("7f00-7f10", 0x7f00, &b"/opt/a b/liblaio.so"[..]),
                one("7f30-7f40", 0x7f30, b"/opt/\xff/liblaio.so (deleted)"),
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
        let said = snapshot(std::process::id()).unwrap_err().to_string();
        assert!(said.contains("runs without liblaio.so"), "{said}");
        assert!(snapshot(u32::MAX).is_err());
    }
}
