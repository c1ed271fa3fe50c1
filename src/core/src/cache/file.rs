//! The name of a cache file, and the key that stands in it.

use crate::paths::up_to_last_slash;
use arrayvec::ArrayVec;
use md5::{Digest, Md5};

/// Longest key that is looked at, in bytes.
pub const MAX_KEY: usize = 2048;

/// Digits of a name: those of an MD5 sum.
pub(super) const DIGITS: usize = 32;

/// An MD5 sum as a file's name.
pub(super) type Name = [u8; DIGITS];

/// How many digits the directories between the cache's own and the file have, from the top (`levels=1:2`).
pub(super) type Levels = ArrayVec<u8, 3>;

/// What stands before a key in a file, behind a structure that every version of nginx has its own of.
const BEFORE: &[u8] = b"\nKEY: ";

/// A path that is a cache file's by its looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheFile<'p> {
    /// The cache's own directory, with its last slash.
    pub directory: &'p [u8],
    pub(super) levels: Levels,
    /// The file's name.
    pub name: &'p [u8],
}

impl<'p> CacheFile<'p> {
    /// The parts of a path; nothing where it is none of a cache file.
    pub fn of(path: &'p [u8]) -> Option<CacheFile<'p>> {
        let mut directory = up_to_last_slash(path);
        let name = path.get(directory.len()..)?;
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if name.len() != DIGITS || !name.iter().all(is_digit) || directory.is_empty() {
            return None;
        }
        // The directories are named by the last digits, the topmost by the very last. Read upwards, the digits come nearer
        // to the end: so many levels are taken that the topmost ends there.
        let (mut levels, mut above) = (Levels::new(), directory);
        let mut found = (0, directory);
        for _ in 0..levels.capacity() {
            let parent = up_to_last_slash(above.strip_suffix(b"/")?);
            let level = &above[parent.len()..above.len() - 1];
            if !matches!(level.len(), 1 | 2) || parent.is_empty() {
                break;
            }
            levels.insert(0, level.len() as u8);
            above = parent;
            if are_levels(name, &levels, &directory[parent.len()..]) {
                found = (levels.len(), parent);
            }
        }
        let surplus = levels.len() - found.0;
        levels.drain(..surplus);
        directory = found.1;
        Some(CacheFile {
            directory,
            levels,
            name,
        })
    }

    /// The name as digits.
    pub(super) fn digits(&self) -> Option<Name> {
        self.name.try_into().ok()
    }
}

/// Whether a name's last digits name these directories.
fn are_levels(name: &[u8], levels: &Levels, directories: &[u8]) -> bool {
    name.try_into().is_ok_and(|name| {
        let path = path_of(&name, levels);
        path.strip_suffix(name.as_slice()) == Some(directories)
    })
}

/// Where a file of this name is beneath the cache's directory.
pub(super) fn path_of(name: &Name, levels: &Levels) -> ArrayVec<u8, { DIGITS + 9 }> {
    let mut path = ArrayVec::new();
    let mut end = DIGITS;
    for level in levels {
        let start = end.saturating_sub(usize::from(*level));
        let _ = path.try_extend_from_slice(&name[start..end]);
        let _ = path.try_push(b'/');
        end = start;
    }
    let _ = path.try_extend_from_slice(name);
    path
}

/// A sum as digits.
pub(super) fn digits(sum: Md5) -> Name {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut name = [0; DIGITS];
    for (pair, byte) in name.chunks_exact_mut(2).zip(sum.finalize()) {
        pair.copy_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
    name
}

/// The key in the beginning of a file of this name; nothing where it is not the file's own. (That of an answer that varies
/// by headers is not: its name is made of them as well.)
pub fn key_in<'h>(head: &'h [u8], name: &[u8]) -> Option<&'h [u8]> {
    let at = memchr::memmem::find(head, BEFORE)? + BEFORE.len();
    let rest = head.get(at..)?;
    let key = rest.get(..memchr::memchr(b'\n', rest)?)?;
    let mut sum = Md5::new();
    sum.update(key);
    (key.len() <= MAX_KEY && digits(sum) == name).then_some(key)
}
