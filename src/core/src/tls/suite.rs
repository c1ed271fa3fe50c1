//! What a connection has agreed upon.

use zeroize::DefaultIsZeroes;

/// The versions that are understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Version {
    /// 1.2 (RFC 5246).
    #[default]
    Tls12 = 0,
    /// 1.3 (RFC 8446).
    Tls13,
}

impl DefaultIsZeroes for Version {}

impl Version {
    /// By the number that stands in a hello.
    pub fn of(number: u16) -> Option<Version> {
        match number {
            0x0303 => Some(Version::Tls12),
            0x0304 => Some(Version::Tls13),
            _ => None,
        }
    }
}

/// How records are encrypted, which also says by which hash keys are derived: SHA-384 beside AES-256, else SHA-256.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Suite {
    /// AES-128-GCM
    #[default]
    Aes128Gcm = 0,
    /// AES-256-GCM
    Aes256Gcm,
    /// ChaCha20-Poly1305
    Chacha20Poly1305,
}

impl DefaultIsZeroes for Suite {}

impl Suite {
    /// By IANA's number of the cipher suite; nothing for those that do not authenticate what they encrypt in one step.
    pub fn of(number: u16) -> Option<Suite> {
        match number {
            0x1301 | 0x009c | 0x009e | 0x00a0 | 0x00a2 | 0x00a4 | 0x00a8 | 0x00aa | 0x00ac
            | 0xc02b | 0xc02d | 0xc02f | 0xc031 | 0xd001 => Some(Suite::Aes128Gcm),
            0x1302 | 0x009d | 0x009f | 0x00a1 | 0x00a3 | 0x00a5 | 0x00a9 | 0x00ab | 0x00ad
            | 0xc02c | 0xc02e | 0xc030 | 0xc032 | 0xd002 => Some(Suite::Aes256Gcm),
            0x1303 | 0xcca8..=0xccae => Some(Suite::Chacha20Poly1305),
            _ => None,
        }
    }

    /// Bytes of a key.
    pub fn key_length(self) -> usize {
        match self {
            Suite::Aes128Gcm => 16,
            Suite::Aes256Gcm | Suite::Chacha20Poly1305 => 32,
        }
    }

    /// Bytes of the hash.
    pub fn hash_length(self) -> usize {
        match self {
            Suite::Aes256Gcm => 48,
            Suite::Aes128Gcm | Suite::Chacha20Poly1305 => 32,
        }
    }

    /// Bytes that a record of version 1.2 has in front of what is encrypted.
    pub(super) fn explicit_nonce(self, version: Version) -> usize {
        match (version, self) {
            (Version::Tls12, Suite::Aes128Gcm | Suite::Aes256Gcm) => 8,
            _ => 0,
        }
    }
}
