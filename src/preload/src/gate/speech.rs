//! What a client speaks: TLS, of which the first bytes tell, or in the clear.

use super::sessions::{self, Entry};
use super::slot::{Slot, SILENT};
use crate::sys::sync::atomic::Ordering::*;
use laio_core::tls;

const CLEAR: u8 = 1;
const SEALED: u8 = 2;

impl Slot {
    /// The TLS session of its client, where it speaks that.
    #[inline]
    pub fn session(&self, fd: i32) -> Option<&'static Entry> {
        (self.speech.load(Relaxed) == SEALED).then(|| sessions::of(fd))?
    }

    /// The same, where the application has just read these bytes: the first ones of a connection tell.
    #[inline]
    pub fn session_of(&self, fd: i32, bytes: &[u8]) -> Option<&'static Entry> {
        match self.speech.load(Relaxed) {
            CLEAR => None,
            SEALED => sessions::of(fd),
            _ => self.begins_with(fd, bytes),
        }
    }

    /// Whether what waits in the socket begins a TLS session that can be understood.
    pub fn begins_session(&self, bytes: &[u8]) -> bool {
        tls::begins(bytes) && self.speech.load(Relaxed) == SILENT && sessions::are_told()
    }

    /// Its TLS is nothing that anybody tells keys of.
    #[cold]
    pub fn leave_tls_alone(&self, fd: i32) {
        self.end_session(fd);
        self.speech.store(CLEAR, Relaxed);
    }

    #[cold]
    fn begins_with(&self, fd: i32, bytes: &[u8]) -> Option<&'static Entry> {
        let session = tls::begins(bytes).then(|| sessions::begin(fd)).flatten();
        let speech = if session.is_some() { SEALED } else { CLEAR };
        self.speech.store(speech, Relaxed);
        session
    }

    /// Nothing is known of its TLS session any more.
    pub(super) fn end_session(&self, fd: i32) {
        if self.speech.swap(SILENT, Relaxed) == SEALED {
            sessions::end(fd);
        }
    }
}
