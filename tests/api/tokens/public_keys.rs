//! Tokens verified with the public keys of an issuer.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use jsonwebtoken::{
    Algorithm::{ES256, EdDSA, HS256, PS256, RS256},
    Header, encode, get_current_timestamp,
};
use serde_json::{Value, json};
use tests::{App, Contract, Issuer, Options, Response, SECRET, SigningKey, errors};

use super::{ACCEPTED, REJECTED, Verdict, judge, path, token};

const UNAVAILABLE: Verdict = Some(&errors::UNAVAILABLE);

fn claims() -> Value {
    json!({ "sub": "alice", "exp": get_current_timestamp() + 86_400, "iss": "http://issuer", "aud": "x" })
}

pub(super) fn signed_by(key: &SigningKey) -> String {
    format!("Bearer {}", key.sign(&claims()))
}

pub(super) async fn app_of(issuer: &Issuer) -> Option<App> {
    App::local_with(Options::default().with("JWT_JWKS_URL", &issuer.url)).await
}

pub(super) async fn judge_both(app: &App, authorization: &str, verdict: Verdict) {
    for contract in Contract::BOTH {
        judge(app, contract, "alice", authorization, verdict).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_four_algorithms_are_accepted_next_to_the_secret() {
    let keys = [EdDSA, ES256, RS256, PS256]
        .map(|algorithm| SigningKey::generate(&format!("{algorithm:?}"), algorithm));
    let issuer = Issuer::start(&keys.each_ref().map(|key| &key.jwk)).await;
    let Some(app) = app_of(&issuer).await else { return };
    for key in &keys {
        judge_both(&app, &signed_by(key), ACCEPTED).await;
    }
    judge_both(&app, &format!("Bearer {}", token(SECRET, HS256, "alice")), ACCEPTED).await;
    for _ in 0..50 {
        judge(&app, Contract::Plain, "alice", &signed_by(&keys[0]), ACCEPTED).await;
    }
    assert_eq!(issuer.fetches(), 1, "keys are fetched only at the start of the process");
}

#[tokio::test(flavor = "multi_thread")]
async fn ed25519_is_another_name_of_eddsa_in_tokens_and_keys() {
    let keys = ["unnamed", "EdDSA", "Ed25519"].map(|name| {
        let mut key = SigningKey::generate(name, EdDSA);
        key.jwk["alg"] = if name == "unnamed" { Value::Null } else { json!(name) };
        key
    });
    let p256 = SigningKey::generate("p256", ES256);
    let rsa = SigningKey::generate("rsa", RS256);
    // Keys of the curve Ed25519 that name another algorithm.
    let others = ["Ed448", "ed25519", "ES256"].map(|name| {
        let mut key = SigningKey::generate(&format!("{name} key"), EdDSA);
        key.jwk["alg"] = json!(name);
        key
    });
    let published = keys.iter().chain(&others).chain([&p256, &rsa]).map(|key| &key.jwk);
    let issuer = Issuer::start(&published.collect::<Vec<_>>()).await;
    let Some(app) = app_of(&issuer).await else { return };

    let cases = keys.iter().flat_map(|key| [(key, "EdDSA", ACCEPTED), (key, "Ed25519", ACCEPTED)]);
    let wrong_names = ["Ed448", "ed25519", "ED25519", "Ed25519ph", "HS256"];
    let cases = cases
        .chain(wrong_names.iter().map(|name| (&keys[2], *name, REJECTED)))
        .chain(others.iter().map(|key| (key, "Ed25519", REJECTED)))
        .chain([(&p256, "Ed25519", REJECTED), (&rsa, "Ed25519", REJECTED), (&p256, "ES256", ACCEPTED)]);
    for (key, name, verdict) in cases {
        println!("{name} {}", key.jwk);
        judge_both(&app, &format!("Bearer {}", key.sign_as(name, &claims())), verdict).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_keys_are_skipped_and_the_others_still_work() {
    let good = SigningKey::generate("good", EdDSA);
    let with = |id: &str, name: &str, value: Value| {
        let key = SigningKey::generate(id, ES256);
        let mut jwk = key.jwk.clone();
        jwk[name] = value;
        (key, jwk)
    };
    let odd = [
        with("for encryption", "use", json!("enc")),
        with("for signing", "key_ops", json!(["sign"])),
        with("of another algorithm", "alg", json!("ES384")),
        with("of another curve", "crv", json!("P-521")),
        with("off the curve", "x", json!("AAAA")),
        with("no text", "x", json!(7)),
        with("nameless", "kid", json!(null)),
    ];
    let secret =
        json!({ "kty": "oct", "kid": "symmetric", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U" });
    let nothing = json!("no key at all");
    let mut keys: Vec<_> = odd.iter().map(|(_, jwk)| jwk).collect();
    keys.extend([&secret, &nothing, &good.jwk]);
    let issuer = Issuer::start(&keys).await;
    let Some(app) = app_of(&issuer).await else { return };
    judge_both(&app, &signed_by(&good), ACCEPTED).await;
    for (key, jwk) in &odd {
        println!("{jwk}");
        judge(&app, Contract::Plain, "alice", &signed_by(key), REJECTED).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_fetched_only_over_tls_or_from_this_machine() {
    for url in ["http://auth.example/jwks", "ftp://localhost/jwks", "jwks"] {
        let Some(app) = App::local_with(Options::default().with("JWT_JWKS_URL", url)).await else { return };
        let request = app.request(reqwest::Method::GET, &path(Contract::Plain, "alice"));
        Response::to(request).await.expect_status(500);
        let log = app.internals().log_text();
        assert!(log.contains("cannot start: JWT_JWKS_URL "), "{log}");
    }
    // An issuer without a trusted certificate is treated like one that can't be reached.
    let key = SigningKey::generate("one", EdDSA);
    let issuer = Issuer::start(&[&key.jwk]).await;
    let url = issuer.url.replace("http://", "https://");
    let Some(app) = App::local_with(Options::default().with("JWT_JWKS_URL", url)).await else { return };
    judge_both(&app, &signed_by(&key), UNAVAILABLE).await;
    assert_eq!(issuer.fetches(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rsa_keys_that_ring_rejects_are_skipped_with_the_reason() {
    let good = SigningKey::generate("good", EdDSA);
    let padded = SigningKey::generate("padded", RS256);
    let with_modulus = |change: fn(&mut Vec<u8>)| {
        let mut jwk = padded.jwk.clone();
        let mut modulus = BASE64.decode(jwk["n"].as_str().expect("a modulus")).expect("base64url");
        change(&mut modulus);
        jwk["n"] = json!(BASE64.encode(modulus));
        jwk
    };
    let (zero, short) = (with_modulus(|n| n.insert(0, 0)), with_modulus(|n| n.truncate(255)));
    for (jwk, reason) in
        [(zero, "its n or e has a leading zero"), (short, "an RSA key needs at least 2048 bits")]
    {
        let issuer = Issuer::start(&[&jwk, &good.jwk]).await;
        let Some(app) = app_of(&issuer).await else { return };
        judge_both(&app, &signed_by(&padded), REJECTED).await;
        judge_both(&app, &signed_by(&good), ACCEPTED).await;
        let lines = app.internals().log_lines();
        let skipped = lines.iter().find(|line| line["message"] == "public key is skipped");
        let skipped = skipped.expect("a warning");
        assert_eq!((&skipped["kid"], &skipped["reason"]), (&json!("padded"), &json!(reason)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_without_kid_are_verified_with_the_only_key_of_a_set() {
    let (only, other) = (SigningKey::generate("only", EdDSA), SigningKey::generate("other", EdDSA));
    let without_kid = |key: &SigningKey| {
        let header = Header { kid: None, ..key.header() };
        format!("Bearer {}", encode(&header, &claims(), &key.key).expect("signable"))
    };
    let issuer = Issuer::start(&[&only.jwk]).await;
    let Some(app) = app_of(&issuer).await else { return };
    judge_both(&app, &without_kid(&only), ACCEPTED).await;
    judge_both(&app, &without_kid(&other), REJECTED).await;
    judge_both(&app, &signed_by(&other), REJECTED).await;

    let issuer = Issuer::start(&[&only.jwk, &other.jwk]).await;
    let Some(app) = app_of(&issuer).await else { return };
    judge_both(&app, &without_kid(&only), REJECTED).await;
    judge_both(&app, &signed_by(&only), ACCEPTED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn configured_keys_need_no_issuer_which_is_asked_only_for_others() {
    let (known, published) = (SigningKey::generate("known", EdDSA), SigningKey::generate("published", ES256));
    let made_up = SigningKey::generate("made up", EdDSA);
    let configured = || Options::default().with("JWT_JWKS", json!({ "keys": [known.jwk] }).to_string());
    let Some(app) = App::local_with(configured().with("JWT_SECRET", "")).await else { return };
    judge_both(&app, &signed_by(&known), ACCEPTED).await;
    judge_both(&app, &signed_by(&made_up), REJECTED).await;
    judge_both(&app, &format!("Bearer {}", token(SECRET, HS256, "alice")), REJECTED).await;

    let issuer = Issuer::start(&[&published.jwk]).await;
    let Some(app) = App::local_with(configured().with("JWT_JWKS_URL", &issuer.url)).await else { return };
    judge_both(&app, &signed_by(&known), ACCEPTED).await;
    assert_eq!(issuer.fetches(), 0, "a known key needs no fetch, not even at the start");
    judge_both(&app, &signed_by(&published), ACCEPTED).await;
    judge_both(&app, &signed_by(&made_up), REJECTED).await;
    assert_eq!(issuer.fetches(), 1);
    issuer.stop();
    judge_both(&app, &signed_by(&known), ACCEPTED).await;
}
