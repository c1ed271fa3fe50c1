//! The library's own threads: how they are made, on which stacks, and how they are dismissed.

mod alive;
pub mod executor;
pub mod registry;
pub mod stacks;
pub mod thread;
