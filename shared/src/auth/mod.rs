//! Identifies the caller by a JSON Web Token (RFC 7519, with the practices of RFC 8725).
//!
//! There are two kinds of keys, which never mix. A token whose header says HS256, HS384 or HS512 is checked
//! only against the shared secrets, with the one configured algorithm. Any other token is checked only
//! against a public key of its algorithm. So neither `none` nor a public key used as a secret can pass (RFC
//! 8725 §3.1).

mod algorithms;
mod claims;
mod config;
mod jwk;
mod jwks;

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, crypto};
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};

use crate::{
    error::{Error, TokenError},
    task::Caller,
};
pub use claims::MAX_USER_ID_CHARS;
use claims::{Claims, present};
pub use config::TokenConfig;
pub use jwk::KeySet;
pub use jwks::KeySetUrl;
use jwks::{NO_SUCH_KEY, PublishedKeys};

/// The longest token that is read, in bytes. API Gateway allows 10,240 bytes for all headers together.
const MAX_TOKEN_LEN: usize = 8 * 1024;

/// Checks tokens.
pub struct Verifier {
    secrets: Vec<DecodingKey>,
    algorithm: Algorithm,
    keys: KeySet,
    published_keys: Option<PublishedKeys>,
    issuer: Option<String>,
    audience: Option<String>,
}

impl Verifier {
    /// Creates a verifier of tokens that are signed with one of the configured secrets or published keys.
    pub fn new(config: &TokenConfig) -> Self {
        // Fails if an earlier verifier has installed it.
        let _ = algorithms::PROVIDER.install_default();
        let secret = |secret: &String| {
            DecodingKey::from_secret(secret.as_bytes()).expect("each secret is as long as its hash")
        };
        Self {
            secrets: config.secrets.iter().map(secret).collect(),
            algorithm: config.algorithm,
            keys: config.keys.clone(),
            published_keys: config.jwks_url.clone().map(PublishedKeys::new),
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
        }
    }

    /// Fetches the published keys before the first request needs them, unless there are configured ones. Only
    /// logs a failure.
    pub async fn fetch_keys(&self) {
        if let Some(published) = self.published_keys.as_ref().filter(|_| self.keys.is_empty()) {
            published.fetch_first().await;
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
        claims.check_confirmation()?;
        if let Some(issuer) = &self.issuer {
            claims.check_issuer(issuer)?;
        }
        match &self.audience {
            Some(audience) => claims.check_audience(audience)?,
            None if token.header.is_access_token() => {
                return Err(TokenError::Invalid("typ is at+jwt, but JWT_AUDIENCE is not set").into());
            }
            None => claims.check_no_client()?,
        }
        Ok(claims.caller()?)
    }

    async fn check_signature(&self, token: &Token<'_>) -> Result<(), Error> {
        let algorithm = algorithms::algorithm(&token.header.alg);
        let algorithm = algorithm.ok_or(TokenError::Invalid("alg is not supported"))?;
        let is_signed = if algorithm.family() == AlgorithmFamily::Hmac {
            if self.secrets.is_empty() {
                return Err(
                    TokenError::Invalid("signed with a shared secret, but JWT_SECRET is not set").into()
                );
            }
            if algorithm != self.algorithm {
                return Err(TokenError::Invalid("alg differs from JWT_ALGORITHM").into());
            }
            self.secrets.iter().any(|secret| token.is_signed_by(secret, algorithm))
        } else {
            let key = self.public_key(token.header.kid.as_deref(), algorithm).await?;
            token.is_signed_by(&key, algorithm)
        };
        if is_signed { Ok(()) } else { Err(TokenError::Invalid("wrong signature").into()) }
    }

    /// Returns the key with this id for this algorithm: a configured one, or one that the issuer publishes.
    async fn public_key(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Arc<DecodingKey>, Error> {
        match (self.keys.find(id, algorithm), &self.published_keys) {
            (Some(key), _) => Ok(key),
            (None, Some(published)) => published.find(id, algorithm).await,
            (None, None) if self.keys.is_empty() => Err(TokenError::Invalid(
                "signed with a public-key algorithm, but neither JWT_JWKS nor JWT_JWKS_URL is set",
            )
            .into()),
            (None, None) => Err(NO_SUCH_KEY.into()),
        }
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
    /// Still encoded.
    signature: &'a str,
}

/// The members of the header that are used. All others are ignored, above all keys and URLs of keys (`jwk`,
/// `jku`, `x5c`, `x5u`), because the sender chooses them.
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default, deserialize_with = "present")]
    kid: Option<String>,
    #[serde(default, deserialize_with = "present")]
    typ: Option<String>,
    #[serde(default, deserialize_with = "present")]
    crit: Option<IgnoredAny>,
}

impl Header {
    /// The type of the token in lower case, without `application/` (RFC 7515 §4.1.9).
    fn token_type(&self) -> Option<String> {
        let name = self.typ.as_ref()?.to_ascii_lowercase();
        Some(name.strip_prefix("application/").map(str::to_owned).unwrap_or(name))
    }

    /// Whether the token is an OAuth access token (RFC 9068 §2.1).
    fn is_access_token(&self) -> bool {
        self.token_type().as_deref() == Some("at+jwt")
    }
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
        // An issuer's keys also sign session cookies, logout tokens and proofs (RFC 8725 §3.11).
        if ![None, Some("jwt"), Some("at+jwt")].contains(&header.token_type().as_deref()) {
            return Err(TokenError::Invalid("typ is neither JWT nor at+jwt"));
        }
        Ok(Self { header, claims, message, signature })
    }

    fn is_signed_by(&self, key: &DecodingKey, algorithm: Algorithm) -> bool {
        crypto::verify(self.signature, self.message.as_bytes(), key, algorithm).unwrap_or(false)
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
