//! TLS 1.2 and 1.3, as seen by somebody who stands beside the server: the records that a client sends, and what is in them.
//!
//! The keys come from the server's own library, which writes them for whoever looks for faults (the key log). With them a copy
//! of what waits in the socket is opened; what the server reads, and what its library makes of it, stays as it is.
//!
//! [`Follower`] finds the records in what is read; that is all that is done while nobody looks. [`Session`] knows the keys, and
//! opens a record. Sequence numbers are not sent: they are the count of records, and where that is not known the tag of the record
//! tells (RFC 8446, 5.3; RFC 5246, 6.2.3.3).

mod follow;
mod keylog;
mod keys;
mod record;
mod session;
mod suite;
#[cfg(test)]
mod tests;

pub use follow::{Follower, Piece, Place};
pub use keylog::{Label, Line};
pub use keys::Secret;
pub use record::{begins, header, Content, HEADER, LONGEST};
pub use session::{Opened, Reason, Session};
pub use suite::{Suite, Version};
