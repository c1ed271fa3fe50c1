//! The keys of TLS connections: an OpenSSL of the program's tells them by its key log.
//!
//! Each context that the program makes gets a callback of the library's, which calls the program's own. It is told the
//! secrets of each connection, and hands those of clients to the connection with the same client's random number
//! (`gate::sessions`): so it does not matter how the program connects OpenSSL with a socket.

mod contexts;
mod keylog;
mod library;

pub use contexts::{log_of, own_callback, set_own_callback};
pub use keylog::is_ours;
pub use library::{made_by, next, Callback, Library};

use crate::gate::sessions;
use libc::c_void;

/// A context was made: from now on its library tells the keys of its connections.
pub fn watch(context: *mut c_void, (number, library): (usize, &Library)) {
    let (Some(log), Some(ours)) = (library.log, keylog::callback(number)) else {
        return;
    };
    if contexts::remember(context, number) {
        sessions::will_be_told();
        // SAFETY: the library's own function and a context that it has just made.
        unsafe { (log.set)(context, Some(ours)) };
    }
}
