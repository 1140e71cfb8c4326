//! Tokens with the claims of Better Auth's tokens, signed with the shared secret, for trying out the API and
//! for tests.

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use clap::Args;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

/// User of the token that `cargo dev` prints, and the default of `cargo dev token --user`.
pub const DEMO_USER: &str = "demo";

/// The contents of a token to sign, and the options of `cargo dev token` for them. A text claim that is empty
/// or not set is omitted.
#[derive(Args, Clone, Debug, Default)]
pub struct TokenRequest {
    /// The user's id: the claim `sub`.
    #[arg(long, default_value = DEMO_USER)]
    pub user: String,
    /// The claim `user_id`. The API rejects a token in which it differs from `sub` (default: the user's id).
    #[arg(long, value_name = "ID")]
    pub user_id: Option<String>,
    /// The user's email address: the claim `email` (default: the user's id followed by @example.com).
    #[arg(long)]
    pub email: Option<String>,
    /// The user's name: the claim `name` (default: the user's id).
    #[arg(long)]
    pub name: Option<String>,
    /// When the token was issued: the claim `iat`, in RFC 3339 or seconds since 1970 (default: now).
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub issued_at: Option<DateTime<Utc>>,
    /// When the token expires: the claim `exp`, in the same formats. A time in the past gives an expired
    /// token.
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "hours")]
    pub expires_at: Option<DateTime<Utc>>,
    /// Hours from `issued_at` until the token expires, if `expires_at` is not set.
    #[arg(skip)]
    pub hours: u32,
    /// The issuer: the claim `iss` (default: JWT_ISSUER).
    #[arg(long, value_name = "URL")]
    pub issuer: Option<String>,
    /// The audience: the claim `aud` (default: JWT_AUDIENCE).
    #[arg(long)]
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

/// Parses seconds since 1970 or an RFC 3339 time.
fn time(text: &str) -> Result<DateTime<Utc>> {
    let seconds = text.parse().ok().and_then(DateTime::from_timestamp_secs);
    let time = seconds.or_else(|| Some(DateTime::parse_from_rfc3339(text).ok()?.to_utc()));
    time.context("not a time such as 2026-12-24T18:00:00Z or 1798135200")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_key_algorithms_are_rejected() {
        assert!(mint(&"s".repeat(32), Algorithm::EdDSA, &TokenRequest::default()).is_err());
    }
}
