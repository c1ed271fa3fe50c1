//! Parts of files.

use core::ops::Range;

/// Files of which parts are sent on one connection at once, at most. Of more the one that was read longest ago is forgotten.
pub const SOURCES: usize = 16;

/// An open file, for as long as its number is not given to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFile {
    /// Its number.
    pub fd: i32,
    /// How often the number had changed hands.
    pub owners: u32,
}

/// A part of an open file that is sent, or read to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The file.
    pub file: OpenFile,
    /// Bytes from its start.
    pub range: Range<u64>,
}

/// Reads of a file that follow one another, and what they tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Where the first one began.
    pub from: u64,
    /// What is expected to be read next.
    pub next: Source,
}
