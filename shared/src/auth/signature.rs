//! Checks signatures with ring, which TLS uses as well. jsonwebtoken has no provider for it.

use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind, EncodingKey,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{ErrorKind, Result},
    signature::{Error, Verifier},
};
use ring::{
    hmac::{self, HMAC_SHA256, HMAC_SHA384, HMAC_SHA512},
    signature::{
        ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
        RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
    },
};

/// Verifies every algorithm that a token may have here (RFC 7518 §3.1, RFC 8037 §3.1). It can't sign.
static RING: CryptoProvider = CryptoProvider {
    signer_factory: no_signer,
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

struct RingVerifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

/// Makes jsonwebtoken verify signatures with ring in this process.
pub(super) fn use_ring() {
    // It fails if a provider is already installed: that is this one.
    RING.install_default().ok();
}

fn no_signer(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    Err(ErrorKind::UnsupportedAlgorithm.into())
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    if key.family() != algorithm.family() {
        return Err(ErrorKind::InvalidKeyFormat.into());
    }
    Ok(Box::new(RingVerifier { algorithm: *algorithm, key: key.clone() }))
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        let verified = match self.algorithm {
            Algorithm::HS256 => self.verify_hmac(HMAC_SHA256, message, signature),
            Algorithm::HS384 => self.verify_hmac(HMAC_SHA384, message, signature),
            Algorithm::HS512 => self.verify_hmac(HMAC_SHA512, message, signature),
            Algorithm::EdDSA => self.verify_curve(&ED25519, message, signature),
            Algorithm::ES256 => self.verify_curve(&ECDSA_P256_SHA256_FIXED, message, signature),
            Algorithm::RS256 => self.verify_rsa(&RSA_PKCS1_2048_8192_SHA256, message, signature),
            Algorithm::PS256 => self.verify_rsa(&RSA_PSS_2048_8192_SHA256, message, signature),
            _ => None,
        };
        verified.ok_or_else(Error::new)
    }
}

impl RingVerifier {
    fn verify_hmac(&self, algorithm: hmac::Algorithm, message: &[u8], tag: &[u8]) -> Option<()> {
        let DecodingKeyKind::SecretOrDer(secret) = self.key.kind() else { return None };
        // In constant time.
        hmac::verify(&hmac::Key::new(algorithm, secret), message, tag).ok()
    }

    fn verify_curve(
        &self,
        algorithm: &'static dyn VerificationAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Option<()> {
        let DecodingKeyKind::SecretOrDer(point) = self.key.kind() else { return None };
        UnparsedPublicKey::new(algorithm, point).verify(message, signature).ok()
    }

    fn verify_rsa(&self, parameters: &'static RsaParameters, message: &[u8], signature: &[u8]) -> Option<()> {
        let DecodingKeyKind::RsaModulusExponent { n, e } = self.key.kind() else { return None };
        RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).ok()
    }
}
