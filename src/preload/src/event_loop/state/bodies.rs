//! What a loop knows of the files that it sends.

use laio_core::mappings::Mappings;
use laio_core::stream::{NextRead, OpenFile};

/// Files that are remembered of the last ones.
const LATEST: usize = 16;

/// The last ones of something, the oldest first.
#[derive(Debug)]
struct Latest<T>(Vec<T>);

impl<T> Default for Latest<T> {
    fn default() -> Latest<T> {
        Latest(Vec::with_capacity(LATEST))
    }
}

impl<T> Latest<T> {
    fn add(&mut self, one: T) {
        if self.0.len() == LATEST {
            self.0.remove(0);
        }
        self.0.push(one);
    }
}

/// Files, and what will be read of them.
#[derive(Debug, Default)]
pub struct Bodies {
    /// Bodies that were cold and have room, of which this iteration was told.
    pub told: usize,
    /// A file is being opened that the look at its request has found in memory, or brought in.
    pub opens_warm: bool,
    /// The hash of the path that is being opened, if a link was met on its way.
    pub opens_linked: Option<u64>,
    /// The hash of the path of the file that is being opened, where that is known.
    pub opens: Option<u64>,
    /// The last such file of this iteration.
    pub looked_at: Option<OpenFile>,
    /// What the application will read next, if it goes on as it did.
    pub next_read: NextRead,
    /// Files that the application has mapped.
    pub mappings: Mappings,
    opened: Latest<(OpenFile, u64)>,
    streamed: Latest<OpenFile>,
}

impl Bodies {
    /// An iteration begins.
    pub fn begin_iteration(&mut self) {
        self.next_read.forget();
        self.looked_at = None;
        self.told = 0;
    }

    /// A file was opened by the path with this hash.
    pub fn has_opened(&mut self, file: OpenFile, hash: u64) {
        self.opened.add((file, hash));
    }

    /// The hash of the path by which a file was opened.
    pub fn path_of(&self, file: OpenFile) -> Option<u64> {
        let known = self.opened.0.iter().find(|(known, _)| *known == file);
        known.map(|(_, hash)| *hash)
    }

    /// Whether a file is sent as it is read.
    pub fn streams(&self, file: OpenFile) -> bool {
        self.streamed.0.contains(&file)
    }

    /// A file is sent as it is read: the body gate sees to it.
    pub fn is_streamed(&mut self, file: OpenFile) {
        if !self.streams(file) {
            self.streamed.add(file);
        }
    }

    /// Files were read in this iteration and are written as they are, if `is_file` says so.
    #[inline]
    pub fn writes(&mut self, is_file: impl Fn(&NextRead) -> bool) {
        let is_new = |file| !self.streamed.0.contains(&file);
        if !self.next_read.unsent_files().any(is_new) || !is_file(&self.next_read) {
            return;
        }
        let Bodies {
            next_read,
            streamed,
            ..
        } = self;
        for file in next_read.unsent_files() {
            if !streamed.0.contains(&file) {
                streamed.add(file);
            }
        }
    }
}
