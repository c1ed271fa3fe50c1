//! Random header blocks, joined at every point, compared with a strict decoder that was there from the start.

use super::super::head::Outcome;
use super::super::hpack::decode;
use super::super::table::Table;
use super::*;
use crate::recognise::{decode_target, hash_host, is_condition, Codings, Ranges, Unrecognised};
use httlib_hpack::Encoder;

/// How many blocks are encoded, unless `LAIO_HPACK_BLOCKS` says so.
const BLOCKS: usize = 2_000;

/// Blocks of one connection: more than a table has entries for.
const CONNECTION: usize = 40;

type Field = (Vec<u8>, Vec<u8>);

/// Numbers by chance, the same ones in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn any<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

fn path(random: &mut Random) -> String {
    let number = random.below(40);
    match random.below(9) {
        0 => "/".to_owned(),
        1 => "/index.html".to_owned(),
        2 => format!("/a%20b/{number}.html?q=%2e%2E"),
        3 => format!("/%C3%A4/{number}%#x"),
        4 => format!("/{}/../x", random.any(&["a", "%2e%2e", ".."])),
        5 => format!("/{}", "long/".repeat(number * 6)),
        6 => "*".to_owned(),
        _ => format!("/img/{number}.png"),
    }
}

/// The fields of a request, or of trailers.
fn fields(random: &mut Random) -> Vec<Field> {
    let mut fields: Vec<(&str, String)> = Vec::new();
    if !random.one_in(10) {
        let method = random.any(&["GET", "GET", "GET", "GET", "HEAD", "POST", "PURGE"]);
        let name = random.any(&["a.example", "A.example:443", "b", "[::1]:80", ""]);
        fields.push((":method", method.to_owned()));
        fields.push((":scheme", random.any(&["http", "https"]).to_owned()));
        fields.push((":path", path(random)));
        if !random.one_in(3) {
            fields.push((":authority", name.to_owned()));
        }
        if random.one_in(2) {
            let place = random.below(fields.len());
            fields.swap(0, place);
        }
        if random.one_in(3) {
            fields.push(("host", name.to_owned()));
        }
    }
    match (random.below(8), random.below(50)) {
        (0, number) => fields.push(("range", format!("bytes={number}-"))),
        (1, number) => fields.push(("range", format!("bytes={number}-{}", number * 2))),
        (2, number) => fields.push(("range", format!("bytes=-{number},{number}00000-"))),
        (3, _) => fields.push(("accept-encoding", "gzip, deflate".to_owned())),
        (4, _) => fields.push(("accept-encoding", "gzip;q=0, br".to_owned())),
        _ => {}
    }
    for _ in 0..=random.below(6) {
        let number = random.below(50);
        fields.push(match random.below(8) {
            0 => ("if-none-match", format!("\"{number}\"")),
            1 => (
                "if-unmodified-since",
                "Sat, 28 Nov 2026 20:00:00 GMT".to_owned(),
            ),
            2 | 3 => ("cookie", "c".repeat(number * 8)),
            4 => ("x-if-match", number.to_string()),
            5 => ("x-rather-long-name-of-something", String::new()),
            6 => ("x", "\u{7f}\u{e4}\0".repeat(number)),
            _ => ("user-agent", format!("Agent/{number}")),
        });
    }
    let bytes = |(name, value): (&str, String)| (name.as_bytes().to_vec(), value.into_bytes());
    fields.into_iter().map(bytes).collect()
}

/// Encodes them in one of the many ways that are allowed.
fn encode(
    random: &mut Random,
    encoder: &mut Encoder<'_>,
    most: usize,
    fields: &[Field],
) -> Vec<u8> {
    let mut block = Vec::new();
    while random.one_in(12) {
        let size = random.below(most + 1) * random.below(2);
        encoder
            .update_max_dynamic_size(size as u32, &mut block)
            .unwrap();
    }
    for (name, value) in fields {
        let added = [
            Encoder::WITH_INDEXING,
            Encoder::WITH_INDEXING,
            Encoder::NEVER_INDEXED,
            0,
        ];
        let mut flags = added[random.below(4)] | [0, Encoder::HUFFMAN_NAME][random.below(2)];
        flags |= [0, Encoder::HUFFMAN_VALUE][random.below(2)];
        flags |= [0, Encoder::BEST_FORMAT, Encoder::BEST_FORMAT][random.below(3)];
        encoder
            .encode((name.clone(), value.clone(), flags), &mut block)
            .unwrap();
    }
    block
}

/// What these fields ask for.
fn expected(fields: &[Field]) -> (Outcome, Request) {
    let mut request = Request::default();
    let value = |wanted: &[u8]| {
        let field = fields.iter().rev().find(|(name, _)| name == wanted);
        field.map(|(_, value)| &value[..])
    };
    let Some(path) = value(b":path") else {
        return (Outcome::Trailers, request);
    };
    request.wants_body = match value(b":method").unwrap() {
        b"GET" => true,
        b"HEAD" => false,
        _ => return (Outcome::NotUnderstood(Unrecognised::Foreign), request),
    };
    request.text.set_target(path.iter().copied());
    let path = path.split(|byte| b"?#".contains(byte)).next().unwrap();
    if let Err(reason) = decode_target(path, &mut request.target) {
        return (Outcome::NotUnderstood(reason), request);
    }
    let host = value(b":authority").or(value(b"host"));
    request.host = host.map_or(0, hash_host);
    request.text.set_host(host.unwrap_or_default());
    request.ranges = value(b"range").map_or(Ranges::default(), Ranges::of);
    request.codings = value(b"accept-encoding").map_or(Codings::default(), Codings::of);
    request.conditional = fields.iter().any(|(name, _)| is_condition(name));
    (Outcome::Request, request)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Right,
    Unknown,
    Wrong,
}

/// What is not known is not guessed.
fn is_said(got: Option<&[u8]>, wanted: Option<&[u8]>) -> bool {
    got.is_none() || got == wanted
}

fn judge(got: Outcome, request: &Request, expected: &(Outcome, Request)) -> Verdict {
    let (outcome, wanted) = expected;
    match (got, outcome) {
        (Outcome::Request, Outcome::Request) => {
            let known = [
                request.host == wanted.host,
                request.conditional == wanted.conditional,
            ];
            let is_right_span = request.ranges == wanted.ranges;
            let is_right_coding = request.codings == wanted.codings;
            // What is unknown is as if it were not there.
            let may_be = (known[0] || request.host == 0)
                && (known[1] || !request.conditional)
                && (is_right_span || request.ranges.are_all())
                && (is_right_coding || request.codings == Codings::UNKNOWN)
                && is_said(request.text.target(), wanted.text.target())
                && is_said(request.text.host_and_port(), wanted.text.host_and_port())
                && (&request.target, request.wants_body) == (&wanted.target, wanted.wants_body);
            match known == [true; 2] && is_right_span && is_right_coding {
                _ if !may_be => Verdict::Wrong,
                true => Verdict::Right,
                false => Verdict::Unknown,
            }
        }
        (Outcome::Either, _) => Verdict::Unknown,
        (got, outcome) if got == *outcome => Verdict::Right,
        (
            Outcome::NotUnderstood(Unrecognised::Foreign),
            Outcome::Request | Outcome::NotUnderstood(_),
        ) => Verdict::Unknown,
        _ => Verdict::Wrong,
    }
}

/// What came of one connection's blocks from `begin` on.
fn join(blocks: &[Vec<u8>], expected: &[(Outcome, Request)], begin: usize) -> [usize; 3] {
    let (mut table, mut request) = (Table::new(), Request::default());
    let mut counts = [0; 3];
    for (block, expected) in blocks.iter().zip(expected).skip(begin) {
        let head = decode(block, &mut table, &mut request).expect("it breaks no rule");
        let outcome = head.finish(&mut request);
        let verdict = judge(outcome, &request, expected);
        counts[verdict as usize] += 1;
        assert_ne!(
            verdict,
            Verdict::Wrong,
            "{outcome:?} {request:?}, not {expected:?}"
        );
        // Copies know the same.
        if begin % 8 == 1 {
            table = table.clone();
        }
    }
    counts
}

/// Without it, what a client's table is taken for could be another client's file.
#[test]
fn blocks_joined_at_any_point_are_never_wrong() {
    let wanted = std::env::var("LAIO_HPACK_BLOCKS").map_or(BLOCKS, |value| value.parse().unwrap());
    let mut random = Random(0x6c61_696f_6870_6163);
    let (mut count, mut late) = (0, [0; 3]);
    while count < wanted {
        // Few servers allow a larger table than at first; not all of that is kept.
        let is_large = random.one_in(4);
        let most = if is_large { 1 << 16 } else { 4096 };
        let mut encoder = Encoder::default();
        let mut strict = loona_hpack::Decoder::new();
        let (mut blocks, mut wanted) = (Vec::new(), Vec::new());
        for _ in 0..CONNECTION {
            let fields = fields(&mut random);
            let block = encode(&mut random, &mut encoder, most, &fields);
            assert_eq!(strict.decode(&block).unwrap(), fields);
            wanted.push(expected(&fields));
            blocks.push(block);
        }
        count += CONNECTION;
        let [_, unknown, _] = join(&blocks, &wanted, 0);
        assert!(unknown == 0 || is_large, "all was there to be known");
        for begin in 1..CONNECTION {
            let counts = join(&blocks, &wanted, begin);
            late.iter_mut()
                .zip(counts)
                .for_each(|(sum, count)| *sum += count);
        }
    }
    let [right, unknown, wrong] = late;
    println!("{count} blocks, joined at each: {right} right, {unknown} unknown, {wrong} wrong");
    assert!(right > unknown);
}
