//! What a client asks for, and the answer that is right.

use crate::docroot;
use crate::http::{self, Response};
use crate::site::escaped;
use crate::Result;
use anyhow::bail;

/// What a server does with requests that not all servers understand alike.
#[derive(Clone, Copy, Debug)]
pub struct Abilities {
    /// Answers all requests that arrive together.
    pub pipelines: bool,
    /// Sends `from-to` and `from-`.
    pub ranges: bool,
    /// Sends the last bytes, `-count`.
    pub suffix_ranges: bool,
    /// Keeps the connection after a document of no bytes.
    pub empty_documents: bool,
    /// Can be told to serve an aliased directory and another host.
    pub aliases: bool,
    /// Its status for a directory without an index.
    pub listing: u16,
    /// Its status for a directory whose name does not end in `/`.
    pub unfinished: u16,
}

impl Abilities {
    /// Everything.
    pub const ALL: Self = Self {
        pipelines: true,
        ranges: true,
        suffix_ranges: true,
        empty_documents: true,
        aliases: true,
        listing: 200,
        unfinished: 301,
    };
}

/// One thing that a client does.
#[derive(Clone, Debug)]
pub enum Step {
    /// Requests sent together, answers read in order.
    Ask(Vec<Ask>),
    /// One request, byte by byte.
    Dribble(Ask),
    /// Requests, then a reset, after so many bytes of the answer.
    Reset(Ask, usize),
    /// Half a request, then the end of the connection.
    Half(Ask),
}

#[derive(Clone, Debug)]
pub struct Ask {
    pub(crate) head: bool,
    pub(crate) old: bool,
    pub(crate) target: String,
    pub(crate) host: &'static str,
    pub(crate) more: String,
    pub(crate) wanted: Wanted,
}

#[derive(Clone, Debug)]
pub enum Wanted {
    /// A document's bytes from..to, with 200 or 206.
    Bytes {
        name: String,
        length: usize,
        range: Option<(usize, usize)>,
    },
    /// Only a status, and whatever body the server makes up.
    Status(u16),
}

impl Ask {
    pub(crate) fn document(name: &str, length: usize) -> Self {
        Self {
            head: false,
            old: false,
            target: escaped(name),
            host: "main.test",
            more: String::new(),
            wanted: Wanted::Bytes {
                name: name.into(),
                length,
                range: None,
            },
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let method = if self.head { "HEAD" } else { "GET" };
        if self.old {
            return format!(
                "{method} {} HTTP/1.0\r\nHost: {}\r\n\r\n",
                self.target, self.host
            )
            .into_bytes();
        }
        http::request(method, &self.target, self.host, &self.more)
    }

    pub(crate) fn check(&self, response: &Response) -> Result {
        let context = || {
            format!(
                "{} {} {:?}",
                if self.head { "HEAD" } else { "GET" },
                self.target,
                self.more
            )
        };
        match &self.wanted {
            Wanted::Status(status) if *status != response.status => {
                bail!("{}: status {}, not {status}", context(), response.status)
            }
            Wanted::Status(_) => Ok(()),
            Wanted::Bytes {
                name,
                length,
                range,
            } => {
                let (status, from, to) = match range {
                    Some((from, to)) => (206, *from, *to),
                    None => (200, 0, *length),
                };
                if response.status != status {
                    bail!("{}: status {}, not {status}", context(), response.status);
                }
                let said = response
                    .header("content-length")
                    .and_then(|v| v.parse().ok());
                if said != Some(to - from) {
                    bail!("{}: content-length {said:?}, not {}", context(), to - from);
                }
                if !self.head && response.body != docroot::content(name, *length)[from..to] {
                    bail!("{}: another body than the document's", context());
                }
                Ok(())
            }
        }
    }
}
