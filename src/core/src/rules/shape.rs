//! How a target becomes a path.

use crate::recognise::Coding;
use arrayvec::ArrayVec;

pub const MAX_PREFIX: usize = 128;
pub const MAX_DIRECTORY: usize = 256;
pub const MAX_SUFFIX: usize = 64;

/// How a target becomes a path: `directory + rest of the target + suffix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// 0 for every host.
    pub host: u64,
    /// What the target begins with; ends in `/`.
    pub prefix: ArrayVec<u8, MAX_PREFIX>,
    /// Whether it is for targets that end in `/`, or for those that do not.
    pub directory_target: bool,
    /// Whether the target's last component is left out (a companion: `.htpasswd`).
    pub trim: bool,
    /// What follows: an index name, `.gz`, a companion's name, or nothing.
    pub suffix: ArrayVec<u8, MAX_SUFFIX>,
    /// The coding that a client must take for this; none where that does not matter.
    pub coding: Option<Coding>,
}

/// A shape; nothing where it is too long.
pub fn shape(
    host: u64,
    prefix: &[u8],
    directory_target: bool,
    trim: bool,
    suffix: &[u8],
) -> Option<Shape> {
    Some(Shape {
        host,
        prefix: ArrayVec::try_from(prefix).ok()?,
        directory_target,
        trim,
        suffix: ArrayVec::try_from(suffix).ok()?,
        coding: None,
    })
}
