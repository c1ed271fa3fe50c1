//! What stands in front of a record: its content, and how long it is.

use zeroize::DefaultIsZeroes;

/// Bytes of a record before its body: type, version, length.
pub const HEADER: usize = 5;

/// The longest record that is opened, with its header (RFC 8446, 5.2). Version 1.2 allows more, which nobody sends.
pub const LONGEST: usize = HEADER + (1 << 14) + 256;

/// Bytes of an authentication tag.
pub(super) const TAG: usize = 16;

/// What a record is said to hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Content {
    /// None that is known.
    #[default]
    None = 0,
    /// `change_cipher_spec`: from here on version 1.2 encrypts.
    ChangeCipherSpec = 20,
    /// `alert`
    Alert = 21,
    /// `handshake`
    Handshake = 22,
    /// `application_data`; in version 1.3 all that is encrypted.
    Application = 23,
}

impl DefaultIsZeroes for Content {}

impl Content {
    pub(super) fn of(byte: u8) -> Content {
        match byte {
            20 => Content::ChangeCipherSpec,
            21 => Content::Alert,
            22 => Content::Handshake,
            23 => Content::Application,
            _ => Content::None,
        }
    }
}

/// What a record's header says: its content, and how many bytes its body has. Nothing where it is none.
pub fn header(bytes: &[u8; HEADER]) -> Option<(Content, usize)> {
    let [content, major, _, high, low] = *bytes;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let content = Content::of(content);
    let is_one = content != Content::None && major == 3 && length <= LONGEST - HEADER;
    is_one.then_some((content, length))
}

/// Whether a client that begins so may speak TLS: a handshake's record.
#[inline]
pub fn begins(bytes: &[u8]) -> bool {
    bytes.first() == Some(&(Content::Handshake as u8))
        && bytes.get(1).is_none_or(|&major| major == 3)
}
