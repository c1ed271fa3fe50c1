//! What one descriptor's readiness owes to whom: a state machine without a system call.
//!
//! A gate is closed on a connection whose next request, or the next part of whose body, would make
//! its handler wait for the disk: the readable (or writable) interest is taken out of what the kernel
//! was told. When the files are there it is put back with `EPOLL_CTL_MOD`, at which the kernel checks
//! readiness afresh and wakes the loop by itself, whether the interest is level-triggered,
//! edge-triggered or one-shot. Every closed gate is one debt: one restore, by the one who opens it.
//!
//! A gate that stays closed for long may be set *ajar*: the interest is put back although the files
//! are not there, for one read of a part of the request.
//!
//! The methods return the [`Control`]s that the caller has to carry out, in order.

mod descriptor;
mod interest;
#[cfg(test)]
mod model;
mod registration;
#[cfg(test)]
mod tests;

pub use descriptor::{Descriptor, Undo};
pub use interest::*;
pub use registration::Reported;
