//! Tokens as Better Auth would sign them with the shared secret, for trying the API out and for tests.

use anyhow::{Context, Result, ensure};
use chrono::{TimeDelta, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

/// Whom a token is for, and for how long.
#[derive(Clone, Debug, Default)]
pub struct TokenRequest {
    /// The user's id, the claim `sub`.
    pub user: String,
    /// The user's e-mail address.
    pub email: Option<String>,
    /// The user's name.
    pub name: Option<String>,
    /// Hours from now until the token expires.
    pub hours: u32,
    /// The claim `iss`.
    pub issuer: Option<String>,
    /// The claim `aud`.
    pub audience: Option<String>,
}

/// Signs a token with `secret`.
///
/// # Errors
/// When `algorithm` is none of the HMAC family.
pub fn mint(secret: &str, algorithm: Algorithm, request: &TokenRequest) -> Result<String> {
    #[derive(Serialize)]
    struct Claims<'a> {
        sub: &'a str,
        iat: i64,
        exp: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        email: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        iss: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        aud: Option<&'a str>,
    }

    ensure!(
        matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512),
        "a secret signs HS256, HS384 or HS512, not {algorithm:?}"
    );
    let now = Utc::now();
    let claims = Claims {
        sub: &request.user,
        iat: now.timestamp(),
        exp: (now + TimeDelta::hours(request.hours.into())).timestamp(),
        email: request.email.as_deref(),
        name: request.name.as_deref(),
        iss: request.issuer.as_deref(),
        aud: request.audience.as_deref(),
    };
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(algorithm), &claims, &key).context("the token can't be signed")
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation};
    use serde_json::Value;

    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_token_verifies_and_holds_what_was_asked() {
        let request = TokenRequest {
            user: "alice".into(),
            email: Some("alice@example.com".into()),
            hours: 2,
            audience: Some("tasks".into()),
            ..TokenRequest::default()
        };
        let token = mint(SECRET, Algorithm::HS384, &request).expect("HS384 is of the HMAC family");

        let mut validation = Validation::new(Algorithm::HS384);
        validation.set_audience(&["tasks"]);
        let key = DecodingKey::from_secret(SECRET.as_bytes());
        let claims = jsonwebtoken::decode::<Value>(&token, &key, &validation)
            .expect("the same secret verifies it")
            .claims;
        assert_eq!(claims["sub"], "alice");
        assert_eq!(claims["email"], "alice@example.com");
        assert_eq!(claims.get("name"), None);
        assert_eq!(claims.get("iss"), None);
        let life = claims["exp"].as_i64().zip(claims["iat"].as_i64());
        assert_eq!(life.map(|(exp, iat)| exp - iat), Some(2 * 3600));
    }

    #[test]
    fn a_public_key_algorithm_is_refused() {
        assert!(mint(SECRET, Algorithm::EdDSA, &TokenRequest::default()).is_err());
    }
}
