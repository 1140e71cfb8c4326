use chrono::Utc;
use futures_util::FutureExt;
use ring::hmac;
use serde_json::{Value, json};

use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn config() -> TokenConfig {
    TokenConfig {
        secrets: vec![SECRET.into()],
        jwks_url: None,
        algorithm: HmacAlgorithm::Hs256,
        issuer: None,
        audience: None,
    }
}

fn sign(secret: &str, algorithm: HmacAlgorithm, claims: &Value) -> String {
    let (name, hash) = match algorithm {
        HmacAlgorithm::Hs256 => ("HS256", hmac::HMAC_SHA256),
        HmacAlgorithm::Hs384 => ("HS384", hmac::HMAC_SHA384),
        HmacAlgorithm::Hs512 => ("HS512", hmac::HMAC_SHA512),
    };
    let encoded = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
    let header = json!({ "typ": "JWT", "alg": name }).to_string();
    let message = format!("{}.{}", encoded(header.as_bytes()), encoded(claims.to_string().as_bytes()));
    let tag = hmac::sign(&hmac::Key::new(hash, secret.as_bytes()), message.as_bytes());
    format!("Bearer {message}.{}", encoded(tag.as_ref()))
}

/// Checks a token with these claims. If they have no `exp`, it is set to ten minutes from now.
fn check(config: &TokenConfig, mut claims: Value) -> Result<Caller, TokenError> {
    if claims.get("exp").is_none() {
        claims["exp"] = json!(Utc::now().timestamp() + 600);
    }
    let header = sign(SECRET, config.algorithm, &claims);
    caller(config, Some(&header))
}

fn caller(config: &TokenConfig, header: Option<&str>) -> Result<Caller, TokenError> {
    let verifier = Verifier::new(config);
    let result = verifier.caller(header).now_or_never().expect("a check without published keys never waits");
    result.map_err(|error| match error {
        Error::Unauthorized(fault) => fault,
        other => panic!("{other}"),
    })
}

fn user_id(claims: Value) -> Result<String, TokenError> {
    check(&config(), claims).map(|caller| caller.user_id)
}

fn is_invalid<T>(result: Result<T, TokenError>) -> bool {
    matches!(result, Err(TokenError::Invalid(_)))
}

#[test]
fn sub_or_user_id_as_text_or_integer_identifies_the_user() {
    assert_eq!(user_id(json!({"sub": "alice"})).as_deref(), Ok("alice"));
    assert_eq!(user_id(json!({"user_id": "alice"})).as_deref(), Ok("alice"));
    assert_eq!(user_id(json!({"user_id": 42})).as_deref(), Ok("42"));
    assert_eq!(user_id(json!({"sub": "42", "user_id": 42})).as_deref(), Ok("42"));
    assert_eq!(user_id(json!({"sub": "alice", "user_id": null})).as_deref(), Ok("alice"));
    assert_eq!(user_id(json!({"sub": "𝒳".repeat(255)})), Ok("𝒳".repeat(255)));
}

#[test]
fn a_missing_or_invalid_user_id_is_rejected() {
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
    let now = Utc::now().timestamp();
    assert!(user_id(json!({"sub": "a", "exp": now - 25})).is_ok());
    assert_eq!(user_id(json!({"sub": "a", "exp": now - 35})), Err(TokenError::Expired));
    assert!(user_id(json!({"sub": "a", "nbf": now + 25})).is_ok());
    assert!(is_invalid(user_id(json!({"sub": "a", "nbf": now + 35}))));
}

#[test]
fn exp_must_be_present_and_a_number() {
    let later = Utc::now().timestamp() + 600;
    for exp in [json!(null), json!(later.to_string()), json!(-1), json!(1e300), json!(true), json!([later])] {
        assert!(is_invalid(user_id(json!({"sub": "a", "exp": exp}))), "{exp}");
    }
    let claims = json!({"sub": "a"});
    let header = sign(SECRET, HmacAlgorithm::Hs256, &claims);
    assert!(is_invalid(caller(&config(), Some(&header))));
}

#[test]
fn each_configured_algorithm_is_the_only_one_accepted() {
    let claims = json!({"sub": "a", "exp": Utc::now().timestamp() + 600});
    for configured in [HmacAlgorithm::Hs256, HmacAlgorithm::Hs384, HmacAlgorithm::Hs512] {
        let config = TokenConfig { algorithm: configured, ..config() };
        for signed in [HmacAlgorithm::Hs256, HmacAlgorithm::Hs384, HmacAlgorithm::Hs512] {
            let result = caller(&config, Some(&sign(SECRET, signed, &claims)));
            assert_eq!(result.is_ok(), signed == configured, "{signed:?} for {configured:?}");
        }
    }
}

#[test]
fn configured_issuer_and_audience_must_be_present_and_match() {
    let config = TokenConfig { issuer: Some("https://a".into()), audience: Some("api".into()), ..config() };
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
fn tokens_of_every_configured_secret_are_accepted_and_of_no_other() {
    let config = TokenConfig { secrets: vec!["n".repeat(32), SECRET.into()], ..config() };
    let claims = json!({"sub": "a", "exp": Utc::now().timestamp() + 600});
    for (secret, valid) in [("n".repeat(32), true), (SECRET.into(), true), ("x".repeat(32), false)] {
        let header = sign(&secret, HmacAlgorithm::Hs256, &claims);
        assert_eq!(caller(&config, Some(&header)).is_ok(), valid);
    }
}

#[test]
fn only_the_bearer_scheme_is_accepted_in_any_letter_case() {
    let token = sign(SECRET, HmacAlgorithm::Hs256, &json!({"sub": "a", "exp": Utc::now().timestamp() + 600}));
    let token = token.trim_start_matches("Bearer ");
    let check_header = |header: &str| caller(&config(), Some(header));
    for header in [format!("Bearer {token}"), format!("bEARER {token}"), format!("Bearer   {token} ")] {
        assert!(check_header(&header).is_ok(), "{header}");
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
        assert!(is_invalid(check_header(&header)), "{header}");
    }
    assert_eq!(caller(&config(), None), Err(TokenError::Missing));
}

#[test]
fn invalid_profile_claims_are_dropped_and_the_token_is_accepted() {
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

/// RFC 8037: appendix A.2 has the key, A.4 the signature. RFC 9864 only renames the algorithm.
#[test]
fn example_of_rfc_8037_verifies_under_both_names_of_the_algorithm() {
    let jwk: jwk::Jwk = serde_json::from_value(json!({
        "kty": "OKP",
        "crv": "Ed25519",
        "kid": "A.2",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }))
    .expect("a key");
    let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    for name in ["EdDSA", "Ed25519"] {
        let key = jwk.key(name.parse().expect("supported")).expect("a key on this curve");
        assert!(key.verifies(message, &signature), "{name}");
        assert!(!key.verifies(&message[1..], &signature), "{name}");
    }
    assert!(jwk.key(PublicKeyAlgorithm::Es256).is_none());
}
