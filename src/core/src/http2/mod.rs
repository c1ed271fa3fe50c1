//! HTTP/2, as seen by somebody who stands beside the server: the requests in what a client sends (RFC 9113, RFC 7541).
//!
//! [`Connection`] follows the frames, whatever parts they come in, and what their header blocks do to the compression's table. It may
//! come late: of what was added to the table before, nothing is known, and a request that needs it is not understood. Since a table is
//! counted from its newest entry on, all that was added later is known, and which older entries a client has removed need not be.

mod connection;
mod frame;
mod head;
mod hpack;
mod huffman;
mod table;
#[cfg(test)]
mod tests;

pub use connection::{Connection, Event};
pub use frame::begins;
