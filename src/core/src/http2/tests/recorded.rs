//! What curl, h2load, Chromium and Python `h2` sent: see `recorded/README.md`.

use super::*;
use crate::recognise::{decode_target, hash_host, Coding, Codings, Ranges, Unrecognised};
use proptest::prelude::*;

/// A connection: its records, and the requests in them.
pub(super) struct Recorded {
    name: &'static str,
    pub(super) records: Vec<&'static [u8]>,
    requests: Vec<(Event, Option<Request>)>,
}

impl Recorded {
    fn new(name: &'static str, mut bytes: &'static [u8], lines: &str) -> Recorded {
        let mut records = Vec::new();
        while let Some((length, rest)) = bytes.split_first_chunk() {
            let (record, behind) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
            records.push(record);
            bytes = behind;
        }
        let requests = lines.lines().map(expected).collect();
        Recorded {
            name,
            records,
            requests,
        }
    }

    pub(super) fn all() -> Vec<Recorded> {
        macro_rules! recorded {
            ($($name:literal)*) => {
                vec![$(Recorded::new(
                    $name,
                    include_bytes!(concat!("recorded/", $name, ".records")),
                    include_str!(concat!("recorded/", $name, ".requests")),
                )),*]
            };
        }
        recorded!["curl" "h2load" "chromium" "python-h2"]
    }
}

/// What a line says: stream, method, authority, path, range, conditions.
fn expected(line: &str) -> (Event, Option<Request>) {
    let fields: Vec<&str> = line.split(' ').collect();
    let [stream, method, authority, path, span, condition] = fields[..] else {
        panic!("{line}");
    };
    let stream = stream.parse().unwrap();
    if !matches!(method, "GET" | "HEAD") {
        let reason = Unrecognised::Foreign;
        return (Event::NotUnderstood { stream, reason }, None);
    }
    let mut request = Request {
        host: hash_host(authority.as_bytes()),
        ranges: Ranges::of(span.as_bytes()),
        wants_body: method == "GET",
        conditional: condition == "conditional",
        ..Request::default()
    };
    request.text.set_target(path.bytes());
    request.text.set_host(authority.as_bytes());
    let path = path.split(['?', '#']).next().unwrap();
    decode_target(path.as_bytes(), &mut request.target).unwrap();
    (Event::Request { stream }, Some(request))
}

fn without_codings((event, request): (Event, Option<Request>)) -> (Event, Option<Request>) {
    let codings = Codings::default();
    let request = request.map(|request| Request { codings, ..request });
    (event, request)
}

fn stream(event: Event) -> u32 {
    match event {
        Event::Request { stream } | Event::NotUnderstood { stream, .. } => stream,
        Event::Reset { stream } => stream,
    }
}

/// But for those that the client takes back, which the lines do not tell.
fn requests_of<'a>(
    connection: &mut Connection,
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<(Event, Option<Request>)> {
    let mut told = told(connection, parts);
    told.retain(|(event, _)| !matches!(event, Event::Reset { .. }));
    told
}

#[test]
fn all_requests_are_recognised() {
    for recorded in Recorded::all() {
        assert!(recorded.requests.len() >= 30);
        for mut connection in [Connection::new(), Connection::late()] {
            let told = requests_of(&mut connection, recorded.records.iter().copied());
            // What a client takes is not in the record, but Chromium is known.
            let takes = |request: &Request| request.codings.surely_have(Coding::Brotli);
            let mut requests = told.iter().filter_map(|(_, request)| request.as_ref());
            assert!(recorded.name != "chromium" || requests.any(takes));
            let told: Vec<_> = told.into_iter().map(without_codings).collect();
            assert_eq!(told, recorded.requests, "{}", recorded.name);
            assert!(connection.is_between_frames());
        }
    }
}

/// Without it, a connection that was there before the library looked could teach what it never asked for.
#[test]
fn from_any_record_on_none_is_wrong() {
    for recorded in Recorded::all() {
        let (mut whole, mut in_part, mut unknown) = (0, 0, 0);
        for begin in 1..recorded.records.len() {
            let records = recorded.records[begin..].iter().copied();
            for (event, request) in requests_of(&mut Connection::late(), records) {
                let of_stream =
                    |(other, _): &&(Event, Option<Request>)| stream(*other) == stream(event);
                let (_, right) = recorded.requests.iter().find(of_stream).unwrap();
                let Some(request) = request else {
                    unknown += usize::from(right.is_some());
                    continue;
                };
                let mut right = right.clone().expect("one to predict for");
                // It is not in the record.
                right.codings = request.codings;
                if request == right {
                    whole += 1;
                    continue;
                }
                in_part += 1;
                // What is not known is as if it were not there.
                if request.host == 0 {
                    right.host = 0;
                    right.text.has_no_host();
                }
                right.conditional &= request.conditional;
                if request.ranges.are_all() {
                    right.ranges = request.ranges;
                }
                assert_eq!(request, right, "{}", recorded.name);
            }
        }
        println!(
            "{}: {whole} whole, {in_part} in part, {unknown} unknown",
            recorded.name
        );
        assert!(whole + in_part > unknown);
    }
}

proptest! {
    /// Without it, a request whose head two reads share would be another one. Each part is read by a copy first, as a look does.
    #[test]
    fn parts_make_no_difference(lengths in prop::collection::vec(1_usize..300, 1..40)) {
        for recorded in Recorded::all() {
            let bytes = recorded.records.concat();
            let (mut connection, mut scratch) = (Connection::new(), Connection::late());
            let (mut rest, mut told) = (&bytes[..], Vec::new());
            for length in lengths.iter().cycle() {
                let (part, behind) = rest.split_at(rest.len().min(*length));
                scratch.clone_from(&connection);
                let seen = requests_of(&mut scratch, [part]);
                prop_assert_eq!(&requests_of(&mut connection, [part]), &seen);
                prop_assert_eq!(connection.is_between_frames(), scratch.is_between_frames());
                core::mem::swap(&mut connection, &mut scratch);
                told.extend(seen);
                rest = behind;
                if rest.is_empty() {
                    break;
                }
            }
            let told: Vec<_> = told.into_iter().map(without_codings).collect();
            prop_assert_eq!(&told, &recorded.requests);
        }
    }
}
