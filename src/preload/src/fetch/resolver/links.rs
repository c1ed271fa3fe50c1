//! Following links that lead out of the learnt directory, or say their whole names: one step after the other, as far as the server was seen
//! to go.

use super::{open_directory, File, Resolver, Way, WITHIN};
use crate::fetch::file_system;
use laio_core::paths::{climbs, up_to_last_slash};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::fs::{readlinkat, FileType, OFlags, ResolveFlags, CWD};
use rustix::io::Errno;

/// Links that are followed on the way of one path, at most.
const MOST: usize = 8;

/// Where the kernel has what is no file of a site, whatever the server opens there.
const NEVER: [&[u8]; 3] = [b"/proc/", b"/sys/", b"/dev/"];

/// The first link on a path.
struct Met {
    /// Where its name begins and ends in the path.
    start: usize,
    end: usize,
    text: Vec<u8>,
    /// The directory in which it lies, without links, where its text climbs.
    parent: Option<Vec<u8>>,
}

impl Resolver<'_> {
    /// A link was met that does not stay beneath the directory. Where it leads to a place that is known, the path goes on there. Where
    /// it does not, it is noted, in case that the server follows it.
    #[cold]
    #[inline(never)]
    pub(super) fn follow(&mut self, flags: OFlags) -> Result<File, Errno> {
        let Some(links) = self.links else {
            return Err(Errno::XDEV);
        };
        let mut path = self.path.to_vec();
        let mut root = self.directory.len();
        for _ in 0..MOST {
            let met = self.first_link(&path, root)?.ok_or(Errno::XDEV)?;
            let (next, leads_to) = met.lead(&path).ok_or(Errno::XDEV)?;
            let known = match next.starts_with(self.directory) {
                true if self.directory.starts_with(b"/") => Some(self.directory.len()),
                _ => links.reach(&next),
            };
            let Some(known) = known else {
                if !NEVER.iter().any(|it| leads_to.starts_with(it)) {
                    links.meets(self.hash, &leads_to);
                }
                return Err(Errno::XDEV);
            };
            (path, root) = (next, known);
            let (directory, rest) = path.split_at(root);
            let directory = open_directory(directory, self.patience)?;
            let rest = if rest.is_empty() { b"." } else { rest };
            match self.openat2(directory.as_fd(), rest, flags, WITHIN) {
                Err(Errno::XDEV) => {}
                result => {
                    self.way = Way::Linked(directory, rest.into());
                    return result;
                }
            }
        }
        Err(Errno::LOOP)
    }

    /// The first link on a path behind its root. The kernel has just come past it, so its text is in memory.
    fn first_link(&self, path: &[u8], root: usize) -> Result<Option<Met>, Errno> {
        let (directory, rest) = path.split_at_checked(root).ok_or(Errno::INVAL)?;
        let directory = match directory {
            b"" => None,
            directory => Some(open_directory(directory, self.patience)?),
        };
        let directory = directory.as_ref().map_or(CWD, |it| it.as_fd());
        let first = rest.iter().position(|&byte| byte != b'/');
        let base = first.map_or(path.len(), |first| root + first);
        let mut start = base;
        while start < path.len() {
            let rest = path.get(start..).unwrap_or_default();
            let length = rest.iter().position(|&byte| byte == b'/');
            let end = start + length.unwrap_or(rest.len());
            if end > start {
                if let Some(met) = self.link_at(directory, path, (base, start, end))? {
                    return Ok(Some(met));
                }
            }
            start = end + 1;
        }
        Ok(None)
    }

    /// The link that ends there in a path, if there is one: beneath a directory, to which the path before `base` leads.
    fn link_at(
        &self,
        directory: BorrowedFd<'_>,
        path: &[u8],
        (base, start, end): (usize, usize, usize),
    ) -> Result<Option<Met>, Errno> {
        // No link stands before it, and this one is not followed.
        let within = WITHIN | ResolveFlags::NO_SYMLINKS;
        let name = path.get(base..end).unwrap_or_default();
        let flags = OFlags::PATH | OFlags::NOFOLLOW;
        let named = self.openat2(directory, name, flags, within)?;
        let status = file_system::status(named.as_fd())?;
        if FileType::from_raw_mode(status.mode) != FileType::Symlink {
            return Ok(None);
        }
        let text = readlinkat(&named, "", Vec::new())?.into_bytes();
        let climbs_out = !text.starts_with(b"/") && climbs(&text);
        let parent = climbs_out.then(|| {
            let parent = match path.get(base..start).unwrap_or_default() {
                b"" => b".",
                parent => parent,
            };
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            let parent = self.openat2(directory, parent, flags, within)?;
            let link = format!("/proc/thread-self/fd/{}", parent.as_fd().as_raw_fd());
            Ok(rustix::fs::readlink(link, Vec::new())?.into_bytes())
        });
        Ok(Some(Met {
            start,
            end,
            text,
            parent: parent.transpose()?,
        }))
    }
}

impl Met {
    /// The path beyond the link, and the directory into which it leads: the link itself where that is a directory on the way.
    fn lead(&self, path: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let parent = self.parent.as_deref();
        let before = match self.text.first()? {
            // There may be links before what it climbs over.
            b'/' if climbs(&self.text) => return None,
            b'/' => &b""[..],
            _ => parent.unwrap_or(path.get(..self.start)?),
        };
        let there = normal(&[before, b"/", &self.text].concat())?;
        let rest = path.get(self.end..)?;
        let rest = rest.strip_prefix(b"/").unwrap_or(rest);
        if rest.is_empty() {
            let directory = up_to_last_slash(&there).to_vec();
            return Some((there, directory));
        }
        let mut directory = there;
        if !directory.ends_with(b"/") {
            directory.push(b'/');
        }
        Some(([&directory, rest].concat(), directory))
    }
}

/// A path without `.`, `..` and double slashes; nothing where it is relative and climbs beyond its beginning. No link stands before a `..`.
fn normal(path: &[u8]) -> Option<Vec<u8>> {
    let mut parts = Vec::new();
    let is_absolute = path.first() == Some(&b'/');
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.pop().is_none() && !is_absolute => return None,
            b".." => {}
            _ => parts.push(part),
        }
    }
    let start = if is_absolute { &b"/"[..] } else { b"" };
    Some([start, &parts.join(&b'/')].concat())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn lead(path: &str, link: &str, text: &str, parent: Option<&str>) -> (String, String) {
        let start = link.rfind('/').unwrap() + 1;
        let met = Met {
            start,
            end: link.len(),
            text: text.into(),
            parent: parent.map(Into::into),
        };
        let (path, directory) = met.lead(path.as_bytes()).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(path), text(directory))
    }

    #[test]
    fn links_lead_on() {
        let both = |path: &str, directory: &str| (path.to_owned(), directory.to_owned());
        assert_eq!(
            lead("/srv/www/f", "/srv/www/f", "/data//x/./f7", None),
            both("/data/x/f7", "/data/x/")
        );
        assert_eq!(
            lead("/srv/www/now/a/b", "/srv/www/now", "/opt/7/", None),
            both("/opt/7/a/b", "/opt/7/")
        );
        assert_eq!(
            lead(
                "/srv/www/now/a",
                "/srv/www/now",
                "../rel/7",
                Some("/mnt/www")
            ),
            both("/mnt/rel/7/a", "/mnt/rel/7/")
        );
        assert_eq!(
            lead("/srv/www/f", "/srv/www/f", "g", None),
            both("/srv/www/g", "/srv/www/")
        );
        let met = Met {
            start: 5,
            end: 6,
            text: b"/data/now/../x".to_vec(),
            parent: None,
        };
        assert!(met.lead(b"/srv/f").is_none(), "nobody knows where it leads");
        assert_eq!(normal(b"a/../../b"), None);
        assert_eq!(normal(b"/../b"), Some(b"/b".to_vec()));
    }
}
