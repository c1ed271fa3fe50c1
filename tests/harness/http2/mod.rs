//! A client that speaks HTTP/2, by TLS or in the clear, and lets a test decide which frames go over the connection, how their
//! bytes are divided, and how much the server may send.

mod answer;
mod client;
pub mod frames;
mod request;
mod settings;

pub use answer::Answer;
pub use client::Client;
pub use request::{Coding, Framing, Request};
pub use settings::Settings;
