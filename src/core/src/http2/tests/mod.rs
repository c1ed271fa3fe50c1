//! What is told of HTTP/2 connections: by the examples of RFC 7541, by what clients sent, and compared with a strict decoder.

mod any;
mod blocks;
mod differential;
mod frames;
mod recorded;

use super::frame::PREFACE;
use super::*;
use crate::recognise::Request;

/// A frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
    let stream = stream.to_be_bytes();
    [&length[..], &[kind, flags], &stream, payload].concat()
}

/// What is told of these parts, with each request.
fn told<'a>(
    connection: &mut Connection,
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<(Event, Option<Request>)> {
    let (mut request, mut told) = (Request::default(), Vec::new());
    for part in parts {
        connection.read(part, &mut request, |event, request| {
            let is_one = matches!(event, Event::Request { .. });
            told.push((event, is_one.then(|| request.clone())));
        });
    }
    told
}

/// Bytes written as hexadecimal digits, with spaces anywhere.
fn bytes(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}
