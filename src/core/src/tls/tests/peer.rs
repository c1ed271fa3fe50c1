//! Conversations between a client and a server of rustls, in memory: what the client sends, and what the server's key log tells.

use super::*;
use rustls::crypto::ring::{cipher_suite as suites, default_provider, kx_group};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, KeyLog, RootCertStore, ServerConfig,
    ServerConnection, SupportedCipherSuite,
};
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

/// Versions and cipher suites.
pub const KINDS: [(Version, Suite, SupportedCipherSuite); 6] = [
    (
        Version::Tls13,
        Suite::Aes128Gcm,
        suites::TLS13_AES_128_GCM_SHA256,
    ),
    (
        Version::Tls13,
        Suite::Aes256Gcm,
        suites::TLS13_AES_256_GCM_SHA384,
    ),
    (
        Version::Tls13,
        Suite::Chacha20Poly1305,
        suites::TLS13_CHACHA20_POLY1305_SHA256,
    ),
    (
        Version::Tls12,
        Suite::Aes128Gcm,
        suites::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        Version::Tls12,
        Suite::Aes256Gcm,
        suites::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        Version::Tls12,
        Suite::Chacha20Poly1305,
        suites::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
];

/// How the two get to know each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    #[default]
    Plain,
    /// The client shows so long a chain of certificates that it takes several records.
    ClientCertificates,
    /// They have met before.
    Resumed,
    /// They have, and the client sends before the server has answered (version 1.3).
    EarlyData,
    /// The client offers a group that the server does not have (version 1.3).
    Retry,
}

/// What the client does then.
#[derive(Clone, Debug)]
pub enum Act {
    /// Writes a record with so many bytes.
    Write(usize),
    /// Changes its keys (version 1.3).
    Update,
}

/// A record that the client has sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub record: Vec<u8>,
    /// What the application has written in it.
    pub plain: Option<Vec<u8>>,
}

/// A conversation as it was.
pub struct Talk {
    pub sent: Vec<Sent>,
    /// How many bytes the server had read when it told the secret.
    pub told_at: usize,
    pub random: [u8; 32],
    pub secret: Secret,
    /// How it came about.
    made_of: String,
}

impl core::fmt::Debug for Talk {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.made_of)
    }
}

impl Talk {
    pub fn bytes(&self) -> Vec<u8> {
        self.sent.iter().flat_map(|it| it.record.clone()).collect()
    }

    /// The places of the records.
    pub fn places(&self) -> Vec<Place> {
        let mut place = Place::default();
        let after = |it: &Sent| {
            let here = place;
            place = place.after(header(it.record.first_chunk().unwrap()).unwrap().0);
            here
        };
        self.sent.iter().map(after).collect()
    }

    /// The place of the first record with bytes of the application's that the secret is for, in records of application data.
    pub fn first(&self) -> u64 {
        let data = self.sent.iter().position(|it| it.plain.is_some());
        self.places()[data.unwrap()].application
    }

    /// A session by which all was read, and which knows the secret.
    pub fn session(&self) -> Session {
        let mut session = Session::default();
        session.read(&self.bytes()[..self.told_at], self.told_at, |_| {});
        assert_eq!(session.reading().random(), Some(&self.random));
        session.learn(self.secret.clone());
        session
    }
}

#[derive(Debug, Default)]
struct Log(Mutex<Vec<String>>);

impl KeyLog for Log {
    fn log(&self, label: &str, random: &[u8], secret: &[u8]) {
        let line = format!("{label} {} {}\n", hex(random), hex(secret));
        self.0.lock().unwrap().push(line);
    }
}

fn configure(
    suite: SupportedCipherSuite,
    way: Way,
    log: Arc<Log>,
) -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = certified.cert.der().clone();
    let key = || PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let roots = Arc::new(roots);
    let mut provider = default_provider();
    provider.cipher_suites = vec![suite];
    provider.kx_groups = vec![kx_group::X25519, kx_group::SECP256R1];
    let client = ClientConfig::builder_with_provider(Arc::new(provider.clone()))
        .with_protocol_versions(&[&TLS12, &TLS13])
        .or_else(|_| {
            ClientConfig::builder_with_provider(Arc::new(provider.clone()))
                .with_protocol_versions(&[suite.version()])
        })
        .unwrap()
        .with_root_certificates(roots.clone());
    let mut client = if way == Way::ClientCertificates {
        let chain = vec![certificate.clone(); 60];
        client.with_client_auth_cert(chain, key()).unwrap()
    } else {
        client.with_no_client_auth()
    };
    client.enable_early_data = way == Way::EarlyData;
    if way == Way::Retry {
        provider.kx_groups = vec![kx_group::SECP256R1];
    }
    let provider = Arc::new(provider);
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[suite.version()])
        .unwrap();
    let server = if way == Way::ClientCertificates {
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
        server.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        server.with_no_client_auth()
    };
    let mut server = server.with_single_cert(vec![certificate], key()).unwrap();
    server.key_log = log;
    server.max_early_data_size = if way == Way::EarlyData { 1 << 16 } else { 0 };
    (Arc::new(client), Arc::new(server))
}

/// A client and a server, and what has gone over the wire.
struct Pair {
    client: ClientConnection,
    server: ServerConnection,
    log: Arc<Log>,
    sent: Vec<Sent>,
    answered: Vec<u8>,
    read: Vec<u8>,
    told_at: Option<usize>,
}

impl Pair {
    fn new(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>, log: Arc<Log>) -> Pair {
        log.0.lock().unwrap().clear();
        let name = ServerName::try_from("localhost").unwrap();
        let mut client = ClientConnection::new(client.clone(), name).unwrap();
        client.set_buffer_limit(None);
        Pair {
            client,
            server: ServerConnection::new(server.clone()).unwrap(),
            log,
            sent: Vec::new(),
            answered: Vec::new(),
            read: Vec::new(),
            told_at: None,
        }
    }

    /// The client sends, the server reads, and answers.
    fn pass(&mut self, plain: Option<Vec<u8>>) {
        let mut bytes = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            self.server.read_tls(&mut rest).unwrap();
            let state = self.server.process_new_packets().unwrap();
            if let Some(mut early) = self.server.early_data() {
                early.read_to_end(&mut Vec::new()).unwrap();
            }
            let at = self.read.len();
            self.read.resize(at + state.plaintext_bytes_to_read(), 0);
            self.server
                .reader()
                .read_exact(&mut self.read[at..])
                .unwrap();
        }
        let new = records(&bytes);
        assert_eq!(new.concat(), bytes, "whole records");
        assert!(plain.is_none() || new.len() == 1, "one write is one record");
        self.sent.extend(new.into_iter().map(|record| Sent {
            record: record.to_vec(),
            plain: plain.clone(),
        }));
        let is_told = |line: &String| Line::parse(line.as_bytes()).is_some();
        if self.told_at.is_none() && self.log.0.lock().unwrap().iter().any(is_told) {
            self.told_at = Some(self.sent.iter().map(|it| it.record.len()).sum());
        }
        let mut answer = Vec::new();
        while self.server.wants_write() {
            self.server.write_tls(&mut answer).unwrap();
        }
        let mut rest = answer.as_slice();
        while !rest.is_empty() {
            self.client.read_tls(&mut rest).unwrap();
            self.client.process_new_packets().unwrap();
        }
        self.answered.extend(answer);
    }

    fn greet(&mut self) {
        while self.client.is_handshaking() || self.server.is_handshaking() {
            self.pass(None);
        }
        self.pass(None);
    }
}

/// Has a client say something to a server.
pub fn talk(kind: usize, way: Way, acts: &[Act]) -> Talk {
    let (version, suite, theirs) = KINDS[kind];
    let log = Arc::new(Log::default());
    let (client, server) = configure(theirs, way, log.clone());
    if matches!(way, Way::Resumed | Way::EarlyData) {
        let mut first = Pair::new(&client, &server, log.clone());
        first.greet();
    }
    let mut pair = Pair::new(&client, &server, log.clone());
    if way == Way::EarlyData {
        let mut early = pair.client.early_data().expect("a ticket of before");
        early.write_all(b"GET /early HTTP/1.1\r\n\r\n").unwrap();
    }
    pair.greet();
    let expected = match way {
        Way::Resumed | Way::EarlyData => HandshakeKind::Resumed,
        Way::Retry => HandshakeKind::FullWithHelloRetryRequest,
        _ => HandshakeKind::Full,
    };
    assert_eq!(pair.client.handshake_kind(), Some(expected));
    let mut written: Vec<u8> = Vec::new();
    for (number, act) in acts.iter().enumerate() {
        let plain = match act {
            Act::Write(length) => {
                let plain: Vec<u8> = (0..*length).map(|at| (at * 7 + number) as u8).collect();
                pair.client.writer().write_all(&plain).unwrap();
                written.extend(&plain);
                Some(plain)
            }
            Act::Update => {
                pair.client.refresh_traffic_keys().unwrap();
                None
            }
        };
        pair.pass(plain);
    }
    assert_eq!(pair.read, written, "the server has understood it");
    let lines = log.0.lock().unwrap();
    let told = lines.iter().find_map(|it| Line::parse(it.as_bytes()));
    let line = told.expect("a secret");
    let secret = match version {
        Version::Tls13 => Secret::tls13(suite, line.secret()),
        Version::Tls12 => {
            // A record's header, a message's, and the version stand before it.
            let server_random = pair.answered[HEADER + 6..][..32].try_into().unwrap();
            Secret::tls12(suite, line.secret(), server_random)
        }
    };
    Talk {
        sent: pair.sent,
        told_at: pair.told_at.unwrap(),
        random: line.random,
        secret: secret.expect("of the right length"),
        made_of: format!("talk({kind}, Way::{way:?}, &{acts:?})"),
    }
}
