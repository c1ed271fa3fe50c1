//! Clients that ask for documents, popular ones more often, over connections that are kept for a while.

use crate::site::{name, Judgement, Site, DOCUMENTS};
use laio_tests::http::{request, Connection};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Of each server.
pub const CLIENTS: usize = 6;

/// Requests on one connection.
const KEPT: usize = 40;

/// What all clients got.
#[derive(Default)]
pub struct Traffic {
    right: AtomicUsize,
    excused: AtomicUsize,
    wrong: Mutex<Vec<String>>,
}

impl Traffic {
    /// How many answers were right, how many were what a bad disk excuses, and what was wrong with the others.
    pub fn sums(self) -> (usize, usize, Vec<String>) {
        let wrong = self
            .wrong
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        (self.right.into_inner(), self.excused.into_inner(), wrong)
    }

    fn count(&self, number: usize, judgement: Judgement) {
        match judgement {
            Judgement::Right => drop(self.right.fetch_add(1, Relaxed)),
            Judgement::Excused => drop(self.excused.fetch_add(1, Relaxed)),
            Judgement::Wrong(what) => {
                let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
                wrong.push(format!("{}: {what}", name(number)));
            }
        }
    }
}

/// Asks until it is over.
pub fn ask(
    site: &Site,
    address: SocketAddr,
    client: usize,
    traffic: &Traffic,
    is_over: &AtomicBool,
) {
    let mut random = client as u64 + 1;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // Half of the requests are for a tenth of the documents.
        let all = if random >> 63 == 0 {
            DOCUMENTS
        } else {
            DOCUMENTS / 10
        };
        (random >> 20) as usize % all
    };
    while !is_over.load(Relaxed) {
        let mut connection = None;
        for _ in 0..KEPT {
            let (number, asked) = (next(), Instant::now());
            let mut attempt = || {
                if connection.is_none() {
                    connection = Some(Connection::open(address)?);
                }
                let line = connection.as_mut().ok_or_else(|| anyhow::anyhow!("none"))?;
                line.send(&request("GET", &format!("/{}", name(number)), "h", ""))?;
                line.response(false)
            };
            let answer = attempt().ok();
            let stays = answer.as_ref().is_some_and(|answer| !answer.closes());
            let answer = answer.as_ref().map(|it| (it.status, it.body.as_slice()));
            traffic.count(number, site.judge(number, asked, answer));
            if !stays {
                connection = None;
            }
            if is_over.load(Relaxed) {
                return;
            }
        }
    }
}
