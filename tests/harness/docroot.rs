//! Documents whose bytes follow from their names, so that every body can be checked without keeping it.

use crate::Result;
use std::fs;
use std::path::Path;

/// The bytes of the document `name`. `tests/programs/common.h` computes the same.
pub fn content(name: &str, length: usize) -> Vec<u8> {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    for byte in name.bytes() {
        state = (state ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Writes the document `name`, a path relative to `root`, with `length` bytes of content.
pub fn write(root: &Path, name: &str, length: usize) -> Result {
    let path = root.join(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, content(name, length))?;
    Ok(())
}
