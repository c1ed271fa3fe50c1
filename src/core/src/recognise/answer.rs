//! The answer of an application behind a server, where its head names a file that the server is to send in the place of a body:
//! `X-Accel-Redirect` (nginx) and `X-Sendfile` (lighttpd and others).

use super::request::{decode_target_of, Recogniser, Request, Unrecognised};

/// Headers that are looked at; an answer with more names no file.
const MAX_HEADERS: usize = 32;

/// What the target begins with that is made of such a name. No client's does, for those begin with a slash: so what is learnt from answers is
/// predicted for answers only, and a client that asks for such a name has nothing read.
const SIGN: u8 = b'>';

/// A header by which a file is named.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    /// What could be asked for, with a query.
    Target,
    /// A path of the machine.
    Path,
}

const NAMES: [(&str, Names); 3] = [
    ("x-accel-redirect", Names::Target),
    ("x-sendfile", Names::Path),
    ("x-lighttpd-send-file", Names::Path),
];

/// FastCGI: bytes of a record's header, and the records that hold what an application writes to its standard output and error.
const RECORD: usize = 8;
const STDOUT: u8 = 6;
const STDERR: u8 = 7;

/// The recogniser of answers: of HTTP/1.x, FastCGI, uwsgi and SCGI.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answer;

impl Recogniser for Answer {
    /// An answer whose head is not all there is [`Unrecognised::Foreign`], and one that names no file [`Unrecognised::Refused`].
    fn recognise(&self, bytes: &[u8], request: &mut Request) -> Result<usize, Unrecognised> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let bytes = if bytes.first() == Some(&1) {
            written(bytes).ok_or(Unrecognised::Foreign)?
        } else {
            bytes
        };
        let (taken, headers) = head(bytes, &mut headers).ok_or(Unrecognised::Foreign)?;
        let mut named = headers.iter().filter_map(|header| {
            let is_it = |(name, _): &&(&str, Names)| header.name.eq_ignore_ascii_case(name);
            Some((NAMES.iter().find(is_it)?.1, header.value))
        });
        // Of several nobody knows which one the server takes.
        let (Some((kind, name)), None) = (named.next(), named.next()) else {
            return Err(Unrecognised::Refused);
        };
        let is_end = |byte: &u8| kind == Names::Target && *byte == b'?';
        let name = name.trim_ascii().split(is_end).next().unwrap_or_default();
        decode_target_of(name.iter().copied(), &mut request.target)?;
        let room = request.target.try_insert(0, SIGN);
        room.map_err(|_| Unrecognised::Refused)?;
        request.asks_for_all();
        Ok(taken)
    }
}

/// What an application has written in the first record that is not empty, as far as it is there.
fn written(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        let &[version, kind, _, _, high, low, padding, _] = bytes.first_chunk::<RECORD>()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let rest = &bytes[RECORD..];
        match (version, kind) {
            (1, STDOUT) if length > 0 => return Some(&rest[..length.min(rest.len())]),
            (1, STDOUT | STDERR) => bytes = rest.get(length + usize::from(padding)..)?,
            _ => return None,
        }
    }
}

/// The headers of an answer, and how long its head is. Those of CGI have no line with a version before them.
fn head<'b, 'h>(
    bytes: &'b [u8],
    headers: &'h mut [httparse::Header<'b>],
) -> Option<(usize, &'h [httparse::Header<'b>])> {
    if bytes.starts_with(b"HTTP/1.") {
        let mut head = httparse::Response::new(headers);
        return match head.parse(bytes) {
            Ok(httparse::Status::Complete(taken)) => Some((taken, head.headers)),
            _ => None,
        };
    }
    // A quick no for most bodies.
    if !bytes.first().is_some_and(u8::is_ascii_alphabetic) {
        return None;
    }
    match httparse::parse_headers(bytes, headers) {
        Ok(httparse::Status::Complete(head)) => Some(head),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recognise::{Codings, Ranges, Span};

    fn named(bytes: &[u8]) -> Result<Vec<u8>, Unrecognised> {
        let mut request = Request {
            host: 7,
            ranges: Ranges::these([Span::Part(5, 1)]),
            conditional: true,
            has_body: true,
            ..Request::default()
        };
        Answer.recognise(bytes, &mut request)?;
        let plain = Request {
            wants_body: true,
            codings: Codings::UNKNOWN,
            target: request.target.clone(),
            ..Request::default()
        };
        assert_eq!(request, plain, "of the last request something is left");
        Ok(request.target.to_vec())
    }

    fn record(kind: u8, content: &[u8], padding: u8) -> Vec<u8> {
        let [high, low] = (content.len() as u16).to_be_bytes();
        let header = [1, kind, 0, 1, high, low, padding, 0];
        [&header[..], content, &vec![0; padding.into()]].concat()
    }

    #[test]
    fn files_are_named() {
        let http =
            b"HTTP/1.1 200 OK\r\nServer: x\r\nx-accel-redirect: /protected/a%20b?c=d\r\n\r\nbody";
        assert_eq!(named(http).unwrap(), b">/protected/a b");
        let cgi = b"Status: 200 OK\r\nX-Sendfile: /srv/a?b\r\n\r\n";
        assert_eq!(named(cgi).unwrap(), b">/srv/a?b");
        let old = b"HTTP/1.0 200\r\nX-LIGHTTPD-send-file: /srv/x\r\n\r\n";
        assert_eq!(named(old).unwrap(), b">/srv/x");
        for padding in [0, 3] {
            let records = [
                record(STDERR, b"noted", padding),
                record(STDOUT, cgi, padding),
            ];
            assert_eq!(named(&records.concat()).unwrap(), b">/srv/a?b");
        }
    }

    /// Without it, a part of a name would be read, or a file that the server does not send.
    #[test]
    fn what_is_not_whole_or_not_certain_names_none() {
        let whole = b"HTTP/1.1 200 OK\r\nX-Accel-Redirect: /protected/abc\r\n\r\n";
        let sealed = record(STDOUT, b"X-Sendfile: /srv/abc\r\n\r\n", 0);
        for length in 0..whole.len() {
            assert_eq!(named(&whole[..length]), Err(Unrecognised::Foreign));
        }
        for length in 0..sealed.len() {
            assert_eq!(named(&sealed[..length]), Err(Unrecognised::Foreign));
        }
        for header in [
            "X-Accel-Redirect: /a\r\nX-Sendfile: /b",
            "X-Accel-Redirect: /a\r\nX-Accel-Redirect: /b",
            "X-Accel-Redirect: @named",
            "X-Accel-Redirect: /a/../b",
            "X-Accel-Redirect: /a%00",
            "X-Accel-Redirect: ",
            "X-Accel-Redirects: /a",
            "Location: /a",
        ] {
            let head = format!("HTTP/1.1 200 OK\r\n{header}\r\n\r\n");
            assert_eq!(
                named(head.as_bytes()),
                Err(Unrecognised::Refused),
                "{header}"
            );
        }
        let long = format!("X-Sendfile: /{}\r\n\r\n", "a".repeat(1023));
        assert_eq!(named(long.as_bytes()), Err(Unrecognised::Refused));
        for bytes in [
            &b"\x16\x03\x01\x02"[..],
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x01\x03\0\0\0\0\0\0",
            b"",
        ] {
            assert_eq!(named(bytes), Err(Unrecognised::Foreign));
        }
    }
}
