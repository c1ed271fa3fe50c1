//! Frames (RFC 9113, 4 and 6), and how one who comes late finds them.

use super::*;
use crate::recognise::Unrecognised;

/// `GET /`, and a path that is added to the table.
const GET: &[u8] = b"\x82\x84";
const ADDED: &[u8] = b"\x82\x44\x02/a";
/// What was added last.
const AGAIN: &[u8] = b"\x82\xbe";

const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END: u8 = 0x5;

/// What is told of frames behind the preface, and whether they are in step then.
fn behind_preface(frames: &[Vec<u8>]) -> (Vec<Event>, bool) {
    let bytes = [&PREFACE[..], &frames.concat()].concat();
    let mut connection = Connection::new();
    let told = told(&mut connection, [&bytes[..]]);
    let events = told.into_iter().map(|(event, _)| event).collect();
    (events, connection.is_in_step())
}

fn request(stream: u32) -> Event {
    Event::Request { stream }
}

fn foreign(stream: u32) -> Event {
    let reason = Unrecognised::Foreign;
    Event::NotUnderstood { stream, reason }
}

#[test]
fn the_preface_is_told_from_other_beginnings() {
    assert!(begins(b"PRI") && begins(&PREFACE) && begins(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0"));
    let others = [
        &b""[..],
        b"PR",
        b"PRX",
        b"PRI * HTTP/1.1\r\n",
        b"GET / HTTP/2.0\r\n",
    ];
    assert!(!others.into_iter().any(begins));
    let mut connection = Connection::default();
    assert!(connection.is_between_frames());
    assert_eq!(told(&mut connection, [&b"PRI * HTTP/1.1\r\n"[..]]), []);
    assert!(!connection.is_in_step() && !connection.is_between_frames());
}

#[test]
fn padding_and_priority_are_no_part_of_a_block() {
    let padded = [&[3][..], GET, &[0; 3]].concat();
    let with_priority = [&[0x80, 0, 0, 0, 1][..], GET].concat();
    let both = [&[2, 0, 0, 0, 0, 1][..], GET, &[0; 2]].concat();
    let (events, _) = behind_preface(&[
        frame(HEADERS, END | 0x8, 1, &padded),
        frame(HEADERS, END | 0x20, 3, &with_priority),
        frame(HEADERS, END | 0x28, 5, &both),
    ]);
    assert_eq!(events, [1, 3, 5].map(request));
}

#[test]
fn a_block_goes_on_in_other_frames() {
    let (events, _) = behind_preface(&[
        frame(
            HEADERS,
            0x1 | 0x28,
            1,
            &[&[1, 0, 0, 0, 0, 1][..], &ADDED[..3], &[0]].concat(),
        ),
        frame(CONTINUATION, 0, 1, &[]),
        frame(CONTINUATION, 0x4, 1, &ADDED[3..]),
        frame(HEADERS, 0, 3, &[]),
        frame(CONTINUATION, 0x4, 3, AGAIN),
    ]);
    assert_eq!(events, [1, 3].map(request));
}

#[test]
fn frames_between_requests_are_skipped() {
    let (events, is_in_step) = behind_preface(&[
        frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]),
        frame(4, 1, 0, &[]),
        frame(8, 0, 0, &[0, 1, 0, 0]),
        frame(HEADERS, 0x4, 1, ADDED),
        frame(2, 0, 3, &[0; 5]),
        frame(0, 0, 1, GET),
        frame(6, 0, 0, &[0; 8]),
        frame(0x10, 0, 0, b"\0\0\0\x01u=1"),
        frame(0xbe, 0xff, 7, &[0; 9]),
        frame(3, 0, 3, &[0, 0, 0, 8]),
        frame(3, 0, 2, &[0, 0, 0, 8]),
        // Trailers of the first one.
        frame(HEADERS, END, 1, b"\x00\x01x\x01y"),
        frame(HEADERS, END, 5, AGAIN),
        frame(7, 0, 0, &[0; 8]),
    ]);
    let reset = Event::Reset { stream: 3 };
    assert_eq!(events, [request(1), reset, request(5)]);
    assert!(is_in_step);
}

#[test]
fn what_breaks_the_rules_is_out_of_step() {
    for frames in [
        vec![frame(6, 0, 0, &[0; 7])],
        vec![frame(6, 0, 1, &[0; 8])],
        vec![frame(8, 0, 0, &[0; 5])],
        vec![frame(3, 0, 1, &[0; 3])],
        vec![frame(3, 0, 0, &[0; 4])],
        vec![frame(2, 0, 1, &[0; 4])],
        vec![frame(4, 0, 0, &[0; 5])],
        vec![frame(4, 0, 1, &[0; 6])],
        vec![frame(4, 1, 0, &[0; 6])],
        vec![frame(5, 4, 1, &[0; 4])],
        vec![frame(7, 0, 0, &[0; 7])],
        vec![frame(0, 0, 0, &[0; 7])],
        vec![frame(HEADERS, END, 0, GET)],
        vec![frame(HEADERS, END, 2, GET)],
        vec![frame(HEADERS, END, 1 << 31 | 1, GET)],
        vec![frame(HEADERS, END, 1, &[0; (1 << 14) + 1])],
        vec![frame(HEADERS, END | 0x8, 1, &[3, 0x82, 0x84])],
        vec![frame(HEADERS, END | 0x20, 1, &[0; 4])],
        vec![frame(HEADERS, END, 1, b"\x80")],
        vec![frame(CONTINUATION, 0x4, 1, GET)],
        vec![frame(HEADERS, 0, 1, GET), frame(CONTINUATION, 0x4, 3, &[])],
        vec![frame(HEADERS, 0, 1, GET), frame(0, 0, 1, &[])],
        vec![frame(HEADERS, 0, 1, GET), frame(HEADERS, END, 3, GET)],
    ] {
        let (events, is_in_step) = behind_preface(&frames);
        assert!(events.is_empty() && !is_in_step, "{frames:?}");
    }
}

/// Without it, a client that sends header blocks without an end takes memory without one.
#[test]
fn a_block_that_is_too_long_is_not_decoded() {
    let cookie = [&b"\x60\x7f\xf1\x7c"[..], &[b'x'; 0x7f + 0x3e71]].concat();
    let (events, is_in_step) = behind_preface(&[
        frame(HEADERS, END, 1, ADDED),
        frame(HEADERS, END, 3, AGAIN),
        frame(HEADERS, 0, 5, &[ADDED, &cookie].concat()),
        frame(CONTINUATION, 0x4, 5, &[0x82; 400]),
        frame(HEADERS, END, 7, AGAIN),
        frame(HEADERS, END, 9, GET),
    ]);
    let expected = [request(1), request(3), foreign(5), foreign(7), request(9)];
    assert_eq!(events, expected);
    assert!(is_in_step);
}

#[test]
fn one_who_comes_late_begins_with_a_record_of_whole_frames() {
    let whole = [frame(8, 0, 0, &[0, 0, 1, 0]), frame(HEADERS, END, 7, ADDED)].concat();
    let mut connection = Connection::late();
    for skipped in [
        &whole[..whole.len() - 1],
        &whole[1..],
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        &[0; 90],
    ] {
        assert_eq!(told(&mut connection, [skipped]), []);
        assert!(!connection.is_in_step());
    }
    assert_eq!(told(&mut connection, [&whole[..]])[0].0, request(7));
    let again = frame(HEADERS, END, 9, AGAIN);
    let parts = [&again[..4], &again[4..]];
    assert_eq!(told(&mut connection, parts)[0].0, request(9));
    // What was not seen may have added something.
    connection.lose();
    assert!(!connection.is_in_step());
    assert_eq!(told(&mut connection, [&again[..]])[0].0, foreign(9));
    // It may be trailers of a request that was seen.
    let trailers = frame(HEADERS, END, 9, b"\xff\x20");
    assert_eq!(told(&mut connection, [&trailers[..]]), []);
}

/// A client's first record has the preface; a request often stands in it already.
#[test]
fn one_who_comes_late_knows_the_preface() {
    for rest in [vec![], frame(4, 0, 0, &[]), frame(HEADERS, END, 1, ADDED)] {
        let mut connection = Connection::late();
        let record = [&PREFACE[..], &rest].concat();
        let events = told(&mut connection, [&record[..]]);
        assert_eq!(events.len(), usize::from(rest.len() > 9));
        assert!(connection.is_in_step() && connection.is_between_frames());
    }
}
