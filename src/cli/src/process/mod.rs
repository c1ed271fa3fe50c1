//! Running processes: which there are, what the kernel tells of them, and what the library has published in them.

pub mod image;
mod kernel;
mod memory;
mod select;
mod standing;

pub use kernel::Kernel;
pub use memory::Attached;
pub use select::{select, select_new, Chosen};
pub use standing::Standing;
