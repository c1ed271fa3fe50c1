//! What a request says, byte for byte, as far as the key of a server's cache may be made of it.

use arrayvec::ArrayVec;
use core::ops::Range;

/// Longest decoded target that is predicted for, in bytes; a longer one passes through.
pub const MAX_TARGET: usize = 1024;

/// The longest target of HTTP/2 that is kept, before it is decoded and with its query.
const MAX_KEPT: usize = 512;

/// How much of a head is kept, or of HTTP/2 of target and host. Requests lie on stacks that may be small.
const MAX_TEXT: usize = MAX_KEPT + MAX_HOST + 1;

/// Longest host name that is told apart from others, the limit of DNS.
pub(crate) const MAX_HOST: usize = 255;

/// A request's own words. What is not known of them is not guessed.
#[derive(Debug, Default)]
pub struct Text {
    bytes: ArrayVec<u8, MAX_TEXT>,
    /// Where the target stands, as it was sent, and the host; an empty range is none.
    target: (u16, u16),
    host: (u16, u16),
    /// Where the header lines begin, if all of them are here; 0 if not.
    headers: u16,
}

impl Clone for Text {
    fn clone(&self) -> Text {
        let mut text = Text::default();
        text.clone_from(self);
        text
    }

    fn clone_from(&mut self, source: &Text) {
        self.bytes.clear();
        let _ = self.bytes.try_extend_from_slice(&source.bytes);
        (self.target, self.host, self.headers) = (source.target, source.host, source.headers);
    }
}

/// Whether they say the same, wherever it stands.
impl PartialEq for Text {
    fn eq(&self, other: &Text) -> bool {
        let lines = |text: &Text| text.headers().map(Iterator::count);
        self.target() == other.target()
            && self.host_and_port() == other.host_and_port()
            && lines(self) == lines(other)
    }
}

impl Eq for Text {}

impl Text {
    /// Nothing is known.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        (self.target, self.host, self.headers) = ((0, 0), (0, 0), 0);
    }

    /// A head of HTTP/1.x, or the beginning of one; `is_whole` tells which.
    pub(crate) fn begin(&mut self, head: &[u8], is_whole: bool) {
        self.clear();
        let kept = head.get(..MAX_TEXT).unwrap_or(head);
        let _ = self.bytes.try_extend_from_slice(kept);
        if is_whole && kept.len() == head.len() {
            let line = memchr::memchr(b'\n', kept).map_or(0, |end| end + 1);
            self.headers = line as u16;
        }
    }

    /// A part of the head that was passed: its place in what is kept of it.
    fn place(&self, head: &[u8], part: &[u8]) -> (u16, u16) {
        let at = part.as_ptr().addr().wrapping_sub(head.as_ptr().addr());
        let end = at.saturating_add(part.len());
        match end <= self.bytes.len() {
            true => (at as u16, end as u16),
            false => (0, 0),
        }
    }

    /// The target is this part of the head.
    pub(crate) fn has_target(&mut self, head: &[u8], part: &[u8]) {
        self.target = self.place(head, part);
    }

    /// The host is this part of the head.
    pub(crate) fn has_host(&mut self, head: &[u8], part: &[u8]) {
        self.host = self.place(head, part.trim_ascii());
    }

    /// There are two hosts.
    pub(crate) fn has_no_host(&mut self) {
        self.host = (0, 0);
    }

    /// Appends what has no head to stand in; nothing where it is longer than `most`.
    fn append(&mut self, text: impl Iterator<Item = u8>, most: usize) -> (u16, u16) {
        let at = self.bytes.len();
        for byte in text {
            if self.bytes.len() - at == most || self.bytes.try_push(byte).is_err() {
                self.bytes.truncate(at);
                return (0, 0);
            }
        }
        (at as u16, self.bytes.len() as u16)
    }

    /// The target of a request of HTTP/2.
    pub(crate) fn set_target(&mut self, target: impl Iterator<Item = u8>) {
        self.target = self.append(target, MAX_KEPT);
    }

    /// The host of one. Where two say the same the first stays.
    pub(crate) fn set_host(&mut self, host: &[u8]) {
        if self.host.1 > 0 {
            return;
        }
        self.host = self.append(host.trim_ascii().iter().copied(), MAX_HOST);
    }

    fn part(&self, (start, end): (u16, u16)) -> Option<&[u8]> {
        let range = Range {
            start: usize::from(start),
            end: usize::from(end),
        };
        self.bytes.get(range).filter(|part| !part.is_empty())
    }

    /// The target as it was sent, with its query.
    pub fn target(&self) -> Option<&[u8]> {
        self.part(self.target)
    }

    /// The target without its query, and the query with its question mark.
    pub fn path_and_query(&self) -> Option<(&[u8], &[u8])> {
        let target = self.target()?;
        let end = memchr::memchr(b'?', target).unwrap_or(target.len());
        Some(target.split_at(end))
    }

    /// The host as it was sent, perhaps with a port.
    pub fn host_and_port(&self) -> Option<&[u8]> {
        self.part(self.host)
    }

    /// The host in lower case, without a port.
    pub fn host(&self) -> Option<ArrayVec<u8, MAX_HOST>> {
        let host = without_port(self.host_and_port()?);
        let mut name = ArrayVec::<u8, MAX_HOST>::try_from(host).ok()?;
        name.make_ascii_lowercase();
        Some(name)
    }

    /// Shows the host in lower case, without a port; nothing where it is not known. Its memory is gone afterwards: the stack may be small.
    #[inline(never)]
    pub(crate) fn with_host(&self, act: impl FnOnce(&[u8])) {
        let host = self.host();
        act(host.as_deref().unwrap_or_default());
    }

    /// The header lines, as names and values; nothing where they are not all known.
    pub fn headers(&self) -> Option<impl Iterator<Item = (&[u8], &[u8])>> {
        let start = usize::from(self.headers);
        let lines = self.bytes.get(start..).filter(|_| start > 0)?;
        let lines = lines.split(|&byte| byte == b'\n');
        Some(lines.filter_map(|line| {
            let (name, value) = line.split_at(memchr::memchr(b':', line)?);
            Some((name, value.get(1..)?.trim_ascii()))
        }))
    }

    /// The cookies of all `Cookie` headers.
    pub fn cookies(&self) -> Option<impl Iterator<Item = (&[u8], &[u8])>> {
        let headers = self.headers()?;
        let cookies = headers.filter(|(name, _)| name.eq_ignore_ascii_case(b"cookie"));
        Some(cookies.flat_map(|(_, value)| pairs(value, b';')))
    }

    /// What the query says.
    pub fn arguments(&self) -> Option<impl Iterator<Item = (&[u8], &[u8])>> {
        let (_, query) = self.path_and_query()?;
        Some(pairs(query.get(1..).unwrap_or_default(), b'&'))
    }
}

/// A host without its port, which stands behind the last colon, except inside the brackets of an IPv6 literal.
pub(crate) fn without_port(host: &[u8]) -> &[u8] {
    match memchr::memrchr(b':', host) {
        Some(colon) if !host[colon..].contains(&b']') => &host[..colon],
        _ => host,
    }
}

/// `a=b; c=d`.
fn pairs(text: &[u8], between: u8) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.split(move |&byte| byte == between).filter_map(|pair| {
        let (name, value) = pair.split_at(memchr::memchr(b'=', pair)?);
        Some((name.trim_ascii(), value.get(1..)?))
    })
}

#[cfg(test)]
mod tests {
    use crate::recognise::{Http, Recogniser, Request, Unrecognised};

    fn request(head: &str) -> Result<Request, Unrecognised> {
        let mut request = Request::default();
        Http.recognise(head.as_bytes(), &mut request)?;
        Ok(request)
    }

    #[test]
    fn a_head_is_taken_apart() {
        let head = "\r\nGET /a%20b?x=1&y=2 HTTP/1.1\r\nhost: A.b:80 \r\nCookie: k=v; l=w=x\r\nX-Y:z\r\n\r\nGET /";
        let text = request(head).unwrap().text;
        assert_eq!(text.target(), Some(&b"/a%20b?x=1&y=2"[..]));
        let (path, query) = text.path_and_query().unwrap();
        assert_eq!((path, query), (&b"/a%20b"[..], &b"?x=1&y=2"[..]));
        assert_eq!(text.host_and_port(), Some(&b"A.b:80"[..]));
        assert_eq!(text.host().unwrap().as_slice(), b"a.b");
        let headers: Vec<_> = text.headers().unwrap().collect();
        assert_eq!(headers.last(), Some(&(&b"X-Y"[..], &b"z"[..])));
        let cookies: Vec<_> = text.cookies().unwrap().collect();
        assert_eq!(cookies[1], (&b"l"[..], &b"w=x"[..]));
        let arguments: Vec<_> = text.arguments().unwrap().collect();
        assert_eq!(arguments[1], (&b"y"[..], &b"2"[..]));
    }

    /// Without it, a key would be made of the beginning of what a request says.
    #[test]
    fn what_is_not_here_is_not_guessed() {
        let text = request("GET /a HTTP/1.1\r\nHost: a\r\nX: ").unwrap().text;
        assert!(text.headers().is_none() && text.target().is_some());
        let long = format!(
            "GET /a HTTP/1.1\r\nX: {}\r\nHost: a\r\n\r\n",
            "x".repeat(1600)
        );
        let text = request(&long).unwrap().text;
        assert!(text.headers().is_none() && text.host().is_none());
        assert_eq!(text.target(), Some(&b"/a"[..]));
        let long = format!("GET /a?{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(1600));
        assert_eq!(request(&long).unwrap().text.target(), None);
        let two = "GET /a HTTP/1.1\r\nHost: a\r\nhost: A\r\n\r\n";
        assert!(request(two).unwrap().text.host().is_none());
    }
}
