//! A client that lets a test decide which bytes go over the connection, and when.

use crate::sealed::Sealed;
use crate::Result;
use anyhow::{bail, Context as _};
use socket2::{Domain, SockRef, Socket, Type};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// One response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header fields in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, with any chunked framing removed.
    pub body: Vec<u8>,
}

impl Response {
    /// The first field of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// Whether the server ends the connection after this response.
    pub fn closes(&self) -> bool {
        self.header("connection")
            .is_some_and(|v| v.eq_ignore_ascii_case("close"))
    }
}

/// A connection to a server.
pub struct Connection {
    stream: TcpStream,
    /// What its bytes are sealed with, where it is one by TLS.
    sealed: Option<Box<Sealed>>,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects to a server on this machine.
    pub fn open(address: SocketAddr) -> Result<Self> {
        Self::over(TcpStream::connect(address).context("connect")?)
    }

    /// Connects over a line that holds little: for what a loopback connection takes of its own accord, some megabytes
    /// each, the kernel has no room if there are many.
    pub fn open_narrow(address: SocketAddr) -> Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_tcp_mss(1460)?;
        socket.set_recv_buffer_size(32 * 1024)?;
        socket.connect(&address.into()).context("connect")?;
        Self::over(socket.into())
    }

    fn over(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        // Not an assertion on speed: without it, a request that is never answered would end with the test's own time
        // limit and not say which one it was.
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.set_write_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self {
            stream,
            sealed: None,
            buffer: Vec::new(),
        })
    }

    /// From now on it speaks TLS.
    pub(crate) fn seal(&mut self, sealed: Sealed) {
        self.sealed = Some(Box::new(sealed));
    }

    /// What it speaks TLS with.
    pub fn sealed(&mut self) -> Result<&mut Sealed> {
        self.sealed.as_deref_mut().context("it does not speak TLS")
    }

    /// Sends bytes as they are, without what they would be sealed with.
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result {
        self.stream.write_all(bytes).context("send")
    }

    /// The server has sent these bytes already.
    pub(crate) fn keep(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Reads what there is as it is; nothing at the end of the stream.
    pub fn read_raw(&mut self) -> Result<Vec<u8>> {
        let mut piece = vec![0; 65536];
        let length = self.stream.read(&mut piece).context("receive")?;
        piece.truncate(length);
        Ok(piece)
    }

    /// The server's port.
    pub fn port(&self) -> Result<u16> {
        Ok(self.stream.peer_addr()?.port())
    }

    /// Sends bytes: as they are, or sealed, in one record where they fit into one.
    pub fn send(&mut self, bytes: &[u8]) -> Result {
        match &mut self.sealed {
            Some(sealed) => {
                let records = sealed.seal(bytes)?;
                self.send_raw(&records)
            }
            None => self.send_raw(bytes),
        }
    }

    /// Sends bytes one at a time, each in a segment of its own.
    pub fn dribble(&mut self, bytes: &[u8]) -> Result {
        let bytes = match &mut self.sealed {
            Some(sealed) => &sealed.seal(bytes)?,
            None => bytes,
        };
        for byte in bytes {
            self.send_raw(&[*byte])?;
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    /// Says that nothing more will be sent.
    pub fn finish_sending(&mut self) -> Result {
        self.stream
            .shutdown(std::net::Shutdown::Write)
            .context("shutdown")
    }

    /// Ends the connection with a reset.
    pub fn reset(self) -> Result {
        let socket = SockRef::from(&self.stream);
        socket.set_linger(Some(Duration::ZERO)).context("SO_LINGER")
    }

    /// Reads one more piece into the buffer; false at the end of the stream.
    fn more(&mut self) -> Result<bool> {
        let mut piece = [0; 65536];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => return Ok(false),
                Ok(n) => match &mut self.sealed {
                    None => {
                        self.buffer.extend_from_slice(&piece[..n]);
                        return Ok(true);
                    }
                    Some(sealed) => {
                        let opened = sealed.open(&piece[..n])?;
                        self.buffer.extend_from_slice(&opened.bytes);
                        if !opened.answer.is_empty() {
                            self.stream.write_all(&opened.answer).context("send")?;
                        }
                        if !opened.bytes.is_empty() {
                            return Ok(true);
                        }
                        if opened.ends {
                            return Ok(false);
                        }
                    }
                },
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    bail!(
                        "no answer for 30 s, with {} bytes in hand",
                        self.buffer.len()
                    );
                }
                Err(e) => return Err(e).context("receive"),
            }
        }
    }

    /// Reads `count` bytes and leaves the rest of the response unread.
    pub fn taste(&mut self, count: usize) -> Result {
        while self.buffer.len() < count {
            if !self.more()? {
                bail!("the connection ended after {} bytes", self.buffer.len());
            }
        }
        Ok(())
    }

    /// Reads until the server ends the connection, by FIN or by reset.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.more().unwrap_or(false) {}
        std::mem::take(&mut self.buffer)
    }

    /// Reads so many bytes.
    pub(crate) fn take(&mut self, count: usize) -> Result<Vec<u8>> {
        self.taste(count)?;
        let rest = self.buffer.split_off(count);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    /// The same; nothing where the server has ended the connection before the first of them.
    pub(crate) fn take_if_any(&mut self, count: usize) -> Result<Option<Vec<u8>>> {
        match self.has_more()? {
            true => self.take(count).map(Some),
            false => Ok(None),
        }
    }

    /// Whether there is anything more before the server's end of the connection, by FIN or by reset.
    fn has_more(&mut self) -> Result<bool> {
        if !self.buffer.is_empty() {
            return Ok(true);
        }
        match self.more() {
            Err(e) if is_reset(&e) => Ok(false),
            more => more,
        }
    }

    fn line(&mut self) -> Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let line = self.take(end + 2)?;
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            let have = self.buffer.len();
            self.taste(have + 1)?;
        }
    }

    /// Reads one response; `head` when it answers a `HEAD` request and so has no body. `None` when the server ended
    /// the connection before it answered.
    pub fn response_if_any(&mut self, head: bool) -> Result<Option<Response>> {
        match self.has_more()? {
            true => self.response(head).map(Some),
            false => Ok(None),
        }
    }

    /// Reads a response's head.
    pub(crate) fn head(&mut self) -> Result<Response> {
        let (status, headers, length) = loop {
            let mut fields = [httparse::EMPTY_HEADER; 64];
            let mut parsed = httparse::Response::new(&mut fields);
            let status = parsed.parse(&self.buffer).with_context(|| {
                format!(
                    "not a response: {:?}",
                    String::from_utf8_lossy(&self.buffer[..self.buffer.len().min(200)])
                )
            })?;
            if let httparse::Status::Complete(length) = status {
                let headers = parsed
                    .headers
                    .iter()
                    .map(|h| {
                        (
                            h.name.to_ascii_lowercase(),
                            String::from_utf8_lossy(h.value).into_owned(),
                        )
                    })
                    .collect();
                break (parsed.code.unwrap_or(0), headers, length);
            }
            let have = self.buffer.len();
            self.taste(have + 1)?;
        };
        self.take(length)?;
        Ok(Response {
            status,
            headers,
            body: Vec::new(),
        })
    }

    /// Reads one response; `head` when it answers a `HEAD` request and so has no body.
    pub fn response(&mut self, head: bool) -> Result<Response> {
        let mut response = self.head()?;
        if head || matches!(response.status, 204 | 304) {
            return Ok(response);
        }
        if response
            .header("transfer-encoding")
            .is_some_and(|v| v.contains("chunked"))
        {
            loop {
                let line = self.line()?;
                let digits = line.split(';').next().unwrap_or("").trim();
                let length = usize::from_str_radix(digits, 16)
                    .with_context(|| format!("chunk size {line:?}"))?;
                let chunk = self.take(length)?;
                response.body.extend_from_slice(&chunk);
                if !self.line()?.is_empty() {
                    bail!("a chunk does not end where it says");
                }
                if length == 0 {
                    return Ok(response);
                }
            }
        }
        match response.header("content-length").map(str::parse::<usize>) {
            Some(length) => response.body = self.take(length.context("content-length")?)?,
            None => {
                while self.more()? {}
                response.body = std::mem::take(&mut self.buffer);
            }
        }
        Ok(response)
    }
}

/// Whether an error is the peer's reset, or a broken pipe that a reset left behind.
pub fn is_reset(error: &anyhow::Error) -> bool {
    let kinds = [
        ErrorKind::ConnectionReset,
        ErrorKind::BrokenPipe,
        ErrorKind::ConnectionAborted,
    ];
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|e| kinds.contains(&e.kind()))
}

/// A request of one line and a `Host`.
pub fn request(method: &str, target: &str, host: &str, more: &str) -> Vec<u8> {
    format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n").into_bytes()
}
