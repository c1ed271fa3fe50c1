//! What an operation teaches: a request's target and a path, laid beside each other.

use super::shape::{shape, Shape};
use crate::paths::{up_to_last_slash, without_last_slash};
use crate::predictions::Depth;
use crate::recognise::{Coding, Request};

/// How a target and a path may be alike, the least convincing first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// The path is beside what the target names.
    Companion,
    /// The target's name goes on in the path.
    Suffix,
    /// The path ends as the target does.
    Whole,
}

/// What laying a target beside a path shows.
struct Laid<'p> {
    shape: Shape,
    directory: &'p [u8],
    /// How much they have in common.
    tail: usize,
}

/// How well a request explains a path: the kind, how much they have in common, and whether that is the whole target.
type Likeness = (Kind, usize, bool);

/// What an operation teaches if a certain request was the reason for it.
#[derive(Clone, Debug)]
pub struct Lesson<'p> {
    pub(super) shape: Shape,
    pub(super) directory: &'p [u8],
    pub(super) depth: Depth,
    pub(super) host: u64,
    likeness: Likeness,
}

impl Lesson<'_> {
    /// Whether the request explains the path better than another one does.
    pub fn is_better_than(&self, other: &Lesson<'_>) -> bool {
        self.likeness > other.likeness
    }

    /// Whether the path is beside what the target names.
    pub fn is_of_companion(&self) -> bool {
        matches!(self.likeness, (Kind::Companion, ..))
    }

    /// Whether the whole target stands at the end of the path.
    pub fn is_of_whole_target(&self) -> bool {
        matches!(self.likeness, (Kind::Whole, _, true))
    }
}

/// What an operation on `path` teaches if `request` was the reason for it; nothing where the two
/// have nothing to do with each other. `maps` tells whether a known rule makes a directory of one of a target.
pub fn lesson<'p>(
    request: &Request,
    path: &'p [u8],
    depth: Depth,
    maps: impl Fn(&[u8], &[u8]) -> bool,
) -> Option<Lesson<'p>> {
    let target = request.target.as_slice();
    let path = without_last_slash(path);
    let suffix = || lay_suffix_beside(target, path);
    let (kind, laid) = if let Some(laid) = lay_beside(target, path, b"", false) {
        (Kind::Whole, laid)
    } else if let Some(laid) = lay_root_beside(target, path, depth).or_else(suffix) {
        (Kind::Suffix, laid)
    } else {
        (Kind::Companion, lay_companion_beside(target, path, maps)?)
    };
    // Nothing but the sign of what no client has said may stand before it.
    let is_whole = memchr::memchr(b'/', &laid.shape.prefix) == Some(laid.shape.prefix.len() - 1);
    let mut shape = laid.shape;
    // Such a file is for those who take its coding, if this one does.
    let coding = Coding::of(&shape.suffix).filter(|_| kind == Kind::Suffix);
    shape.coding = coding.filter(|coding| request.codings.have(*coding));
    Some(Lesson {
        shape,
        directory: laid.directory,
        depth,
        host: request.host,
        likeness: (kind, laid.tail, is_whole),
    })
}

/// `/d1/f` beside `/srv/www/d1/f`, `/d1/` beside `/srv/www/d1`: the longest common tail, cut at a
/// `/`.
fn lay_beside<'p>(target: &[u8], path: &'p [u8], suffix: &[u8], trim: bool) -> Option<Laid<'p>> {
    let rest = if trim {
        up_to_last_slash(target)
    } else {
        target
    };
    let rest = if path.ends_with(b"/") {
        rest
    } else {
        without_last_slash(rest)
    };
    let base = path;
    let tail = common_tail(rest, base);
    if tail == 0 {
        return None;
    }
    // Both sides keep the slash at which they were cut.
    let prefix = &rest[..rest.len() - tail + 1];
    let directory = &base[..base.len() - tail + 1];
    let shape = shape(0, prefix, target.ends_with(b"/"), trim, suffix)?;
    Some(Laid {
        shape,
        directory,
        tail,
    })
}

/// `/d1/f` beside `/srv/www/d1/f.gz`, `/d1/` beside `/srv/www/d1/index.html`.
fn lay_suffix_beside<'p>(target: &[u8], path: &'p [u8]) -> Option<Laid<'p>> {
    let name = &target[up_to_last_slash(target).len()..];
    let base = up_to_last_slash(path);
    let suffix = path[base.len()..].strip_prefix(name)?;
    if suffix.is_empty() {
        return None;
    }
    let base = &path[..path.len() - suffix.len()];
    lay_beside(target, base, suffix, false)
}

/// `/d1/f` beside `/srv/www/d1/.htpasswd`. Any two paths share a directory's final slash, so
/// more is asked for: a common component, or a known rule that maps this directory there.
fn lay_companion_beside<'p>(
    target: &[u8],
    path: &'p [u8],
    maps: impl Fn(&[u8], &[u8]) -> bool,
) -> Option<Laid<'p>> {
    let base = up_to_last_slash(path);
    let suffix = &path[base.len()..];
    let directory_of_target = up_to_last_slash(target);
    let laid = lay_beside(target, base, suffix, true)?;
    let more_than_a_slash = common_tail(directory_of_target, base) > 1;
    (!suffix.is_empty() && (more_than_a_slash || maps(directory_of_target, base))).then_some(laid)
}

/// The document root itself: nothing of its path stands in the target.
fn lay_root_beside<'p>(target: &[u8], path: &'p [u8], depth: Depth) -> Option<Laid<'p>> {
    if target != b"/" || depth != Depth::Listing {
        return None;
    }
    Some(Laid {
        shape: shape(0, target, true, false, b"")?,
        directory: path,
        tail: 0,
    })
}

/// Length of the longest common tail of both that begins with a `/`.
fn common_tail(one: &[u8], other: &[u8]) -> usize {
    let pairs = one.iter().rev().zip(other.iter().rev());
    let same = pairs.take_while(|(a, b)| a == b).count();
    let tail = &one[one.len() - same..];
    memchr::memchr(b'/', tail).map_or(0, |slash| tail.len() - slash)
}
