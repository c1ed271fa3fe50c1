//! A test: its name, what it needs, how long it may take, and what it does.

use crate::Result;
use std::path::PathBuf;
use std::time::Duration;

/// Names the directory of the running test.
pub const SCRATCH: &str = "LAIO_TEST_SCRATCH";

/// What a test cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// User id 0: mounts, device nodes, servers that drop privileges.
    Root,
    /// A disk with a fixed latency (`scripts/slow-disk`): needs root, FUSE and loop devices.
    SlowDisk,
    /// A command, and the Debian package that has it.
    Command(&'static str, &'static str),
    /// A command that no Debian package has, or that is installed by other ways.
    Program(&'static str),
    /// merecat, which cannot be installed beside other packages (`scripts/install-merecat`).
    Merecat,
    /// libevent's headers, and make.
    Libevent,
    /// A Debian package that has no command.
    Package(&'static str),
    /// uvloop 0.22 or newer, in an environment of its own (`scripts/install-uvloop`).
    Uvloop,
}

/// One test: a name, what it needs, how long it may take, and what it does.
pub struct Test {
    pub(crate) name: String,
    pub(crate) limit: Duration,
    pub(crate) needs: Vec<Need>,
    pub(crate) body: Box<dyn FnOnce() -> Result + Send>,
}

impl Test {
    /// A test with a limit of one minute.
    pub fn new(name: impl Into<String>, body: impl FnOnce() -> Result + Send + 'static) -> Self {
        Self {
            name: name.into(),
            limit: Duration::from_secs(60),
            needs: Vec::new(),
            body: Box::new(body),
        }
    }

    /// Adds something that the test cannot do without.
    pub fn needs(mut self, need: Need) -> Self {
        self.needs.push(need);
        self
    }

    /// Another time limit than a minute.
    pub fn limit(mut self, seconds: u64) -> Self {
        self.limit = Duration::from_secs(seconds);
        self
    }
}

/// The error that makes a running test count as skipped.
#[derive(Debug)]
pub(crate) struct Skip(String);

impl std::fmt::Display for Skip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "skipped, because {}", self.0)
    }
}

impl std::error::Error for Skip {}

/// Ends the running test as skipped, with the reason ("skipped, because …").
pub fn skip<T>(because: impl Into<String>) -> Result<T> {
    Err(Skip(because.into()).into())
}

/// The directory of the running test: empty when it starts, removed when it passed.
pub fn scratch() -> PathBuf {
    PathBuf::from(std::env::var_os(SCRATCH).expect("called from a test's body"))
}
