//! An application behind a server: what it answers follows from what it is asked for, and it counts how often it was.

use crate::{docroot, Result};
use anyhow::{bail, ensure, Context as _};
use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

/// How a server speaks to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.x
    Http,
    /// FastCGI
    FastCgi,
    /// uwsgi
    Uwsgi,
}

/// What an application answers to a target: lines of the head, each with its end, and the body.
pub type Respond = Arc<dyn Fn(&str, &str) -> (String, Vec<u8>) + Send + Sync>;

/// An application that listens, each connection in a thread of this process.
pub struct Backend {
    /// Where it listens.
    pub address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

/// Length of an answer.
pub const LENGTH: usize = 9000;

/// The answer to a target, of a kind that the server names by `X-Kind`.
pub fn answer(target: &str, kind: &str) -> Vec<u8> {
    docroot::content(&format!("{kind}|{target}"), LENGTH)
}

impl Backend {
    /// Begins to listen.
    pub fn listen(protocol: Protocol) -> Result<Backend> {
        let head = "Content-Type: text/html\r\nAccept-Ranges: bytes\r\nLast-Modified: Sat, 28 Nov 2026 20:00:00 GMT\r\n";
        let respond = |target: &str, kind: &str| (head.to_owned(), answer(target, kind));
        Backend::listen_with(protocol, Arc::new(respond))
    }

    /// Begins to listen, with answers of its own. By HTTP it answers one request after the other on a connection, if that stays.
    pub fn listen_with(protocol: Protocol, respond: Respond) -> Result<Backend> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (counter, respond) = (Arc::clone(&counter), Arc::clone(&respond));
                std::thread::spawn(move || {
                    if let Err(error) = serve(protocol, stream, &respond, &counter) {
                        eprintln!("{protocol:?}: {error:#}");
                    }
                });
            }
        });
        Ok(Backend { address, asked })
    }

    /// How often it was asked so far.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn serve(
    protocol: Protocol,
    mut stream: TcpStream,
    respond: &Respond,
    asked: &AtomicUsize,
) -> Result {
    loop {
        let (target, kind, stays) = match protocol {
            Protocol::Http => match http_request(&mut stream)? {
                Some(asked) => asked,
                None => return Ok(()),
            },
            Protocol::FastCgi => of_parameters(&fast_cgi_parameters(&mut stream)?),
            Protocol::Uwsgi => of_parameters(&uwsgi_parameters(&mut stream)?),
        };
        asked.fetch_add(1, Ordering::Relaxed);
        let line = match protocol {
            Protocol::FastCgi => "Status: 200 OK",
            _ if stays => "HTTP/1.1 200 OK",
            _ => "HTTP/1.0 200 OK",
        };
        let (head, body) = respond(&target, &kind);
        let head = format!("{line}\r\n{head}Content-Length: {}\r\n\r\n", body.len());
        let bytes = [head.as_bytes(), &body].concat();
        if protocol != Protocol::FastCgi {
            stream.write_all(&bytes)?;
        } else {
            let record = |kind: u8, content: &[u8]| {
                let [high, low] = (content.len() as u16).to_be_bytes();
                [&[1, kind, 0, 1, high, low, 0, 0], content].concat()
            };
            let records = [record(6, &bytes), record(6, b""), record(3, &[0; 8])];
            stream.write_all(&records.concat())?;
        }
        if !stays {
            return Ok(());
        }
    }
}

/// Reads a head: its target, the kind of its answer, and whether the connection stays. Nothing at the end of the connection.
fn http_request(stream: &mut TcpStream) -> Result<Option<(String, String, bool)>> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            ensure!(head.is_empty(), "a head is cut");
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head)?;
    let target = head.split(' ').nth(1).context("no target")?;
    let mut lines = head.lines();
    let kind = lines.find_map(|line| line.strip_prefix("X-Kind: "));
    let stays = head.contains(" HTTP/1.1\r\n") && !head.contains("\r\nConnection: close");
    let kind = kind.unwrap_or_default().to_owned();
    Ok(Some((target.to_owned(), kind, stays)))
}

fn of_parameters(all: &HashMap<String, String>) -> (String, String, bool) {
    let value = |name: &str| all.get(name).cloned().unwrap_or_default();
    (value("REQUEST_URI"), value("KIND"), false)
}

/// Reads the records of a request up to its empty `STDIN`.
fn fast_cgi_parameters(stream: &mut TcpStream) -> Result<HashMap<String, String>> {
    let mut parameters = Vec::new();
    loop {
        let mut header = [0; 8];
        stream.read_exact(&mut header)?;
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let mut content = vec![0; length + usize::from(header[6])];
        stream.read_exact(&mut content)?;
        content.truncate(length);
        match (header[1], length) {
            (4, _) => parameters.extend(content),
            (5, 0) => break,
            _ => {}
        }
    }
    let mut rest = &parameters[..];
    let length = |rest: &mut &[u8]| -> Result<usize> {
        let long = rest.first().is_some_and(|first| first & 0x80 != 0);
        let (head, behind) = rest.split_at(if long { 4 } else { 1 });
        *rest = behind;
        let digits = head
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        Ok(digits & 0x7fff_ffff)
    };
    let mut all = HashMap::new();
    while !rest.is_empty() {
        let (name, value) = (length(&mut rest)?, length(&mut rest)?);
        ensure!(name + value <= rest.len(), "a parameter is cut");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        all.insert(text(&rest[..name]), text(&rest[name..name + value]));
        rest = &rest[name + value..];
    }
    Ok(all)
}

fn uwsgi_parameters(stream: &mut TcpStream) -> Result<HashMap<String, String>> {
    let mut header = [0; 4];
    stream.read_exact(&mut header)?;
    let mut content = vec![0; usize::from(u16::from_le_bytes([header[1], header[2]]))];
    stream.read_exact(&mut content)?;
    let mut rest = &content[..];
    let mut string = || -> Result<String> {
        let [low, high, ..] = *rest else {
            bail!("a string is cut");
        };
        let end = 2 + usize::from(u16::from_le_bytes([low, high]));
        let text = rest.get(2..end).context("a string is cut")?;
        rest = &rest[end..];
        Ok(String::from_utf8_lossy(text).into_owned())
    };
    let mut all = HashMap::new();
    while let Ok(name) = string() {
        all.insert(name, string()?);
    }
    Ok(all)
}
