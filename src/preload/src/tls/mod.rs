//! The keys of TLS connections: an OpenSSL of the program's tells them by its key log.
//!
//! Each context that the program makes gets a callback of the library's, which calls the program's own. It is told the
//! secrets of each connection, and hands those of clients to the connection with the same client's random number
//! (`gate::sessions`): so it does not matter how the program connects OpenSSL with a socket.

mod contexts;
mod keylog;
mod library;

pub use contexts::{log_of, own_callback, set_own_callback, watch};
pub use library::{made_by, next, Callback, Library};
