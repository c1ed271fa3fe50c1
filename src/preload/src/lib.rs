//! `liblaio.so`: lazy asynchronous I/O for unmodified event-driven servers, by `LD_PRELOAD`.
//!
//! The folders are floors: each uses those below it and none above, down to the single file
//! (`tests/cases/layers.rs` reads the `use` lines).
//!
//! | floor | what |
//! |---|---|
//! | `lifecycle` | start-up and fork: the one room that knows all the others |
//! | `hooks` | the exported names, by family; each hands its arguments to a lane |
//! | `tls` | the keys that the program's TLS library tells |
//! | `event_loop`, `paper` | what one loop decides; the interface of the paper, for programs that are written for it |
//! | `fetch` | what is in memory, and how it gets there |
//! | `gate` | which connections are held back, and how their readiness is given back |
//! | `threads` | the library's own threads, and how they are dismissed |
//! | `sys` | what a library owes the process that it is a guest in: errno, memory, locks, clocks, lines for people |
//!
//! A request's way: `hooks` `wait` or `polling` → `event_loop` `admit` → `laio_core` recognise and rules → `fetch` probe →
//! (`fetch` pool → `gate` → the same wait) → the server → `hooks` `socket`.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod event_loop;
mod fetch;
mod gate;
mod hooks;
mod lifecycle;
mod paper;
mod sys;
mod threads;
mod tls;
