//! Public keys: JSON Web Keys and sets of them (RFC 7517).

use std::sync::Arc;

use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

use super::algorithms::algorithm;

/// The shortest accepted RSA key, in bits (RFC 7518 §3.3).
const MIN_RSA_BITS: usize = 2048;

/// The usable keys of a JSON Web Key Set.
#[derive(Clone, Default)]
pub struct KeySet(Vec<PublicKey>);

#[derive(Clone)]
struct PublicKey {
    id: Option<String>,
    /// `None`: every algorithm of the key's type.
    algorithm: Option<Algorithm>,
    key: Arc<DecodingKey>,
}

impl KeySet {
    /// Reads the usable keys of a key set in JSON. Calls `skip` with the id of each unusable one, and why it
    /// can't be used. Returns `None` if the text is not a key set.
    pub fn parse(json: &[u8], mut skip: impl FnMut(&str, &'static str)) -> Option<Self> {
        #[derive(Deserialize)]
        struct Published {
            keys: Vec<Value>,
        }
        let published: Published = serde_json::from_slice(json).ok()?;
        let usable = published.keys.iter().filter_map(|jwk| {
            PublicKey::read(jwk).map_err(|reason| skip(jwk["kid"].as_str().unwrap_or_default(), reason)).ok()
        });
        Some(Self(usable.collect()))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the key with this id for this algorithm. A token without a key id can only mean the key of a
    /// set that has one (OpenID Connect Core §10.1).
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<Arc<DecodingKey>> {
        let found = match (id, &self.0[..]) {
            (None, [only]) => Some(only).filter(|key| key.is_for(algorithm)),
            (None, _) => None,
            (id, keys) => keys.iter().find(|key| key.id.as_deref() == id && key.is_for(algorithm)),
        };
        found.map(|found| Arc::clone(&found.key))
    }
}

impl PublicKey {
    fn read(jwk: &Value) -> Result<Self, &'static str> {
        // jsonwebtoken doesn't know all names.
        let algorithm = match &jwk["alg"] {
            Value::Null => None,
            name => Some(name.as_str().and_then(algorithm).ok_or("its alg is not supported")?),
        };
        let jwk = Jwk::deserialize(jwk).map_err(|_| "it is not a JSON Web Key")?;
        let is_for_signatures =
            jwk.common.public_key_use.as_ref().is_none_or(|it| *it == PublicKeyUse::Signature)
                && jwk.common.key_operations.as_ref().is_none_or(|it| it.contains(&KeyOperations::Verify));
        if !is_for_signatures {
            return Err("its use or key_ops is not the verification of signatures");
        }
        match &jwk.algorithm {
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {}
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {}
            AlgorithmParameters::RSA(_) => {}
            // Symmetric keys as well, because a published secret is no secret.
            _ => return Err("its kty or crv is not supported"),
        }
        let key = DecodingKey::from_jwk(&jwk).map_err(|_| "it is not base64url")?;
        if let DecodingKeyKind::RsaModulusExponent { n, e } = key.kind() {
            // RFC 7518 §6.3.1. Some libraries accept such a key, ring does not.
            if n.starts_with(&[0]) || e.starts_with(&[0]) {
                return Err("its n or e has a leading zero");
            }
            let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
            if bits < MIN_RSA_BITS {
                return Err("an RSA key needs at least 2048 bits");
            }
        }
        if algorithm.is_some_and(|algorithm| algorithm.family() != key.family()) {
            return Err("its alg is not one of its kty");
        }
        Ok(Self { id: jwk.common.key_id, algorithm, key: Arc::new(key) })
    }

    fn is_for(&self, algorithm: Algorithm) -> bool {
        self.key.family() == algorithm.family() && self.algorithm.is_none_or(|own| own == algorithm)
    }
}
