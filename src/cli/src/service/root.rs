//! The file system that a service sees: this machine's, or that of an image.

use rustix::fs::{openat2, readlink, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::io::Result;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// Where it begins.
#[derive(Clone, Debug)]
pub struct Root(PathBuf);

impl Root {
    /// That of a directory; by default this machine's.
    pub fn new(directory: Option<&Path>) -> Result<Root> {
        directory
            .map_or(Ok(PathBuf::from("/")), Path::canonicalize)
            .map(Root)
    }

    /// Whether it is this machine's.
    pub fn is_here(&self) -> bool {
        self.0 == Path::new("/")
    }

    /// Where a path of the service's lies, links in it not followed.
    pub fn join(&self, path: &Path) -> PathBuf {
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The file that a path of the service's means: absolute links begin at the root.
    pub fn resolve(&self, path: &Path) -> Result<PathBuf> {
        if self.is_here() {
            return path.canonicalize();
        }
        let root = rustix::fs::open(
            &self.0,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let file = openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)?;
        let link = format!("/proc/self/fd/{}", file.as_raw_fd());
        let name = readlink(link, Vec::new())?;
        Ok(PathBuf::from(std::ffi::OsString::from_vec(
            name.into_bytes(),
        )))
    }

    /// How the service calls a file that was resolved.
    pub fn inside(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.0) {
            Ok(rest) => Path::new("/").join(rest),
            Err(_) => path.to_owned(),
        }
    }

    /// A file's text; nothing where there is none.
    pub fn read(&self, path: &Path) -> Result<Option<String>> {
        let bytes = match self.resolve(path).and_then(std::fs::read) {
            Ok(bytes) => bytes,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// A user's number.
    pub fn user(&self, name: &str) -> Option<u32> {
        let users = self.read(Path::new("/etc/passwd")).ok()??;
        let mut lines = users.lines().map(|line| line.split(':'));
        let number = lines.find_map(|mut words| (words.next() == Some(name)).then(|| words.nth(1)));
        name.parse().ok().or_else(|| number??.parse().ok())
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    let absent = [Errno::NOENT, Errno::NOTDIR].map(Errno::raw_os_error);
    error
        .raw_os_error()
        .is_some_and(|error| absent.contains(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// Without it, a link in an image would lead to this machine's files.
    #[test]
    fn absolute_links_stay_in_the_root() {
        let directory = std::env::temp_dir().join(format!("laio-root-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("etc")).unwrap();
        let root = Root::new(Some(&directory)).unwrap();
        symlink("/etc/here", directory.join("etc/link")).unwrap();
        assert_eq!(root.read(Path::new("/etc/link")).unwrap(), None);
        let passwd = "root:x:0:0::/root:\nweb:x:33:34::/:\n";
        std::fs::write(directory.join("etc/here"), "text").unwrap();
        std::fs::write(directory.join("etc/passwd"), passwd).unwrap();
        let found = root.resolve(Path::new("/etc/link")).unwrap();
        assert_eq!(root.inside(&found), Path::new("/etc/here"));
        let users = ["web", "7", "none"].map(|name| root.user(name));
        assert_eq!(users, [Some(33), Some(7), None]);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
