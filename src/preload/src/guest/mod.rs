//! What a library owes the process that it is a guest in.

pub mod address;
pub mod at_end;
pub mod clock;
pub mod descriptors;
pub mod errno;
pub mod fork;
pub mod handler;
pub mod local;
pub mod lock;
pub mod log;
pub mod memory;
pub mod program;
pub mod refusals;
pub mod stacks;
pub mod startup;
pub mod thread;
