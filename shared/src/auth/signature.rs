//! Verifies signatures with ring, which TLS needs anyway.

use std::{fmt, str::FromStr};

use ring::{
    hmac,
    signature::{RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey},
};

/// The algorithms of shared secrets (RFC 7518 §3.2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HmacAlgorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
}

/// The algorithms of public keys (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864 §2.2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum PublicKeyAlgorithm {
    /// EdDSA on the curve Ed25519. RFC 8037 calls it `EdDSA`, RFC 9864 `Ed25519`; both names are in use.
    Ed25519,
    Es256,
    Rs256,
    Ps256,
}

/// A key that verifies signatures of one algorithm.
pub(super) enum VerifyingKey {
    Secret(hmac::Key),
    Curve(UnparsedPublicKey<Vec<u8>>),
    Rsa(&'static RsaParameters, RsaPublicKeyComponents<Vec<u8>>),
}

impl HmacAlgorithm {
    /// Length of the shortest accepted secret, in bytes: the length of the hash (RFC 7518 §3.2).
    pub(super) fn min_secret_len(self) -> usize {
        self.hmac().digest_algorithm().output_len()
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Hs256 => hmac::HMAC_SHA256,
            Self::Hs384 => hmac::HMAC_SHA384,
            Self::Hs512 => hmac::HMAC_SHA512,
        }
    }
}

impl FromStr for HmacAlgorithm {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        match name {
            "HS256" => Ok(Self::Hs256),
            "HS384" => Ok(Self::Hs384),
            "HS512" => Ok(Self::Hs512),
            _ => Err(()),
        }
    }
}

impl fmt::Display for HmacAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        })
    }
}

impl PublicKeyAlgorithm {
    pub(super) const ALL: [Self; 4] = [Self::Ed25519, Self::Es256, Self::Rs256, Self::Ps256];
}

impl FromStr for PublicKeyAlgorithm {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        match name {
            "EdDSA" | "Ed25519" => Ok(Self::Ed25519),
            "ES256" => Ok(Self::Es256),
            "RS256" => Ok(Self::Rs256),
            "PS256" => Ok(Self::Ps256),
            _ => Err(()),
        }
    }
}

impl VerifyingKey {
    /// Creates a key from a shared secret.
    pub(super) fn secret(algorithm: HmacAlgorithm, secret: &str) -> Self {
        Self::Secret(hmac::Key::new(algorithm.hmac(), secret.as_bytes()))
    }

    /// Whether `signature` is the signature of `message` with this key.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            // Compares in constant time.
            Self::Secret(key) => hmac::verify(key, message, signature).is_ok(),
            Self::Curve(key) => key.verify(message, signature).is_ok(),
            Self::Rsa(parameters, key) => key.verify(parameters, message, signature).is_ok(),
        }
    }
}
