//! A client's end of a connection by TLS: what it seals, and what it opens.

use crate::Result;
use rustls::{ClientConnection, HandshakeKind};
use std::io::{Read as _, Write as _};

/// What came of bytes that a server has sent.
#[derive(Default)]
pub struct Opened {
    /// What they hold.
    pub bytes: Vec<u8>,
    /// What is to be sent for them.
    pub answer: Vec<u8>,
    /// The server has said that this is the end.
    pub ends: bool,
}

/// The client's end of one connection by TLS.
pub struct Sealed(ClientConnection);

impl Sealed {
    pub(crate) fn new(tls: ClientConnection) -> Sealed {
        Sealed(tls)
    }

    /// Whether the handshake goes on.
    pub fn is_handshaking(&self) -> bool {
        self.0.is_handshaking()
    }

    /// Records that hold these bytes: one, where they fit into it.
    pub fn seal(&mut self, bytes: &[u8]) -> Result<Vec<u8>> {
        self.0.writer().write_all(bytes)?;
        self.pending()
    }

    /// A record that says that the client's next ones are sealed with other keys.
    pub fn update_keys(&mut self) -> Result<Vec<u8>> {
        self.0.refresh_traffic_keys()?;
        self.pending()
    }

    /// A record that says that the client will send nothing more.
    pub fn close(&mut self) -> Result<Vec<u8>> {
        self.0.send_close_notify();
        self.pending()
    }

    /// Seals bytes that are sent before the handshake; how many of them may be.
    pub fn seal_early(&mut self, bytes: &[u8]) -> Result<usize> {
        match self.0.early_data() {
            Some(mut early) => Ok(early.write(bytes)?),
            None => Ok(0),
        }
    }

    /// Whether the server has taken what was sent before the handshake.
    pub fn is_early_data_accepted(&self) -> bool {
        self.0.is_early_data_accepted()
    }

    /// Whether the handshake went on with a session that the client had before.
    pub fn is_resumed(&self) -> bool {
        self.0.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// What was agreed upon.
    pub fn protocol(&self) -> Option<&[u8]> {
        self.0.alpn_protocol()
    }

    /// What is to be sent.
    pub fn pending(&mut self) -> Result<Vec<u8>> {
        let mut records = Vec::new();
        while self.0.wants_write() {
            self.0.write_tls(&mut records)?;
        }
        Ok(records)
    }

    /// Opens what the server has sent.
    pub(crate) fn open(&mut self, bytes: &[u8]) -> Result<Opened> {
        let mut opened = self.open_quietly(bytes)?;
        opened.answer = self.pending()?;
        Ok(opened)
    }

    /// The same, and leaves what is to be sent for it.
    pub(crate) fn open_quietly(&mut self, mut bytes: &[u8]) -> Result<Opened> {
        let mut opened = Opened {
            ends: bytes.is_empty(),
            ..Opened::default()
        };
        while !bytes.is_empty() {
            self.0.read_tls(&mut bytes)?;
            let state = self.0.process_new_packets()?;
            let length = state.plaintext_bytes_to_read();
            let at = opened.bytes.len();
            opened.bytes.resize(at + length, 0);
            if length > 0 {
                self.0.reader().read_exact(&mut opened.bytes[at..])?;
            }
            if state.peer_has_closed() {
                opened.ends = true;
                return Ok(opened);
            }
        }
        Ok(opened)
    }
}
