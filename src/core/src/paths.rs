//! Paths, as rules and hashes know them.

use arrayvec::ArrayVec;

/// Longest path that is predicted, in bytes.
pub const MAX_PATH: usize = 1024;

/// Whether a path has a `..` component.
pub fn climbs(path: &[u8]) -> bool {
    path.split(|&byte| byte == b'/').any(|part| part == b"..")
}

/// A path without the slash at its end, as rules and hashes know it; the root stays what it is.
pub fn without_last_slash(path: &[u8]) -> &[u8] {
    match path.strip_suffix(b"/") {
        Some(rest) if !rest.is_empty() => rest,
        _ => path,
    }
}

/// Everything up to and including the last slash; nothing where there is none.
pub fn up_to_last_slash(path: &[u8]) -> &[u8] {
    memchr::memrchr(b'/', path).map_or(b"", |slash| &path[..=slash])
}

/// A path as rules want it: one that is relative to the working directory begins with `./`, so that it has a slash
/// at which it can be cut. `room` holds it, where it has to be written anew; a longer one stays as it is.
pub fn from_here<'p>(path: &'p [u8], room: &'p mut ArrayVec<u8, MAX_PATH>) -> &'p [u8] {
    const HERE: &[u8] = b"./";
    if path.is_empty() || path.starts_with(b"/") || path.starts_with(HERE) {
        return path;
    }
    let written = room
        .try_extend_from_slice(HERE)
        .and_then(|()| room.try_extend_from_slice(path));
    if written.is_ok() {
        room
    } else {
        path
    }
}
