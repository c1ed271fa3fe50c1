//! What a client begins with, what stands in front of a frame, and the rules by which both are told from other bytes.

/// What a client begins with (RFC 9113, 3.4).
pub(super) const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a frame before its payload (RFC 9113, 4.1).
pub(super) const HEADER: usize = 9;

/// The longest payload that any server allows at first (RFC 9113, 6.5.2). Longer ones are allowed for the sake of bodies.
pub(super) const LONGEST: u32 = 1 << 14;

/// Flags of `HEADERS` and `CONTINUATION`.
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// The flag of `SETTINGS` and `PING`.
const ACK: u8 = 0x1;

/// Whether a client that begins so may speak HTTP/2: what is there of the preface agrees with it, and that is at least `PRI`.
#[inline]
pub fn begins(bytes: &[u8]) -> bool {
    let there = bytes.len().min(PREFACE.len());
    there >= 3 && bytes[..there] == PREFACE[..there]
}

/// What a frame is (RFC 9113, 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Priority,
    Reset,
    Settings,
    Promise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    Other(u8),
}

/// A frame's header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) length: u32,
    pub(super) kind: Kind,
    flags: u8,
    pub(super) stream: u32,
    is_reserved: bool,
}

impl Frame {
    pub(super) fn parse(bytes: &[u8; HEADER]) -> Frame {
        let [high, middle, low, kind, flags, stream @ ..] = *bytes;
        let stream = u32::from_be_bytes(stream);
        let kind = match kind {
            0 => Kind::Data,
            1 => Kind::Headers,
            2 => Kind::Priority,
            3 => Kind::Reset,
            4 => Kind::Settings,
            5 => Kind::Promise,
            6 => Kind::Ping,
            7 => Kind::GoAway,
            8 => Kind::WindowUpdate,
            9 => Kind::Continuation,
            other => Kind::Other(other),
        };
        Frame {
            length: u32::from_be_bytes([0, high, middle, low]),
            kind,
            flags,
            stream: stream & (u32::MAX >> 1),
            is_reserved: stream > u32::MAX >> 1,
        }
    }

    /// Whether its payload is a part of a header block.
    pub(super) fn has_block(&self) -> bool {
        matches!(self.kind, Kind::Headers | Kind::Continuation)
    }

    /// Whether its part of a header block is the last one.
    pub(super) fn ends_block(&self) -> bool {
        self.has_block() && self.flags & END_HEADERS != 0
    }

    /// Whether a client may send it, where a header block of a stream is `open` (0: none is).
    pub(super) fn is_right(&self, open: u32) -> bool {
        let (length, is_any) = (self.length, self.stream == 0);
        let of_request = self.stream % 2 == 1;
        let rule = match self.kind {
            Kind::Data => return of_request && open == 0 && !self.is_reserved,
            Kind::Headers => of_request && length >= self.front(),
            Kind::Continuation => open != 0,
            Kind::Priority => length == 5 && !is_any,
            Kind::Reset | Kind::WindowUpdate if length != 4 => false,
            Kind::Reset => !is_any,
            Kind::Settings if self.flags & ACK != 0 => length == 0 && is_any,
            Kind::Settings => length % 6 == 0 && is_any,
            // Only servers push.
            Kind::Promise => false,
            Kind::Ping => length == 8 && is_any,
            Kind::GoAway => length >= 8 && is_any,
            Kind::WindowUpdate | Kind::Other(_) => true,
        };
        let fits_block = open == 0 || self.kind == Kind::Continuation && self.stream == open;
        rule && fits_block && length <= LONGEST && !self.is_reserved
    }

    /// Bytes before a header block in the payload: the padding's length, and a priority.
    fn front(&self) -> u32 {
        let has = |flag| u32::from(self.kind == Kind::Headers && self.flags & flag != 0);
        has(PADDED) + 5 * has(PRIORITY)
    }

    /// The part of a header block in the whole payload: where it begins and ends. Nothing where there is more padding than payload.
    pub(super) fn block(&self, payload: &[u8]) -> Option<(usize, usize)> {
        let is_padded = self.kind == Kind::Headers && self.flags & PADDED != 0;
        let padding = match payload.first() {
            Some(length) if is_padded => usize::from(*length),
            _ => 0,
        };
        let (begin, end) = (self.front() as usize, payload.len().checked_sub(padding)?);
        (begin <= end).then_some((begin, end))
    }

    /// Whether clients send such frames: no other flags than those that mean something, and no unheard-of kind.
    fn is_usual(&self) -> bool {
        let known = match self.kind {
            Kind::Data => 0x9,
            Kind::Headers => 0x2d,
            Kind::Continuation => END_HEADERS,
            Kind::Settings | Kind::Ping => ACK,
            Kind::Priority | Kind::Reset | Kind::GoAway | Kind::WindowUpdate => 0,
            // PRIORITY_UPDATE (RFC 9218, 7.1).
            Kind::Other(0x10) => 0,
            Kind::Promise | Kind::Other(_) => return false,
        };
        self.flags & !known == 0
    }
}

/// Whether these bytes are frames, from the first to the last one.
pub(super) fn is_chain(mut bytes: &[u8]) -> bool {
    let mut open = 0;
    while let Some((header, rest)) = bytes.split_first_chunk() {
        let frame = Frame::parse(header);
        let Some(behind) = rest.get(frame.length as usize..) else {
            return false;
        };
        if !frame.is_right(open) || !frame.is_usual() {
            return false;
        }
        if frame.has_block() {
            open = if frame.ends_block() { 0 } else { frame.stream };
        }
        if behind.is_empty() {
            return true;
        }
        bytes = behind;
    }
    false
}
