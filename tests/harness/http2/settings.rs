//! What a client tells the server of itself, in frames and in the field of a request by HTTP/1.1.

use super::frames;

/// The window of a new stream, and of a connection, where nothing else is said (RFC 9113, section 6.9.2).
pub(crate) const WINDOW: u32 = 65_535;

/// What a client tells the server of itself.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The window of a new stream.
    pub window: u32,
    /// Whether windows are extended by what has come.
    pub extends: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            window: WINDOW,
            extends: true,
        }
    }
}

impl Settings {
    pub(crate) fn pairs(&self) -> [(u16, u32); 2] {
        [
            (frames::ENABLE_PUSH, 0),
            (frames::INITIAL_WINDOW_SIZE, self.window),
        ]
    }

    /// The fields of a request that asks to go on with HTTP/2 (RFC 7540, section 3.2.1).
    pub(crate) fn upgrade(&self) -> String {
        let payload = frames::settings_payload(&self.pairs());
        format!(
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: {}\r\n",
            base64url(&payload)
        )
    }
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digits = bytes.chunks(3).flat_map(|part| {
        let bits = (0..3).fold(0, |bits, at| {
            bits << 8 | usize::from(part.get(at).copied().unwrap_or(0))
        });
        (0..=part.len()).map(move |at| DIGITS[bits >> (18 - 6 * at) & 63] as char)
    });
    digits.collect()
}
