//! One keep-alive connection: sends a request, takes the answer apart as it arrives and compares it as it goes.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Instant;

use mio::{Interest, Registry, Token};
use nix::sys::socket::{setsockopt, sockopt};

use super::coded::Coded;
use super::request::{Expected, Kind, Request};
use super::stream::{Stream, Transport};
use crate::files::FileSet;

/// An answer's head is far smaller; a server that sends a larger one is not one of ours.
const MAX_HEAD: usize = 16 << 10;

/// A connection and the request on its way, if any.
pub struct Connection {
    token: Token,
    stream: Option<Stream>,
    /// Does it ask for answers that are coded by gzip?
    takes_gzip: bool,
    /// How many requests this stream has answered: a server may close it between two, but not before the first.
    answered: u64,
    request: Option<Outstanding>,
    text: String,
    /// A head that did not arrive in one piece.
    head: Vec<u8>,
}

/// A request that has been sent.
pub struct Outstanding {
    /// What was asked.
    pub request: Request,
    /// When it should have been sent.
    pub due: Instant,
    /// When it was.
    pub sent: Instant,
    expected: Expected,
    answer: Answer,
}

enum Answer {
    Head,
    Body {
        rest: usize,
        position: usize,
        close: bool,
    },
    Coded(Box<Coded>),
}

/// What reading led to.
pub enum Progress {
    /// More is to come.
    Pending,
    /// The request is answered, rightly.
    Answered(Outstanding),
    /// The request was for a reset in the middle, and the middle is here.
    Reset,
    /// The server closed the connection although nothing was wrong: the request must be sent again.
    ClosedBetween(Outstanding),
    /// The connection was idle and is closed.
    ClosedIdle,
    /// The answer is wrong or will not come.
    Failed(String),
}

impl Connection {
    /// Not yet connected.
    pub fn new(token: Token, takes_gzip: bool) -> Self {
        Self {
            token,
            stream: None,
            takes_gzip,
            answered: 0,
            request: None,
            text: String::with_capacity(256),
            head: Vec::new(),
        }
    }

    /// Is there a stream to send on?
    pub fn is_connected(&self) -> bool {
        self.stream.is_some()
    }

    /// The request that is on its way.
    pub fn outstanding(&self) -> Option<&Outstanding> {
        self.request.as_ref()
    }

    /// Connects.
    pub fn connect(
        &mut self,
        transport: &Transport,
        address: SocketAddr,
        registry: &Registry,
    ) -> io::Result<()> {
        let mut stream = transport.connect(address)?;
        registry.register(stream.socket(), self.token, Interest::READABLE)?;
        self.stream = Some(stream);
        self.answered = 0;
        Ok(())
    }

    /// Goes on with the handshake; whether it is done.
    pub fn shake_hands(&mut self) -> io::Result<bool> {
        self.stream.as_mut().map_or(Ok(true), Stream::shake_hands)
    }

    /// Gives up the stream and the request on it.
    pub fn disconnect(&mut self) {
        self.stream = None;
        self.request = None;
        self.head.clear();
    }

    /// Sends `request`. An error leaves the connection closed.
    pub fn send(&mut self, request: Request, due: Instant, set: &FileSet) -> io::Result<()> {
        let Some(stream) = &mut self.stream else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        request.write(set, &mut self.text);
        if self.takes_gzip {
            let end = self.text.len() - 2;
            self.text.insert_str(end, "Accept-Encoding: gzip\r\n");
        }
        let sent = Instant::now();
        let result = match stream.write(self.text.as_bytes()) {
            Ok(length) if length == self.text.len() => Ok(()),
            Ok(_) => Err(io::ErrorKind::WriteZero.into()),
            Err(error) => Err(error),
        };
        if result.is_err() {
            self.disconnect();
            return result;
        }
        let expected = request.expected(set);
        self.request = Some(Outstanding {
            request,
            due,
            sent,
            expected,
            answer: Answer::Head,
        });
        Ok(())
    }

    /// Resets the connection: what is on its way is discarded on both sides.
    pub fn reset(&mut self) {
        if let Some(stream) = &mut self.stream {
            let abort = nix::libc::linger {
                l_onoff: 1,
                l_linger: 0,
            };
            // Without it the connection is closed instead of reset, which is a test as well.
            let _ = setsockopt(&stream.socket().as_fd(), sockopt::Linger, &abort);
        }
        self.disconnect();
    }

    /// Reads what has arrived, until there is no more or the request is answered.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Progress {
        loop {
            let Some(stream) = &mut self.stream else {
                return Progress::Pending;
            };
            let length = match stream.read(buffer) {
                Ok(0) => return self.closed("the server closed the connection"),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Progress::Pending
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // An error of TLS says more than its kind.
                Err(error) => {
                    let how = error
                        .get_ref()
                        .map_or(error.kind().to_string(), |inner| inner.to_string());
                    return self.closed(&how);
                }
            };
            let Some(outstanding) = &mut self.request else {
                self.disconnect();
                return Progress::Failed("bytes that nobody asked for".into());
            };
            if outstanding.request.kind == Kind::ResetInBody {
                self.reset();
                return Progress::Reset;
            }
            match outstanding.take(&buffer[..length], &mut self.head) {
                Ok(false) => {}
                Ok(true) => return self.finish(),
                Err(wrong) => {
                    self.disconnect();
                    return Progress::Failed(wrong);
                }
            }
        }
    }

    fn finish(&mut self) -> Progress {
        self.answered += 1;
        let Some(outstanding) = self.request.take() else {
            return Progress::Pending;
        };
        if matches!(outstanding.answer, Answer::Body { close: true, .. }) {
            self.disconnect();
        }
        Progress::Answered(outstanding)
    }

    fn closed(&mut self, how: &str) -> Progress {
        let in_the_middle = !self.head.is_empty();
        let answered = self.answered;
        let request = self.request.take();
        self.disconnect();
        match request {
            None => Progress::ClosedIdle,
            Some(request)
                if answered > 0 && !in_the_middle && matches!(request.answer, Answer::Head) =>
            {
                Progress::ClosedBetween(request)
            }
            Some(_) => Progress::Failed(format!("{how} before the answer's end")),
        }
    }
}

impl Outstanding {
    /// Length of the body that is right.
    pub fn body_length(&self) -> usize {
        self.expected.body.map_or(0, <[u8]>::len)
    }

    /// Takes the next bytes of the answer; true once it is complete.
    fn take(&mut self, bytes: &[u8], head: &mut Vec<u8>) -> Result<bool, String> {
        if !matches!(self.answer, Answer::Head) {
            return self.take_body(bytes);
        }
        if head.is_empty() {
            if let Some(length) = self.take_head(bytes)? {
                return self.take_body(&bytes[length..]);
            }
            head.extend_from_slice(bytes);
            return Ok(false);
        }
        head.extend_from_slice(bytes);
        if head.len() > MAX_HEAD {
            return Err("a head without end".into());
        }
        let whole = std::mem::take(head);
        match self.take_head(&whole)? {
            Some(length) => self.take_body(&whole[length..]),
            None => {
                *head = whole;
                Ok(false)
            }
        }
    }

    /// Takes the head apart; its length, unless some of it is missing.
    fn take_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, String> {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut headers);
        let head = match response.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(format!("not HTTP: {error}")),
        };
        let status = response.code.unwrap_or(0);
        if status != self.expected.status {
            return Err(format!(
                "status {status} instead of {}",
                self.expected.status
            ));
        }
        let (mut length, mut is_coded) = (None, false);
        // An answer in HTTP/1.0 ends its connection unless it says otherwise.
        let mut close = response.version == Some(0);
        for header in response.headers.iter() {
            if header.name.eq_ignore_ascii_case("content-length") {
                length = std::str::from_utf8(header.value)
                    .ok()
                    .and_then(|text| text.parse().ok());
            } else if header.name.eq_ignore_ascii_case("content-encoding") {
                is_coded = header.value == b"gzip";
            } else if header.name.eq_ignore_ascii_case("connection") {
                close = header.value.eq_ignore_ascii_case(b"close");
            }
        }
        if let (Some(body), true) = (self.expected.body, is_coded) {
            self.answer = Answer::Coded(Box::new(Coded::new(body)));
            return Ok(Some(head));
        }
        let rest: usize = length.ok_or("no Content-Length")?;
        if let Some(body) = self.expected.body {
            if body.len() != rest {
                return Err(format!("a body of {rest} bytes instead of {}", body.len()));
            }
        }
        self.answer = Answer::Body {
            rest,
            position: 0,
            close,
        };
        Ok(Some(head))
    }

    fn take_body(&mut self, bytes: &[u8]) -> Result<bool, String> {
        let (rest, position) = match &mut self.answer {
            Answer::Head => return Ok(false),
            Answer::Coded(coded) => return coded.take(bytes),
            Answer::Body { rest, position, .. } => (rest, position),
        };
        if bytes.len() > *rest {
            return Err("more bytes than announced".into());
        }
        if let Some(body) = self.expected.body {
            if bytes != &body[*position..][..bytes.len()] {
                return Err("a wrong body".into());
            }
        }
        *position += bytes.len();
        *rest -= bytes.len();
        Ok(*rest == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Sizes;

    fn feed(pieces: &[&[u8]]) -> Result<bool, String> {
        let set = FileSet::new("x", 0..4, Sizes::All(4));
        let request = Request::whole(1);
        let now = Instant::now();
        let expected = request.expected(&set);
        let mut outstanding = Outstanding {
            request,
            due: now,
            sent: now,
            expected,
            answer: Answer::Head,
        };
        let mut head = Vec::new();
        let mut complete = false;
        for piece in pieces {
            complete = outstanding.take(piece, &mut head)?;
        }
        Ok(complete)
    }

    /// A comparison that passes a wrong body would make every other figure worthless.
    #[test]
    fn only_the_right_body_passes() {
        let set = FileSet::new("x", 0..4, Sizes::All(4));
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";
        assert_eq!(feed(&[head, set.content(1)]), Ok(true));
        assert!(feed(&[head, set.content(2)]).is_err());
        assert_eq!(feed(&[head, &set.content(1)[..3]]), Ok(false));
        assert!(feed(&[head, set.content(1), b"x"]).is_err());
        assert!(feed(&[b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"]).is_err());
        assert!(feed(&[b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\n"]).is_err());
    }

    /// Servers may cut an answer anywhere.
    #[test]
    fn an_answer_may_arrive_in_pieces() {
        let set = FileSet::new("x", 0..4, Sizes::All(4));
        let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n".to_vec();
        answer.extend_from_slice(set.content(1));
        for cut in 1..answer.len() {
            assert_eq!(
                feed(&[&answer[..cut], &answer[cut..]]),
                Ok(true),
                "cut at {cut}"
            );
        }
        let bytes: Vec<&[u8]> = answer.chunks(1).collect();
        assert_eq!(feed(&bytes), Ok(true));
    }
}
