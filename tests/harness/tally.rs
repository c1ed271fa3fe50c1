//! Many clients that each ask for one document after the other, and count: right answers, wrong ones, and requests without one.

use crate::docroot;
use crate::http::{request, Connection};
use crate::Result;
use anyhow::bail;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;

/// Documents of one length, `f0.html` and so on, in a directory of the site.
#[derive(Clone, Copy, Debug)]
pub struct Documents {
    /// Where they are: empty, or a name that ends in `/`.
    pub directory: &'static str,
    /// How many there are.
    pub count: usize,
    /// How long each is.
    pub length: usize,
}

impl Documents {
    fn name(number: usize) -> String {
        format!("f{number}.html")
    }

    /// Writes them below this directory.
    pub fn write(self, root: &Path) -> Result {
        (0..self.count).try_for_each(|n| docroot::write(root, &Self::name(n), self.length))
    }

    /// Where a server has one of them.
    pub fn target(self, number: usize) -> String {
        format!("/{}{}", self.directory, Self::name(number))
    }

    /// What one of them consists of.
    pub fn content(self, number: usize) -> Vec<u8> {
        docroot::content(&Self::name(number), self.length)
    }

    /// Asks for one of them.
    pub fn ask(self, connection: &mut Connection, number: usize) -> Result {
        connection.send(&request("GET", &self.target(number), "localhost", ""))
    }

    /// Reads the answer; whether the connection stays.
    pub fn receive(self, connection: &mut Connection, number: usize) -> Result<bool> {
        let response = connection.response(false)?;
        if response.status != 200 {
            bail!("status {}", response.status);
        }
        if response.body != self.content(number) {
            bail!("another body than the document's");
        }
        Ok(!response.closes())
    }
}

/// What clients got.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How many answers were complete and right.
    pub right: usize,
    /// What each of the others was.
    pub failures: Vec<String>,
}

impl Tally {
    /// Adds a request's outcome.
    pub fn count<T>(&mut self, number: usize, outcome: Result<T>) {
        match outcome {
            Ok(_) => self.right += 1,
            Err(error) => self.failures.push(format!("{number}: {error:#}")),
        }
    }

    /// Fails unless all of them were right.
    pub fn all_right(&self, wanted: usize) -> Result {
        if self.right != wanted || !self.failures.is_empty() {
            let shown: Vec<_> = self.failures.iter().take(10).cloned().collect();
            bail!(
                "{} of {wanted} answers were right, {} wrong or lost:\n{}",
                self.right,
                self.failures.len(),
                shown.join("\n")
            );
        }
        Ok(())
    }
}

/// Asks for the documents of a range, each once. A client keeps its connection for `kept` requests.
pub fn ask_for(
    documents: Documents,
    range: std::ops::Range<usize>,
    address: SocketAddr,
    clients: usize,
    kept: usize,
) -> Tally {
    ask_over(
        documents,
        range,
        || Connection::open(address),
        clients,
        kept,
    )
}

/// The same over connections that are opened so.
pub fn ask_over(
    documents: Documents,
    range: std::ops::Range<usize>,
    open: impl Fn() -> Result<Connection> + Sync,
    clients: usize,
    kept: usize,
) -> Tally {
    let next = AtomicUsize::new(range.start);
    let tally = Mutex::new(Tally::default());
    let one = |number: usize, at: &mut Option<(Connection, usize)>| -> Result {
        let (mut connection, uses) = match at.take() {
            Some(kept) => kept,
            None => (open()?, 0),
        };
        documents.ask(&mut connection, number)?;
        if documents.receive(&mut connection, number)? && uses + 1 < kept {
            *at = Some((connection, uses + 1));
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut connection = None;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= range.end {
                        return;
                    }
                    let outcome = one(number, &mut connection);
                    let mut tally = tally.lock().unwrap_or_else(|e| e.into_inner());
                    tally.count(number, outcome);
                }
            });
        }
    });
    tally.into_inner().unwrap_or_else(|e| e.into_inner())
}
