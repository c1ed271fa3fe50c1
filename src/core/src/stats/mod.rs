//! The counters: what there is to count, where it lies in memory, and how it is written.

mod block;
mod decode;
mod names;
mod observation;
mod observed;
mod snapshot;
mod state;
mod texts;

pub use block::{Block, Counters, LOOPS, MAGIC, ROWS, SECTION, SIZE};
pub use decode::version;
pub use names::{Call, Counter};
pub use observation::{CallSum, Directory, Observation, StackSum, Worst};
pub use observed::{Blocking, Histogram, Observed, CLASSES, FRAMES};
pub use snapshot::{Blocked, LoopNow, Published, Snapshot, VERSION};
pub use state::{Held, Process, State, Text, STALL_BOUNDS};
