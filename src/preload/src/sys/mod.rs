//! What a library owes the process that it is a guest in. Nothing here knows of connections, files or threads of ours.

pub mod address;
pub mod at_end;
pub mod backtrace;
pub mod clock;
pub mod descriptors;
pub mod errno;
pub mod forks;
pub mod frame;
pub mod handler;
pub mod kernel;
pub mod local;
pub mod lock;
pub mod log;
pub mod mask;
pub mod memory;
pub mod process;
pub mod program;
pub mod published;
pub mod refusals;
pub mod status;
pub mod sync;
pub mod usage;
