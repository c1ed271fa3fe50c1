//! Header blocks: the examples of RFC 7541, appendix C, and what breaks its rules.

use super::super::head::Outcome;
use super::super::hpack::{decode, Broken};
use super::super::huffman;
use super::super::table::Table;
use super::*;
use crate::recognise::Unrecognised;

/// What came of each block, of which nothing was said before.
fn outcomes(blocks: &[&[u8]]) -> Vec<(Outcome, Request)> {
    let (mut table, mut request) = (Table::new(), Request::default());
    let mut of = |block: &&[u8]| {
        let head = decode(block, &mut table, &mut request).unwrap();
        (head.finish(&mut request), request.clone())
    };
    blocks.iter().map(&mut of).collect()
}

fn outcome(block: &[u8]) -> Result<(Outcome, Request), Broken> {
    let mut request = Request::default();
    let head = decode(block, &mut Table::new(), &mut request)?;
    Ok((head.finish(&mut request), request))
}

fn get(target: &[u8], host: &[u8]) -> Request {
    let mut request = Request {
        target: target.iter().copied().collect(),
        host: crate::hash(host),
        wants_body: true,
        ..Request::default()
    };
    request.text.set_target(target.iter().copied());
    request.text.set_host(host);
    request
}

/// A literal that is not added, its name in the static table.
fn literal(index: u8, value: &[u8]) -> Vec<u8> {
    let index = match index {
        0..15 => vec![index],
        _ => vec![15, index - 15],
    };
    assert!(value.len() < 127);
    [&index[..], &[value.len() as u8], value].concat()
}

/// RFC 7541, C.2.2: a literal that is not added.
#[test]
fn a_literal() {
    let block = bytes("82 040c 2f73 616d 706c 652f 7061 7468");
    let (outcome, request) = outcome(&block).unwrap();
    assert_eq!(outcome, Outcome::Request);
    assert_eq!(request.target.as_slice(), b"/sample/path");
    assert_eq!(request.host, 0, "the client named none");
}

/// RFC 7541, C.3 and C.4: the same requests, without and with the Huffman code.
#[test]
fn three_requests_on_one_connection() {
    let plain = [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ];
    let coded = [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    for blocks in [plain, coded].map(|blocks| blocks.map(bytes)) {
        let [first, second, third] = &blocks;
        let targets: [&[u8]; 3] = [b"/", b"/", b"/index.html"];
        let expected = targets.map(|target| (Outcome::Request, get(target, b"www.example.com")));
        assert_eq!(outcomes(&[first, second, third]), expected);
        // Without the first block the host is not known, and only that.
        for (_, mut request) in outcomes(&[second]) {
            assert_eq!(core::mem::take(&mut request.host), 0);
            assert_eq!(request.target.as_slice(), b"/");
        }
    }
}

/// RFC 7541, C.4 and C.6.
#[test]
fn the_code() {
    for (code, text) in [
        ("6402", "302"),
        ("a8eb 1064 9cbf", "no-cache"),
        ("d07a be94 1054 d444 a820 0595 040b 8166 e082 a62d 1bff", "Mon, 21 Oct 2013 20:13:21 GMT"),
        ("9d29 ad17 1863 c78f 0b97 c8e9 ae82 ae43 d3", "https://www.example.com"),
        ("94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
         "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"),
    ] {
        let code = bytes(code);
        let mut decoded = huffman::Bytes::new(&code);
        assert_eq!(decoded.by_ref().collect::<Vec<_>>(), text.as_bytes());
        assert!(!decoded.is_broken());
    }
}

/// RFC 7541, 5.2: a padding of a byte or more, one with a zero, and the end's own code are errors.
#[test]
fn a_wrong_code_breaks_a_block() {
    for (code, is_right) in [
        ("60", false),
        ("63", true),
        ("63ff", false),
        ("62", false),
        ("61", false),
        ("63ffffffff", false),
        ("ffffffff", false),
        ("", false),
    ] {
        let code = bytes(code);
        let block = [&[0x82, 0x04, 0x80 | code.len() as u8], &code[..]].concat();
        // "/" is 011000: two ones are right behind it.
        let is_path = outcome(&block).is_ok_and(|(outcome, _)| outcome == Outcome::Request);
        assert_eq!(is_path, is_right, "{code:x?}");
        let is_refused = Ok(Outcome::NotUnderstood(Unrecognised::Refused));
        let expected = if code.is_empty() {
            is_refused
        } else {
            Err(Broken)
        };
        if !is_right {
            assert_eq!(outcome(&block).map(|(outcome, _)| outcome), expected);
        }
    }
}

/// RFC 7541, 5.1 (C.1 has the first one), 2.3.3, 4.2 and 6.
#[test]
fn what_breaks_the_rules() {
    let whole = outcome(&bytes("3f 9a0a 82 84")).unwrap();
    assert_eq!(whole.0, Outcome::Request, "a size of 1337");
    for block in [
        "80",
        "82 20",
        "ff",
        "ff 80",
        "ff ffffffff ff00",
        "ff ffffffff 7f",
        "ff 8080808080 00",
        "40",
        "40 01",
        "04 05 2f",
        "0f",
        "04 ff ffffffff 0f 2f",
    ] {
        assert_eq!(outcome(&bytes(block)), Err(Broken), "{block}");
    }
}

#[test]
fn an_index_that_nothing_is_known_of() {
    let of = |block: &[u8]| outcome(block).unwrap().0;
    let foreign = Outcome::NotUnderstood(Unrecognised::Foreign);
    assert_eq!(of(&bytes("82 be")), foreign, "it may be the path");
    assert_eq!(of(&bytes("be 84")), foreign, "it may be the method");
    assert_eq!(of(&bytes("82 84 ff 8001")), Outcome::Request);
    assert_eq!(of(&bytes("be")), Outcome::Either);
    assert_eq!(of(&bytes("58 00")), Outcome::Trailers);
    // Without it, an unknown authority would be taken for a host that stands behind it.
    let block = [&bytes("82 84 be")[..], &literal(38, b"h")].concat();
    assert_eq!(outcome(&block).unwrap().1.host, 0);
}

/// An empty table is known as a whole; older entries than the last size of zero are not.
#[test]
fn a_size_of_zero_empties_the_table() {
    let added = bytes("82 44 022f61");
    let foreign = Outcome::NotUnderstood(Unrecognised::Foreign);
    assert_eq!(outcomes(&[&added, &bytes("82 be")])[1].0, Outcome::Request);
    assert_eq!(outcomes(&[&added, &bytes("20 82 be")])[1].0, foreign);
    assert_eq!(
        outcomes(&[&added, &bytes("3f01 82 be")])[1].0,
        Outcome::Request
    );
}

#[test]
fn headers_that_decide_something() {
    let request = |more: &[u8]| {
        let block = [&bytes("82 84")[..], more].concat();
        outcome(&block).unwrap()
    };
    let (_, ranged) = request(&literal(50, b"bytes=10-19"));
    assert_eq!(ranged.ranges.hull(), (10, Some(10)));
    for condition in [39, 40, 41, 43] {
        assert!(request(&literal(condition, b"\"1\"")).1.conditional);
    }
    assert!(!request(&literal(42, b"\"1\"")).1.conditional, "if-range");
    let new_name = b"\x00\x13if-unmodified-since\x01x";
    assert!(request(new_name).1.conditional);
    assert_eq!(request(&literal(38, b"H:1")).1.host, crate::hash(b"h"));
    let (_, plain) = request(&literal(32, b"a=b"));
    assert_eq!(
        plain,
        Request {
            host: 0,
            ..get(b"/", b"")
        }
    );
}

/// Servers refuse them, or differ in what they take. Without it, the files of one host could be taught to another.
#[test]
fn two_names_are_none() {
    let of = |more: &[Vec<u8>]| {
        let block = [&bytes("82 84")[..], &more.concat()].concat();
        outcome(&block).unwrap().0
    };
    let refused = Outcome::NotUnderstood(Unrecognised::Refused);
    assert_eq!(of(&[literal(1, b"a"), literal(38, b"b")]), refused);
    assert_eq!(of(&[literal(38, b"a"), literal(38, b"b")]), refused);
    assert_eq!(of(&[literal(1, b"a"), literal(1, b"a")]), refused);
    assert_eq!(of(&[literal(4, b"/")]), refused, "two paths");
    assert_eq!(
        of(&[literal(1, b"A:1"), literal(38, b"a")]),
        Outcome::Request
    );
}

#[test]
fn none_to_predict_for() {
    let of = |fields: &[Vec<u8>]| outcome(&fields.concat()).unwrap().0;
    let foreign = Outcome::NotUnderstood(Unrecognised::Foreign);
    let refused = Outcome::NotUnderstood(Unrecognised::Refused);
    assert_eq!(of(&[vec![0x83], literal(4, b"/")]), foreign, "POST");
    assert_eq!(of(&[literal(2, b"CONNECT"), literal(1, b"a")]), foreign);
    assert_eq!(of(&[literal(2, b"OPTIONS"), literal(4, b"*")]), foreign);
    assert_eq!(
        of(&[literal(2, b"HEAD"), literal(4, b"/")]),
        Outcome::Request
    );
    for path in [&b"/../x"[..], b"/a%00", b"", b"?a", b"*"] {
        assert_eq!(of(&[vec![0x82], literal(4, path)]), refused);
    }
}
