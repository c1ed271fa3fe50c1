//! Any bytes as requests, their bodies, and lines of a key log.

#![no_main]

use laio_core::paths::climbs;
use laio_core::recognise::{Body, Http, Recogniser, Request};
use laio_core::tls::{Label, Line};
use libfuzzer_sys::fuzz_target;

/// A body ends where it ends, however it is read.
fn body(lengths: &[u8], bytes: &[u8]) {
    let mut whole = Body::default();
    whole.begin(bytes, bytes.len());
    let mut parts = Body::default();
    let mut rest = bytes;
    for length in lengths
        .iter()
        .cycle()
        .map(|length| usize::from(*length) + 1)
    {
        let (part, behind) = rest.split_at(length.min(rest.len()));
        if rest.len() == bytes.len() {
            parts.begin(part, part.len());
        } else {
            parts.read(part, part.len());
        }
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    assert_eq!(whole, parts);
}

/// What is recognised has a target that can be appended to a folder.
fn request(bytes: &[u8]) {
    let mut request = Request::default();
    if let Ok(taken) = Http.recognise(bytes, &mut request) {
        assert!(taken > 0 && taken <= bytes.len());
        assert!(request.target.starts_with(b"/") && !request.target.contains(&0));
        assert!(!climbs(&request.target));
    }
}

fn line(bytes: &[u8]) {
    let Some(line) = Line::parse(bytes) else {
        return;
    };
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|it| format!("{it:02x}"))
            .collect::<String>()
    };
    let label = match line.label {
        Label::Master => "CLIENT_RANDOM",
        Label::ClientTraffic => "CLIENT_TRAFFIC_SECRET_0",
    };
    let again = format!("{label} {} {}", hex(&line.random), hex(line.secret()));
    let again = Line::parse(again.as_bytes()).expect("a line");
    assert_eq!(
        (again.label, again.random, again.secret()),
        (line.label, line.random, line.secret())
    );
}

fuzz_target!(|data: &[u8]| {
    let Some((&count, rest)) = data.split_first() else {
        return;
    };
    let (lengths, bytes) = rest.split_at((usize::from(count) % 8 + 1).min(rest.len()));
    if !lengths.is_empty() && !bytes.is_empty() {
        body(lengths, bytes);
    }
    request(rest);
    line(rest);
});
