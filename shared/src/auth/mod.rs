//! Identifies the caller by a JSON Web Token (RFC 7519, with the practices of RFC 8725).
//!
//! There are two kinds of keys, which never mix. A token whose header says HS256, HS384 or HS512 is checked
//! only against the shared secrets, with the one configured algorithm. Any other token is checked only
//! against a public key of its algorithm. So neither `none` nor a public key used as a secret can pass (RFC
//! 8725 §3.1).

mod claims;
mod config;
mod jwk;
mod jwks;
mod signature;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};

use crate::{
    error::{Error, TokenError},
    task::Caller,
};
use claims::Claims;
pub use claims::MAX_USER_ID_CHARS;
pub use config::TokenConfig;
use jwks::KeySet;
pub use jwks::KeySetUrl;
pub use signature::HmacAlgorithm;
use signature::{PublicKeyAlgorithm, VerifyingKey};

/// The longest token that is read, in bytes. API Gateway allows 10,240 bytes for all headers together.
const MAX_TOKEN_LEN: usize = 8 * 1024;

/// Checks tokens.
pub struct Verifier {
    secrets: Vec<VerifyingKey>,
    algorithm: HmacAlgorithm,
    public_keys: Option<KeySet>,
    issuer: Option<String>,
    audience: Option<String>,
}

impl Verifier {
    /// Creates a verifier of tokens that are signed with one of the configured secrets or published keys.
    pub fn new(config: &TokenConfig) -> Self {
        let secret = |secret: &String| VerifyingKey::secret(config.algorithm, secret);
        Self {
            secrets: config.secrets.iter().map(secret).collect(),
            algorithm: config.algorithm,
            public_keys: config.jwks_url.clone().map(KeySet::new),
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
        }
    }

    /// Fetches the public keys, if configured, before the first request needs them. Only logs a failure.
    pub async fn fetch_keys(&self) {
        if let Some(keys) = &self.public_keys {
            keys.fetch_first().await;
        }
    }

    /// Returns the caller that the `Authorization` header identifies (RFC 6750 §2.1; the scheme in any letter
    /// case).
    ///
    /// # Errors
    /// [`Error::Unauthorized`] if the header is missing or its token is invalid; [`Error::Unavailable`] if
    /// the token can't be checked because its public key can't be fetched.
    pub async fn caller(&self, authorization: Option<&str>) -> Result<Caller, Error> {
        let token = Token::parse(bearer_token(authorization)?)?;
        self.check_signature(&token).await?;
        let claims: Claims = read_object(token.claims)
            .ok_or(TokenError::Invalid("a claim is missing, duplicated or of the wrong type"))?;
        claims.check_times()?;
        if let Some(issuer) = &self.issuer {
            claims.check_issuer(issuer)?;
        }
        if let Some(audience) = &self.audience {
            claims.check_audience(audience)?;
        }
        Ok(claims.caller()?)
    }

    async fn check_signature(&self, token: &Token<'_>) -> Result<(), Error> {
        let is_signed = if let Ok(algorithm) = token.header.alg.parse::<HmacAlgorithm>() {
            if self.secrets.is_empty() {
                return Err(
                    TokenError::Invalid("signed with a shared secret, but JWT_SECRET is not set").into()
                );
            }
            if algorithm != self.algorithm {
                return Err(TokenError::Invalid("alg differs from JWT_ALGORITHM").into());
            }
            self.secrets.iter().any(|secret| token.is_signed_by(secret))
        } else if let Ok(algorithm) = token.header.alg.parse::<PublicKeyAlgorithm>() {
            let keys = self.public_keys.as_ref().ok_or(TokenError::Invalid(
                "signed with a public-key algorithm, but JWT_JWKS_URL is not set",
            ))?;
            let kid = token.header.kid.as_ref().ok_or(TokenError::Invalid("kid is missing"))?;
            token.is_signed_by(&*keys.find(kid, algorithm).await?)
        } else {
            return Err(TokenError::Invalid("alg is not supported").into());
        };
        if is_signed { Ok(()) } else { Err(TokenError::Invalid("wrong signature").into()) }
    }
}

fn bearer_token(authorization: Option<&str>) -> Result<&str, TokenError> {
    let header = authorization.ok_or(TokenError::Missing)?;
    let token = match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim_matches(' '),
        _ => return Err(TokenError::Invalid("Authorization is not a Bearer token")),
    };
    match token.len() {
        ..=MAX_TOKEN_LEN => Ok(token),
        _ => Err(TokenError::Invalid("token is longer than 8 KiB")),
    }
}

/// A token, split into its parts (RFC 7515 §7.1).
struct Token<'a> {
    header: Header,
    /// Still encoded: claims are decoded after the signature has been verified.
    claims: &'a str,
    /// The signed text: the encoded header and claims.
    message: &'a str,
    signature: Vec<u8>,
}

/// The members of the header that select the key. All others are ignored, above all keys and URLs of keys
/// (`jwk`, `jku`, `x5c`, `x5u`), because the sender chooses them.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

impl<'a> Token<'a> {
    fn parse(token: &'a str) -> Result<Self, TokenError> {
        const NOT_THREE_PARTS: TokenError = TokenError::Invalid("token does not have three parts");
        let (message, signature) = token.rsplit_once('.').ok_or(NOT_THREE_PARTS)?;
        let (header, claims) = message.split_once('.').ok_or(NOT_THREE_PARTS)?;
        let header: Header = read_object(header)
            .ok_or(TokenError::Invalid("token header is not a valid JSON object with alg"))?;
        // RFC 7515 §4.1.11: a token with an unsupported critical extension is invalid. None is supported.
        if header.crit.is_some() {
            return Err(TokenError::Invalid("token header has critical extensions"));
        }
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature);
        let signature = signature.map_err(|_| TokenError::Invalid("signature is not base64url"))?;
        Ok(Self { header, claims, message, signature })
    }

    fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        key.verifies(self.message.as_bytes(), &self.signature)
    }
}

/// Decodes the JSON object in a part of a token. Drops the parser's error, because it would quote the token.
fn read_object<T: DeserializeOwned>(part: &str) -> Option<T> {
    let json = BASE64_URL_SAFE_NO_PAD.decode(part).ok()?;
    // serde would also accept an array.
    let is_object = json.trim_ascii_start().starts_with(b"{");
    if is_object { serde_json::from_slice(&json).ok() } else { None }
}

#[cfg(test)]
mod tests;
