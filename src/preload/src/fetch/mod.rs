//! `probe → (warm | cold → job → completion)`: is it in memory, and if not, who fetches it?
//!
//! Everything here goes by raw system calls, never through the library's own hooks.

pub mod cache_key;
pub mod completion;
pub mod file_system;
pub mod job;
mod pins;
pub mod pool;
pub mod probe;
pub mod residency;
pub mod resolver;
