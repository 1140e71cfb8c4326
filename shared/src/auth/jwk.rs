//! A published public key: a JSON Web Key (RFC 7517 §4).

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;

use super::signature::{PublicKeyAlgorithm, VerifyingKey};

/// A JSON Web Key. Members that are not listed are ignored.
#[derive(Deserialize)]
pub(super) struct Jwk {
    pub(super) kid: String,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    #[serde(flatten)]
    parameters: Parameters,
}

/// The members of each key type. The symmetric type is left out, because a published secret is no secret.
#[derive(Deserialize)]
#[serde(tag = "kty")]
enum Parameters {
    #[serde(rename = "OKP")]
    OctetKeyPair { crv: String, x: Base64Url },
    #[serde(rename = "EC")]
    EllipticCurve { crv: String, x: Base64Url, y: Base64Url },
    #[serde(rename = "RSA")]
    Rsa { n: Base64Url, e: Base64Url },
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Base64Url(Vec<u8>);

impl TryFrom<String> for Base64Url {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        BASE64_URL_SAFE_NO_PAD.decode(text).map(Self)
    }
}

impl Jwk {
    /// Returns the key for this algorithm; `None` if the key can't be used with it.
    pub(super) fn key(&self, algorithm: PublicKeyAlgorithm) -> Option<VerifyingKey> {
        if !self.may_verify(algorithm) {
            return None;
        }
        match (algorithm, &self.parameters) {
            (PublicKeyAlgorithm::Ed25519, Parameters::OctetKeyPair { crv, x }) if crv == "Ed25519" => {
                Some(VerifyingKey::Curve(UnparsedPublicKey::new(&ED25519, x.0.clone())))
            }
            (PublicKeyAlgorithm::Es256, Parameters::EllipticCurve { crv, x, y })
                if crv == "P-256" && x.0.len() == 32 && y.0.len() == 32 =>
            {
                // An uncompressed point (SEC 1 §2.3.3).
                let point = [&[4], &x.0[..], &y.0[..]].concat();
                Some(VerifyingKey::Curve(UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)))
            }
            (PublicKeyAlgorithm::Rs256, Parameters::Rsa { n, e }) => {
                let key = RsaPublicKeyComponents { n: n.0.clone(), e: e.0.clone() };
                Some(VerifyingKey::Rsa(&RSA_PKCS1_2048_8192_SHA256, key))
            }
            (PublicKeyAlgorithm::Ps256, Parameters::Rsa { n, e }) => {
                let key = RsaPublicKeyComponents { n: n.0.clone(), e: e.0.clone() };
                Some(VerifyingKey::Rsa(&RSA_PSS_2048_8192_SHA256, key))
            }
            _ => None,
        }
    }

    /// Whether the key's own `alg`, `use` and `key_ops`, if it has them, allow verifying with this algorithm.
    fn may_verify(&self, algorithm: PublicKeyAlgorithm) -> bool {
        self.alg.as_ref().is_none_or(|name| name.parse() == Ok(algorithm))
            && self.purpose.as_ref().is_none_or(|purpose| purpose == "sig")
            && self.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|it| it == "verify"))
    }
}
