//! Clients that speak TLS, and let a test decide how their bytes are divided among records, and these among writes.

use crate::http::Connection;
use crate::identity::Identity;
use crate::sealed::Sealed;
use crate::Result;
use anyhow::{bail, ensure};
use rustls::client::Resumption;
use rustls::crypto::{ring, CryptoProvider};
use rustls::pki_types::ServerName;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, SupportedCipherSuite, SupportedProtocolVersion,
};
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
        connection.seal(Sealed::new(tls));
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
        if !sealed.is_handshaking() {
            return Ok(records);
        }
        connection.send_raw(&records)?;
        if connection.sealed()?.is_handshaking() {
            let bytes = connection.read_raw()?;
            let opened = connection.sealed()?.open_quietly(&bytes)?;
            ensure!(!opened.ends, "the server ended the handshake");
            // A server may answer what it was asked before the handshake is over.
            connection.keep(&opened.bytes);
        }
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
