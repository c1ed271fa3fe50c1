//! A site of cold documents, small and large, on a disk of its own, of which every body is asked for and compared.

use crate::cold::SlowDisk;
use crate::tally::{ask_for, Documents};
use crate::Result;
use anyhow::Context as _;
use std::net::SocketAddr;
use std::path::PathBuf;

const SMALL: Documents = Documents {
    directory: "small/",
    count: 60,
    length: 5000,
};
const LARGE: Documents = Documents {
    directory: "large/",
    count: 2,
    length: 3_000_000,
};

/// The site.
pub struct ColdSite(SlowDisk);

impl ColdSite {
    /// Makes it. A machine that cannot have such a disk makes the test count as skipped.
    pub fn up() -> Result<Self> {
        let disk = SlowDisk::up()?;
        for documents in [SMALL, LARGE] {
            documents.write(&disk.root().join(documents.directory))?;
        }
        Ok(Self(disk))
    }

    /// Where the documents are.
    pub fn root(&self) -> PathBuf {
        self.0.root()
    }

    /// Makes them cold.
    pub fn chill(&self) -> Result {
        self.0.chill()
    }

    /// Asks a server for all of them; fails unless all answers are right.
    pub fn visit(&self, address: SocketAddr) -> Result {
        [SMALL, LARGE].into_iter().try_for_each(|documents| {
            let tally = ask_for(documents, 0..documents.count, address, 4, 5);
            let all = tally.all_right(documents.count);
            all.context(documents.directory)
        })
    }
}
