//! The records in what is read, against a parser that has all of it.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// Records whose bodies are anything, and a beginning of another one.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let body = prop_oneof![
        3 => vec(any::<u8>(), 0..60),
        1 => vec(any::<u8>(), 22),
        1 => Just(vec![7; LONGEST - HEADER]),
    ];
    let record = (20_u8..=23, 0_u8..=4, body).prop_map(|(content, minor, body)| {
        let length = (body.len() as u16).to_be_bytes();
        [&[content, 3, minor, length[0], length[1]], body.as_slice()].concat()
    });
    (vec(record, 0..8), vec(any::<u8>(), 0..4)).prop_map(|(records, mut rest)| {
        // Not more than a header's beginning, or it may be none.
        rest.truncate(4);
        [records.concat(), rest].concat()
    })
}

/// How long the reads are, over and over.
pub fn lengths() -> impl Strategy<Value = Vec<usize>> {
    vec(
        prop_oneof![1_usize..8, 1_usize..300, 1_usize..40_000],
        1..20,
    )
}

/// Cuts bytes at these lengths.
pub fn cut<'a>(mut bytes: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    for length in lengths.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (part, rest) = bytes.split_at((*length).min(bytes.len()));
        parts.push(part);
        bytes = rest;
    }
    parts
}

/// Each record's place, header and body as they were shown, of those that have a body.
fn shown(follower: &mut Follower, parts: &[&[u8]]) -> Vec<(Place, Vec<u8>)> {
    let mut shown: Vec<(Place, Vec<u8>)> = Vec::new();
    for part in parts {
        follower.read(part, part.len(), |piece| {
            if piece.at == 0 {
                shown.push((piece.place, piece.header.to_vec()));
            }
            let (place, record) = shown.last_mut().unwrap();
            assert_eq!((*place, record.len()), (piece.place, HEADER + piece.at));
            assert_eq!(record[..HEADER], piece.header);
            assert_eq!(header(&piece.header), Some((piece.content, piece.length)));
            record.extend(piece.bytes);
        });
    }
    shown
}

/// The same by a parser that has all the bytes; then the place behind them, and what is left of them.
fn parsed(bytes: &[u8]) -> (Vec<(Place, Vec<u8>)>, Place, usize) {
    let (mut place, mut at) = (Place::default(), 0);
    let mut parsed = Vec::new();
    for record in records(bytes) {
        if record.len() > HEADER {
            parsed.push((place, record.to_vec()));
        }
        match record[0] {
            20 => (place.changes, place.since_change) = (place.changes + 1, 0),
            _ if place.changes > 0 => place.since_change += 1,
            _ => {}
        }
        place.application += u64::from(record[0] == 23);
        at += record.len();
    }
    (parsed, place, bytes.len() - at)
}

proptest! {
    #[test]
    fn any_split_shows_the_same_pieces_in_the_same_order(
        bytes in stream(),
        lengths in lengths(),
    ) {
        let mut follower = Follower::default();
        let (expected, place, left) = parsed(&bytes);
        prop_assert_eq!(shown(&mut follower, &cut(&bytes, &lengths)), expected);
        prop_assert_eq!(follower.place(), place);
        prop_assert_eq!(follower.within(), left);
    }

    /// Without it, a look would begin in the middle of a record, or behind the wrong one.
    #[test]
    fn within_and_rest_and_place_are_those_of_a_parser_after_any_read(
        bytes in stream(),
        lengths in lengths(),
    ) {
        let mut follower = Follower::default();
        let mut at = 0;
        for part in cut(&bytes, &lengths) {
            follower.read(part, part.len(), |_| {});
            at += part.len();
            let (_, place, within) = parsed(&bytes[..at]);
            prop_assert_eq!((follower.place(), follower.within()), (place, within));
            let header = bytes[at - within..at].first_chunk().and_then(header);
            let rest = header.map(|(_, length)| HEADER + length - within);
            prop_assert_eq!(follower.rest(), rest);
            prop_assert!(!follower.is_lost());
        }
    }

    /// The rest of a body need not be seen; where a header may be, nothing is known any more.
    #[test]
    fn bytes_that_were_not_seen_are_counted_within_a_body_and_lose_it_elsewhere(
        bytes in stream(),
        lengths in lengths(),
        unseen in vec(0_usize..200, 1..10),
    ) {
        let mut follower = Follower::default();
        let (mut at, mut unseen) = (0, unseen.iter().cycle());
        for part in cut(&bytes, &lengths) {
            let hidden = part.len().min(*unseen.next().unwrap());
            let seen = part.len() - hidden;
            let mut before = Follower::default();
            before.read(&bytes[..at + seen], at + seen, |_| {});
            let can = hidden == 0 || before.rest().is_some_and(|rest| hidden <= rest);
            follower.read(&part[..seen], part.len(), |_| {});
            prop_assert_eq!(follower.is_lost(), !can);
            if !can {
                break;
            }
            at += part.len();
            let (_, place, within) = parsed(&bytes[..at]);
            prop_assert_eq!((follower.place(), follower.within()), (place, within));
        }
    }

    #[test]
    fn anything_may_be_read_in_any_parts(
        parts in vec((vec(any::<u8>(), 0..60), 0_usize..20), 0..20),
    ) {
        let mut follower = Follower::default();
        let mut session = Session::default();
        for (bytes, unseen) in parts {
            let count = bytes.len() + unseen;
            follower.read(&bytes, count, |piece| assert!(piece.at + piece.bytes.len() <= piece.length));
            session.read(&bytes, count, |_| {});
            let _ = (follower.within(), follower.rest(), follower.random(), follower.place());
        }
    }

    /// Where the first message is in several records, the number is found across them.
    #[test]
    fn the_random_number_is_found_in_any_records_and_any_reads(
        random in any::<[u8; 32]>(),
        records in lengths(),
        reads in lengths(),
    ) {
        let hello = [&[1, 0, 0, 60, 3, 3], &random[..], &[0; 22]].concat();
        let record = |part: &[u8]| [&[22, 3, 1, 0, part.len() as u8], part].concat();
        let bytes: Vec<u8> = cut(&hello, &records).into_iter().flat_map(record).collect();
        let mut follower = Follower::default();
        for part in cut(&bytes, &reads) {
            follower.read(part, part.len(), |_| {});
        }
        prop_assert_eq!(follower.random(), Some(&random));
    }
}

/// Without it, the random number could be put together of what is none, and another connection's secret be taken.
#[test]
fn the_random_number_is_none_where_it_was_not_read_as_the_first_message() {
    let hello = [&[22, 3, 1, 0, 60, 1, 0, 0, 56, 3, 3][..], &[7; 54]].concat();
    let random_after = |reads: &[(&[u8], usize)]| {
        let mut follower = Follower::default();
        for (bytes, count) in reads {
            follower.read(bytes, *count, |_| {});
        }
        follower.random().copied()
    };
    assert_eq!(random_after(&[(&hello, 65)]), Some([7; 32]));
    assert_eq!(random_after(&[(&hello[..30], 65), (&hello, 65)]), None);
    assert_eq!(
        random_after(&[(&hello[..30], 31), (&hello[31..], 34)]),
        None
    );
    let other = [22, 3, 1, 0, 1, 2];
    assert_eq!(random_after(&[(&other, 6), (&hello, 65)]), None);
    let alert = [21, 3, 1, 0, 2, 1, 0];
    assert_eq!(random_after(&[(&alert, 7), (&hello, 65)]), None);
}

#[test]
fn what_is_no_record_is_lost() {
    let too_long = (LONGEST - HEADER + 1) as u16;
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"\x80\x2e\x01\x03\x01",
        &[22, 2, 0, 0, 1],
        &[24, 3, 3, 0, 1],
        &[
            23,
            3,
            3,
            too_long.to_be_bytes()[0],
            too_long.to_be_bytes()[1],
        ],
    ] {
        let mut session = Session::default();
        session.read(bytes, bytes.len(), |_| panic!("a piece of {bytes:?}"));
        assert!(session.reading().is_lost());
        assert_eq!(session.reason(), Reason::Lost);
    }
    assert!(begins(&[22]) && begins(&[22, 3, 1]));
    assert!([&b""[..], b"GET", &[22, 2], &[23, 3]]
        .iter()
        .all(|it| !begins(it)));
}
