//! The signature algorithms: their names, and how jsonwebtoken verifies them with ring, which TLS needs anyway.

use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind,
    crypto::{CryptoProvider, JwtVerifier, KeyUtils},
    errors::ErrorKind,
    signature::{Error, Verifier},
};
use ring::{
    hmac,
    signature::{
        ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
        RsaPublicKeyComponents, UnparsedPublicKey,
    },
};

/// The accepted algorithms by their names in tokens and keys (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864 §2.2).
const ALGORITHMS: [(&str, Algorithm); 8] = [
    ("HS256", Algorithm::HS256),
    ("HS384", Algorithm::HS384),
    ("HS512", Algorithm::HS512),
    ("EdDSA", Algorithm::EdDSA),
    ("Ed25519", Algorithm::EdDSA),
    ("ES256", Algorithm::ES256),
    ("RS256", Algorithm::RS256),
    ("PS256", Algorithm::PS256),
];

/// The cryptography that jsonwebtoken uses. It must be installed before the first token is checked, or
/// jsonwebtoken panics. It only verifies, because functions sign nothing.
pub(super) static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: |algorithm, key| {
        if key.family() != algorithm.family() {
            return Err(ErrorKind::InvalidKeyFormat.into());
        }
        Ok(Box::new(RingVerifier { algorithm: *algorithm, key: key.clone() }))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

struct RingVerifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

/// Returns the algorithm with this name in a token or key.
pub(super) fn algorithm(name: &str) -> Option<Algorithm> {
    ALGORITHMS.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), Error> {
        use Algorithm::{ES256, EdDSA, HS256, HS384, HS512, PS256, RS256};
        use DecodingKeyKind::{RsaModulusExponent, SecretOrDer};
        // Compares in constant time.
        let hmac = |hash, secret: &[u8]| hmac::verify(&hmac::Key::new(hash, secret), message, signature);
        match (self.algorithm, self.key.kind()) {
            (HS256, SecretOrDer(secret)) => hmac(hmac::HMAC_SHA256, secret),
            (HS384, SecretOrDer(secret)) => hmac(hmac::HMAC_SHA384, secret),
            (HS512, SecretOrDer(secret)) => hmac(hmac::HMAC_SHA512, secret),
            (EdDSA, SecretOrDer(point)) => UnparsedPublicKey::new(&ED25519, point).verify(message, signature),
            (ES256, SecretOrDer(point)) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            (RS256, RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            (PS256, RsaModulusExponent { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PSS_2048_8192_SHA256, message, signature)
            }
            _ => return Err(Error::new()),
        }
        .map_err(|_| Error::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
