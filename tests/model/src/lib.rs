//! The library's own code for registrations, gates, completions and wakers under a model checker (`shuttle`), beside a model
//! of the kernel.
//!
//! The files of `src/preload` are compiled here as they are. Below them everything is a model: threads and what they share
//! (`sys::sync`), the kernel's descriptors and epoll instances (`sys::kernel`). Above them is an application of a few random
//! steps. What is in a socket is a number of bytes, and whether its files are cold; a helper's work is nothing.

#![allow(dead_code, unused_imports, missing_docs)]

/// A file of the library.
macro_rules! library {
    ($visibility:vis $name:ident, $path:literal) => {
        #[path = $path]
        #[allow(missing_docs)]
        $visibility mod $name;
    };
}

pub mod application;
pub mod check;
mod event_loop;
mod fetch;
library!(gate, "../../../src/preload/src/gate/mod.rs");
mod hooks;
mod sys;
mod threads;
