//! The library's file: where it has its counters. The file is whatever a process has mapped by that name: of any kind,
//! of any size, and with anything in it.

use anyhow::{ensure, Context, Result};
use laio_core::stats::{SECTION, SIZE};
use object::{Object, ObjectSection, ObjectSegment};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// A file that is larger is not ours: with all its debugging information the library has some ten MiB.
const MOST: u64 = 256 << 20;

/// Reads a regular file. Anything else is not even opened: a FIFO would wait for a writer, a device may do something.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let named = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_CLOEXEC)
        .open(path)?;
    let status = named.metadata()?;
    let kind = status.file_type();
    let other = [
        (kind.is_fifo(), "a FIFO"),
        (kind.is_socket(), "a socket"),
        (kind.is_char_device() || kind.is_block_device(), "a device"),
        (kind.is_dir(), "a directory"),
    ];
    let what = other.iter().find(|(is, _)| *is);
    ensure!(
        kind.is_file(),
        "it is {}",
        what.map_or("no file", |(_, what)| what)
    );
    ensure!(status.len() <= MOST, "it is too large for a library");
    // The same file, whatever is at that path by now.
    let file = File::open(format!("/proc/self/fd/{}", named.as_raw_fd()))?;
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// How far behind the library's first byte in memory its counters are.
pub fn place_of_counters(image: &[u8]) -> Result<u64> {
    let image = object::File::parse(image).context("it is no library")?;
    let section = image
        .section_by_name(SECTION)
        .with_context(|| format!("there is no section {SECTION}: another version?"))?;
    ensure!(
        section.size() >= SIZE as u64,
        "its section {SECTION} has another size: another version?"
    );
    let segments = image.segments().map(|segment| segment.address());
    let first = segments.min().unwrap_or(0);
    let place = section.address().checked_sub(first);
    place.context("its counters are in front of it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::PathBuf;

    const ADDRESS: u64 = 0x4000;
    const FIRST: u64 = 0x1000;

    /// A small shared object with nothing but a segment and the section of the counters.
    fn library() -> Vec<u8> {
        let names = format!("\0{SECTION}\0.shstrtab\0").into_bytes();
        let (header, program, section) = (64, 56, 64);
        let names_at = header + program;
        let sections_at = (names_at + names.len()).next_multiple_of(8);
        let mut image = vec![0; sections_at + 3 * section];
        let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
        // 64 bits, little-endian; a shared object for x86-64.
        put(0, b"\x7fELF\x02\x01\x01");
        put(16, &3u16.to_le_bytes());
        put(18, &62u16.to_le_bytes());
        put(20, &1u32.to_le_bytes());
        put(32, &(header as u64).to_le_bytes());
        put(40, &(sections_at as u64).to_le_bytes());
        for (at, value) in [
            (52, header),
            (54, program),
            (56, 1),
            (58, section),
            (60, 3),
            (62, 2),
        ] {
            put(at, &(value as u16).to_le_bytes());
        }
        // What is loaded.
        put(header, &1u32.to_le_bytes());
        put(header + 16, &FIRST.to_le_bytes());
        let mut sections = |number: usize, name: u32, kind: u32, rest: [u64; 4]| {
            let at = sections_at + number * section;
            put(at, &name.to_le_bytes());
            put(at + 4, &kind.to_le_bytes());
            for (index, value) in rest.iter().enumerate() {
                put(at + 8 + 8 * index, &value.to_le_bytes());
            }
        };
        // Flags, address, offset and size.
        let no_bits = 8;
        sections(1, 1, no_bits, [3, ADDRESS, 0, SIZE as u64]);
        let name = 2 + SECTION.len() as u32;
        sections(2, name, 3, [0, 0, names_at as u64, names.len() as u64]);
        put(names_at, &names);
        image
    }

    #[test]
    fn the_counters_are_found() {
        assert_eq!(place_of_counters(&library()).unwrap(), ADDRESS - FIRST);
    }

    #[test]
    fn another_version_is_told_so() {
        let said = |image: &[u8]| format!("{:#}", place_of_counters(image).unwrap_err());
        let mut image = library();
        let at = image.len() - 2 * 64 + 32;
        image[at..at + 8].copy_from_slice(&(SIZE as u64 - 1).to_le_bytes());
        assert!(said(&image).contains("another version?"));
        let this = std::fs::read("/proc/self/exe").unwrap();
        assert!(said(&this).contains("another version?"));
        assert!(said(b"#!/bin/sh\n").contains("no library"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        /// Without it, a process could end whoever asks for its counters, or have it take all memory, by a file that is
        /// called liblaio.so. A size that the file claims is never taken for true: nothing of it is allocated.
        #[test]
        fn a_file_that_is_wrong_somewhere_is_survived(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<[u8; 8]>(), 1usize..9), 0..6),
            length in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let mut image = library();
            for (place, bytes, count) in changes {
                let at = place.index(image.len());
                let end = image.len().min(at + count);
                image[at..end].copy_from_slice(&bytes[..end - at]);
            }
            if let Some(length) = length {
                image.truncate(length.index(image.len() + 1));
            }
            let _ = place_of_counters(&image);
        }

        /// The same, where each field of a header may have any of the values that matter.
        #[test]
        fn fields_of_headers_may_have_any_value(
            fields in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![
                Just(0u64), Just(1), Just(u64::MAX), Just(u64::MAX - 63), Just(1 << 63), Just(1 << 32), any::<u64>(),
            ], prop::sample::select(vec![2usize, 4, 8])), 1..4),
        ) {
            let mut image = library();
            for (place, value, width) in fields {
                let at = place.index(image.len() / 2 - 8) * 2;
                image[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
            }
            let _ = place_of_counters(&image);
        }
    }

    /// A directory that goes when it is dropped.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let dir =
                std::env::temp_dir().join(format!("laio-image-{name}-{}", std::process::id()));
            std::fs::create_dir(&dir).unwrap();
            Scratch(dir)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// Without it, a FIFO in the place of the library would keep whoever looks waiting for ever, a device or a huge file
    /// fill its memory.
    #[test]
    fn what_is_no_library_is_refused_by_its_kind() {
        let scratch = Scratch::new("kinds");
        let fifo = scratch.0.join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status();
        assert!(made.unwrap().success());
        let huge = scratch.0.join("huge");
        File::create(&huge).unwrap().set_len(1 << 40).unwrap();
        let socket = scratch.0.join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (path, said) in [
            (&*fifo, "a FIFO"),
            (&*huge, "too large"),
            (&*socket, "a socket"),
            (&*scratch.0, "a directory"),
            (Path::new("/dev/zero"), "a device"),
        ] {
            let error = read(path).unwrap_err().to_string();
            assert!(error.contains(said), "{}: {error}", path.display());
        }
        let file = scratch.0.join("file");
        std::fs::write(&file, library()).unwrap();
        // By a link as well: what is mapped is shown as one.
        std::os::unix::fs::symlink(&file, scratch.0.join("link")).unwrap();
        assert_eq!(read(&scratch.0.join("link")).unwrap(), library());
        let empty = scratch.0.join("empty");
        File::create(&empty).unwrap();
        assert!(place_of_counters(&read(&empty).unwrap()).is_err());
    }
}
