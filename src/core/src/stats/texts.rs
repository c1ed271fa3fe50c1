//! Texts in words that others read while they are written: eight bytes in each.

/// Bytes of a path that are kept.
pub(super) const PATH: usize = 192;

/// Up to eight bytes of a text as one little-endian word.
pub(super) fn word(chunk: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes[..chunk.len()].copy_from_slice(chunk);
    u64::from_le_bytes(bytes)
}
