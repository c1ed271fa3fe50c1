//! A FUSE daemon: the trial's own program once more, as a process of its own, so that it can be stopped.
//!
//! It shows a set of files, read-only, and answers every request that goes to its store after a fixed delay, however many
//! there are. What it lets the kernel keep is what FUSE clients of object stores do (gcsfuse): names and attributes for a
//! minute, contents for as long as there is memory, and `open` is not asked about. Directories cannot be listed.

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::{Context, Result};
use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEntry, ReplyOpen,
    Request, Session, SessionACL,
};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

use crate::files::{FileSet, Node};

/// What it says when the file system is there.
pub const READY: &str = "mounted";

/// How long the kernel need not ask again.
const VALID: Duration = Duration::from_secs(60);

/// Reads ahead of need that the kernel keeps in flight: more than there are connections. It would be twelve.
const IN_FLIGHT: u16 = 256;

/// Shows the files of `set` at `mount_point`, until it is unmounted or the process is killed.
pub fn run(set: FileSet, mount_point: &Path, delay: Duration) -> Result<()> {
    // A file system without its daemon is an error to everyone; one whose daemon is stopped, and its maker gone, is for ever.
    set_pdeathsig(Signal::SIGKILL)?;
    let (later, due) = mpsc::channel();
    thread::spawn(|| answer_when_due(due));
    let mut config = Config::default();
    config.acl = SessionACL::All;
    config.mount_options = vec![
        MountOption::RO,
        MountOption::NoAtime,
        MountOption::DefaultPermissions,
        MountOption::FSName("laio-trial".into()),
    ];
    let store = Store { set, delay, later };
    let session = Session::new(store, mount_point, &config)
        .with_context(|| format!("cannot mount FUSE at {}", mount_point.display()))?;
    println!("{READY}");
    io::stdout().flush()?;
    session.run().context("FUSE")
}

type Answer = Box<dyn FnOnce() + Send>;

/// The delay is the same for all, so the first that came is the first that is due.
fn answer_when_due(answers: Receiver<(Instant, Answer)>) {
    for (due, answer) in answers {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        answer();
    }
}

struct Store {
    set: FileSet,
    delay: Duration,
    later: Sender<(Instant, Answer)>,
}

impl Store {
    fn later(&self, answer: impl FnOnce() + Send + 'static) {
        // The other thread ends after this one.
        let _ = self
            .later
            .send((Instant::now() + self.delay, Box::new(answer)));
    }

    fn attributes(&self, node: Node) -> FileAttr {
        let (kind, perm, size) = match node {
            Node::File(file) => (
                FileType::RegularFile,
                0o444,
                self.set.content(file).len() as u64,
            ),
            Node::Set | Node::Directory(_) => (FileType::Directory, 0o555, 0),
        };
        FileAttr {
            ino: number(node),
            size,
            blocks: size.div_ceil(512),
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }
}

/// Inode numbers: the root's is given, directories and files follow.
const DIRECTORIES: u64 = 1 << 32;
const FILES: u64 = 2 << 32;

fn number(node: Node) -> INodeNo {
    match node {
        Node::Set => INodeNo::ROOT,
        Node::Directory(directory) => INodeNo(DIRECTORIES + u64::from(directory)),
        Node::File(file) => INodeNo(FILES + u64::from(file)),
    }
}

fn node(number: INodeNo) -> Node {
    match number.0 {
        number if number >= FILES => Node::File((number - FILES) as u32),
        number if number >= DIRECTORIES => Node::Directory((number - DIRECTORIES) as u32),
        _ => Node::Set,
    }
}

impl Filesystem for Store {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Where the kernel does not know one of these it does without.
        let _ = config.add_capabilities(InitFlags::FUSE_PARALLEL_DIROPS);
        let _ = config.set_max_background(IN_FLIGHT);
        let _ = config.set_congestion_threshold(IN_FLIGHT);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = name
            .to_str()
            .and_then(|name| self.set.look_up(node(parent), name));
        let attributes = found.map(|node| self.attributes(node));
        self.later(move || match attributes {
            Some(attributes) => reply.entry(&VALID, &attributes, Generation(0)),
            None => reply.error(Errno::ENOENT),
        });
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let attributes = self.attributes(node(number));
        self.later(move || reply.attr(&VALID, &attributes));
    }

    /// The kernel takes this for "open whatever you like, keep what you have, and do not ask again".
    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.error(Errno::ENOSYS);
    }

    fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.error(Errno::ENOSYS);
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let Node::File(file) = node(number) else {
            return reply.error(Errno::EISDIR);
        };
        let content = self.set.content(file);
        let start = (offset as usize).min(content.len());
        let end = (start + size as usize).min(content.len());
        self.later(move || reply.data(&content[start..end]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two nodes with one number would be one file to the kernel.
    #[test]
    fn numbers_name_nodes() {
        for some in [
            Node::Set,
            Node::Directory(0),
            Node::Directory(655),
            Node::File(0),
            Node::File(65_535),
        ] {
            assert_eq!(node(number(some)), some);
        }
    }
}
