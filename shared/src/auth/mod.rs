//! Identifies the caller: checks a JSON Web Token (RFC 7519, with the practices of RFC 8725).
//!
//! There are two families of keys, and they never mix. A token whose header says HS256, HS384 or HS512 is only checked
//! against the shared secrets, with the one configured algorithm; any other token only against a public key of the kind
//! that fits its algorithm. So neither `none` nor a public key used as a secret can pass (RFC 8725 §3.1).

mod config;
mod jwks;
mod signature;

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation, decode, errors::ErrorKind};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Number, Value};

use crate::{
    error::{Error, TokenError},
    task::Caller,
};
pub use config::TokenConfig;
use jwks::KeySet;
pub use jwks::KeySetUrl;

/// The longest user id, in characters.
pub const MAX_USER_ID_CHARS: usize = 255;

/// The clock difference allowed between issuer and function, in seconds.
const LEEWAY: u64 = 30;

/// The longest token that is read, in bytes. API Gateway allows 10,240 bytes for all header lines together.
const MAX_TOKEN_LEN: usize = 8 * 1024;

/// The greatest `exp`: the last second of the year 9999. Anything greater is a mistake, such as milliseconds, and would
/// make a token that never expires.
const MAX_EXP: f64 = 253_402_300_799.0;

/// Checks tokens.
pub struct Verifier {
    secrets: Vec<DecodingKey>,
    secret_validation: Validation,
    public_keys: Option<KeySet>,
}

impl Verifier {
    /// A verifier of tokens that are signed with one of the configured secrets or published keys.
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

    /// Fetches the public keys, if any are configured, before the first request needs them. A failure is only logged.
    pub async fn fetch_keys(&self) {
        if let Some(keys) = &self.public_keys {
            keys.fetch_first().await;
        }
    }

    /// The caller that the `Authorization` header identifies (RFC 6750 §2.1; the scheme in any letter case).
    ///
    /// # Errors
    /// [`Error::Unauthorized`] if the header is missing or its token invalid; [`Error::Unavailable`] if that can't be
    /// decided because the public key can't be fetched.
    pub async fn caller(&self, authorization: Option<&str>) -> Result<Caller, Error> {
        let token = bearer_token(authorization)?;
        let header = Header::read(token)?;
        let claims = match header.alg.family() {
            AlgorithmFamily::Hmac => self.check_with_secrets(token)?,
            _ => match (&self.public_keys, &header.kid) {
                (None, _) => return Err(invalid("public keys are not configured").into()),
                (_, None) => return Err(invalid("no kid").into()),
                (Some(keys), Some(kid)) => {
                    let key = keys.find(kid, header.alg).await?;
                    check(token, &key.key, &key.validation)?
                }
            },
        };
        Ok(claims.caller()?)
    }

    /// The claims, after checking signature and times with each secret until one fits.
    fn check_with_secrets(&self, token: &str) -> Result<Claims, TokenError> {
        let mut last_error = invalid("secrets are not configured");
        for secret in &self.secrets {
            match check(token, secret, &self.secret_validation) {
                Err(error @ TokenError::Invalid(_)) => last_error = error,
                settled => return settled,
            }
        }
        Err(last_error)
    }
}

/// What a token must satisfy besides its signature.
fn validation(config: &TokenConfig, algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    let mut required = vec!["exp"];
    validation.leeway = LEEWAY;
    validation.validate_nbf = true;
    // If no audience is configured, a token may name any: Better Auth's tokens do, hand-made ones don't.
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

fn bearer_token(authorization: Option<&str>) -> Result<&str, TokenError> {
    let header = authorization.ok_or(TokenError::Missing)?;
    let token = match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim_matches(' '),
        _ => return Err(invalid("not a Bearer token")),
    };
    match token.len() {
        ..=MAX_TOKEN_LEN => Ok(token),
        _ => Err(invalid("token too long")),
    }
}

/// The claims, after checking signature and times with this key.
fn check(token: &str, key: &DecodingKey, validation: &Validation) -> Result<Claims, TokenError> {
    decode(token, key, validation).map(|data| data.claims).map_err(|error| match error.kind() {
        ErrorKind::ExpiredSignature => TokenError::Expired,
        // The messages of these errors quote the token.
        ErrorKind::Json(_) => invalid("header or claims are not as expected"),
        ErrorKind::Base64(_) | ErrorKind::Utf8(_) => invalid("not base64url"),
        kind => invalid(format!("{kind:?}")),
    })
}

/// The members of the header that select the key. Others are ignored: keys and addresses of keys (`jwk`, `jku`, `x5c`,
/// `x5u`) come from the sender.
#[derive(Deserialize)]
struct Header {
    alg: Algorithm,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

impl Header {
    fn read(token: &str) -> Result<Self, TokenError> {
        let encoded = token.split('.').next().unwrap_or_default();
        let json = BASE64_URL_SAFE_NO_PAD.decode(encoded).map_err(|_| invalid("header is not base64url"))?;
        let header: Self = serde_json::from_slice(&json)
            .map_err(|_| invalid("header is not as expected, or of an unknown algorithm"))?;
        match header.crit {
            None => Ok(header),
            // RFC 7515 §4.1.11: a critical extension that is not understood makes the token invalid.
            Some(_) => Err(invalid("header with critical extensions")),
        }
    }
}

/// The claims that are used; all others are ignored. A claim that is present twice is rejected (RFC 7519 §4).
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
    fn caller(self) -> Result<Caller, TokenError> {
        if self.exp.as_f64().is_none_or(|exp| exp > MAX_EXP) {
            return Err(invalid("exp is past the year 9999"));
        }
        let user_id = match (self.sub.map(UserId::text), self.user_id.map(UserId::text)) {
            (Some(sub), Some(user_id)) if sub != user_id => {
                return Err(invalid("sub and user_id differ"));
            }
            (Some(id), _) | (None, Some(id)) => id.ok_or_else(|| invalid("user id is no integer"))?,
            (None, None) => return Err(invalid("neither sub nor user_id")),
        };
        if !(1..=MAX_USER_ID_CHARS).contains(&user_id.chars().count()) || user_id.contains('\0') {
            return Err(invalid("user id is not 1-255 characters"));
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

/// A profile claim, if the database can store it. Others are dropped: they must not lock the user out.
fn storable(claim: &Value) -> Option<String> {
    claim.as_str().filter(|text| !text.is_empty() && !text.contains('\0')).map(str::to_owned)
}

fn invalid(reason: impl Into<Cow<'static, str>>) -> TokenError {
    TokenError::Invalid(reason.into())
}

#[cfg(test)]
mod tests;
