//! The load generator: keep-alive HTTP connections, driven by one thread, every body compared byte for byte. For HTTP/2 there
//! are a client of our own, which compares as well, and h2load.
//!
//! It shares two cores with the servers that it measures, so a request costs it little: no allocation, one buffer, and a
//! comparison with memory that is always at hand.

mod coded;
mod connection;
mod driver;
pub mod h2load;
pub mod http2;
mod outcome;
mod request;
mod source;
mod stream;

/// Longer than anything that a working server takes, stock and on the slow disk included.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

pub use driver::{run, Load};
pub use outcome::{histogram, Failures, Outcome};
pub use request::{Kind, Request};
pub use source::{Closed, Open};
pub use stream::Transport;
