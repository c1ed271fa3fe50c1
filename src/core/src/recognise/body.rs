//! The body of a request that is none to predict for (`POST`, `PUT`, …), which may come long after its head.
//!
//! A stranger may write in a body what looks like requests. So such a head is followed to its end, whatever parts it is read in, and
//! then its body, by its length or chunk by chunk. Where the end of a body cannot be known, nothing of its connection is
//! looked at any more.

use arrayvec::ArrayVec;

/// Of each line so much is kept: a header that matters, and its value.
const KEPT: usize = 64;

/// Longest body whose end is waited for.
const LONGEST: u64 = 1 << 62;

/// Where in a request the next byte of a connection stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    place: Place,
    /// The beginning of a line, and how long it is so far.
    line: ArrayVec<u8, KEPT>,
    length: usize,
    /// The last bytes of the first line, which tell the protocol.
    version: [u8; VERSION],
}

const VERSION: usize = b"HTTP/1.1".len();

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Before a request.
    #[default]
    Outside,
    RequestLine,
    /// Among the headers, of which one has told how the body's end is found.
    Headers(Framing),
    /// So many bytes before the end.
    Inside(u64),
    ChunkSize,
    /// So many bytes before the end of a chunk.
    Chunk(u64),
    ChunkEnd,
    Trailers,
    /// Nobody knows.
    Lost,
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    None,
    Length(u64),
    Chunked,
}

impl Body {
    /// Whether the next byte is not the first of a request, as far as is known.
    pub fn is_inside(&self) -> bool {
        self.place != Place::Outside
    }

    /// Whether a request with a body may begin so. A quick no for TLS and other protocols.
    #[inline]
    pub fn may_begin(bytes: &[u8]) -> bool {
        let begins = |byte: &u8| begins_method(*byte) || *byte == b'\n';
        bytes.first().is_some_and(begins)
    }

    /// A request begins with these bytes that is not predicted for. What is no HTTP/1.x is nobody's body.
    pub fn begin(&mut self, bytes: &[u8], count: usize) {
        *self = Body {
            place: Place::RequestLine,
            ..Body::default()
        };
        self.read(bytes, count);
    }

    /// The application has read `count` bytes, and these are the first of them.
    pub fn read(&mut self, bytes: &[u8], count: usize) {
        let unseen = count.saturating_sub(bytes.len()) as u64;
        let mut rest = bytes;
        while let (Some(&byte), true) = (rest.first(), self.is_inside()) {
            let taken = match &mut self.place {
                Place::Lost => return,
                Place::Inside(left) | Place::Chunk(left) => {
                    let taken = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= taken as u64;
                    taken
                }
                _ => 1,
            };
            match self.place {
                Place::Inside(0) => self.place = Place::Outside,
                Place::Chunk(0) => self.place = Place::ChunkEnd,
                Place::Inside(_) | Place::Chunk(_) => {}
                _ => self.takes(byte),
            }
            rest = &rest[taken..];
        }
        match &mut self.place {
            // What comes after it is read together with it, and not looked at.
            Place::Outside => {}
            Place::Inside(left) if unseen < *left => *left -= unseen,
            Place::Inside(left) if unseen == *left => self.place = Place::Outside,
            Place::Chunk(left) if unseen < *left => *left -= unseen,
            _ if unseen > 0 => self.place = Place::Lost,
            _ => {}
        }
    }

    /// One byte of a line.
    fn takes(&mut self, byte: u8) {
        if byte == b'\n' {
            if self.line.last() == Some(&b'\r') && self.length == self.line.len() {
                self.line.pop();
            }
            self.place = self.after_line();
            self.line.clear();
            self.length = 0;
            return;
        }
        self.length += 1;
        let _ = self.line.try_push(byte);
        if self.place == Place::RequestLine && self.length == 1 && !begins_method(byte) {
            self.place = Place::Outside;
        }
        if self.place == Place::RequestLine && byte != b'\r' {
            self.version.rotate_left(1);
            self.version[VERSION - 1] = byte;
        }
    }

    fn after_line(&self) -> Place {
        let line = self.line.as_slice();
        match (self.place, line.is_empty()) {
            // Empty lines before a request are skipped.
            (Place::RequestLine, true) => Place::RequestLine,
            (Place::RequestLine, false) if self.version.starts_with(b"HTTP/1.") => {
                Place::Headers(Framing::None)
            }
            (Place::RequestLine, false) => Place::Outside,
            (Place::Headers(Framing::None | Framing::Length(0)), true) => Place::Outside,
            (Place::Headers(Framing::Length(length)), true) => Place::Inside(length),
            (Place::Headers(Framing::Chunked), true) => Place::ChunkSize,
            (Place::Headers(framing), false) => framing
                .with(line, self.length)
                .map_or(Place::Lost, Place::Headers),
            (Place::ChunkSize, _) => match chunk_size(line) {
                Some(0) => Place::Trailers,
                Some(size) => Place::Chunk(size),
                None => Place::Lost,
            },
            (Place::ChunkEnd, true) => Place::ChunkSize,
            (Place::Trailers, true) => Place::Outside,
            (Place::Trailers, false) => Place::Trailers,
            _ => Place::Lost,
        }
    }
}

impl Framing {
    /// What a header changes; nothing where servers would differ in what they make of it.
    fn with(self, line: &[u8], length: usize) -> Option<Framing> {
        let (name, value) = line.split_at(memchr::memchr(b':', line).unwrap_or(line.len()));
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        let name = name.trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            let digits = core::str::from_utf8(value).ok()?;
            let is_whole = length <= KEPT && digits.bytes().all(|digit| digit.is_ascii_digit());
            let value = digits
                .parse()
                .ok()
                .filter(|value| is_whole && *value < LONGEST)?;
            let same = Framing::Length(value);
            (self == Framing::None || self == same).then_some(same)
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let is_chunked = length <= KEPT && value.eq_ignore_ascii_case(b"chunked");
            (is_chunked && self == Framing::None).then_some(Framing::Chunked)
        } else {
            Some(self)
        }
    }
}

/// Whether a method may begin so, or the end of an empty line.
fn begins_method(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'\r'
}

/// The size of a chunk, which may have extensions behind it.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii();
    let digits = core::str::from_utf8(digits).ok()?;
    let is_plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let size = is_plain.then(|| u64::from_str_radix(digits, 16).ok())?;
    size.filter(|size| *size < LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Requests with a body, each of which ends where the next one begins.
    fn whole() -> Vec<String> {
        let forged = "GET /x HTTP/1.1\r\nHost: victim\r\n\r\n";
        let length = forged.len();
        let size = format!("{length:X}");
        vec![
            format!("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{forged}"),
            format!("PUT /a HTTP/1.0\ncontent-length:{length}\n\n{forged}"),
            format!("\r\nPOST /a HTTP/1.1\r\nExpect: 100-continue\r\nCONTENT-LENGTH : {length} \r\n\r\n{forged}"),
            format!("POST /a HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n{size};x=y\r\n{forged}\r\n0\r\n\r\n"),
            format!("GET /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nG\r\n{size}\r\n{forged}\r\n000\r\nA: b\r\n\r\n"),
            "OPTIONS /a HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
            "DELETE /a HTTP/1.1\r\nContent-Length: 0\r\n\r\n".to_owned(),
            format!("POST /{} HTTP/1.1\r\nCookie: {}\r\n\r\n", "a".repeat(300), "b".repeat(900)),
        ]
    }

    proptest! {
        /// Without it, a request that stands in a body would be predicted for and teach, or one behind it would not.
        #[test]
        fn a_body_ends_where_it_ends_however_it_is_read(
            which in any::<prop::sample::Index>(),
            parts in prop::collection::vec((1_usize..40, any::<bool>()), 1..80),
        ) {
            let requests = whole();
            let bytes = which.get(&requests).as_bytes();
            let mut body = Body::default();
            let mut at = 0;
            for (length, _) in parts.iter().cycle() {
                let end = (at + length).min(bytes.len());
                match at {
                    0 => body.begin(&bytes[..end], end),
                    _ => body.read(&bytes[at..end], end - at),
                }
                at = end;
                prop_assert_eq!(body.is_inside(), at < bytes.len());
                if at == bytes.len() {
                    break;
                }
            }
        }

        /// Of a body itself only the length matters.
        #[test]
        fn bytes_of_a_body_need_not_be_seen(seen in 0_usize..=33) {
            let requests = whole();
            let bytes = requests[0].as_bytes();
            let head = bytes.len() - 33;
            let mut body = Body::default();
            body.begin(&bytes[..head], head);
            body.read(&bytes[head..head + seen], 32.max(seen));
            prop_assert_eq!(body.is_inside(), seen < 33);
            body.read(&[], 1);
            prop_assert!(!body.is_inside());
        }
    }

    #[test]
    fn where_nobody_knows_the_end_nothing_is_a_request() {
        for head in [
            "POST /a HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "POST /a HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST /a HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "POST /a HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
            "POST /a HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        ] {
            let mut body = Body::default();
            body.begin(head.as_bytes(), head.len());
            assert_eq!(body.place, Place::Lost, "{head}");
            body.read(b"GET /x HTTP/1.1\r\n\r\n", 19);
            assert!(body.is_inside());
        }
        let mut body = Body::default();
        body.begin(b"POST /a HTTP/1.1\r\n", 1000);
        assert_eq!(body.place, Place::Lost, "its head was not seen");
    }

    #[test]
    fn what_is_no_http_has_no_body() {
        for bytes in [
            &b"HELO you\r\n"[..],
            b"SET a b\r\n",
            b"\x16\x03\x01",
            b"PRI * HTTP/2.0\r\n",
        ] {
            let mut body = Body::default();
            body.begin(bytes, bytes.len());
            assert!(!body.is_inside());
        }
        let may_begin = [&b"\x16\x03\x01"[..], b"*1\r\n", b""].map(Body::may_begin);
        assert_eq!(may_begin, [false; 3]);
        assert!([&b"PUT /"[..], b"\r\nPUT", b"\nPUT"]
            .into_iter()
            .all(Body::may_begin));
    }
}
