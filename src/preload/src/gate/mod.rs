//! Which connections are held back, and how their readiness is given back.
//!
//! The library puts nothing into the application's epoll instances and keeps no descriptor in its
//! table: readiness is withheld and restored with `epoll_ctl` on the application's own registration,
//! so that every wait, also one that no hook sees, finds nothing that is not the application's. For `poll` and
//! `select`, which register nothing, the kernel is shown a copy of the set (`sets`) for the length of one wait.

pub mod behind;
mod chunks;
mod control;
mod cookies;
mod gates;
pub mod inflight;
pub mod loops;
pub mod numbers;
pub mod passed;
pub mod repeat;
pub mod sessions;
pub mod sets;
pub mod slot;
mod speech;
pub mod table;
pub mod told;
mod unseen;
pub mod waker;

pub use control::{is_nonblocking, may_be_refused};
