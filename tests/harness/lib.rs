//! What the integration tests share: a runner with time limits and run-time skipping, C programs run with and without
//! the library, cold files, real servers, an HTTP client, and a reader of `strace`'s output.
//!
//! Nothing here knows how the library works. It knows the library's contract: where `liblaio.so` is, which variables
//! configure it, and which counters it writes.

mod ask;
pub mod backend;
pub mod cold;
pub mod cold_site;
pub mod demo;
pub mod docroot;
pub mod http;
pub mod http2;
pub mod identity;
mod kind;
pub mod library;
pub mod machine;
pub mod mounts;
pub mod needs;
pub mod program;
pub mod random;
pub mod runner;
pub mod sandbox;
pub mod sealed;
pub mod server;
pub mod site;
pub mod stats;
pub mod storm;
pub mod tally;
pub mod test;
pub mod tls;
pub mod trace;
pub mod workload;

pub use library::Preload;
pub use runner::run;
pub use test::{skip, Need, Test};

/// What a test returns.
pub type Result<T = (), E = anyhow::Error> = std::result::Result<T, E>;
