//! Connections that another process has accepted and passed on in a message.

use super::table;
use crate::sys::kernel;
use crate::sys::sync::atomic::Ordering::*;

/// A message has brought this number. Tells whether it is a client's connection, which is looked at like one that was accepted here.
/// Whoever has passed it on may have it still, and may have been told that it is ready: no read of it is ever refused.
#[cold]
pub fn is_received(fd: i32) -> bool {
    // What waits for connections itself has no other end.
    let has_peer = || matches!(kernel::peer(fd), Ok(Some(_)));
    if !kernel::is_stream(fd) || !has_peer() {
        return false;
    }
    let slot = table::adopt(fd);
    slot.is_some_and(|slot| {
        slot.born.fetch_sub(1, Relaxed);
        true
    })
}
