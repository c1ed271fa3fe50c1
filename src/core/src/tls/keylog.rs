//! A line of the key log, as TLS libraries write it (the format of `SSLKEYLOGFILE`).

use zeroize::Zeroize;

/// Which secret a line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// The master secret of version 1.2.
    Master,
    /// The secret of what a client of version 1.3 encrypts after the handshake, or after a `KeyUpdate`.
    ClientTraffic,
}

/// A line that tells a secret of use here.
pub struct Line {
    /// Which.
    pub label: Label,
    /// The random number of the connection's client.
    pub random: [u8; 32],
    secret: [u8; 48],
    length: usize,
}

impl Line {
    /// Parses a line; nothing for another label, or for one that is malformed.
    pub fn parse(line: &[u8]) -> Option<Line> {
        let mut words = line.split(|byte| *byte == b' ');
        let label = match words.next()? {
            b"CLIENT_RANDOM" => Label::Master,
            b"CLIENT_TRAFFIC_SECRET_0" | b"CLIENT_TRAFFIC_SECRET_N" => Label::ClientTraffic,
            _ => return None,
        };
        let mut parsed = Line {
            label,
            random: [0; 32],
            secret: [0; 48],
            length: 0,
        };
        let whole = from_hex(words.next()?, &mut parsed.random)? == parsed.random.len();
        parsed.length = from_hex(words.next()?.trim_ascii_end(), &mut parsed.secret)?;
        (whole && parsed.length > 0 && words.next().is_none()).then_some(parsed)
    }

    /// The secret.
    pub fn secret(&self) -> &[u8] {
        &self.secret[..self.length]
    }
}

impl core::fmt::Debug for Line {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Line({:?}, {:02x?})", self.label, self.random)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

/// Decodes an even number of digits; how many bytes they are.
fn from_hex(digits: &[u8], into: &mut [u8]) -> Option<usize> {
    let value = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let length = digits.len() / 2;
    if !digits.len().is_multiple_of(2) || length > into.len() {
        return None;
    }
    for (byte, pair) in into.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(length)
}
