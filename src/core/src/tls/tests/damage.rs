//! What cannot be understood: it is said why, nothing is opened, and the bytes stay as they are.

use super::super::record::TAG;
use super::peer::{talk, Act, Talk, Way, KINDS};
use super::*;
use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::Aes128Gcm;
use proptest::collection::vec;
use proptest::prelude::*;
use zeroize::Zeroize;

/// Two requests.
fn plain(kind: usize) -> Talk {
    talk(kind, Way::Plain, &[Act::Write(80), Act::Write(90)])
}

/// The number of the first record with bytes of the application's.
fn first(talk: &Talk) -> usize {
    let first = talk.sent.iter().position(|it| it.plain.is_some());
    first.unwrap()
}

/// A session that has read all before the first request, and the place of it.
fn before_first(talk: &Talk) -> (Session, Place) {
    let mut session = Session::default();
    for sent in &talk.sent[..first(talk)] {
        session.read(&sent.record, sent.record.len(), |_| {});
    }
    session.learn(talk.secret.clone());
    let place = session.reading().place();
    (session, place)
}

#[test]
fn a_wrong_secret_opens_nothing_and_is_given_up() {
    for (kind, (version, ..)) in KINDS.into_iter().enumerate() {
        let mut talk = plain(kind);
        talk.secret = plain(kind).secret;
        let (mut session, mut place) = before_first(&talk);
        // Records of a handshake have other keys: so many are passed by in version 1.3.
        let passed = if version == Version::Tls13 { 16 } else { 0 };
        let record = &talk.sent[first(&talk)].record;
        for _ in 0..passed {
            assert_eq!(open(&mut session, &mut place, record).0, Opened::Other);
        }
        assert_eq!(
            open(&mut session, &mut place, record).0,
            Opened::Never(Reason::Tag)
        );
        assert_eq!(session.reason(), Reason::Tag);
    }
}

/// In version 1.2 the keys are made of both random numbers.
#[test]
fn a_wrong_random_number_opens_nothing() {
    for kind in 3..6 {
        let mut talk = plain(kind);
        // The last byte of the client's.
        talk.sent[0].record[HEADER + 37] ^= 1;
        let (mut session, mut place) = before_first(&talk);
        let record = &talk.sent[first(&talk)].record;
        assert_eq!(
            open(&mut session, &mut place, record).0,
            Opened::Never(Reason::Tag)
        );
    }
}

/// Without it, what somebody has changed on the way would be predicted for.
#[test]
fn no_record_with_another_bit_is_opened() {
    for kind in 0..KINDS.len() {
        let talk = plain(kind);
        let (whole, mut place) = before_first(&talk);
        let record = &talk.sent[first(&talk)].record;
        let mut anchored = whole.clone();
        assert!(matches!(
            open(&mut anchored, &mut place, record).0,
            Opened::Data(_)
        ));
        for at in 0..record.len() {
            let mut damaged = record.clone();
            damaged[at] ^= 1 << (at % 8);
            let mut session = anchored.clone();
            let mut place = session.reading().place();
            let (opened, _) = open(&mut session, &mut place, &damaged);
            assert!(!matches!(opened, Opened::Data(_)), "{kind}, byte {at}");
            if at >= HEADER {
                assert_eq!(opened, Opened::Never(Reason::Tag), "{kind}, byte {at}");
            }
        }
    }
}

/// Once a client is given up it stays so, for the first reason, which is counted once, and no secret is left.
#[test]
fn who_is_given_up_stays_so() {
    for kind in [0, 3] {
        let talk = plain(kind);
        let (mut session, mut place) = before_first(&talk);
        let mut damaged = talk.sent[first(&talk)].record.clone();
        assert!(matches!(
            open(&mut session, &mut place, &damaged).0,
            Opened::Data(_)
        ));
        *damaged.last_mut().unwrap() ^= 1;
        let mut place = session.reading().place();
        let never = Opened::Never(Reason::Tag);
        assert_eq!(open(&mut session, &mut place, &damaged).0, never);
        session.learn(talk.secret.clone());
        session.give_up(Reason::Protocol);
        assert_eq!(session.reason_to_count(), Some(Reason::Tag));
        assert_eq!(session.reason_to_count(), None);
        for sent in &talk.sent {
            assert_eq!(open(&mut session, &mut place, &sent.record).0, never);
        }
    }
}

/// A number of a connection is used again. Without it, the next client would be given up for what this one has done.
#[test]
fn a_session_that_was_wiped_is_a_new_one() {
    for kind in 0..KINDS.len() {
        let talk = plain(kind);
        let mut session = talk.session();
        let mut place = Place::default();
        session.open(&mut place, &mut [0; 7]);
        assert_eq!(session.reason(), Reason::Lost);
        session.zeroize();
        let shown = |session: &Session| format!("{session:?}");
        assert_eq!(shown(&session), shown(&Session::default()));
    }
}

#[test]
fn bytes_that_were_not_seen_lose_the_count() {
    for kind in 0..KINDS.len() {
        let talk = plain(kind);
        let record = &talk.sent[first(&talk)].record;
        let (mut session, mut place) = before_first(&talk);
        session.read(&record[..10], record.len(), |_| {});
        assert_eq!(session.reason(), Reason::None, "within a record");
        session.read(&record[..10], record.len() + 1, |_| {});
        assert_eq!(session.reason(), Reason::Lost);
        assert_eq!(
            open(&mut session, &mut place, record).0,
            Opened::Never(Reason::Lost)
        );
    }
}

/// Renegotiation: from the second change on there are keys that nobody has told.
#[test]
fn new_keys_of_version_1_2_are_lost() {
    for kind in 3..6 {
        let talk = plain(kind);
        let record = &talk.sent[first(&talk)].record;
        let (mut session, mut place) = before_first(&talk);
        assert!(matches!(
            open(&mut session, &mut place, record).0,
            Opened::Data(_)
        ));
        let change = [20, 3, 3, 0, 1, 1];
        let mut again = session.clone();
        assert_eq!(open(&mut session, &mut place, &change).0, Opened::Other);
        assert_eq!(
            open(&mut session, &mut place, record).0,
            Opened::Never(Reason::Lost)
        );
        // Told again is the same; another secret is another agreement.
        again.learn(talk.secret.clone());
        assert_eq!(again.reason(), Reason::None);
        again.learn(plain(kind).secret);
        assert_eq!(again.reason(), Reason::Lost);
    }
}

#[test]
fn a_client_whose_secret_does_not_come_is_given_up() {
    for kind in 0..KINDS.len() {
        let talk = talk(kind, Way::Plain, &vec![Act::Write(30); 20]);
        let mut session = Session::default();
        let mut places = vec![];
        for sent in &talk.sent {
            let mut place = session.reading().place();
            places.push(place);
            let (opened, _) = open(&mut session, &mut place, &sent.record);
            let is_data = sent.record[0] == 23;
            match session.reason() {
                Reason::None if is_data => assert_eq!(opened, Opened::TooEarly),
                Reason::None => assert_eq!(opened, Opened::Other),
                reason => assert_eq!(opened, Opened::Never(reason)),
            }
            assert!(
                session.reason() != Reason::None || !is_data || place == *places.last().unwrap()
            );
            session.read(&sent.record, sent.record.len(), |_| {});
        }
        assert_eq!(session.reason(), Reason::NoKeys);
    }
}

/// Without it, anybody could seal a record by a key of zeros.
#[test]
fn keys_that_are_not_known_open_nothing() {
    let mut session = Session::default();
    let (change, header) = ([20, 3, 3, 0, 1, 1], [23, 3, 3, 0, 29]);
    session.read(&change, change.len(), |_| {});
    session.learn(Secret::tls12(Suite::Aes128Gcm, &[1; 48], [2; 32]).unwrap());
    let data = [&[0; 8][..], &[23, 3, 3, 0, 5]].concat();
    let mut body = *b"GET /";
    let zeros = Aes128Gcm::new(&[0; 16].into());
    let tag = zeros.encrypt_in_place_detached(&[0; 12].into(), &data, &mut body);
    let record = [&header[..], &[0; 8], &body, &tag.unwrap()].concat();
    let mut place = session.reading().place();
    assert_eq!(
        open(&mut session, &mut place, &record).0,
        Opened::Never(Reason::Tag)
    );
}

/// The client's application traffic keys of RFC 8448, section 3.
const KEY: &str = "17422dda596ed5d9acd890e3c63f5051";
const IV: &str = "5b78923dee08579033e523d9";
const SECRET: &str = "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5";

/// A record that holds this, its type and padding.
fn sealed(sequence: u8, inner: &[u8]) -> Vec<u8> {
    let mut nonce: [u8; 12] = bytes(IV).try_into().unwrap();
    nonce[11] ^= sequence;
    let length = (inner.len() + TAG) as u16;
    let header = [&[23, 3, 3][..], &length.to_be_bytes()].concat();
    let mut body = inner.to_vec();
    let cipher = Aes128Gcm::new_from_slice(&bytes(KEY)).unwrap();
    let tag = cipher.encrypt_in_place_detached(&nonce.into(), &header, &mut body);
    [header, body, tag.unwrap().to_vec()].concat()
}

/// A session that has read a hello and knows those keys.
fn session_of_rfc8448() -> Session {
    let mut session = Session::default();
    let hello = [&[22, 3, 1, 0, 60, 1, 0, 0, 56, 3, 3][..], &[7; 54]].concat();
    session.read(&hello, hello.len(), |_| {});
    let line = format!("CLIENT_TRAFFIC_SECRET_0 {} {SECRET}", hex(&[7; 32]));
    session.learn(secret_of_line(&line, Suite::Aes128Gcm));
    session
}

#[test]
fn padding_is_taken_off_and_the_type_is_the_last_byte_that_is_not_zero() {
    let data = |text: &[u8]| (Opened::Data(HEADER..HEADER + text.len()), text.to_vec());
    let other = (Opened::Other, Vec::new());
    for (inner, expected) in [
        (&b"GET /\x17"[..], data(b"GET /")),
        (b"GET /\x17\0\0\0\0", data(b"GET /")),
        (b"a\0\0\x17\0", data(b"a\0\0")),
        (b"\x17", data(b"")),
        (b"\x17\0\0", data(b"")),
        (b"\x01\0\x15", other.clone()),
        (b"GET /\x16", other.clone()),
        (b"GET /\x63", other.clone()),
        (b"\0\0\0\0", other.clone()),
        (b"", other.clone()),
    ] {
        let mut session = session_of_rfc8448();
        let mut place = session.reading().place();
        let record = sealed(0, inner);
        assert_eq!(
            open(&mut session, &mut place, &record),
            expected,
            "{inner:?}"
        );
        // The count goes on.
        let next = sealed(1, b"next\x17");
        assert_eq!(
            open(&mut session, &mut place, &next),
            data(b"next"),
            "{inner:?}"
        );
    }
}

/// A `KeyUpdate` ends its record, whatever other messages are before it (RFC 8446, 5.1).
#[test]
fn an_update_is_found_behind_other_messages_and_before_padding() {
    let update = [24, 0, 0, 1, 0];
    for (before, behind) in [
        (&[][..], &[0; 9][..]),
        (&[20, 0, 0, 2, 1, 1], &[]),
        (&[20, 0, 0, 0], &[0]),
    ] {
        let mut session = session_of_rfc8448();
        let mut place = session.reading().place();
        let record = sealed(0, &[before, &update, &[22], behind].concat());
        assert_eq!(open(&mut session, &mut place, &record).0, Opened::Other);
        // No more of the old keys.
        let next = sealed(1, b"next\x17");
        assert_eq!(
            open(&mut session, &mut place, &next).0,
            Opened::Never(Reason::Tag)
        );
    }
    for message in [
        &[24, 0, 0, 2, 0][..],
        &[24, 0, 0, 1],
        &[24, 0, 0, 1, 0, 0],
        &[0, 24, 0, 0, 1],
    ] {
        let mut session = session_of_rfc8448();
        let mut place = session.reading().place();
        let record = sealed(0, &[message, &[22]].concat());
        assert_eq!(open(&mut session, &mut place, &record).0, Opened::Other);
        let next = sealed(1, b"next\x17");
        assert!(matches!(
            open(&mut session, &mut place, &next).0,
            Opened::Data(_)
        ));
    }
}

proptest! {
    /// Nothing that anybody sends ends the process, or is taken for a request.
    #[test]
    fn anything_may_be_opened(
        kind in 0..KINDS.len(),
        records in vec((vec(any::<u8>(), 0..80), any::<bool>(), 19_u8..25), 0..40),
        application in 0_u64..60,
        changes in 0_u32..3,
    ) {
        let (version, suite, _) = KINDS[kind];
        let mut session = session_of_rfc8448();
        session.zeroize();
        let secret = match version {
            Version::Tls13 => Secret::tls13(suite, &vec![9; suite.hash_length()]),
            Version::Tls12 => Secret::tls12(suite, &[9; 48], [8; 32]),
        };
        session.learn(secret.unwrap());
        let mut place = Place { application, changes, since_change: application };
        for (mut record, is_framed, content) in records {
            if let (Some(length), true) = (record.len().checked_sub(HEADER), is_framed) {
                record[..HEADER].copy_from_slice(&[content, 3, 3, 0, length as u8]);
            }
            let (opened, _) = open(&mut session, &mut place, &record);
            prop_assert!(!matches!(opened, Opened::Data(_)));
        }
    }
}
