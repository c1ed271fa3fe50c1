//! Our own client for HTTP/2: many requests on one connection, every body compared byte for byte.
//!
//! What it sends on one connection without waiting leaves in one piece: one TLS record, or one segment in clear text.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::{spawn_local, JoinSet, LocalSet};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::driver::Load;
use super::outcome::Outcome;
use super::stream::Transport;
use crate::files::FileSet;
use crate::interrupt;

/// How much a server may send before we have read it, on one stream and on all: what Chromium grants.
const STREAM_WINDOW: u32 = 6 << 20;
const CONNECTION_WINDOW: u32 = 15 << 20;

type Sender = SendRequest<Bytes>;

/// Asks for all `files`, with `streams` requests at a time on each of the load's connections.
pub fn closed(load: &Load<'_>, streams: usize, files: &[u32]) -> Result<Outcome> {
    block_on(async {
        let connections = connect_all(load).await?;
        let tally = Rc::new(Tally::new(load));
        let queue = Rc::new(RefCell::new(VecDeque::from(files.to_vec())));
        let mut workers = JoinSet::new();
        for sender in connections {
            for _ in 0..streams {
                let (sender, set) = (sender.clone(), load.set.clone());
                let (tally, queue) = (tally.clone(), queue.clone());
                workers.spawn_local(async move {
                    loop {
                        // Not in the loop's head: the queue would stay borrowed.
                        let next = queue.borrow_mut().pop_front();
                        let Some(file) = next else { return };
                        if !tally.ask(sender.clone(), &set, file).await {
                            return;
                        }
                    }
                });
            }
        }
        while let Some(ended) = workers.join_next().await {
            ended.context("the client panicked")?;
            interrupt::check()?;
        }
        Ok(tally.outcome())
    })
}

/// Asks on one connection for each of `bursts`, files of the load's set, and right behind them for a file of `cached`, all at
/// once; the next burst follows when all are answered. The latencies are those of the cached ones alone.
pub fn behind<'a>(
    load: &Load<'_>,
    bursts: impl Iterator<Item = &'a [u32]>,
    cached: &FileSet,
    limit: Duration,
) -> Result<Outcome> {
    block_on(async {
        let sender = connect(load).await?;
        let tally = Rc::new(Tally::new(load));
        let until = Instant::now() + limit;
        for (count, burst) in (0..).zip(bursts) {
            interrupt::check()?;
            if Instant::now() >= until {
                break;
            }
            let sender = sender.clone().ready().await?;
            let sent = Instant::now();
            let mut others = JoinSet::new();
            for file in burst {
                let answer = tally.send(&mut sender.clone(), load.set, *file)?;
                let (tally, content) = (tally.clone(), load.set.content(*file));
                others.spawn_local(async move { tally.take(answer, content).await });
            }
            let file = cached.file(count);
            let answer = tally.send(&mut sender.clone(), cached, file)?;
            tally.take(answer, cached.content(file)).await;
            tally.took(sent);
            while let Some(ended) = others.join_next().await {
                ended.context("the client panicked")?;
            }
        }
        Ok(tally.outcome())
    })
}

fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, work)
}

async fn connect_all(load: &Load<'_>) -> Result<Vec<Sender>> {
    let mut connections = Vec::new();
    for _ in 0..load.connections {
        connections.push(connect(load).await?);
    }
    Ok(connections)
}

async fn connect(load: &Load<'_>) -> Result<Sender> {
    let connected = timeout(load.patience, async {
        let socket = TcpStream::connect(load.address).await?;
        socket.set_nodelay(true)?;
        let Transport::Tls(config, name) = load.transport else {
            return begin(socket).await;
        };
        let connector = TlsConnector::from(config.clone());
        let stream = connector.connect(name.clone(), socket).await?;
        let agreed = stream.get_ref().1.alpn_protocol();
        ensure!(agreed == Some(b"h2"), "the server does not speak HTTP/2");
        begin(stream).await
    });
    let address = load.address;
    connected
        .await
        .with_context(|| format!("no HTTP/2 with {address} in time"))?
        .with_context(|| format!("no HTTP/2 with {address}"))
}

async fn begin(stream: impl AsyncRead + AsyncWrite + Unpin + 'static) -> Result<Sender> {
    let (sender, connection) = Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake(stream)
        .await?;
    // How it ends, its requests are told.
    spawn_local(connection);
    Ok(sender.ready().await?)
}

/// What has come of a load so far.
struct Tally {
    /// What requests begin with: scheme and host.
    origin: &'static str,
    patience: Duration,
    start: Instant,
    outcome: RefCell<Outcome>,
}

impl Tally {
    fn new(load: &Load<'_>) -> Self {
        Self {
            origin: match load.transport {
                Transport::Plain => "http://localhost",
                Transport::Tls(..) => "https://localhost",
            },
            patience: load.patience,
            start: Instant::now(),
            outcome: RefCell::default(),
        }
    }

    /// Asks for a file and waits for the answer; false once the connection can be used no more.
    async fn ask(&self, sender: Sender, set: &FileSet, file: u32) -> bool {
        let sent = Instant::now();
        let answer = match sender.ready().await {
            Ok(mut sender) => self.send(&mut sender, set, file),
            Err(error) => Err(error.into()),
        };
        match answer {
            Ok(answer) => {
                self.take(answer, set.content(file)).await;
                self.took(sent);
                true
            }
            Err(error) => {
                self.failed(format!("the connection is over: {error}"));
                false
            }
        }
    }

    fn send(&self, sender: &mut Sender, set: &FileSet, file: u32) -> Result<ResponseFuture> {
        let mut uri = String::with_capacity(64);
        uri.push_str(self.origin);
        set.push_target(file, &mut uri);
        let request = Request::get(uri).body(())?;
        Ok(sender.send_request(request, true)?.0)
    }

    /// Waits for an answer and counts it.
    async fn take(&self, answer: ResponseFuture, content: &[u8]) {
        let taken = timeout(self.patience, receive(answer, content)).await;
        let late = || Err(format!("no answer in {} s", self.patience.as_secs()));
        match taken.unwrap_or_else(|_| late()) {
            Ok(()) => {
                let mut outcome = self.outcome.borrow_mut();
                outcome.completed += 1;
                outcome.bytes += content.len() as u64;
            }
            Err(how) => self.failed(how),
        }
    }

    fn took(&self, since: Instant) {
        let latency = &mut self.outcome.borrow_mut().latency;
        latency.saturating_record(since.elapsed().as_nanos() as u64);
    }

    fn failed(&self, how: String) {
        self.outcome.borrow_mut().failures.add(how);
    }

    fn outcome(&self) -> Outcome {
        let mut outcome = self.outcome.borrow().clone();
        outcome.elapsed = self.start.elapsed();
        // What is outstanding at the end is little.
        outcome.time = outcome.elapsed;
        outcome.completed_in_time = outcome.completed;
        outcome.bytes_in_time = outcome.bytes;
        outcome
    }
}

/// Reads an answer to its end and compares it as it comes.
async fn receive(answer: ResponseFuture, content: &[u8]) -> Result<(), String> {
    let broken = |error: h2::Error| format!("{error} before the answer's end");
    let answer = answer.await.map_err(broken)?;
    if answer.status() != 200 {
        return Err(format!(
            "status {} instead of 200",
            answer.status().as_u16()
        ));
    }
    let mut body = answer.into_body();
    let mut rest = content;
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(broken)?;
        rest = rest.strip_prefix(&piece[..]).ok_or("a wrong body")?;
        body.flow_control()
            .release_capacity(piece.len())
            .map_err(broken)?;
    }
    match rest.len() {
        0 => Ok(()),
        missing => Err(format!("a body that lacks {missing} bytes")),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::mpsc;

    use h2::server::SendResponse;
    use tokio::net::TcpListener;

    use super::*;
    use crate::files::Sizes;

    /// A comparison that passes a wrong body would make every other figure worthless.
    #[test]
    fn only_the_right_body_passes() {
        let set = FileSet::new("x", 0..4, Sizes::All(400));
        let outcome = serve(1, |load| closed(&load(&set), 2, &[0, 1, 2, 3]));
        assert_eq!((outcome.completed, outcome.bytes), (1, 400));
        let failures: Vec<_> = outcome.failures.by_kind().keys().collect();
        let expected = [
            "a body that lacks 1 bytes",
            "a wrong body",
            "status 404 instead of 200",
        ];
        assert_eq!(failures, expected);
    }

    /// A cached request that is sent later than the cold ones would not be behind them.
    #[test]
    fn a_burst_is_sent_at_once() {
        let set = FileSet::new("x", 0..1, Sizes::All(400));
        // The server answers nothing until it has all eight.
        let outcome = serve(8, |load| {
            let bursts = [[0u32; 7]; 3];
            let bursts = bursts.iter().map(|burst| &burst[..]);
            behind(&load(&set), bursts, &set, Duration::from_secs(60))
        });
        assert_eq!(outcome.failures.total(), 0);
        assert_eq!((outcome.completed, outcome.latency.len()), (24, 3));
    }

    /// A server that takes so many requests and answers them then: file 0 rightly, 1 wrongly, 2 too briefly, others not.
    fn serve(
        at_once: usize,
        client: impl FnOnce(&dyn for<'a> Fn(&'a FileSet) -> Load<'a>) -> Result<Outcome>,
    ) -> Outcome {
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            block_on(async {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                tell.send(listener.local_addr()?)?;
                let mut connection = h2::server::handshake(listener.accept().await?.0).await?;
                let mut waiting = Vec::new();
                while let Some(request) = connection.accept().await {
                    let (request, answer) = request?;
                    waiting.push((request.uri().path().to_owned(), answer));
                    if waiting.len() == at_once {
                        for (path, answer) in waiting.drain(..) {
                            reply(&path, answer)?;
                        }
                    }
                }
                Ok(())
            })
        });
        let address = told.recv().unwrap();
        let outcome = client(&|set| Load {
            address,
            transport: &Transport::Plain,
            connections: 1,
            takes_gzip: false,
            set,
            patience: Duration::from_secs(20),
        });
        outcome.unwrap()
    }

    fn reply(path: &str, mut answer: SendResponse<Bytes>) -> Result<()> {
        let (status, body) = match path {
            "/x/d000/00000.bin" => (200, crate::files::content(0, 400)),
            "/x/d000/00001.bin" => (200, crate::files::content(2, 400)),
            "/x/d000/00002.bin" => (200, crate::files::content(2, 399)),
            _ => (404, &b"none"[..]),
        };
        let head = http::Response::builder().status(status).body(())?;
        let mut stream = answer.send_response(head, false)?;
        Ok(stream.send_data(body.into(), true)?)
    }
}
