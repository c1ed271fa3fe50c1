//! HTTP/1.0 and HTTP/1.1 `GET` and `HEAD`.

use super::codings::Codings;
use super::ranges::Ranges;
use super::request::{decode_target, Recogniser, Request, Unrecognised};
use super::text::{without_port, MAX_HOST};
use arrayvec::ArrayVec;

/// Headers that are looked at; a request with more is predicted for by its request line alone.
const MAX_HEADERS: usize = 32;

/// The headers by which an answer without the file's bytes is asked for, unless the file has changed (or not).
const CONDITIONS: [&[u8]; 4] = [
    b"if-none-match",
    b"if-modified-since",
    b"if-match",
    b"if-unmodified-since",
];

/// The recogniser of HTTP/1.x.
#[derive(Clone, Copy, Debug, Default)]
pub struct Http;

impl Http {
    /// Whether a `GET` or `HEAD` may begin so.
    #[inline]
    pub fn begins(bytes: &[u8]) -> bool {
        let may_be = |method: &[u8]| method.starts_with(&bytes[..bytes.len().min(method.len())]);
        may_be(b"GET ") || may_be(b"HEAD ")
    }
}

impl Recogniser for Http {
    fn recognise(&self, bytes: &[u8], request: &mut Request) -> Result<usize, Unrecognised> {
        // Empty lines before a request are skipped, as servers do: a request that the server answers and
        // that is not recognised could teach that its files belong to another request.
        let skipped = bytes
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        let bytes = &bytes[skipped..];
        // A quick no for bodies, TLS and other protocols, before the parser is asked.
        if !Http::begins(bytes) {
            return Err(Unrecognised::Foreign);
        }
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Request::new(&mut headers);
        (request.conditional, request.has_body) = (false, false);
        // Where not all headers are looked at, nobody knows.
        request.codings = Codings::UNKNOWN;
        let mut is_whole = false;
        let taken = match head.parse(bytes) {
            Ok(httparse::Status::Complete(taken)) => {
                is_whole = true;
                taken
            }
            // What stands in the fields so far is what counts: the target decides, not the rest.
            Ok(httparse::Status::Partial) => bytes.len(),
            Err(httparse::Error::TooManyHeaders) => {
                request.conditional = bytes.split(|&byte| byte == b'\n').any(is_condition_line);
                bytes.len()
            }
            Err(_) => return Err(Unrecognised::Foreign),
        };
        // The version stands behind the target: only with it is the target known to be whole.
        let (Some(_), Some(path)) = (head.version, head.path) else {
            return Err(Unrecognised::Partial);
        };
        let (authority, path) = split_absolute_form(path.as_bytes());
        let end = path
            .iter()
            .position(|&byte| byte == b'?' || byte == b'#')
            .unwrap_or(path.len());
        decode_target(&path[..end], &mut request.target)?;
        let text = &mut request.text;
        text.begin(&bytes[..taken], is_whole);
        text.has_target(bytes, path);
        request.wants_body = head.method == Some("GET");
        let mut names = None;
        request.ranges = Ranges::default();
        let mut codings = None::<Codings>;
        let mut is_certain = head.version == Some(1);
        for header in head
            .headers
            .iter()
            .take_while(|header| !header.name.is_empty())
        {
            if header.name.eq_ignore_ascii_case("host") {
                // Servers that do not refuse two of them differ in which they take.
                let host = hash_host(header.value);
                match names.replace(host) {
                    Some(other) if other != host => return Err(Unrecognised::Refused),
                    Some(_) => text.has_no_host(),
                    None => text.has_host(bytes, header.value),
                }
            } else if announces_body(header) {
                request.has_body = true;
            } else if header.name.eq_ignore_ascii_case("range") {
                request.ranges = Ranges::of(header.value);
            } else if header.name.eq_ignore_ascii_case("accept-encoding") {
                let taken = Codings::of(header.value);
                codings = Some(codings.map_or(taken, |other| other.and(taken)));
            } else if header.name.eq_ignore_ascii_case("via") {
                // Many send a proxy plain files only.
                is_certain = false;
            } else if is_condition(header.name.as_bytes()) {
                request.conditional = true;
            }
        }
        if is_whole || codings.is_some() {
            let taken = codings.unwrap_or_default();
            request.codings = match is_certain {
                true => taken,
                false => taken.are_uncertain(),
            };
        }
        if let Some(authority) = authority {
            text.has_host(bytes, authority);
        }
        request.host = authority.map(hash_host).or(names).unwrap_or(0);
        Ok(skipped + taken)
    }
}

/// Whether a header says that a body follows.
fn announces_body(header: &httparse::Header<'_>) -> bool {
    header.name.eq_ignore_ascii_case("transfer-encoding")
        || header.name.eq_ignore_ascii_case("content-length") && header.value.trim_ascii() != b"0"
}

/// Whether a header of this name makes the answer depend on the file's state: most often it has no body then.
/// `If-Range` is none of them, for its answer always has one.
pub(crate) fn is_condition(name: &[u8]) -> bool {
    let is = |condition: &&[u8]| name.eq_ignore_ascii_case(condition);
    // Nearly all other names are told apart by their first letter.
    matches!(name.first(), Some(b'I' | b'i')) && CONDITIONS.iter().any(is)
}

/// Whether a line of a head is such a header.
fn is_condition_line(line: &[u8]) -> bool {
    memchr::memchr(b':', line).is_some_and(|colon| is_condition(&line[..colon]))
}

/// Splits `http://host/path` into its authority and its path; an origin-form target has none.
fn split_absolute_form(target: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let Some(colon) = memchr::memmem::find(target, b"://") else {
        return (None, target);
    };
    if target.first() == Some(&b'/') {
        return (None, target);
    }
    let rest = &target[colon + 3..];
    let slash = memchr::memchr(b'/', rest).unwrap_or(rest.len());
    let path = &rest[slash..];
    (
        Some(&rest[..slash]),
        if path.is_empty() { b"/" } else { path },
    )
}

/// Hash of a host name, in lower case and without a port; 0 for an empty or overlong one.
pub(crate) fn hash_host(value: &[u8]) -> u64 {
    let mut name = ArrayVec::<u8, MAX_HOST>::new();
    for byte in without_port(value).trim_ascii() {
        if name.try_push(byte.to_ascii_lowercase()).is_err() {
            return 0;
        }
    }
    if name.is_empty() {
        0
    } else {
        crate::hash(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recognise(bytes: &[u8]) -> Result<(Request, usize), Unrecognised> {
        let mut request = Request::default();
        let taken = Http.recognise(bytes, &mut request)?;
        Ok((request, taken))
    }

    #[test]
    fn a_plain_request() {
        let bytes = b"GET /a%20b/c.html?q=1 HTTP/1.1\r\nHost: Example.ORG:8080\r\nRange: bytes=4096-\r\n\r\nGET";
        let (request, taken) = recognise(bytes).unwrap();
        assert_eq!(request.target.as_slice(), b"/a b/c.html");
        assert_eq!(request.host, crate::hash(b"example.org"));
        assert_eq!(request.ranges.hull(), (4096, None));
        assert!(request.wants_body);
        assert_eq!(&bytes[taken..], b"GET");
    }

    /// Without it, 1.7 KB of requests that are answered "not modified" had 40 MB read from the disk.
    #[test]
    fn conditions_are_seen() {
        let conditional = |headers: &str| {
            let head = format!("GET /x HTTP/1.1\r\n{headers}\r\n\r\n");
            recognise(head.as_bytes()).unwrap().0.conditional
        };
        for header in [
            "If-None-Match: \"1\"",
            "if-modified-since: Sat, 28 Nov 2026 20:00:00 GMT",
            "IF-MATCH: *",
            "Host: h\r\nIf-Unmodified-Since: Sat, 28 Nov 2026 20:00:00 GMT",
        ] {
            assert!(conditional(header), "{header}");
            let many = "A: b\r\n".repeat(MAX_HEADERS + 2);
            assert!(conditional(&format!("{many}{header}")), "{header}");
            // The end of the head has not come yet.
            let part = format!("GET /x HTTP/1.1\r\n{header}\r\nAcc");
            assert!(recognise(part.as_bytes()).unwrap().0.conditional);
        }
        for header in ["If-Range: \"1\"", "X-If-Match: *", "If-None: If-Match: *"] {
            assert!(!conditional(header), "{header}");
            let many = "A: b\r\n".repeat(MAX_HEADERS + 2);
            assert!(!conditional(&format!("{many}{header}")), "{header}");
        }
    }

    /// Without it, such a request was nobody's, and its files were taken for another request's.
    #[test]
    fn empty_lines_before_a_request_are_skipped() {
        for before in ["\r\n", "\n", "\r\n\r\n\r\n", "\r", "\n\r\n"] {
            let bytes = format!("{before}GET /x HTTP/1.1\r\n\r\n{before}HEAD /y HTTP/1.0\r\n\r\n");
            let (first, taken) = recognise(bytes.as_bytes()).unwrap();
            assert_eq!(first.target.as_slice(), b"/x");
            let (second, rest) = recognise(&bytes.as_bytes()[taken..]).unwrap();
            assert_eq!(second.target.as_slice(), b"/y");
            assert_eq!(taken + rest, bytes.len());
            assert_eq!(
                recognise(before.as_bytes()),
                Err(Unrecognised::Partial),
                "nothing but empty lines"
            );
        }
    }

    #[test]
    fn the_target_is_enough() {
        let (request, taken) = recognise(b"HEAD /x HTTP/1.0\r\nHos").unwrap();
        assert_eq!(request.target.as_slice(), b"/x");
        assert!(!request.wants_body);
        assert_eq!(taken, 21);
    }

    #[test]
    fn a_split_request_line_is_partial_at_every_length() {
        let line = b"GET /some/file.html HTTP/1.1";
        for length in 0..line.len() {
            assert_eq!(
                recognise(&line[..length]),
                Err(Unrecognised::Partial),
                "at {length}"
            );
        }
    }

    #[test]
    fn other_things_are_foreign() {
        for bytes in [
            &b"POST / HTTP/1.1\r\n\r\n"[..],
            b"\x16\x03\x01\x02",
            b"GETTING",
            b"PRI * HTTP/2.0",
        ] {
            assert_eq!(recognise(bytes), Err(Unrecognised::Foreign));
        }
    }

    #[test]
    fn hostile_targets_are_refused() {
        for target in ["/../x", "/a/%2e%2e/x", "/a%00b", "/a/..", "x", "*"] {
            let line = format!("GET {target} HTTP/1.1\r\n\r\n");
            assert_eq!(
                recognise(line.as_bytes()),
                Err(Unrecognised::Refused),
                "{target}"
            );
        }
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(10_000));
        assert_eq!(recognise(long.as_bytes()), Err(Unrecognised::Refused));
    }

    #[test]
    fn absolute_form() {
        let (request, _) = recognise(b"GET http://A.b:1/x/y HTTP/1.1\r\nHost: c\r\n\r\n").unwrap();
        assert_eq!(request.target.as_slice(), b"/x/y");
        assert_eq!(request.host, crate::hash(b"a.b"));
        assert_eq!(
            recognise(b"GET http://a HTTP/1.1\r\n\r\n")
                .unwrap()
                .0
                .target
                .as_slice(),
            b"/"
        );
    }

    /// Servers differ in which of two names they take. Without it, the files of one host could be taught to another.
    #[test]
    fn two_hosts_are_none() {
        let host = |headers: &str| {
            recognise(format!("GET /x HTTP/1.1\r\n{headers}\r\n").as_bytes()).map(|it| it.0.host)
        };
        let refused = Err(Unrecognised::Refused);
        assert_eq!(host("Host: a\r\nHost: b\r\n"), refused);
        assert_eq!(host("Host: a\r\nX: y\r\nhost:\r\n"), refused);
        assert_eq!(host("Host: a\r\nhost: A:80\r\n"), Ok(crate::hash(b"a")));
    }

    /// Without it, what is sent as a body was looked at as requests.
    #[test]
    fn bodies_are_announced() {
        let has_body = |headers: &str| {
            let head = format!("GET /x HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
            recognise(head.as_bytes()).unwrap().0.has_body
        };
        for header in [
            "Content-Length: 1\r\n",
            "content-length:00\r\n",
            "Content-Length: \r\n",
            "Transfer-Encoding: chunked\r\n",
            "Content-Length: 0\r\nTransfer-Encoding: identity\r\n",
        ] {
            assert!(has_body(header), "{header}");
        }
        for header in ["", "Content-Length: 0 \r\n", "X-Content-Length: 1\r\n"] {
            assert!(!has_body(header), "{header}");
        }
    }

    #[test]
    fn hosts_without_a_port() {
        assert_eq!(hash_host(b"[::1]:80"), hash_host(b"[::1]"));
        assert_ne!(hash_host(b"[::1]"), hash_host(b"[::2]"));
        assert_eq!(hash_host(b""), 0);
        assert_eq!(hash_host(&[b'a'; 300]), 0);
    }

    /// Without it, the plain file would be brought in for a client that is sent the coded one, or the other way round.
    #[test]
    fn codings_are_seen() {
        let codings = |head: &str| recognise(head.as_bytes()).unwrap().0.codings;
        let gzip = Codings::of(b"gzip");
        let line = "GET /x HTTP/1.1\r\n";
        assert_eq!(
            codings(&format!("{line}Accept-Encoding: gzip\r\n\r\n")),
            gzip
        );
        assert_eq!(codings(&format!("{line}\r\n")), Codings::default());
        let two = format!("{line}accept-encoding: br\r\nAccept-Encoding: gzip\r\n\r\n");
        assert_eq!(codings(&two), Codings::of(b"gzip, br"));
        // What has not come yet, or is too much.
        assert_eq!(codings(&format!("{line}Acc")), Codings::UNKNOWN);
        let many = "A: b\r\n".repeat(MAX_HEADERS + 2);
        let many = format!("{line}{many}Accept-Encoding: gzip\r\n\r\n");
        assert_eq!(codings(&many), Codings::UNKNOWN);
        // Servers differ in what they send these.
        for head in [
            "GET /x HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n",
            "GET /x HTTP/1.1\r\nAccept-Encoding: gzip\r\nVia: 1.1 p\r\n\r\n",
        ] {
            assert_eq!(codings(head), gzip.are_uncertain(), "{head}");
        }
        assert_eq!(codings("GET /x HTTP/1.0\r\n\r\n"), Codings::default());
    }
}
