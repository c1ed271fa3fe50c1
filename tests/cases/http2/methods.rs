//! Methods, bodies of requests, conditions and ranges: what a server says to them is the same.

use crate::site::{check, get, visit, Served, Site, COLD, LINES, WARM};
use anyhow::{ensure, Context as _};
use laio_tests::http2::frames;
use laio_tests::http2::{Answer, Client, Request};
use laio_tests::server::Kind;
use laio_tests::Result;

/// What was asked for, and what came: the status, the error that ended the stream, fields, how long the body is.
type Seen = Vec<(String, u16, Option<u32>, Vec<String>, usize)>;

/// Fields that are the same at any time and on any port.
const FIELDS: [&str; 6] = [
    "content-length",
    "content-range",
    "content-type",
    "accept-ranges",
    "allow",
    "etag",
];

fn saw(seen: &mut Seen, what: String, answer: &Answer) {
    let fields = FIELDS.iter().filter_map(|name| {
        // A boundary between parts is another one each time.
        let value = answer.header(name)?.split(';').next()?;
        Some(format!("{name}: {value}"))
    });
    let fields = fields.collect();
    seen.push((what, answer.status, answer.reset, fields, answer.body.len()));
}

/// What looks like something else in a body.
fn bodies() -> [(&'static str, Vec<u8>); 4] {
    // Frames of a stream that there is not: they are bytes of a body.
    let headers = frames::frame(
        frames::HEADERS,
        frames::END_STREAM | frames::END_HEADERS,
        99,
        b"\x82\x84\x87\x04\x09/cold/f1.",
    );
    let mut inside = [frames::PREFACE, &headers].concat();
    inside.extend(frames::ping(1));
    let http = laio_tests::http::request("GET", "/cold/f650.html", "localhost", "");
    [
        ("nothing", Vec::new()),
        ("frames", inside.repeat(90)),
        ("requests", http.repeat(60)),
        ("many requests", http.repeat(600)),
    ]
}

/// How a body is sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    size: usize,
    padding: u8,
    trailers: bool,
}

const SENT: [Sent; 3] = [
    Sent {
        size: 700,
        padding: 0,
        trailers: false,
    },
    Sent {
        size: 16_000,
        padding: 0,
        trailers: true,
    },
    Sent {
        size: 5000,
        padding: 33,
        trailers: false,
    },
];

/// Sends a request with this body.
fn send(client: &mut Client, body: &[u8], how: Sent) -> Result<u32> {
    let length = body.len().to_string();
    let mut request = Request::new("POST", &WARM.target(1)).with("content-length", &length);
    request.ends = false;
    let stream = client.ask(&request)?;
    if how.padding > 0 && body.len() < 15_000 {
        let (first, rest) = body.split_at(body.len() / 2);
        let mut bytes = frames::padded_data(stream, first, how.padding, false);
        bytes.extend(frames::padded_data(stream, rest, how.padding, true));
        client.send(&bytes)?;
    } else {
        client.send_body(stream, body, how.size, !how.trailers)?;
    }
    if how.trailers {
        let last = client.trailers(stream, &[("x-sum", "1234")])?;
        client.send(&last)?;
    }
    Ok(stream)
}

/// Requests with bodies, each with a cold document before it, and one behind it that may be asked for before the first is answered.
fn post(served: &Served, seen: &mut Seen) -> Result {
    for (what, body) in bodies() {
        for how in SENT {
            let what = format!("{what}, {how:?}");
            let mut client = served.connect()?;
            client.allowed()?;
            visit(&mut client, COLD, served.cold()?)?;
            let (number, last) = (served.cold()?, served.cold()?);
            let answered = send(&mut client, &body, how).and_then(|stream| {
                let behind = client.ask(&get(COLD, number))?;
                Ok((client.answer(stream)?, behind))
            });
            // Some servers take no trailers, and end the connection, before or after they have answered.
            let (mut first, mut goes_on) = (Answer::default(), false);
            if let Ok((answer, behind)) = answered {
                first = answer;
                if let Ok(answer) = client.answer(behind) {
                    check(COLD, number, &answer)?;
                    goes_on = visit(&mut client, COLD, last).is_ok();
                }
            }
            if !how.trailers {
                // A stream that is answered may be ended before or after the rest of its request is read.
                first.reset = None;
                saw(seen, format!("{what}: goes on: {goes_on}"), &first);
            }
        }
    }
    Ok(())
}

/// Requests that are answered with less than a document, or with something else.
fn others(served: &Served, seen: &mut Seen) -> Result {
    let mut client = served.connect()?;
    let mut first = served.connect()?;
    let number = served.cold()?;
    let stream = first.ask(&get(COLD, number))?;
    let whole = first.answer(stream)?;
    let cold = |more: &[(&str, &str)]| -> Result<Request> {
        let request = get(COLD, served.cold()?);
        Ok(more.iter().fold(request, |it, (n, v)| it.with(n, v)))
    };
    let date = "Fri, 31 Dec 2100 23:59:59 GMT";
    let mut requests = vec![
        cold(&[("range", "bytes=0-99")])?,
        cold(&[("range", "bytes=500-")])?,
        cold(&[("range", "bytes=-300")])?,
        cold(&[("range", "bytes=9000-")])?,
        cold(&[("range", "bytes=10-19,30-39")])?,
        cold(&[("if-modified-since", date)])?,
        cold(&[("if-unmodified-since", "Fri, 31 Dec 1999 23:59:59 GMT")])?,
        cold(&[("if-none-match", "\"nothing\"")])?,
        Request::get("/cold/there-is-no-such.html"),
        Request::get(&format!("{}?a=b", COLD.target(served.cold()?))),
        Request::get("/cold/../warm/f1.html"),
        Request::new("DELETE", &COLD.target(served.cold()?)),
        Request::new("OPTIONS", &COLD.target(served.cold()?)),
    ];
    if let Some(etag) = whole.header("etag") {
        let request = get(COLD, number).with("if-none-match", etag);
        requests.push(request);
    }
    for _ in 0..3 {
        requests.push(Request::new("HEAD", &COLD.target(served.cold()?)));
    }
    for request in requests {
        let what = format!("{} {:?}", request.method, request.fields.last());
        let stream = client.ask(&request)?;
        let answer = client.answer(stream).with_context(|| what.clone())?;
        saw(seen, what, &answer);
    }
    visit(&mut client, COLD, served.cold()?)?;
    // Cold ones beside those that get no document.
    let mut asked = Vec::new();
    for (at, number) in served.colds(6)?.enumerate() {
        let method = ["HEAD", "GET"][at % 2];
        asked.push((
            method,
            client.ask(&Request::new(method, &COLD.target(number)))?,
        ));
    }
    for (method, stream) in asked {
        let answer = client.answer(stream)?;
        let length = if method == "GET" { COLD.length } else { 0 };
        ensure!(answer.body.len() == length, "{method}: {answer:?}");
        saw(seen, method.into(), &answer);
    }
    Ok(())
}

/// Requests that may end the connection, each on one of its own.
fn strange(served: &Served, seen: &mut Seen) -> Result {
    let connect = Request {
        path: None,
        authority: "localhost:80".into(),
        ..Request::new("CONNECT", "")
    };
    let mut upper = get(COLD, served.cold()?);
    upper.fields.push(("Upper".into(), "x".into()));
    let strange = [
        ("CONNECT", connect),
        ("OPTIONS *", Request::new("OPTIONS", "*")),
        ("a path without a slash", Request::get("cold/f1.html")),
        ("an empty path", Request::get("")),
        ("a name in upper case", upper),
        ("TRACE", Request::new("TRACE", "/")),
    ];
    for (what, request) in strange {
        let mut client = served.connect()?;
        visit(&mut client, COLD, served.cold()?)?;
        let stream = client.ask(&request)?;
        match client.answer(stream) {
            Ok(answer) => saw(seen, what.into(), &answer),
            Err(_) => seen.push((format!("{what}: the end"), 0, None, Vec::new(), 0)),
        }
        let goes_on = visit(&mut client, COLD, served.cold()?).is_ok();
        seen.push((format!("{what}: goes on: {goes_on}"), 0, None, vec![], 0));
    }
    Ok(())
}

/// All of it on one server.
pub fn all(kind: Kind) -> Result {
    let site = Site::up()?;
    let [stock, _, pinned] = site.ways()?;
    site.same(kind, &LINES, &[stock, pinned], 10, |served| {
        let mut seen = Seen::new();
        post(served, &mut seen).context("bodies")?;
        others(served, &mut seen).context("others")?;
        strange(served, &mut seen).context("strange")?;
        Ok(seen)
    })
}
