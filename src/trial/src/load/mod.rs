//! The load generator: keep-alive HTTP connections, driven by one thread, every body compared byte for byte.
//!
//! It shares two cores with the servers that it measures, so a request costs it little: no allocation, one buffer, and a
//! comparison with memory that is always at hand.

mod connection;
mod driver;
mod outcome;
mod request;
mod source;
mod stream;

pub use driver::{run, Load};
pub use outcome::{histogram, Failures, Outcome};
pub use request::{Kind, Request};
pub use source::{Closed, Open};
pub use stream::Transport;
