//! The lines of a key log.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

const LABELS: [(&str, Label); 3] = [
    ("CLIENT_RANDOM", Label::Master),
    ("CLIENT_TRAFFIC_SECRET_0", Label::ClientTraffic),
    ("CLIENT_TRAFFIC_SECRET_N", Label::ClientTraffic),
];

proptest! {
    #[test]
    fn what_a_line_tells_is_what_was_written(
        label in 0..LABELS.len(),
        random in any::<[u8; 32]>(),
        secret in vec(any::<u8>(), 1..=48),
        upper in any::<bool>(),
        end in prop::sample::select(vec!["", "\n", "\r\n"]),
    ) {
        let (name, label) = LABELS[label];
        let mut digits = format!("{} {}", hex(&random), hex(&secret));
        if upper {
            digits.make_ascii_uppercase();
        }
        let line = Line::parse(format!("{name} {digits}{end}").as_bytes()).unwrap();
        prop_assert_eq!((line.label, line.random, line.secret()), (label, random, &secret[..]));
    }

    #[test]
    fn anything_may_be_a_line(bytes in vec(any::<u8>(), 0..300)) {
        let _ = Line::parse(&bytes);
    }

    /// Bytes that are nearly a line.
    #[test]
    fn a_line_with_another_byte_is_parsed_or_not(
        label in 0..LABELS.len(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let line = format!("{} {} {}", LABELS[label].0, hex(&[1; 32]), hex(&[2; 48]));
        let mut bytes = line.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Some(line) = Line::parse(&bytes) {
            prop_assert!(line.secret().len() <= 48);
        }
    }
}

#[test]
fn what_is_malformed_or_of_no_use_is_no_line() {
    let (random, secret) = (hex(&[1; 32]), hex(&[2; 32]));
    for line in [
        String::new(),
        "# a comment".to_owned(),
        "CLIENT_RANDOM".to_owned(),
        format!("CLIENT_RANDOM {random}"),
        format!("CLIENT_RANDOM {random} "),
        format!("CLIENT_RANDOM {secret}{secret} {secret}"),
        format!("CLIENT_RANDOM {} {secret}", &random[2..]),
        format!("CLIENT_RANDOM {random} {}", &secret[1..]),
        format!("CLIENT_RANDOM {random} {secret}{secret}"),
        format!("CLIENT_RANDOM {random} {secret} x"),
        format!("CLIENT_RANDOM  {random} {secret}"),
        format!("CLIENT_RANDOM {random} {}g", &secret[1..]),
        format!("client_random {random} {secret}"),
        format!("CLIENT_HANDSHAKE_TRAFFIC_SECRET {random} {secret}"),
        format!("SERVER_TRAFFIC_SECRET_0 {random} {secret}"),
        format!("EXPORTER_SECRET {random} {secret}"),
    ] {
        assert!(Line::parse(line.as_bytes()).is_none(), "{line:?}");
    }
}

/// Without it, a message of a fault would hand out what it is about.
#[test]
fn no_secret_is_shown_by_debug() {
    let digits = hex(&[0xab; 48]);
    let line = format!("CLIENT_RANDOM {} {digits}", hex(&[1; 32]));
    let line = Line::parse(line.as_bytes()).unwrap();
    let secret = Secret::tls12(Suite::Aes256Gcm, line.secret(), [3; 32]).unwrap();
    let keys = secret.keys(&line.random);
    let mut session = Session::default();
    session.learn(secret.clone());
    for shown in [
        format!("{line:?} {line:#?}"),
        format!("{secret:?} {secret:#?}"),
        format!("{keys:?} {keys:#?}"),
        format!("{session:?} {session:#?}"),
    ] {
        let shown = shown.replace(['\n', ' ', ','], "");
        assert!(
            !shown.contains("abab") && !shown.contains("171171"),
            "{shown}"
        );
    }
}

#[test]
fn a_secret_of_another_length_is_none() {
    for length in 0..=64 {
        let bytes = vec![1; length];
        let is_some = |suite| Secret::tls13(suite, &bytes).is_some();
        assert_eq!(is_some(Suite::Aes128Gcm), length == 32);
        assert_eq!(is_some(Suite::Chacha20Poly1305), length == 32);
        assert_eq!(is_some(Suite::Aes256Gcm), length == 48);
        let master = Secret::tls12(Suite::Aes128Gcm, &bytes, [0; 32]);
        assert_eq!(master.is_some(), length == 48);
    }
}
