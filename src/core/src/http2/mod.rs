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

pub use connection::Connection;

use crate::recognise::Unrecognised;

/// What a client begins with (RFC 9113, 3.4).
const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What came of a part of what a client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The head of a request is complete.
    Request {
        /// The stream that it is on.
        stream: u32,
    },
    /// A request that is none to predict for, or of which that is not known.
    NotUnderstood {
        /// The stream that it is on.
        stream: u32,
        /// [`Unrecognised::Foreign`]: another method, or the method or the path are not known.
        /// [`Unrecognised::Refused`]: its target, or a server would refuse it.
        reason: Unrecognised,
    },
    /// The client takes a request back.
    Reset {
        /// The stream that it was on.
        stream: u32,
    },
}

/// Whether a client that begins so may speak HTTP/2: what is there of the preface agrees with it, and that is at least `PRI`.
#[inline]
pub fn begins(bytes: &[u8]) -> bool {
    let there = bytes.len().min(PREFACE.len());
    there >= 3 && bytes[..there] == PREFACE[..there]
}
