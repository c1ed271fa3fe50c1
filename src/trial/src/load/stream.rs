//! What a connection's bytes go through: a socket as it is, or TLS on it.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

/// What is read from a socket at a time. The library itself would read 4 KiB.
const READ: usize = 64 << 10;

/// How a load's connections are made.
#[derive(Clone, Debug)]
pub enum Transport {
    /// In clear text.
    Plain,
    /// Over TLS, with a server of this name.
    Tls(Arc<ClientConfig>, ServerName<'static>),
}

/// One connection's stream. It does not block.
pub enum Stream {
    /// The socket.
    Plain(TcpStream),
    /// A TLS session on it.
    Tls(Box<Tls>),
}

/// A TLS session and its socket.
pub struct Tls {
    socket: TcpStream,
    session: ClientConnection,
    /// What was read from the socket; the session has yet to take what is in the range.
    arrived: Vec<u8>,
    untaken: Range<usize>,
}

impl Transport {
    /// Connects, waiting for it: to a listening socket of this host that takes no time. A handshake is not waited for.
    pub fn connect(&self, address: SocketAddr) -> io::Result<Stream> {
        let socket = std::net::TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let socket = TcpStream::from_std(socket);
        let Self::Tls(config, name) = self else {
            return Ok(Stream::Plain(socket));
        };
        let session =
            ClientConnection::new(config.clone(), name.clone()).map_err(io::Error::other)?;
        let mut tls = Tls {
            socket,
            session,
            arrived: vec![0; READ],
            untaken: 0..0,
        };
        tls.flush()?;
        Ok(Stream::Tls(Box::new(tls)))
    }
}

impl Stream {
    /// The socket beneath.
    pub fn socket(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => &mut tls.socket,
        }
    }

    /// Goes on with the handshake; whether it is done.
    pub fn shake_hands(&mut self) -> io::Result<bool> {
        let Self::Tls(tls) = self else {
            return Ok(true);
        };
        while tls.session.is_handshaking() {
            match tls.take() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

impl Read for Stream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(out),
            Self::Tls(tls) => tls.read(out),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(tls) => tls.flush(),
        }
    }
}

impl Tls {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(out) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.take()?,
                result => return result,
            }
        }
    }

    /// What is written before the handshake is done goes out with its end.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.session.writer().write(bytes)?;
        self.flush()?;
        Ok(length)
    }

    /// Sends what the session has to send.
    fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.socket)?;
        }
        Ok(())
    }

    /// Has the session take something of what has arrived.
    fn take(&mut self) -> io::Result<()> {
        if self.untaken.is_empty() {
            let length = self.socket.read(&mut self.arrived)?;
            self.untaken = 0..length;
        }
        let mut bytes = &self.arrived[self.untaken.clone()];
        // Nothing is the end, and the session must know.
        let taken = self.session.read_tls(&mut bytes)?;
        self.untaken.start += taken;
        self.session
            .process_new_packets()
            .map_err(io::Error::other)?;
        if taken == 0 && self.session.is_handshaking() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.flush()
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        // Servers take it amiss if a session just ends. Where it has already, nobody hears this.
        self.session.send_close_notify();
        let _ = self.flush();
    }
}
