//! The certificate of all servers that speak TLS, made anew for each trial, and a client that trusts no other.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{generate_simple_self_signed, CertifiedKey};
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};

use crate::load::Transport;

const NAME: &str = "localhost";

/// Who the servers are.
#[derive(Clone, Debug)]
pub struct Identity {
    /// A file with the certificate and its key.
    pub file: PathBuf,
    /// How clients speak to them: HTTP/1.1, which is what they speak to who does not ask for another protocol.
    pub client: Transport,
    /// The same for HTTP/2, and nothing else.
    pub http2_client: Transport,
}

impl Identity {
    /// Makes one (ECDSA, P-256), with its file in `directory`.
    pub fn make(directory: &Path) -> Result<Self> {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed([NAME.to_owned()]).context("cannot make a certificate")?;
        let file = directory.join("identity.pem");
        OpenOptions::new()
            .write(true)
            .create_new(true)
            // Servers read it before they become another user.
            .mode(0o600)
            .open(&file)
            .and_then(|mut out| write!(out, "{}{}", cert.pem(), signing_key.serialize_pem()))
            .with_context(|| format!("cannot write {}", file.display()))?;

        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone())?;
        let mut config = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // Each connection has a session of its own.
        config.resumption = Resumption::disabled();
        let name = ServerName::try_from(NAME)?;
        let mut http2 = config.clone();
        http2.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self {
            file,
            http2_client: Transport::Tls(Arc::new(http2), name.clone()),
            client: Transport::Tls(Arc::new(config), name),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::{Ipv4Addr, TcpListener};
    use std::time::Duration;

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ServerConfig, ServerConnection};

    use super::*;

    /// Without it, a server would be measured that only happens to listen there.
    #[test]
    fn a_client_trusts_its_own_servers_only() {
        let directories = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let identity = |index: usize| Identity::make(directories[index].path()).unwrap();
        let (own, other) = (identity(0), identity(1));
        meet(&own, &own.client).unwrap();
        let refused = meet(&own, &other.client).unwrap_err().to_string();
        assert!(refused.contains("certificate"), "{refused}");
    }

    fn meet(server: &Identity, client: &Transport) -> io::Result<()> {
        let certificate = CertificateDer::from_pem_file(&server.file).unwrap();
        let key = PrivateKeyDer::from_pem_file(&server.file).unwrap();
        let config = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        std::thread::spawn(move || {
            let (mut socket, _) = listener.accept()?;
            let mut session = ServerConnection::new(Arc::new(config)).map_err(io::Error::other)?;
            session.complete_io(&mut socket)
        });
        let mut stream = client.connect(address)?;
        while !stream.shake_hands()? {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}
