//! Tables of header fields: what is asked for by an index, tables that change their size, and clients that were there before the loop
//! began to look.

use crate::site::{get, receive, visit_all, Served, Site, COLD, LINES, WARM};
use anyhow::Context as _;
use laio_tests::http2::{Client, Coding, Request};
use laio_tests::server::Kind;
use laio_tests::tally::Documents;
use laio_tests::Result;
use std::ops::Range;

const AT_ONCE: usize = 4;

/// How fields are encoded, one way after the other on the same connection.
fn codings() -> Vec<Coding> {
    let browser = Coding::BROWSER;
    let sized = |sizes| Coding {
        sizes,
        ..Coding::INDEXED
    };
    vec![
        Coding::BROWSER,
        Coding::INDEXED,
        Coding::LITERAL,
        Coding {
            huffman: false,
            ..Coding::INDEXED
        },
        Coding {
            never: true,
            index_others: false,
            ..browser.clone()
        },
        Coding {
            by_index: false,
            ..Coding::INDEXED
        },
        sized(&[0]),
        Coding::BROWSER,
        sized(&[0, 4096]),
        sized(&[200]),
        Coding::INDEXED,
        sized(&[0, 1000]),
        sized(&[4096]),
    ]
}

fn request(documents: Documents, number: usize, coding: &Coding) -> Request {
    Request {
        coding: coding.clone(),
        authority: ["localhost", "other.test"][number % 2].into(),
        ..get(documents, number)
    }
}

fn ask(
    client: &mut Client,
    documents: Documents,
    numbers: Range<usize>,
    coding: &Coding,
) -> Result {
    visit_all(client, documents, numbers, AT_ONCE, |number| {
        request(documents, number, coding)
    })
    .with_context(|| format!("{coding:?}"))
}

/// A client from whose first byte on somebody looks, where anybody does.
fn from_the_start(site: &Site, served: &Served) -> Result {
    let mut client = served.connect()?;
    for coding in codings() {
        // A table's size is set once, at the beginning of a block.
        let number = served.cold()?;
        let stream = client.ask(&request(COLD, number, &coding))?;
        receive(&mut client, stream, COLD, number).with_context(|| format!("{coding:?}"))?;
        let coding = Coding {
            sizes: &[],
            ..coding
        };
        ask(&mut client, COLD, served.colds(5)?, &coding)?;
    }
    // The paths are in the table, the documents are not in memory.
    let numbers = served.colds(20)?;
    for _ in 0..3 {
        ask(&mut client, COLD, numbers.clone(), &Coding::INDEXED)?;
        site.cool(numbers.clone())?;
    }
    Ok(())
}

/// A client that has asked while nobody looked.
struct Early {
    client: Client,
    coding: Coding,
    numbers: Range<usize>,
}

impl Early {
    fn join(served: &Served, coding: Coding, numbers: Range<usize>) -> Result<Self> {
        let mut client = served.connect()?;
        ask(&mut client, WARM, numbers.clone(), &coding)?;
        Ok(Self {
            client,
            coding,
            numbers,
        })
    }

    /// What it knows is older than who looks.
    fn goes_on(&mut self, site: &Site, served: &Served) -> Result {
        for _ in 0..2 {
            ask(&mut self.client, COLD, served.colds(6)?, &self.coding)?;
            ask(&mut self.client, WARM, self.numbers.clone(), &self.coding)?;
        }
        // By an index that came before and one that came since, and cold.
        let numbers = served.colds(4)?;
        ask(&mut self.client, COLD, numbers.clone(), &self.coding)?;
        site.cool(numbers.clone())?;
        ask(&mut self.client, COLD, numbers, &self.coding)?;
        let resized = Coding {
            sizes: &[0, 2000],
            ..self.coding.clone()
        };
        let number = served.cold()?;
        let stream = self.client.ask(&request(COLD, number, &resized))?;
        receive(&mut self.client, stream, COLD, number)?;
        ask(&mut self.client, COLD, served.colds(6)?, &self.coding)
    }
}

fn visit(site: &Site, served: &Served) -> Result {
    let mut early = vec![
        Early::join(served, Coding::BROWSER, 0..4)?,
        Early::join(served, Coding::INDEXED, 0..8)?,
        Early::join(served, Coding::LITERAL, 4..8)?,
    ];
    from_the_start(site, served)?;
    for one in &mut early {
        let went = one.goes_on(site, served);
        went.with_context(|| format!("a client that came early, {:?}", one.coding))?;
    }
    Ok(())
}

/// All of it on one server; nobody looks before the first stall.
pub fn of_fields(kind: Kind) -> Result {
    let site = Site::up()?;
    let [_, learning, _] = site.ways()?;
    site.same(kind, &LINES, &[learning], 20, |served| visit(&site, served))
}
