//! What is opened of a client's records: the traces of RFC 8448, and conversations of an independent implementation (rustls).

mod damage;
mod follow;
mod keylog;
mod looks;
mod peer;
mod rfc8448;
mod updates;

use super::*;

/// Bytes written as hexadecimal digits, with spaces anywhere.
fn bytes(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The whole records at the beginning of these bytes.
fn records(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    while let Some((_, length)) = bytes.first_chunk().and_then(header) {
        let Some((record, rest)) = bytes.split_at_checked(HEADER + length) else {
            break;
        };
        records.push(record);
        bytes = rest;
    }
    records
}

/// Opens a copy of a record: what came of it, and the application's bytes in it.
fn open(session: &mut Session, place: &mut Place, record: &[u8]) -> (Opened, Vec<u8>) {
    let mut copy = record.to_vec();
    let opened = session.open(place, &mut copy);
    let plain = match &opened {
        Opened::Data(range) => copy[range.clone()].to_vec(),
        _ => Vec::new(),
    };
    if matches!(opened, Opened::Never(_) | Opened::TooEarly) {
        assert_eq!(copy, record, "what cannot be opened is as it was");
    }
    (opened, plain)
}

/// A secret of version 1.3 as a line of a key log has it.
fn secret_of_line(line: &str, suite: Suite) -> Secret {
    let line = Line::parse(line.as_bytes()).unwrap();
    assert_eq!(line.label, Label::ClientTraffic);
    Secret::tls13(suite, line.secret()).unwrap()
}
