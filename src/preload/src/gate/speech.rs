//! What a client speaks: TLS or HTTP/2, of which the first bytes tell, or HTTP/1.x, from which it may go over to HTTP/2.

use super::behind::BEHIND;
use super::sessions::{self, Entry};
use super::slot::{Slot, SILENT};
use crate::sys::sync::atomic::Ordering::*;
use laio_core::recognise::proxied;
use laio_core::{http2, tls};

const CLEAR: u8 = 1;
const SEALED: u8 = 3;
/// HTTP/2, in the clear.
const FRAMES: u8 = 4;

impl Slot {
    /// The session of its client, where it speaks TLS or HTTP/2.
    #[inline]
    pub fn session(&self, fd: i32) -> Option<&'static Entry> {
        (self.speech.load(Relaxed) >= SEALED).then(|| sessions::of(fd))?
    }

    /// Whether its client speaks TLS.
    #[inline]
    pub fn speaks_tls(&self) -> bool {
        self.speech.load(Relaxed) == SEALED
    }

    /// Whether its client speaks HTTP/2 in the clear.
    #[inline]
    pub fn speaks_http2(&self) -> bool {
        self.speech.load(Relaxed) == FRAMES
    }

    /// How many of these bytes, which are the next of its connection, are not its client's but a proxy's in front of it.
    #[inline]
    pub fn proxied(&self, bytes: &[u8]) -> usize {
        match self.speech.load(Relaxed) {
            SILENT => proxied(bytes),
            _ => 0,
        }
    }

    /// The same, where the application has just read these bytes: the first ones of a connection tell.
    #[inline]
    pub fn session_of(&self, fd: i32, bytes: &[u8]) -> Option<&'static Entry> {
        match self.speech.load(Relaxed) {
            CLEAR => self.goes_over(fd, bytes),
            SEALED | FRAMES => sessions::of(fd),
            BEHIND => None,
            _ => self.begins_with(fd, bytes),
        }
    }

    /// The same, where a client that does not speak TLS goes over to HTTP/2 with these bytes, or begins with it.
    #[inline]
    pub fn goes_over(&self, fd: i32, bytes: &[u8]) -> Option<&'static Entry> {
        // What is in a request's body is not the client's to say.
        let goes = http2::begins(bytes) && !self.is_in_body();
        goes.then(|| self.begins_frames(fd)).flatten()
    }

    #[cold]
    fn begins_frames(&self, fd: i32) -> Option<&'static Entry> {
        let session = sessions::begin_clear(fd);
        let speech = if session.is_some() { FRAMES } else { CLEAR };
        self.speech.store(speech, Relaxed);
        session
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
        session.or_else(|| self.goes_over(fd, bytes))
    }

    /// Nothing is known of its session any more.
    pub(super) fn end_session(&self, fd: i32) {
        if self.speech.swap(SILENT, Relaxed) >= SEALED {
            sessions::end(fd);
        }
    }
}
