use chrono::Utc;
use futures_util::FutureExt;
use ring::hmac;
use serde_json::{Value, json};

use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn config() -> TokenConfig {
    TokenConfig {
        secrets: vec![SECRET.into()],
        keys: KeySet::default(),
        jwks_url: None,
        algorithm: Algorithm::HS256,
        issuer: None,
        audience: None,
    }
}

fn sign(secret: &str, algorithm: Algorithm, claims: &Value) -> String {
    sign_with(secret, &json!({ "typ": "JWT", "alg": format!("{algorithm:?}") }), claims)
}

fn sign_with(secret: &str, header: &Value, claims: &Value) -> String {
    let hash = match header["alg"].as_str() {
        Some("HS384") => hmac::HMAC_SHA384,
        Some("HS512") => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    let encoded = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
    let header = header.to_string();
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
    let header = sign(SECRET, Algorithm::HS256, &claims);
    assert!(is_invalid(caller(&config(), Some(&header))));
}

#[test]
fn each_configured_algorithm_is_the_only_one_accepted() {
    let claims = json!({"sub": "a", "exp": Utc::now().timestamp() + 600});
    for configured in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let config = TokenConfig { algorithm: configured, ..config() };
        for signed in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
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
        let header = sign(&secret, Algorithm::HS256, &claims);
        assert_eq!(caller(&config, Some(&header)).is_ok(), valid);
    }
}

#[test]
fn only_the_bearer_scheme_is_accepted_in_any_letter_case() {
    let token = sign(SECRET, Algorithm::HS256, &json!({"sub": "a", "exp": Utc::now().timestamp() + 600}));
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

#[test]
fn new_verifier_installs_the_cryptography_that_jsonwebtoken_uses() {
    Verifier::new(&config());
    let installed = crypto::CryptoProvider::try_get_default().expect("installed");
    assert!(std::ptr::eq(installed, &algorithms::PROVIDER));
}

#[test]
fn typ_must_be_that_of_a_token_for_this_api() {
    let claims = json!({"sub": "a", "aud": "api", "exp": Utc::now().timestamp() + 600});
    let with_audience = TokenConfig { audience: Some("api".into()), ..config() };
    let result = |config: &TokenConfig, typ: &Value| {
        caller(config, Some(&sign_with(SECRET, &json!({ "alg": "HS256", "typ": typ }), &claims)))
    };
    for typ in ["JWT", "jwt", "application/JWT"] {
        assert!(result(&config(), &json!(typ)).is_ok(), "{typ}");
    }
    for typ in ["at+jwt", "AT+JWT", "Application/at+jwt"] {
        assert!(is_invalid(result(&config(), &json!(typ))), "{typ}");
        assert!(result(&with_audience, &json!(typ)).is_ok(), "{typ}");
    }
    for typ in ["better-auth.session-cache+jwt", "logout+jwt", "dpop+jwt", "JWE", "application/", " JWT"] {
        assert!(is_invalid(result(&with_audience, &json!(typ))), "{typ}");
    }
    for typ in [json!(null), json!(7), json!(["JWT"])] {
        assert!(is_invalid(result(&with_audience, &typ)), "{typ}");
    }
}

#[test]
fn tokens_of_clients_need_an_audience_and_tokens_bound_to_a_key_are_rejected() {
    let with_audience = TokenConfig { audience: Some("api".into()), ..config() };
    for azp in [json!("client"), json!(""), json!(null)] {
        let claims = json!({"sub": "a", "aud": "api", "azp": azp});
        assert!(is_invalid(check(&config(), claims.clone())), "{azp}");
        assert!(check(&with_audience, claims).is_ok(), "{azp}");
    }
    for cnf in [json!({"jkt": "x"}), json!({}), json!(null)] {
        assert!(is_invalid(check(&with_audience, json!({"sub": "a", "aud": "api", "cnf": cnf}))), "{cnf}");
    }
}

#[test]
fn null_counts_as_a_critical_extension_and_not_as_a_missing_kid() {
    let claims = json!({"sub": "a", "exp": Utc::now().timestamp() + 600});
    for member in ["crit", "kid"] {
        let mut header = json!({ "alg": "HS256" });
        assert!(caller(&config(), Some(&sign_with(SECRET, &header, &claims))).is_ok());
        header[member] = json!(null);
        assert!(is_invalid(caller(&config(), Some(&sign_with(SECRET, &header, &claims)))), "{member}");
    }
}

/// The key of RFC 8037, appendix A.2, with these members changed.
fn example_key(changes: Value) -> Value {
    let mut key =
        json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
    for (name, value) in changes.as_object().expect("an object") {
        key[name] = value.clone();
    }
    key
}

/// Reads a key set, and returns it with the reasons why keys were skipped.
fn key_set(keys: &[Value]) -> (KeySet, Vec<(String, &'static str)>) {
    let mut skipped = Vec::new();
    let json = json!({ "keys": keys }).to_string();
    let set = KeySet::parse(json.as_bytes(), |kid, reason| skipped.push((kid.to_owned(), reason)));
    (set.expect("a key set"), skipped)
}

/// RFC 8037, appendix A.4, has the signature. RFC 9864 only renames the algorithm.
#[test]
fn example_of_rfc_8037_verifies_under_both_names_of_the_algorithm() {
    Verifier::new(&config());
    let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    for name in ["EdDSA", "Ed25519"] {
        let (keys, _) = key_set(&[example_key(json!({ "kid": "A.2", "alg": name }))]);
        let algorithm = algorithms::algorithm(name).expect("supported");
        let key = keys.find(Some("A.2"), algorithm).expect("a key on this curve");
        assert_eq!(crypto::verify(signature, message, &key, algorithm).ok(), Some(true), "{name}");
        assert_eq!(crypto::verify(signature, &message[1..], &key, algorithm).ok(), Some(false), "{name}");
        assert!(crypto::verify(signature, message, &key, Algorithm::ES256).is_err());
        assert!(keys.find(Some("A.2"), Algorithm::ES256).is_none());
    }
}

#[test]
fn only_a_set_with_one_key_has_it_for_tokens_without_kid() {
    let (one, two) = (example_key(json!({ "kid": "1" })), example_key(json!({ "kid": "2" })));
    let nameless = example_key(json!({}));
    let finds = |keys: &[Value], id| key_set(keys).0.find(id, Algorithm::EdDSA).is_some();
    assert!(finds(std::slice::from_ref(&one), None));
    assert!(finds(std::slice::from_ref(&nameless), None));
    assert!(!finds(std::slice::from_ref(&nameless), Some("1")));
    assert!(!finds(std::slice::from_ref(&one), Some("2")));
    assert!(!finds(&[one.clone(), two], None));
    assert!(!finds(&[one, nameless], None));
    assert!(!finds(&[], None));
}

#[test]
fn unusable_keys_are_skipped_with_the_reason() {
    let rsa = |modulus: &[u8], changes: Value| {
        let mut key = json!({ "kty": "RSA", "n": BASE64_URL_SAFE_NO_PAD.encode(modulus), "e": "AQAB" });
        for (name, value) in changes.as_object().expect("an object") {
            key[name] = value.clone();
        }
        key
    };
    let full = [0x80; 256];
    let leading_zero = [&[0], &full[..]].concat();
    for (key, reason) in [
        (rsa(&full, json!({})), None),
        (rsa(&full, json!({ "alg": "RS256", "use": "sig", "key_ops": ["verify"] })), None),
        (rsa(&full[1..], json!({})), Some("an RSA key needs at least 2048 bits")),
        (rsa(&[0x7f; 256], json!({})), Some("an RSA key needs at least 2048 bits")),
        (rsa(&[], json!({})), Some("an RSA key needs at least 2048 bits")),
        (rsa(&leading_zero, json!({})), Some("its n or e has a leading zero")),
        (rsa(&full, json!({ "e": "AAEAAQ" })), Some("its n or e has a leading zero")),
        (rsa(&full, json!({ "alg": "ES256" })), Some("its alg is not one of its kty")),
        (rsa(&full, json!({ "alg": "RS512" })), Some("its alg is not supported")),
        (rsa(&full, json!({ "n": "+/" })), Some("it is not base64url")),
        (rsa(&full, json!({ "n": 7 })), Some("its kty or crv is not supported")),
        (
            example_key(json!({ "use": "enc" })),
            Some("its use or key_ops is not the verification of signatures"),
        ),
        (
            example_key(json!({ "key_ops": ["sign"] })),
            Some("its use or key_ops is not the verification of signatures"),
        ),
        (example_key(json!({ "alg": 7 })), Some("its alg is not supported")),
        (example_key(json!({ "alg": "HS256" })), Some("its alg is not one of its kty")),
        (example_key(json!({ "crv": "Ed448" })), Some("its kty or crv is not supported")),
        (example_key(json!({ "crv": "P-256" })), Some("its kty or crv is not supported")),
        (json!({ "kty": "oct", "k": "c2VjcmV0" }), Some("its kty or crv is not supported")),
        (json!("no key"), Some("it is not a JSON Web Key")),
    ] {
        let (keys, skipped) = key_set(std::slice::from_ref(&key));
        assert_eq!(skipped.first().map(|(_, reason)| *reason), reason, "{key}");
        assert_eq!(keys.len(), usize::from(reason.is_none()), "{key}");
    }
}
