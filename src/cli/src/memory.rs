//! The counters of a running process, read out of its memory without its knowledge.

use anyhow::{ensure, Context, Result};
use laio_core::stats::{Snapshot, SECTION};
use object::{Object, ObjectSection, ObjectSegment};
use std::fs;
use std::io::{Read, Seek, SeekFrom};

/// Reads the counters of the process with this id.
pub fn snapshot(pid: u32) -> Result<Snapshot> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))
        .with_context(|| format!("there is no process {pid}, or it may not be looked at"))?;
    let (range, path) =
        mapped_library(&maps).with_context(|| format!("process {pid} runs without liblaio.so"))?;
    let base = range.split('-').next().unwrap_or_default();
    let base = u64::from_str_radix(base, 16).context("an address in /proc that is none")?;
    // The very file that is mapped, which may have been replaced since; and where that is not allowed, the one that
    // the process sees by this name in its own root.
    let image = fs::read(format!("/proc/{pid}/map_files/{range}"))
        .or_else(|_| fs::read(format!("/proc/{pid}/root{path}")))
        .with_context(|| format!("cannot read {path} as process {pid} sees it"))?;
    let image = object::File::parse(&*image).with_context(|| format!("{path} is no library"))?;
    let section = image
        .section_by_name(SECTION)
        .with_context(|| format!("{path} has no section {SECTION}: another version?"))?;
    let first = image
        .segments()
        .map(|segment| segment.address())
        .min()
        .unwrap_or(0);

    let mut memory = fs::File::open(format!("/proc/{pid}/mem"))
        .with_context(|| format!("the memory of process {pid} may not be read"))?;
    memory.seek(SeekFrom::Start(base + section.address() - first))?;
    let mut bytes = vec![0; section.size() as usize];
    memory
        .read_exact(&mut bytes)
        .with_context(|| format!("reading process {pid}"))?;

    let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let program = program
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let snapshot = Snapshot::decode(&bytes, pid, &program);
    ensure!(
        snapshot.is_some(),
        "process {pid} runs another version of liblaio.so"
    );
    snapshot.context("unreadable counters")
}

/// The addresses of the first part of liblaio.so, as `maps` has them, and its path.
fn mapped_library(maps: &str) -> Option<(&str, &str)> {
    maps.lines().find_map(|line| {
        let path = line.get(line.find('/')?..)?;
        let name = path.trim_end_matches(" (deleted)").rsplit('/').next()?;
        let range = line.split(' ').next()?;
        (name == "liblaio.so").then_some((range, path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_mapping_is_the_base() {
        let maps = "55d0-55d1 r--p 00000000 08:01 1 /usr/sbin/nginx\n\
                    7f00-7f10 r--p 00000000 08:01 2  /opt/a b/liblaio.so\n\
                    7f10-7f20 r-xp 00010000 08:01 2  /opt/a b/liblaio.so\n";
        let first = Some(("7f00-7f10", "/opt/a b/liblaio.so"));
        assert_eq!(mapped_library(maps), first);
        assert_eq!(
            mapped_library("7f00-7f10 r--p 0 08:01 2 /x/notliblaio.so\n"),
            None
        );
    }
}
