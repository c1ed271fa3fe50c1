//! From a secret to keys (RFC 8446, 7.1 to 7.3; RFC 5246, 5 and 6.3), and a record opened with them.

use super::record::{Content, HEADER, TAG};
use super::suite::{Suite, Version};
use aes_gcm::aead::{AeadInPlace, Key, KeyInit, Nonce, Tag};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use chacha20poly1305::ChaCha20Poly1305;
use core::ops::Range;
use hkdf::Hkdf;
use hmac::{Mac, SimpleHmac};
use sha2::{Sha256, Sha384};
use zeroize::{Zeroize, Zeroizing};

/// The longest secret: a master secret, or a hash of SHA-384.
const SECRET: usize = 48;

/// Bytes of a nonce.
const NONCE: usize = 12;

/// Bytes of a nonce of GCM in version 1.2 that are not sent.
const SALT: usize = 4;

/// What a connection's keys are made from: the client's traffic secret, or in version 1.2 the master secret with both randoms.
#[derive(Clone, PartialEq, Eq, Zeroize)]
pub struct Secret {
    version: Version,
    suite: Suite,
    bytes: [u8; SECRET],
    server_random: [u8; 32],
}

impl Default for Secret {
    fn default() -> Secret {
        Secret::new(Version::default(), Suite::default(), &[], [0; 32])
    }
}

impl core::fmt::Debug for Secret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Secret({:?}, {:?})", self.version, self.suite)
    }
}

impl Secret {
    /// A client's traffic secret of version 1.3; nothing where its length is not that of the suite's hash.
    pub fn tls13(suite: Suite, secret: &[u8]) -> Option<Secret> {
        (secret.len() == suite.hash_length())
            .then(|| Secret::new(Version::Tls13, suite, secret, [0; 32]))
    }

    /// A master secret of version 1.2.
    pub fn tls12(suite: Suite, master: &[u8], server_random: [u8; 32]) -> Option<Secret> {
        (master.len() == SECRET).then(|| Secret::new(Version::Tls12, suite, master, server_random))
    }

    fn new(version: Version, suite: Suite, secret: &[u8], server_random: [u8; 32]) -> Secret {
        let mut bytes = [0; SECRET];
        bytes[..secret.len()].copy_from_slice(secret);
        Secret {
            version,
            suite,
            bytes,
            server_random,
        }
    }

    /// The version that it is of.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Bytes that a record has more than what it holds, type and padding left aside.
    pub(super) fn overhead(&self) -> usize {
        let kind = usize::from(self.version == Version::Tls13);
        self.suite.explicit_nonce(self.version) + TAG + kind
    }

    fn bytes(&self) -> &[u8] {
        match self.version {
            Version::Tls12 => &self.bytes,
            Version::Tls13 => &self.bytes[..self.suite.hash_length()],
        }
    }

    /// The keys of what a client with this random encrypts.
    pub(super) fn keys(&self, client_random: &[u8; 32]) -> Keys {
        let mut keys = Keys {
            is_set: true,
            version: self.version,
            suite: self.suite,
            ..Keys::default()
        };
        let length = self.suite.key_length();
        match self.version {
            Version::Tls13 => {
                self.expand_label(b"key", &mut keys.key[..length]);
                self.expand_label(b"iv", &mut keys.iv);
            }
            Version::Tls12 => {
                // The client's key, the server's, the client's salt or nonce, the server's.
                let mut block = Zeroizing::new([0; 2 * 32 + NONCE]);
                self.key_block(client_random, &mut *block);
                keys.key[..length].copy_from_slice(&block[..length]);
                let salt = if self.suite == Suite::Chacha20Poly1305 {
                    NONCE
                } else {
                    SALT
                };
                keys.iv[..salt].copy_from_slice(&block[2 * length..2 * length + salt]);
            }
        }
        keys
    }

    /// The secret after a client's `KeyUpdate`.
    pub(super) fn next(&self) -> Secret {
        let mut next = self.clone();
        let length = self.suite.hash_length();
        self.expand_label(b"traffic upd", &mut next.bytes[..length]);
        next
    }

    /// `HKDF-Expand-Label` with an empty context.
    fn expand_label(&self, label: &[u8], into: &mut [u8]) {
        const PREFIX: &[u8] = b"tls13 ";
        let length = (into.len() as u16).to_be_bytes();
        let label_length = [(PREFIX.len() + label.len()) as u8];
        let info = [&length, &label_length[..], PREFIX, label, &[0]];
        // A secret is as long as the hash, and what is asked for is shorter than 255 of them.
        let _ = match self.suite {
            Suite::Aes256Gcm => Hkdf::<Sha384>::from_prk(self.bytes())
                .map(|hkdf| hkdf.expand_multi_info(&info, into).is_ok()),
            _ => Hkdf::<Sha256>::from_prk(self.bytes())
                .map(|hkdf| hkdf.expand_multi_info(&info, into).is_ok()),
        };
    }

    /// `PRF(master_secret, "key expansion", server_random + client_random)`, as much of it as there is room for.
    fn key_block(&self, client_random: &[u8; 32], block: &mut [u8]) {
        let seed = [&b"key expansion"[..], &self.server_random, client_random];
        match self.suite {
            Suite::Aes256Gcm => prf::<SimpleHmac<Sha384>>(self.bytes(), seed, block),
            _ => prf::<SimpleHmac<Sha256>>(self.bytes(), seed, block),
        }
    }
}

/// `P_hash` (RFC 5246, 5).
fn prf<M: Mac + KeyInit + Clone>(secret: &[u8], seed: [&[u8]; 3], into: &mut [u8]) {
    let Ok(keyed) = <M as Mac>::new_from_slice(secret) else {
        return;
    };
    let with_seed = |mac: M| seed.iter().fold(mac, |mac, part| mac.chain_update(part));
    let mut a = with_seed(keyed.clone()).finalize().into_bytes();
    for part in into.chunks_mut(a.len()) {
        let output = with_seed(keyed.clone().chain_update(&a))
            .finalize()
            .into_bytes();
        part.copy_from_slice(&output[..part.len()]);
        a = keyed.clone().chain_update(&a).finalize().into_bytes();
    }
}

/// The keys of one direction.
#[derive(Clone, Default, Zeroize)]
pub(super) struct Keys {
    /// They were derived.
    pub is_set: bool,
    version: Version,
    suite: Suite,
    key: [u8; 32],
    iv: [u8; NONCE],
}

impl core::fmt::Debug for Keys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Keys({:?}, {:?})", self.version, self.suite)
    }
}

impl Keys {
    /// Opens the record with this sequence number in its place: what it holds, and where in its body that stands. Nothing, and
    /// nothing is changed, where its tag is not right.
    pub fn open(
        &self,
        sequence: u64,
        header: &[u8; HEADER],
        body: &mut [u8],
    ) -> Option<(Content, Range<usize>)> {
        let explicit = self.suite.explicit_nonce(self.version);
        let length = body.len().checked_sub(explicit + TAG)?;
        if !self.is_set {
            return None;
        }
        let mut nonce = self.iv;
        if explicit > 0 {
            nonce[SALT..].copy_from_slice(&body[..explicit]);
        } else {
            let sequence = sequence.to_be_bytes();
            nonce[NONCE - 8..]
                .iter_mut()
                .zip(sequence)
                .for_each(|(n, s)| *n ^= s);
        }
        let mut data = [0; 8 + HEADER];
        let data = match self.version {
            Version::Tls13 => &header[..],
            Version::Tls12 => {
                data[..8].copy_from_slice(&sequence.to_be_bytes());
                data[8..11].copy_from_slice(&header[..3]);
                data[11..].copy_from_slice(&(length as u16).to_be_bytes());
                &data[..]
            }
        };
        let (sealed, tag) = body.split_at_mut(explicit + length);
        let sealed = &mut sealed[explicit..];
        let key = &self.key[..self.suite.key_length()];
        match self.suite {
            Suite::Aes128Gcm => open_with::<Aes128Gcm>(key, &nonce, data, sealed, tag),
            Suite::Aes256Gcm => open_with::<Aes256Gcm>(key, &nonce, data, sealed, tag),
            Suite::Chacha20Poly1305 => {
                open_with::<ChaCha20Poly1305>(key, &nonce, data, sealed, tag)
            }
        }?;
        if self.version == Version::Tls12 {
            return Some((Content::of(header[0]), explicit..explicit + length));
        }
        // The content's type stands behind it, and zeros behind that.
        let end = sealed.iter().rposition(|&byte| byte != 0);
        let kind = end.map_or(Content::None, |end| Content::of(sealed[end]));
        Some((kind, 0..end.unwrap_or(0)))
    }
}

fn open_with<A: AeadInPlace + KeyInit>(
    key: &[u8],
    nonce: &[u8; NONCE],
    data: &[u8],
    sealed: &mut [u8],
    tag: &[u8],
) -> Option<()> {
    let cipher = A::new(Key::<A>::from_slice(key));
    let (nonce, tag) = (Nonce::<A>::from_slice(nonce), Tag::<A>::from_slice(tag));
    cipher
        .decrypt_in_place_detached(nonce, data, sealed, tag)
        .ok()
}
