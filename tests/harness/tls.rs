//! Clients that speak TLS, and let a test decide how their bytes are divided among records, and these among writes.

use crate::http::Connection;
use crate::identity::Identity;
use crate::Result;
use anyhow::{bail, ensure};
use rustls::client::Resumption;
use rustls::crypto::{ring, CryptoProvider};
use rustls::pki_types::ServerName;
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, SupportedCipherSuite,
    SupportedProtocolVersion,
};
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;

/// The versions that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 1.2
    Tls12,
    /// 1.3
    Tls13,
}

/// How records are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// AES-128-GCM
    Aes128,
    /// AES-256-GCM
    Aes256,
    /// ChaCha20-Poly1305
    Chacha20,
}

/// All combinations.
pub const COMBINATIONS: [(Version, Suite); 6] = [
    (Version::Tls12, Suite::Aes128),
    (Version::Tls12, Suite::Aes256),
    (Version::Tls12, Suite::Chacha20),
    (Version::Tls13, Suite::Aes128),
    (Version::Tls13, Suite::Aes256),
    (Version::Tls13, Suite::Chacha20),
];

/// What a client wishes for.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// The version.
    pub version: Version,
    /// The suite.
    pub suite: Suite,
    /// Protocols that it offers.
    pub protocols: &'static [&'static str],
    /// Whether the server may give it tickets; version 1.2 can do without.
    pub tickets: bool,
    /// Whether it sends its first request before the handshake, where it has been there before.
    pub early: bool,
    /// What it shows the server.
    pub shows: Option<Identity>,
    /// The server's name.
    pub name: &'static str,
}

impl Wishes {
    /// A client of this version and suite, without anything else.
    pub fn plain(version: Version, suite: Suite) -> Self {
        Self {
            version,
            suite,
            protocols: &[],
            tickets: true,
            early: false,
            shows: None,
            name: "localhost",
        }
    }
}

/// A client, which remembers the sessions that it had.
#[derive(Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Client {
    /// A client that trusts these servers.
    pub fn new(trusted: &[&Identity], wishes: &Wishes) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for identity in trusted {
            roots.add(identity.certificate()?)?;
        }
        let provider = CryptoProvider {
            cipher_suites: suites(wishes.version, wishes.suite),
            ..ring::default_provider()
        };
        let versions: &[&'static SupportedProtocolVersion] = match wishes.version {
            Version::Tls12 => &[&rustls::version::TLS12],
            Version::Tls13 => &[&rustls::version::TLS13],
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)?
            .with_root_certificates(roots);
        let mut config = match &wishes.shows {
            Some(identity) => {
                builder.with_client_auth_cert(vec![identity.certificate()?], identity.key()?)?
            }
            None => builder.with_no_client_auth(),
        };
        let protocols = wishes.protocols.iter();
        config.alpn_protocols = protocols.map(|name| name.as_bytes().to_vec()).collect();
        config.enable_early_data = wishes.early;
        config.resumption = Resumption::in_memory_sessions(256);
        if !wishes.tickets {
            let by_id = rustls::client::Tls12Resumption::SessionIdOnly;
            config.resumption = config.resumption.tls12_resumption(by_id);
        }
        Ok(Self {
            config: Arc::new(config),
            name: ServerName::try_from(wishes.name)?,
        })
    }

    /// A connection whose handshake is over.
    pub fn connect(&self, address: SocketAddr) -> Result<Connection> {
        let mut connection = self.dial(address)?;
        let last = shake(&mut connection)?;
        connection.send_raw(&last)?;
        Ok(connection)
    }

    /// A connection on which nothing was sent yet.
    pub fn dial(&self, address: SocketAddr) -> Result<Connection> {
        let mut connection = Connection::open(address)?;
        let tls = ClientConnection::new(self.config.clone(), self.name.clone())?;
        connection.seal(Sealed(tls));
        Ok(connection)
    }
}

fn suites(version: Version, suite: Suite) -> Vec<SupportedCipherSuite> {
    use ring::cipher_suite::*;
    match (version, suite) {
        (Version::Tls13, Suite::Aes128) => vec![TLS13_AES_128_GCM_SHA256],
        (Version::Tls13, Suite::Aes256) => vec![TLS13_AES_256_GCM_SHA384],
        (Version::Tls13, Suite::Chacha20) => vec![TLS13_CHACHA20_POLY1305_SHA256],
        (Version::Tls12, Suite::Aes128) => vec![
            TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        ],
        (Version::Tls12, Suite::Aes256) => vec![
            TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        ],
        (Version::Tls12, Suite::Chacha20) => vec![
            TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ],
    }
}

/// Carries out the handshake up to the client's last message, which is returned instead of sent. Nothing where the last message is
/// the server's.
pub fn shake(connection: &mut Connection) -> Result<Vec<u8>> {
    loop {
        let sealed = connection.sealed()?;
        let records = sealed.pending()?;
        if !sealed.0.is_handshaking() {
            return Ok(records);
        }
        connection.send_raw(&records)?;
        if connection.sealed()?.0.is_handshaking() {
            let bytes = connection.read_raw()?;
            let opened = connection.sealed()?.open_quietly(&bytes)?;
            ensure!(!opened.ends, "the server ended the handshake");
            // A server may answer what it was asked before the handshake is over.
            connection.keep(&opened.bytes);
        }
    }
}

/// What came of bytes that a server has sent.
#[derive(Default)]
pub struct Opened {
    /// What they hold.
    pub bytes: Vec<u8>,
    /// What is to be sent for them.
    pub answer: Vec<u8>,
    /// The server has said that this is the end.
    pub ends: bool,
}

/// The client's end of one connection by TLS.
pub struct Sealed(ClientConnection);

impl Sealed {
    /// Records that hold these bytes: one, where they fit into it.
    pub fn seal(&mut self, bytes: &[u8]) -> Result<Vec<u8>> {
        self.0.writer().write_all(bytes)?;
        self.pending()
    }

    /// A record that says that the client's next ones are sealed with other keys.
    pub fn update_keys(&mut self) -> Result<Vec<u8>> {
        self.0.refresh_traffic_keys()?;
        self.pending()
    }

    /// A record that says that the client will send nothing more.
    pub fn close(&mut self) -> Result<Vec<u8>> {
        self.0.send_close_notify();
        self.pending()
    }

    /// Seals bytes that are sent before the handshake; how many of them may be.
    pub fn seal_early(&mut self, bytes: &[u8]) -> Result<usize> {
        match self.0.early_data() {
            Some(mut early) => Ok(early.write(bytes)?),
            None => Ok(0),
        }
    }

    /// Whether the server has taken what was sent before the handshake.
    pub fn is_early_data_accepted(&self) -> bool {
        self.0.is_early_data_accepted()
    }

    /// Whether the handshake went on with a session that the client had before.
    pub fn is_resumed(&self) -> bool {
        self.0.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// What was agreed upon.
    pub fn protocol(&self) -> Option<&[u8]> {
        self.0.alpn_protocol()
    }

    /// What is to be sent.
    pub fn pending(&mut self) -> Result<Vec<u8>> {
        let mut records = Vec::new();
        while self.0.wants_write() {
            self.0.write_tls(&mut records)?;
        }
        Ok(records)
    }

    /// Opens what the server has sent.
    pub(crate) fn open(&mut self, bytes: &[u8]) -> Result<Opened> {
        let mut opened = self.open_quietly(bytes)?;
        opened.answer = self.pending()?;
        Ok(opened)
    }

    /// The same, and leaves what is to be sent for it.
    fn open_quietly(&mut self, mut bytes: &[u8]) -> Result<Opened> {
        let mut opened = Opened {
            ends: bytes.is_empty(),
            ..Opened::default()
        };
        while !bytes.is_empty() {
            self.0.read_tls(&mut bytes)?;
            let state = self.0.process_new_packets()?;
            let length = state.plaintext_bytes_to_read();
            let at = opened.bytes.len();
            opened.bytes.resize(at + length, 0);
            if length > 0 {
                self.0.reader().read_exact(&mut opened.bytes[at..])?;
            }
            if state.peer_has_closed() {
                opened.ends = true;
                return Ok(opened);
            }
        }
        Ok(opened)
    }
}

/// The records in these bytes, one after the other.
pub fn records(mut bytes: &[u8]) -> Result<Vec<&[u8]>> {
    let mut records = Vec::new();
    while let Some(header) = bytes.first_chunk::<5>() {
        let length = 5 + usize::from(u16::from_be_bytes([header[3], header[4]]));
        let Some((record, rest)) = bytes.split_at_checked(length) else {
            bail!("a record is cut");
        };
        records.push(record);
        bytes = rest;
    }
    ensure!(bytes.is_empty(), "a header is cut");
    Ok(records)
}
