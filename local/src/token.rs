//! Tokens with the claims of Better Auth's tokens, signed with the shared secret, for trying out the API and
//! for tests.

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

/// The contents of a token to sign. A text claim that is empty or not set is omitted.
#[derive(Clone, Debug, Default)]
pub struct TokenRequest {
    /// The user's id, the claim `sub`.
    pub user: String,
    /// The claim `user_id`. The API rejects tokens in which it differs from `sub`.
    pub user_id: Option<String>,
    /// The user's email address.
    pub email: Option<String>,
    /// The user's name.
    pub name: Option<String>,
    /// The claim `iat`. The default is now.
    pub issued_at: Option<DateTime<Utc>>,
    /// The claim `exp`. The default is `hours` after `iat`.
    pub expires_at: Option<DateTime<Utc>>,
    /// Hours from `iat` until the token expires.
    pub hours: u32,
    /// The claim `iss`.
    pub issuer: Option<String>,
    /// The claim `aud`.
    pub audience: Option<String>,
}

impl TokenRequest {
    /// Returns a request for a token with every claim that front ends read.
    pub fn for_user(user: &str) -> Self {
        Self {
            user: user.into(),
            user_id: Some(user.into()),
            email: Some(format!("{user}@example.com")),
            name: Some(user.into()),
            ..Self::default()
        }
    }
}

/// The claims of a token.
#[derive(Clone, Debug, Serialize)]
pub struct Claims {
    /// The user's id.
    pub sub: String,
    /// The user's id again, for front ends that read this claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// The user's email address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The user's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When the token was issued, in seconds since 1970.
    pub iat: i64,
    /// When the token expires, in seconds since 1970.
    pub exp: i64,
    /// The issuer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// The audience.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
}

impl From<&TokenRequest> for Claims {
    fn from(request: &TokenRequest) -> Self {
        let text = |claim: &Option<String>| claim.clone().filter(|text| !text.is_empty());
        let iat = request.issued_at.unwrap_or_else(Utc::now).timestamp();
        let exp = request.expires_at.map(|time| time.timestamp());
        Self {
            sub: request.user.clone(),
            user_id: text(&request.user_id),
            email: text(&request.email),
            name: text(&request.name),
            iat,
            exp: exp.unwrap_or(iat + i64::from(request.hours) * 3600),
            iss: text(&request.issuer),
            aud: text(&request.audience),
        }
    }
}

/// Signs the token that `request` describes.
///
/// # Errors
/// If `algorithm` is not HS256, HS384 or HS512.
pub fn mint(secret: &str, algorithm: Algorithm, request: &TokenRequest) -> Result<String> {
    sign(secret, algorithm, &request.into())
}

/// Signs a token with these claims.
///
/// # Errors
/// If `algorithm` is not HS256, HS384 or HS512.
pub fn sign(secret: &str, algorithm: Algorithm, claims: &Claims) -> Result<String> {
    ensure!(
        matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512),
        "a shared secret can sign with HS256, HS384 or HS512, not {algorithm:?}; check JWT_ALGORITHM"
    );
    let key = EncodingKey::from_secret(secret.as_bytes())?;
    jsonwebtoken::encode(&Header::new(algorithm), claims, &key).context("can't sign the token")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_key_algorithms_are_rejected() {
        assert!(mint(&"s".repeat(32), Algorithm::EdDSA, &TokenRequest::default()).is_err());
    }
}
