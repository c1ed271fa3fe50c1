//! `liblaio.so`: lazy asynchronous I/O for unmodified event-driven servers, by `LD_PRELOAD`.
//!
//! A request's way through the library: `hooks` `wait` or `polling` → `event_loop` `admit` → `laio_core` recognise and
//! rules → `engine` probe → (`engine` pool → `readiness` → the same wait) → the server → `hooks` `socket`. `native` is the interface of the paper, for programs that are
//! written for it. `guest` is what a library owes the process that it is a
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
mod native;
mod readiness;
