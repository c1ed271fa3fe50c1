//! Tests of what is told of an HTTP/2 connection.

use super::*;
use crate::recognise::Request;

/// A frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
    let mut frame = length.to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

#[test]
fn a_plain_request() {
    let block = b"\x82\x87\x44\x0a/a%20b?q=1\x41\x0eExample.ORG:80";
    let bytes = [
        PREFACE.to_vec(),
        frame(4, 0, 0, &[]),
        frame(1, 5, 1, block),
        frame(1, 5, 3, b"\x82\xbf\xbe"),
    ]
    .concat();
    for cut in 0..=bytes.len() {
        let (mut connection, mut request) = (Connection::new(), Request::default());
        let mut seen = Vec::new();
        for part in [&bytes[..cut], &bytes[cut..]] {
            connection.read(part, &mut request, |event, request| {
                seen.push((event, request.clone()));
            });
        }
        let expected = Request {
            target: b"/a b".iter().copied().collect(),
            host: crate::hash(b"example.org"),
            wants_body: true,
            ..Request::default()
        };
        let first = (Event::Request { stream: 1 }, expected.clone());
        let second = (Event::Request { stream: 3 }, expected);
        assert_eq!(seen, [first, second], "cut at {cut}");
        assert!(connection.is_between_frames());
    }
}
