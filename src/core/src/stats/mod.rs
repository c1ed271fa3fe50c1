//! The counters: what there is to count, where it lies in memory, and how it is written.

mod block;
mod names;
mod snapshot;

pub use block::{Block, Counters, LOOPS, MAGIC, ROWS, SECTION, SIZE};
pub use names::{Call, Counter};
pub use snapshot::{Blocked, Snapshot, VERSION};
