//! Connections that begin with HTTP/1.1 and go on with HTTP/2.

use crate::site::{check, get, receive, visit_all, Line, Served, Site, COLD, WARM};
use anyhow::{ensure, Context as _};
use laio_tests::http::Connection;
use laio_tests::http2::{Client, Coding, Request, Settings};
use laio_tests::server::Kind;
use laio_tests::tally::Documents;
use laio_tests::Result;

/// A connection whose first request, for this document, asks for the change.
fn upgrade(served: &Served, documents: Documents, number: usize) -> Result<Client> {
    let line = Connection::open(served.server.address)?;
    let target = documents.target(number);
    let mut client = Client::upgrade(line, &Settings::default(), "GET", &target)?;
    let answer = client.answer(1);
    check(documents, number, &answer.context("the first request")?)?;
    Ok(client)
}

fn visit(served: &Served) -> Result {
    for round in 0..4 {
        let mut client = match round % 2 {
            0 => upgrade(served, COLD, served.cold()?)?,
            _ => upgrade(served, WARM, round)?,
        };
        let coding = [Coding::BROWSER, Coding::INDEXED][round / 2].clone();
        for at_once in [1, 8] {
            visit_all(&mut client, COLD, served.colds(12)?, at_once, |number| {
                Request {
                    coding: coding.clone(),
                    ..get(COLD, number)
                }
            })
            .with_context(|| format!("{at_once} at once, after the change"))?;
        }
    }
    // The first request is answered by HTTP/2 when others have been asked for.
    let line = Connection::open(served.server.address)?;
    let first = served.cold()?;
    let mut client = Client::upgrade(line, &Settings::default(), "GET", &COLD.target(first))?;
    let mut asked = vec![(1, first)];
    for number in served.colds(5)? {
        asked.push((client.ask(&get(COLD, number))?, number));
    }
    for (stream, number) in asked {
        receive(&mut client, stream, COLD, number)?;
    }
    // A head, behind requests by HTTP/1.1 that ask for no change.
    let mut line = Connection::open(served.server.address)?;
    for _ in 0..2 {
        let number = served.cold()?;
        COLD.ask(&mut line, number)?;
        COLD.receive(&mut line, number)?;
    }
    let target = COLD.target(served.cold()?);
    let mut client = Client::upgrade(line, &Settings::default(), "HEAD", &target)?;
    let answer = client.answer(1)?;
    ensure!(answer.status == 200 && answer.body.is_empty(), "{answer:?}");
    visit_all(&mut client, COLD, served.colds(10)?, 4, |n| get(COLD, n))
}

/// All of it on one server.
pub fn from_http1(kind: Kind) -> Result {
    let site = Site::up()?;
    site.same(kind, &[Line::Clear], &site.ways()?[1..], 20, visit)
}
