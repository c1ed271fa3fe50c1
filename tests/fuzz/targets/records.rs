//! A client that sends any records to a server, which reads them in any parts, and is looked at now and then.
//!
//! The input is a list of steps: what is sent (any bytes, a record of any bytes, or one that is sealed by keys that the session has
//! or will have), how much is read and how much of it is seen, looks, and when secrets come.

#![no_main]

use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::Aes128Gcm;
use laio_core::recognise::{Body, Http, Recogniser, Request};
use laio_core::tls::{self, Follower, Line, Opened, Place, Reason, Secret, Session, Suite};
use libfuzzer_sys::fuzz_target;

/// The application keys of the client in RFC 8448, section 3, and what they are made from.
const KEY: [u8; 16] = 0x1742_2dda_596e_d5d9_acd8_90e3_c63f_5051_u128.to_be_bytes();
const IV: [u8; 12] = *b"\x5b\x78\x92\x3d\xee\x08\x57\x90\x33\xe5\x23\xd9";
const SECRET: &str = "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5";

const HELLO: [u8; 11] = [22, 3, 1, 0, 60, 1, 0, 0, 56, 3, 3];

/// The input, taken from its beginning.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> usize {
        self.bytes(1).first().map_or(0, |byte| usize::from(*byte))
    }

    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// A record of version 1.3 that opens.
fn sealed(sequence: u64, inner: &[u8]) -> Vec<u8> {
    let mut nonce = IV;
    let bytes = nonce[4..].iter_mut().zip(sequence.to_be_bytes());
    bytes.for_each(|(nonce, sequence)| *nonce ^= sequence);
    let header = framed(23, &vec![0; inner.len() + 16])[..tls::HEADER].to_vec();
    let mut body = inner.to_vec();
    let tag = Aes128Gcm::new(&KEY.into())
        .encrypt_in_place_detached(&nonce.into(), &header, &mut body)
        .expect("short enough");
    [header, body, tag.to_vec()].concat()
}

fn framed(content: u8, body: &[u8]) -> Vec<u8> {
    let [high, low] = (body.len() as u16).to_be_bytes();
    [&[content, 3, 3, high, low], body].concat()
}

/// A copy of a record is opened; what cannot be is as it was.
fn open(session: &mut Session, place: &mut Place, record: &[u8], has_secret: bool) -> Opened {
    let (before, mut copy) = (*place, record.to_vec());
    let opened = session.open(place, &mut copy);
    match &opened {
        Opened::Data(range) => {
            assert!(has_secret);
            look_at(&copy[range.clone()]);
        }
        Opened::Other => {}
        Opened::TooEarly => assert!(!has_secret && *place == before && copy == record),
        Opened::Never(reason) => assert!(*reason != Reason::None && copy == record),
    }
    opened
}

fn look_at(plain: &[u8]) {
    let _ = Http.recognise(plain, &mut Request::default());
    let mut body = Body::default();
    body.begin(plain, plain.len());
}

fn secret(kind: usize, bytes: &[u8]) -> Option<Secret> {
    let suites = [Suite::Aes128Gcm, Suite::Aes256Gcm, Suite::Chacha20Poly1305];
    let mut long = [0; 48];
    long[..bytes.len()].copy_from_slice(bytes);
    match kind % 8 {
        0 | 1 => {
            let line = format!("CLIENT_TRAFFIC_SECRET_0 {} {SECRET}", "07".repeat(32));
            let line = Line::parse(line.as_bytes()).expect("a line");
            Secret::tls13(Suite::Aes128Gcm, line.secret())
        }
        kind @ 2..=4 => Secret::tls12(suites[kind - 2], &long, [3; 32]),
        kind => {
            let suite = suites[kind - 5];
            Secret::tls13(suite, &long[..suite.hash_length()])
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let mut session = Session::default();
    // What is sent, and how much of it is read.
    let (mut sent, mut at) = (Vec::new(), 0);
    let (mut sequence, mut has_secret, mut all_seen) = (0, false, true);
    if input.byte() % 4 > 0 {
        sent.extend([&HELLO[..], &[7; 54]].concat());
    }
    while !input.0.is_empty() {
        match input.byte() % 8 {
            0 => {
                let count = input.byte();
                sent.extend(input.bytes(count));
            }
            1 => {
                let (content, count) = (input.byte() as u8, input.byte());
                sent.extend(framed(19 + content % 6, input.bytes(count)));
            }
            2 | 3 => {
                let count = input.byte();
                let inner = [input.bytes(count), &[23]].concat();
                sent.extend(sealed(sequence, &inner));
                sequence += 1;
            }
            4 => {
                let (count, unseen) = (input.byte() << (input.byte() % 9), input.byte());
                let count = count.min(sent.len() - at);
                let unseen = unseen.saturating_sub(192).min(count);
                let part = &sent[at..at + count];
                let mut shown = 0;
                session.read(&part[..count - unseen], count, |piece| {
                    assert!(piece.at + piece.bytes.len() <= piece.length);
                    shown += piece.bytes.len();
                });
                assert!(shown <= count - unseen);
                all_seen &= unseen == 0;
                if all_seen {
                    let mut whole = Follower::default();
                    whole.read(&sent[..at + count], at + count, |_| {});
                    let reading = session.reading();
                    assert_eq!(format!("{whole:?}"), format!("{reading:?}"), "in parts");
                }
                at += count;
            }
            5 if !session.reading().is_lost() => {
                let begin = at.saturating_sub(session.reading().within());
                let mut place = session.reading().place();
                let mut rest = &sent[begin..];
                while let Some((_, length)) = rest.first_chunk().and_then(tls::header) {
                    let Some((record, behind)) = rest.split_at_checked(tls::HEADER + length) else {
                        break;
                    };
                    let opened = open(&mut session, &mut place, record, has_secret);
                    if matches!(opened, Opened::TooEarly | Opened::Never(_)) {
                        break;
                    }
                    rest = behind;
                }
            }
            6 => {
                let (kind, count) = (input.byte(), input.byte() % 49);
                if let Some(secret) = secret(kind, input.bytes(count)) {
                    session.learn(secret);
                    has_secret = true;
                }
            }
            _ => {
                let mut place = Place {
                    application: input.byte() as u64,
                    since_change: input.byte() as u64,
                    changes: input.byte() as u32 % 3,
                };
                let count = input.byte();
                if input.byte() % 2 == 0 {
                    let mut record = framed(23, input.bytes(count));
                    let _ = session.open_past(place, &mut record);
                } else {
                    open(&mut session, &mut place, input.bytes(count), has_secret);
                }
            }
        }
    }
});
