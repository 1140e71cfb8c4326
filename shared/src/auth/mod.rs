//! Who the caller is: checks a JSON Web Token (RFC 7519, with the practices of RFC 8725).
//!
//! There are two families of keys, and they never mix: a token that says HS256, HS384 or HS512 is only ever checked
//! against the shared secret, with the one configured algorithm; every other one only against a public key whose own
//! kind fits its algorithm. So neither `none` nor a public key used as a secret can pass (RFC 8725 §3.1).

mod jwks;
mod signature;

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation, decode, errors::ErrorKind};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Number, Value};

use crate::{Error, config::TokenConfig, input::MAX_USER_ID_CHARS};
use jwks::KeySet;
pub use jwks::KeySetUrl;

/// Clock difference allowed between issuer and function, in seconds.
const LEEWAY: u64 = 30;

/// A longer token (in bytes) is refused unread. API Gateway allows 10,240 bytes for all header lines together.
const MAX_TOKEN_LEN: usize = 8 * 1024;

/// The last second of the year 9999. An `exp` past it is a mistake, such as milliseconds: a token that never expires.
const MAX_EXP: f64 = 253_402_300_799.0;

/// The user that a valid token speaks for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Caller {
    /// The claim `sub` or `user_id`: opaque text of 1–255 characters, without U+0000.
    pub user_id: String,
    /// The claim `email`, for the user's row.
    pub email: Option<String>,
    /// The claim `name`, for the user's row.
    pub name: Option<String>,
    /// The claim `image` (Better Auth) or `picture` (OpenID Connect), for the user's row.
    pub image: Option<String>,
    /// The claim `emailVerified` (Better Auth) or `email_verified` (OpenID Connect); false where neither is there.
    pub email_verified: bool,
}

/// Why a request carries no identity. The reason is for the log, never for the caller.
#[derive(Debug, Clone, PartialEq)]
pub enum TokenFault {
    /// No `Authorization` header.
    Missing,
    /// Properly signed, but past its `exp`.
    Expired,
    /// Anything else.
    Invalid(String),
}

/// Checks tokens.
pub struct Verifier {
    secrets: Vec<DecodingKey>,
    secret_validation: Validation,
    public_keys: Option<KeySet>,
}

impl Verifier {
    /// A verifier for tokens signed with any of the configured secrets or published keys.
    pub fn new(config: &TokenConfig) -> Self {
        signature::use_ring();
        Self {
            secrets: config
                .secrets
                .iter()
                .map(|secret| DecodingKey::from_secret(secret.as_bytes()))
                .collect(),
            secret_validation: validation(config, config.algorithm),
            public_keys: config
                .jwks_url
                .clone()
                .map(|url| KeySet::new(url, |algorithm| validation(config, algorithm))),
        }
    }

    /// Fetches the public keys, where there are any, ahead of the first request. Failure is logged and no more.
    pub async fn prepare(&self) {
        if let Some(keys) = &self.public_keys {
            keys.prepare().await;
        }
    }

    /// The caller that the `Authorization` header speaks for (RFC 6750 §2.1; the scheme in any letter case).
    ///
    /// # Errors
    /// [`Error::Unauthorized`] where the header is missing or its token not to be trusted; [`Error::Unavailable`]
    /// where that can't be told, because no public key can be had.
    pub async fn caller(&self, authorization: Option<&str>) -> Result<Caller, Error> {
        let token = bearer_token(authorization)?;
        let header = Header::read(token)?;
        let claims = match header.alg.family() {
            AlgorithmFamily::Hmac => self.check_with_secrets(token)?,
            _ => match (&self.public_keys, &header.kid) {
                (None, _) => return Err(TokenFault::invalid("public keys are not configured").into()),
                (_, None) => return Err(TokenFault::invalid("no kid").into()),
                (Some(keys), Some(kid)) => {
                    let key = keys.find(kid, header.alg).await?;
                    check(token, &key.key, &key.validation)?
                }
            },
        };
        Ok(claims.caller()?)
    }

    /// The claims, once signature and times have been checked with whichever secret signed them.
    fn check_with_secrets(&self, token: &str) -> Result<Claims, TokenFault> {
        let mut fault = TokenFault::invalid("secrets are not configured");
        for secret in &self.secrets {
            match check(token, secret, &self.secret_validation) {
                Err(wrong @ TokenFault::Invalid(_)) => fault = wrong,
                settled => return settled,
            }
        }
        Err(fault)
    }
}

/// What a token must fulfil besides its signature.
fn validation(config: &TokenConfig, algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    let mut required = vec!["exp"];
    validation.leeway = LEEWAY;
    validation.validate_nbf = true;
    // Without a configured audience a token may name any: Better Auth's do, hand-made ones don't.
    validation.validate_aud = config.audience.is_some();
    if let Some(audience) = &config.audience {
        validation.set_audience(&[audience]);
        required.push("aud");
    }
    if let Some(issuer) = &config.issuer {
        validation.set_issuer(&[issuer]);
        required.push("iss");
    }
    validation.set_required_spec_claims(&required);
    validation
}

fn bearer_token(authorization: Option<&str>) -> Result<&str, TokenFault> {
    let header = authorization.ok_or(TokenFault::Missing)?;
    let token = match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim_matches(' '),
        _ => return Err(TokenFault::invalid("not a Bearer token")),
    };
    match token.len() {
        ..=MAX_TOKEN_LEN => Ok(token),
        _ => Err(TokenFault::invalid("token too long")),
    }
}

/// The claims, once signature and times have been checked with this key.
fn check(token: &str, key: &DecodingKey, validation: &Validation) -> Result<Claims, TokenFault> {
    decode(token, key, validation).map(|data| data.claims).map_err(|error| match error.kind() {
        ErrorKind::ExpiredSignature => TokenFault::Expired,
        // Not the messages of these: they quote the token.
        ErrorKind::Json(_) => TokenFault::invalid("header or claims are not as expected"),
        ErrorKind::Base64(_) | ErrorKind::Utf8(_) => TokenFault::invalid("not base64url"),
        kind => TokenFault::invalid(format!("{kind:?}")),
    })
}

/// What the header says about which key to take. All else in it is ignored: keys and addresses of keys (`jwk`, `jku`,
/// `x5c`, `x5u`) are the sender's word.
#[derive(Deserialize)]
struct Header {
    alg: Algorithm,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

impl Header {
    fn read(token: &str) -> Result<Self, TokenFault> {
        let encoded = token.split('.').next().unwrap_or_default();
        let json = BASE64_URL_SAFE_NO_PAD
            .decode(encoded)
            .map_err(|_| TokenFault::invalid("header is not base64url"))?;
        let header: Self = serde_json::from_slice(&json)
            .map_err(|_| TokenFault::invalid("header is not as expected, or of an unknown algorithm"))?;
        match header.crit {
            None => Ok(header),
            // RFC 7515 §4.1.11: what is critical and not understood makes a token invalid.
            Some(_) => Err(TokenFault::invalid("header with critical extensions")),
        }
    }
}

/// The claims that are looked at; all others are ignored. One given twice is refused (RFC 7519 §4).
#[derive(Deserialize)]
struct Claims {
    sub: Option<UserId>,
    user_id: Option<UserId>,
    exp: Number,
    /// One name, never a list of them (RFC 7519 §4.1.1).
    #[serde(rename = "iss")]
    _issuer: Option<String>,
    #[serde(default)]
    email: Value,
    #[serde(default)]
    name: Value,
    #[serde(default)]
    image: Value,
    #[serde(default)]
    picture: Value,
    #[serde(default, rename = "emailVerified")]
    email_verified_camel: Value,
    #[serde(default)]
    email_verified: Value,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum UserId {
    Text(String),
    Integer(Number),
}

impl Claims {
    fn caller(self) -> Result<Caller, TokenFault> {
        if self.exp.as_f64().is_none_or(|exp| exp > MAX_EXP) {
            return Err(TokenFault::invalid("exp is past the year 9999"));
        }
        let user_id = match (self.sub.map(UserId::text), self.user_id.map(UserId::text)) {
            (Some(sub), Some(user_id)) if sub != user_id => {
                return Err(TokenFault::invalid("sub and user_id differ"));
            }
            (Some(id), _) | (None, Some(id)) => {
                id.ok_or_else(|| TokenFault::invalid("user id is no integer"))?
            }
            (None, None) => return Err(TokenFault::invalid("neither sub nor user_id")),
        };
        if !(1..=MAX_USER_ID_CHARS).contains(&user_id.chars().count()) || user_id.contains('\0') {
            return Err(TokenFault::invalid("user id is not 1-255 characters"));
        }
        Ok(Caller {
            user_id,
            email: storable(&self.email),
            name: storable(&self.name),
            image: storable(&self.image).or_else(|| storable(&self.picture)),
            email_verified: [self.email_verified_camel, self.email_verified].contains(&Value::Bool(true)),
        })
    }
}

impl UserId {
    fn text(self) -> Option<String> {
        match self {
            UserId::Text(text) => Some(text),
            UserId::Integer(number) => (!number.is_f64()).then(|| number.to_string()),
        }
    }
}

/// A profile claim as the database can hold it. An odd one is left out: it must not lock its user out.
fn storable(claim: &Value) -> Option<String> {
    claim.as_str().filter(|text| !text.is_empty() && !text.contains('\0')).map(str::to_owned)
}

impl TokenFault {
    fn invalid(reason: impl Into<String>) -> Self {
        TokenFault::Invalid(reason.into())
    }
}

impl From<TokenFault> for Error {
    fn from(fault: TokenFault) -> Self {
        Error::Unauthorized(fault)
    }
}

impl fmt::Display for TokenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenFault::Missing => f.write_str("no Authorization header"),
            TokenFault::Expired => f.write_str("token expired"),
            TokenFault::Invalid(reason) => f.write_str(reason),
        }
    }
}

#[cfg(test)]
mod tests;
