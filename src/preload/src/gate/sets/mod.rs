//! The sets of `poll` and `select`, and the copies that the kernel is shown in their place.
//!
//! The application's set is read once, where the wait begins, as the kernel does: another thread may
//! change it meanwhile. What is held back is found then; what is done for each further wait costs no
//! more than there is of it.

mod poll;
mod select;
mod set;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;

pub use poll::{admit_in_place, PollSet};
pub use select::{leave_out, readable, SelectSet};
pub use set::{Room, Set};
