//! `liblaio.so`: lazy asynchronous I/O for unmodified event-driven servers, by `LD_PRELOAD`.
//!
//! A request's way through the library: `hooks` `wait` → the server → `hooks` `socket` →
//! `event_loop` → `laio_core` recognise and rules → `engine` probe → (engine pool →
//! `readiness`) → the server's own wait. `guest` is what a library owes the process that it is a
//! guest in: start-up, fork, logging, the clock.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod engine;
mod event_loop;
mod guest;
mod hooks;
mod readiness;

/// Memory of our own, from `mmap`. A hook may be called in a signal handler that has interrupted the
/// application's `malloc`, which must not be entered twice; and a guest leaves no traces in its
/// host's heap. Ours is not entered twice either: a hook inside a hook goes straight.
#[global_allocator]
static MEMORY: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;
