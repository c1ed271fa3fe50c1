//! A program before it runs: which file it is, whether the library can be loaded into it, and what it calls.

mod elf;
mod find;
mod libraries;
mod loading;
mod program;

pub use elf::Elf;
pub use find::{find, Missing};
pub use libraries::Libraries;
pub use loading::{has_capabilities, is_set_id, obstacles, Starter};
pub use program::Target;
