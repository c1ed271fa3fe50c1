//! Keys and certificates for servers and clients, made where they are needed.

use crate::Result;
use anyhow::{bail, Context as _};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// ECDSA on P-256.
    Ecdsa,
    /// RSA with 2048 bits.
    Rsa,
}

/// A key, and a certificate that it has signed itself. It names all that the tests call a server.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate, in a file of its own.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
    /// Both.
    pub both: PathBuf,
}

/// What the system's own configuration would say otherwise.
const CONFIGURATION: &str = "\
[req]
distinguished_name = name
prompt = no
x509_extensions = extensions
[name]
CN = localhost
[extensions]
basicConstraints = critical,CA:FALSE
subjectAltName = DNS:localhost,DNS:main.test,DNS:other.test,IP:127.0.0.1
";

impl Identity {
    /// Makes one in this directory.
    pub fn make(dir: &Path, kind: Key) -> Result<Self> {
        let file = |name: &str| dir.join(format!("{kind:?}-{name}.pem").to_lowercase());
        let identity = Self {
            certificate: file("certificate"),
            key: file("key"),
            both: file("both"),
        };
        let configuration = dir.join("certificate.conf");
        fs::write(&configuration, CONFIGURATION)?;
        let algorithm: &[_] = match kind {
            Key::Ecdsa => &["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
            Key::Rsa => &["rsa:2048"],
        };
        let made = Command::new("openssl")
            .args(["req", "-x509", "-nodes", "-days", "2", "-newkey"])
            .args(algorithm)
            .arg("-config")
            .arg(&configuration)
            .arg("-keyout")
            .arg(&identity.key)
            .arg("-out")
            .arg(&identity.certificate)
            .stdin(Stdio::null())
            .output()
            .context("openssl")?;
        if !made.status.success() {
            bail!("openssl req: {}", String::from_utf8_lossy(&made.stderr));
        }
        let both = [&identity.certificate, &identity.key].map(fs::read);
        let [certificate, key] = both;
        fs::write(&identity.both, [certificate?, key?].concat())?;
        // Servers that are another user by then read them.
        for file in [&identity.certificate, &identity.key, &identity.both] {
            fs::set_permissions(file, fs::Permissions::from_mode(0o644))?;
        }
        Ok(identity)
    }

    pub(crate) fn certificate(&self) -> Result<CertificateDer<'static>> {
        CertificateDer::from_pem_file(&self.certificate).context("certificate")
    }

    pub(crate) fn key(&self) -> Result<PrivateKeyDer<'static>> {
        PrivateKeyDer::from_pem_file(&self.key).context("key")
    }
}
