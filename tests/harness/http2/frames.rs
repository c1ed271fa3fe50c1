//! Frames (RFC 9113, sections 4.1 and 6): how they are written, one function for each kind, and what one that was read consists of.

/// What a client begins with (section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A part of a body.
pub const DATA: u8 = 0;
/// The beginning of a request, of an answer, or trailers.
pub const HEADERS: u8 = 1;
/// A stream's priority.
pub const PRIORITY: u8 = 2;
/// The end of a stream, by force.
pub const RST_STREAM: u8 = 3;
/// What one side tells the other about itself.
pub const SETTINGS: u8 = 4;
/// A promise of an answer that nobody asked for.
pub const PUSH_PROMISE: u8 = 5;
/// A question whether the other side is there.
pub const PING: u8 = 6;
/// The end of a connection.
pub const GOAWAY: u8 = 7;
/// Room for bodies.
pub const WINDOW_UPDATE: u8 = 8;
/// More of a header block.
pub const CONTINUATION: u8 = 9;

/// Flag of `DATA` and `HEADERS`: nothing more is sent on the stream.
pub const END_STREAM: u8 = 1;
/// Flag of `SETTINGS` and `PING`: the other side has seen it.
pub const ACK: u8 = 1;
/// Flag of `HEADERS` and `CONTINUATION`: the header block ends.
pub const END_HEADERS: u8 = 4;
/// Flag of `DATA` and `HEADERS`: the first byte says how long the padding is.
pub const PADDED: u8 = 8;
/// Flag of `HEADERS`: a priority comes first.
pub const WITH_PRIORITY: u8 = 0x20;

/// Setting: whether the server may push.
pub const ENABLE_PUSH: u16 = 2;
/// Setting: how many streams the other side may open at once.
pub const MAX_CONCURRENT_STREAMS: u16 = 3;
/// Setting: the window of a new stream.
pub const INITIAL_WINDOW_SIZE: u16 = 4;

/// Error: the stream was not begun, and may be asked again.
pub const REFUSED_STREAM: u32 = 7;
/// Error: nobody wants it any more.
pub const CANCEL: u32 = 8;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its kind.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// The stream; 0 is the connection.
    pub stream: u32,
    /// What follows the header.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Whether it has this flag.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The payload less padding and priority; nothing where they do not fit.
    pub(crate) fn content(&self) -> Option<&[u8]> {
        let mut content = &*self.payload;
        if matches!(self.kind, DATA | HEADERS) && self.has(PADDED) {
            let (padding, rest) = content.split_first()?;
            content = rest.get(..rest.len().checked_sub(usize::from(*padding))?)?;
        }
        if self.kind == HEADERS && self.has(WITH_PRIORITY) {
            content = content.get(5..)?;
        }
        Some(content)
    }

    /// The number that begins at this byte of the payload; 0 where there is none.
    pub(crate) fn number(&self, at: usize) -> u32 {
        let bytes = self.payload.get(at..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes))
    }
}

/// Any frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32;
    let mut bytes = length.to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The payload of `SETTINGS`.
pub fn settings_payload(settings: &[(u16, u32)]) -> Vec<u8> {
    let pairs = settings.iter();
    pairs
        .flat_map(|(name, value)| {
            let mut pair = name.to_be_bytes().to_vec();
            pair.extend(value.to_be_bytes());
            pair
        })
        .collect()
}

/// Settings.
pub fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &settings_payload(settings))
}

/// A question whether the server is there.
pub fn ping(byte: u8) -> Vec<u8> {
    frame(PING, 0, 0, &[byte; 8])
}

/// Room for so many bytes more.
pub fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

/// The end of a stream.
pub fn reset(stream: u32, error: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &error.to_be_bytes())
}

/// The end of the connection: no stream of the server's was seen.
pub fn goaway(error: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[[0; 4], error.to_be_bytes()].concat())
}

/// A stream's priority.
pub fn priority(stream: u32, depends_on: u32, weight: u8) -> Vec<u8> {
    frame(PRIORITY, 0, stream, &priority_payload(depends_on, weight))
}

/// What a priority consists of.
pub(crate) fn priority_payload(depends_on: u32, weight: u8) -> Vec<u8> {
    let mut payload = depends_on.to_be_bytes().to_vec();
    payload.push(weight);
    payload
}

/// A part of a body.
pub fn data(stream: u32, bytes: &[u8], ends: bool) -> Vec<u8> {
    frame(DATA, if ends { END_STREAM } else { 0 }, stream, bytes)
}

/// The same, with so many bytes of padding.
pub fn padded_data(stream: u32, bytes: &[u8], padding: u8, ends: bool) -> Vec<u8> {
    let flags = PADDED | if ends { END_STREAM } else { 0 };
    let payload = [&[padding], bytes, &vec![0; padding.into()]].concat();
    frame(DATA, flags, stream, &payload)
}
