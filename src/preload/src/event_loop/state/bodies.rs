//! What a loop knows of the files that it sends.

use laio_core::mappings::Mappings;
use laio_core::stream::{NextRead, OpenFile};

/// Files, and what will be read of them.
#[derive(Debug, Default)]
pub struct Bodies {
    /// Bodies that were cold and have room, of which this iteration was told.
    pub told: usize,
    /// A file is being opened that the look at its request has found in memory, or brought in.
    pub opens_warm: bool,
    /// The hash of the path that is being opened, if a link was met on its way.
    pub opens_linked: Option<u64>,
    /// The last such file of this iteration.
    pub looked_at: Option<OpenFile>,
    /// What the application will read next, if it goes on as it did.
    pub next_read: NextRead,
    /// Files that the application has mapped.
    pub mappings: Mappings,
}

impl Bodies {
    /// An iteration begins.
    pub fn begin_iteration(&mut self) {
        self.next_read.forget();
        self.looked_at = None;
        self.told = 0;
    }
}
