//! A client that sends any frames, of which the reader may have seen nothing before, and header blocks.

#![no_main]

use laio_core::http2::{Connection, Event};
use laio_core::paths::climbs;
use laio_core::recognise::Request;
use libfuzzer_sys::fuzz_target;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What is told of some bytes, with the request if it is one.
fn told(connection: &mut Connection, bytes: &[u8]) -> Vec<(Event, Option<Request>)> {
    let (mut request, mut told) = (Request::default(), Vec::new());
    connection.read(bytes, &mut request, |event, request| {
        let is_one = matches!(event, Event::Request { .. });
        if is_one {
            assert!(request.target.starts_with(b"/") && !request.target.contains(&0));
            assert!(!climbs(&request.target) && !request.has_body);
        }
        told.push((event, is_one.then(|| request.clone())));
    });
    told
}

/// The input as frames: a length, a kind, flags, a stream, and so much of what follows; or as it is.
fn frames(mut input: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(([length, kind, flags, stream], rest)) = input.split_first_chunk() {
        let (payload, behind) = rest.split_at(rest.len().min(usize::from(*length)));
        bytes.extend([0, 0, payload.len() as u8]);
        bytes.extend([*kind % 12, *flags, 0, 0, 0, *stream]);
        bytes.extend(payload);
        input = behind;
    }
    bytes
}

fuzz_target!(|data: &[u8]| {
    let Some((&kind, rest)) = data.split_first() else {
        return;
    };
    let (lengths, rest) = rest.split_at((usize::from(kind >> 4) + 1).min(rest.len()));
    let mut bytes = Vec::new();
    if kind & 1 == 0 {
        bytes.extend(PREFACE);
    }
    match kind & 2 {
        0 => bytes.extend(frames(rest)),
        _ => bytes.extend(rest),
    }
    let begin = || match kind & 4 {
        0 => Connection::new(),
        _ => Connection::late(),
    };
    let mut whole = begin();
    let expected = told(&mut whole, &bytes);
    let (mut parts, mut copy) = (begin(), Connection::late());
    let (mut seen, mut rest) = (Vec::new(), &bytes[..]);
    for length in lengths.iter().cycle() {
        let (part, behind) = rest.split_at(rest.len().min(usize::from(*length) + 1));
        copy.clone_from(&parts);
        let told_of_copy = told(&mut copy, part);
        let told = told(&mut parts, part);
        assert_eq!(told, told_of_copy, "a copy");
        seen.extend(told);
        rest = behind;
        // Behind it they may be in step again, at other places.
        if !parts.is_in_step() || rest.is_empty() {
            break;
        }
    }
    if parts.is_in_step() && rest.is_empty() {
        assert_eq!(seen, expected, "in parts");
        assert!(whole.is_in_step());
    }
});
