//! The files that are served, and what is in them.
//!
//! Every byte of every file follows from the file's number, so that a client can check a body without having the file.

use std::fmt::{self, Display, Formatter, Write as _};
use std::fs::{self, File, FileTimes};
use std::io::Write as _;
use std::ops::Range;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use nix::fcntl::{posix_fadvise, PosixFadviseAdvice};

use crate::shuffle::Shuffle;

/// The largest file there is.
pub const MAX_SIZE: usize = 4 << 20;

/// The most files with distinct contents.
pub const MAX_FILES: u32 = 1 << 16;

/// Many file systems search a directory from its start.
const FILES_PER_DIRECTORY: u32 = 100;

/// How many threads read when a set is warmed.
const WARMERS: usize = 16;

/// What file number `file` holds, if it is `size` bytes long.
///
/// All contents are windows into one pseudo-random text, each beginning a byte later than the one before: distinct, and
/// a comparison touches little memory.
pub fn content(file: u32, size: usize) -> &'static [u8] {
    static TEXT: OnceLock<Vec<u8>> = OnceLock::new();
    let text = TEXT.get_or_init(|| {
        let mut random = Shuffle::new(0x5eed);
        (0..MAX_FILES as usize + MAX_SIZE)
            .map(|_| random.next() as u8)
            .collect()
    });
    &text[file as usize..][..size]
}

/// A set of numbered files beneath one directory of a docroot.
#[derive(Clone, Debug)]
pub struct FileSet {
    name: &'static str,
    numbers: Range<u32>,
    sizes: Sizes,
}

/// What a path beneath a set's directory names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// The set's directory.
    Set,
    /// One of the directories in it.
    Directory(u32),
    /// A file in one of these.
    File(u32),
}

/// Its name there.
impl Display for Node {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set => Ok(()),
            Self::Directory(directory) => write!(out, "d{directory:03}"),
            Self::File(file) => write!(out, "{file:05}.bin"),
        }
    }
}

/// How long the files of a set are.
#[derive(Clone, Copy, Debug)]
pub enum Sizes {
    /// All alike.
    All(usize),
    /// Evenly spread from one kibibyte to this many.
    UpToKib(usize),
    /// These, in every directory.
    Directory(&'static [usize]),
}

impl FileSet {
    /// The files of `numbers`, in the directory `name` of a docroot. Sets of one docroot must not share numbers.
    pub fn new(name: &'static str, numbers: Range<u32>, sizes: Sizes) -> Self {
        assert!(numbers.end <= MAX_FILES, "contents would repeat");
        let set = Self {
            name,
            numbers,
            sizes,
        };
        if let Sizes::Directory(_) = sizes {
            let begins_with_a_directory =
                set.numbers.start.is_multiple_of(set.files_per_directory());
            assert!(begins_with_a_directory, "sizes would be shifted");
        }
        set
    }

    fn files_per_directory(&self) -> u32 {
        match self.sizes {
            Sizes::Directory(sizes) => sizes.len() as u32,
            Sizes::All(_) | Sizes::UpToKib(_) => FILES_PER_DIRECTORY,
        }
    }

    /// What a node is in.
    fn parent(&self, node: Node) -> Node {
        match node {
            Node::Set | Node::Directory(_) => Node::Set,
            Node::File(file) => Node::Directory(file / self.files_per_directory()),
        }
    }

    /// Its first `count` files, or all where it has fewer.
    pub fn first(&self, count: u32) -> Self {
        let end = self.numbers.end.min(self.numbers.start + count);
        Self {
            numbers: self.numbers.start..end,
            ..self.clone()
        }
    }

    /// How many files it has.
    pub fn len(&self) -> u32 {
        self.numbers.end - self.numbers.start
    }

    /// The number of the file at `index`.
    pub fn file(&self, index: u32) -> u32 {
        self.numbers.start + index % self.len()
    }

    /// All numbers, in an order that is arbitrary but always the same.
    pub fn shuffled(&self) -> Vec<u32> {
        let mut files: Vec<u32> = self.numbers.clone().collect();
        Shuffle::new(0xf11e5).shuffle(&mut files);
        files
    }

    /// The same files in two parts, in shuffled order, the first with `first` of them.
    pub fn split(&self, first: u32) -> (Vec<u32>, Vec<u32>) {
        let mut files = self.shuffled();
        let rest = files.split_off((first as usize).min(files.len()));
        (files, rest)
    }

    /// What the file holds.
    pub fn content(&self, file: u32) -> &'static [u8] {
        let size = match self.sizes {
            Sizes::All(size) => size,
            Sizes::UpToKib(kib) => (1 + file as usize % kib) << 10,
            Sizes::Directory(sizes) => sizes[file as usize % sizes.len()],
        };
        content(file, size)
    }

    /// Appends the file's path beneath the docroot, which is also the request's target.
    pub fn push_target(&self, file: u32, out: &mut String) {
        let file = Node::File(file);
        let _ = write!(out, "/{}/{}/{file}", self.name, self.parent(file));
    }

    /// What `name` names in `parent`, if there is such a file or directory.
    pub fn look_up(&self, parent: Node, name: &str) -> Option<Node> {
        let number = |prefix, suffix| {
            let digits = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
            digits.parse::<u32>().ok()
        };
        let node = match parent {
            Node::Set => Node::Directory(number("d", "")?),
            Node::Directory(_) => Node::File(number("", ".bin")?),
            Node::File(_) => return None,
        };
        let is_there = match node {
            Node::Set => true,
            Node::Directory(directory) => {
                let (first, last) = (self.numbers.start, self.numbers.end - 1);
                let each = self.files_per_directory();
                (first / each..=last / each).contains(&directory)
            }
            Node::File(file) => self.numbers.contains(&file),
        };
        // A number can be written in several ways, a name in one.
        (is_there && self.parent(node) == parent && node.to_string() == name).then_some(node)
    }

    /// Where the file is.
    pub fn path(&self, docroot: &Path, file: u32) -> PathBuf {
        let mut target = String::new();
        self.push_target(file, &mut target);
        docroot.join(&target[1..])
    }

    /// Writes all files.
    pub fn create(&self, docroot: &Path) -> Result<()> {
        for file in self.numbers.clone() {
            let path = self.path(docroot, file);
            self.create_one(&path, file)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    fn create_one(&self, path: &Path, file: u32) -> std::io::Result<()> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut out = File::create(path)?;
        out.write_all(self.content(file))?;
        // Where access times are kept, the first read of a new file would write one, and later reads would not.
        out.set_times(FileTimes::new().set_accessed(SystemTime::now() + Duration::from_secs(3600)))
    }

    /// Brings all files into the page cache, several at a time: a disk answers several at a time.
    pub fn warm(&self, docroot: &Path) -> Result<()> {
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..WARMERS)
                .map(|first| scope.spawn(move || self.warm_every(docroot, first)))
                .collect();
            readers
                .into_iter()
                .try_for_each(|reader| reader.join().expect("a reader does not panic"))
        })
    }

    fn warm_every(&self, docroot: &Path, first: usize) -> Result<()> {
        for file in self.numbers.clone().skip(first).step_by(WARMERS) {
            let path = self.path(docroot, file);
            fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        }
        Ok(())
    }

    /// Drops all files' pages from the page cache; names and inodes stay. For those who may not drop caches.
    pub fn drop_pages(&self, docroot: &Path) -> Result<()> {
        for file in self.numbers.clone() {
            let path = self.path(docroot, file);
            let open =
                File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
            posix_fadvise(open.as_fd(), 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)
                .with_context(|| format!("cannot drop the pages of {}", path.display()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without distinct contents, one file served as another would pass for right.
    #[test]
    fn contents_differ() {
        assert_ne!(content(0, 1024), content(1, 1024));
        assert_ne!(content(0, 1024), content(MAX_FILES - 1, 1024));
        assert_eq!(content(7, 1024), &content(7, 4096)[..1024]);
    }

    /// A file system that shows a set must have all that is asked for, and nothing else.
    #[test]
    fn every_target_is_found() {
        let set = FileSet::new("x", 150..350, Sizes::All(1));
        for file in set.shuffled() {
            let mut target = String::new();
            set.push_target(file, &mut target);
            let names = target.strip_prefix("/x/").unwrap().split('/');
            let found = names.fold(Node::Set, |parent, name| set.look_up(parent, name).unwrap());
            assert_eq!(found, Node::File(file));
        }
        let directory = Node::Directory(1);
        for (parent, name) in [
            (Node::Set, "d000"),
            (Node::Set, "d004"),
            (Node::Set, "d1"),
            (directory, "00149.bin"),
            (directory, "00200.bin"),
            (directory, "150.bin"),
            (directory, "00150"),
            (Node::File(150), "00150.bin"),
        ] {
            assert_eq!(set.look_up(parent, name), None, "{name} in {parent:?}");
        }
    }

    /// A directory with a size too many or too few would not be the mix that was asked for.
    #[test]
    fn every_directory_has_all_sizes() {
        let set = FileSet::new("x", 6..12, Sizes::Directory(&[10, 20, 30]));
        let described = |file| {
            let mut target = String::new();
            set.push_target(file, &mut target);
            format!("{target} {}", set.content(file).len())
        };
        assert_eq!(described(6), "/x/d002/00006.bin 10");
        assert_eq!(described(8), "/x/d002/00008.bin 30");
        assert_eq!(described(9), "/x/d003/00009.bin 10");
    }

    /// A set whose two parts overlap would ask for a warm file in a cold run.
    #[test]
    fn parts_do_not_overlap() {
        let set = FileSet::new("x", 100..200, Sizes::UpToKib(4));
        let (first, mut rest) = set.split(10);
        assert_eq!(first.len(), 10);
        rest.extend(first);
        rest.sort_unstable();
        assert_eq!(rest, (100..200).collect::<Vec<_>>());
    }
}
