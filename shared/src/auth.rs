//! Who the caller is: checks a JSON Web Token (RFC 7519, with the practices of RFC 8725).
//!
//! A token signed with the shared secret is checked against the secret alone and with the one configured
//! algorithm, so neither `none` nor a public key used as a secret can pass.

use std::fmt;

use jsonwebtoken::{DecodingKey, Validation, decode, errors::ErrorKind};
use serde::Deserialize;
use serde_json::{Number, Value};

use crate::{config::TokenConfig, input::MAX_USER_ID_CHARS};

/// Clock difference allowed between issuer and function, in seconds.
const LEEWAY: u64 = 30;

/// A longer token (in bytes) is refused unread. API Gateway allows 10,240 bytes for all header lines together.
const MAX_TOKEN_LEN: usize = 8 * 1024;

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

/// Checks tokens; made once per process.
pub struct Verifier {
    keys: Vec<DecodingKey>,
    validation: Validation,
}

impl Verifier {
    /// A verifier for tokens signed with any of the configured secrets.
    pub fn new(config: &TokenConfig) -> Self {
        let mut validation = Validation::new(config.algorithm);
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
        let keys = config.secrets.iter().map(|secret| DecodingKey::from_secret(secret.as_bytes())).collect();
        Self { keys, validation }
    }

    /// The caller that the `Authorization` header speaks for (RFC 6750 §2.1; the scheme in any letter case).
    ///
    /// # Errors
    /// The header is missing, or its token is not to be trusted.
    pub fn caller(&self, authorization: Option<&str>) -> Result<Caller, TokenFault> {
        let (scheme, token) = authorization
            .ok_or(TokenFault::Missing)?
            .split_once(' ')
            .ok_or_else(|| TokenFault::invalid("not a Bearer token"))?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(TokenFault::invalid("not a Bearer token"));
        }
        let token = token.trim_matches(' ');
        if token.len() > MAX_TOKEN_LEN {
            return Err(TokenFault::invalid("token too long"));
        }
        self.claims(token)?.caller()
    }

    /// The claims, once signature and times have been checked with whichever secret signed them.
    fn claims(&self, token: &str) -> Result<Claims, TokenFault> {
        let mut fault = TokenFault::invalid("no key");
        for key in &self.keys {
            match decode::<Claims>(token, key, &self.validation) {
                Ok(data) => return Ok(data.claims),
                Err(error) => match error.kind() {
                    ErrorKind::InvalidSignature => fault = TokenFault::invalid("InvalidSignature"),
                    ErrorKind::ExpiredSignature => return Err(TokenFault::Expired),
                    // The message of a JSON fault would quote the token.
                    ErrorKind::Json(_) => {
                        return Err(TokenFault::invalid("header or claims are not as expected"));
                    }
                    ErrorKind::Base64(_) | ErrorKind::Utf8(_) => {
                        return Err(TokenFault::invalid("not base64url"));
                    }
                    kind => return Err(TokenFault::invalid(format!("{kind:?}"))),
                },
            }
        }
        Err(fault)
    }
}

/// The claims that are looked at; all others are ignored. One given twice is refused (RFC 7519 §4).
#[derive(Deserialize)]
struct Claims {
    sub: Option<UserId>,
    user_id: Option<UserId>,
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
mod tests {
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn config() -> TokenConfig {
        TokenConfig {
            secrets: vec![SECRET.into()],
            algorithm: Algorithm::HS256,
            issuer: None,
            audience: None,
        }
    }

    fn sign(secret: &str, algorithm: Algorithm, claims: &Value) -> String {
        let key = EncodingKey::from_secret(secret.as_bytes());
        format!("Bearer {}", encode(&Header::new(algorithm), claims, &key).expect("signable"))
    }

    /// What becomes of these claims, with an `exp` ten minutes away unless they bring their own.
    fn check(config: &TokenConfig, mut claims: Value) -> Result<Caller, TokenFault> {
        if claims.get("exp").is_none() {
            claims["exp"] = json!(get_current_timestamp() + 600);
        }
        Verifier::new(config).caller(Some(&sign(SECRET, config.algorithm, &claims)))
    }

    fn user_id(claims: Value) -> Result<String, TokenFault> {
        check(&config(), claims).map(|caller| caller.user_id)
    }

    fn is_invalid<T>(result: Result<T, TokenFault>) -> bool {
        matches!(result, Err(TokenFault::Invalid(_)))
    }

    #[test]
    fn sub_or_user_id_as_text_or_integer_names_the_user() {
        assert_eq!(user_id(json!({"sub": "alice"})).as_deref(), Ok("alice"));
        assert_eq!(user_id(json!({"user_id": "alice"})).as_deref(), Ok("alice"));
        assert_eq!(user_id(json!({"user_id": 42})).as_deref(), Ok("42"));
        assert_eq!(user_id(json!({"sub": "42", "user_id": 42})).as_deref(), Ok("42"));
        assert_eq!(user_id(json!({"sub": "alice", "user_id": null})).as_deref(), Ok("alice"));
        assert_eq!(user_id(json!({"sub": "𝒳".repeat(255)})), Ok("𝒳".repeat(255)));
    }

    #[test]
    fn no_or_an_unusable_user_id_is_refused() {
        for claims in [
            json!({}),
            json!({"id": "alice", "email": "alice@example.com"}),
            json!({"sub": ""}),
            json!({"sub": "a\u{0}b"}),
            json!({"sub": "x".repeat(256)}),
            json!({"sub": 1.5}),
            json!({"sub": true}),
            json!({"sub": ["alice"]}),
            json!({"sub": "alice", "user_id": "bob"}),
        ] {
            assert!(is_invalid(user_id(claims.clone())), "{claims}");
        }
    }

    #[test]
    fn times_have_thirty_seconds_of_leeway() {
        let now = get_current_timestamp();
        assert!(user_id(json!({"sub": "a", "exp": now - 25})).is_ok());
        assert_eq!(user_id(json!({"sub": "a", "exp": now - 35})), Err(TokenFault::Expired));
        assert!(user_id(json!({"sub": "a", "nbf": now + 25})).is_ok());
        assert!(is_invalid(user_id(json!({"sub": "a", "nbf": now + 35}))));
    }

    #[test]
    fn exp_must_be_there_and_a_number() {
        let later = get_current_timestamp() + 600;
        for exp in
            [json!(null), json!(later.to_string()), json!(-1), json!(1e300), json!(true), json!([later])]
        {
            assert!(is_invalid(user_id(json!({"sub": "a", "exp": exp}))), "{exp}");
        }
        let claims = json!({"sub": "a"});
        let header = sign(SECRET, Algorithm::HS256, &claims);
        assert!(is_invalid(Verifier::new(&config()).caller(Some(&header))));
    }

    #[test]
    fn each_configured_algorithm_is_the_only_one_accepted() {
        let claims = json!({"sub": "a", "exp": get_current_timestamp() + 600});
        for configured in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let verifier = Verifier::new(&TokenConfig { algorithm: configured, ..config() });
            for signed in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                let result = verifier.caller(Some(&sign(SECRET, signed, &claims)));
                assert_eq!(result.is_ok(), signed == configured, "{signed:?} for {configured:?}");
            }
        }
    }

    #[test]
    fn issuer_and_audience_must_match_and_be_there_where_configured() {
        let config =
            TokenConfig { issuer: Some("https://a".into()), audience: Some("api".into()), ..config() };
        let user = |claims| check(&config, claims);
        assert!(user(json!({"sub": "a", "iss": "https://a", "aud": "api"})).is_ok());
        assert!(user(json!({"sub": "a", "iss": "https://a", "aud": ["web", "api"]})).is_ok());
        for claims in [
            json!({"sub": "a"}),
            json!({"sub": "a", "iss": "https://a"}),
            json!({"sub": "a", "aud": "api"}),
            json!({"sub": "a", "iss": "https://b", "aud": "api"}),
            json!({"sub": "a", "iss": "https://a", "aud": "web"}),
            json!({"sub": "a", "iss": "https://a", "aud": []}),
        ] {
            assert!(is_invalid(user(claims.clone())), "{claims}");
        }
        assert!(user_id(json!({"sub": "a", "iss": "anyone", "aud": "anything"})).is_ok());
    }

    #[test]
    fn every_secret_of_a_rotation_verifies_and_no_other() {
        let config = TokenConfig { secrets: vec!["n".repeat(32), SECRET.into()], ..config() };
        let claims = json!({"sub": "a", "exp": get_current_timestamp() + 600});
        for (secret, valid) in [("n".repeat(32), true), (SECRET.into(), true), ("x".repeat(32), false)] {
            let header = sign(&secret, Algorithm::HS256, &claims);
            assert_eq!(Verifier::new(&config).caller(Some(&header)).is_ok(), valid);
        }
    }

    #[test]
    fn the_header_is_bearer_in_any_letter_case_and_nothing_else() {
        let token =
            sign(SECRET, Algorithm::HS256, &json!({"sub": "a", "exp": get_current_timestamp() + 600}));
        let token = token.trim_start_matches("Bearer ");
        let caller = |header: &str| Verifier::new(&config()).caller(Some(header));
        for header in [format!("Bearer {token}"), format!("bEARER {token}"), format!("Bearer   {token} ")] {
            assert!(caller(&header).is_ok(), "{header}");
        }
        for header in [
            String::new(),
            "Bearer".into(),
            "Bearer ".into(),
            token.to_owned(),
            format!("Basic {token}"),
            format!("Bearer {token},Bearer {token}"),
            format!("Bearer {token}{}", "a".repeat(20_000)),
            "Bearer a.b".into(),
            "Bearer a.b.c.d".into(),
            "Bearer 💥.💥.💥".into(),
        ] {
            assert!(is_invalid(caller(&header)), "{header}");
        }
        assert_eq!(Verifier::new(&config()).caller(None), Err(TokenFault::Missing));
    }

    #[test]
    fn odd_profile_claims_are_left_out_and_lock_nobody_out() {
        let caller = check(
            &config(),
            json!({"sub": "a", "email": "a@example.com", "name": "A", "picture": "https://i", "emailVerified": true}),
        )
        .expect("valid");
        assert_eq!(caller.email.as_deref(), Some("a@example.com"));
        assert_eq!((caller.name.as_deref(), caller.image.as_deref()), (Some("A"), Some("https://i")));
        assert!(caller.email_verified);

        let caller = check(
            &config(),
            json!({"sub": "a", "email": 7, "name": "nul\u{0}", "image": "", "email_verified": "yes"}),
        )
        .expect("valid");
        assert_eq!(caller, Caller { user_id: "a".into(), ..Caller::default() });
    }
}
