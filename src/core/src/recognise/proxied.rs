//! What a proxy says in front of a connection, before the client's own bytes: the PROXY protocol, version 1 (a line) and 2 (binary),
//! as haproxy and load balancers send it.

/// The longest line of version 1, with its end.
const LONGEST_LINE: usize = 107;

/// What version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes of version 2 before the addresses.
const FIXED: usize = 16;

/// How many of the first bytes of a connection are a proxy's; 0 where none are, or they are not all there.
#[inline]
pub fn proxied(bytes: &[u8]) -> usize {
    // Most connections begin with neither byte.
    match bytes.first() {
        Some(b'P') => line(bytes),
        Some(b'\r') => binary(bytes),
        _ => None,
    }
    .unwrap_or(0)
}

#[cold]
fn line(bytes: &[u8]) -> Option<usize> {
    if !bytes.starts_with(b"PROXY ") {
        return None;
    }
    let line = &bytes[..bytes.len().min(LONGEST_LINE)];
    memchr::memmem::find(line, b"\r\n").map(|end| end + 2)
}

#[cold]
fn binary(bytes: &[u8]) -> Option<usize> {
    let header = bytes.first_chunk::<FIXED>()?;
    let [.., version, _, high, low] = *header;
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    let is_whole = header.starts_with(&SIGNATURE) && version >> 4 == 2 && length <= bytes.len();
    is_whole.then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [&[u8]; 4] = [
        b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n",
        b"PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n",
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
    ];

    /// With the addresses of two TCP sockets, or those of two Unix sockets, or none, and something behind them.
    fn binaries() -> Vec<Vec<u8>> {
        let of = |command: u8, family: u8, length: usize| {
            let mut header = SIGNATURE.to_vec();
            header.extend([0x20 | command, family]);
            header.extend((length as u16).to_be_bytes());
            header.resize(FIXED + length, 7);
            header
        };
        vec![
            of(0, 0, 0),
            of(1, 0x11, 12),
            of(1, 0x21, 36),
            of(1, 0x31, 216),
            of(1, 0x11, 300),
        ]
    }

    #[test]
    fn both_versions_are_whole_or_nothing() {
        let lines = LINES.iter().map(|line| line.to_vec());
        for header in lines.chain(binaries()) {
            for length in 0..header.len() {
                assert_eq!(proxied(&header[..length]), 0, "{length} of {header:?}");
            }
            assert_eq!(proxied(&header), header.len());
            let more = [&header[..], b"GET / HTTP/1.1\r\n\r\n"].concat();
            assert_eq!(proxied(&more), header.len());
        }
    }

    #[test]
    fn other_things_are_none() {
        let long = format!("PROXY {}\r\n", "x".repeat(LONGEST_LINE));
        let mut third = binaries().swap_remove(1);
        third[12] = 0x31;
        for bytes in [
            long.as_bytes(),
            b"PROXY",
            b"PROXYING\r\n",
            b"PROXY UNKNOWN\n",
            b"POST / HTTP/1.1\r\n\r\n",
            b"\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            &third,
        ] {
            assert_eq!(proxied(bytes), 0);
        }
    }
}
