//! Tokens verified with the public keys of an issuer.

use jsonwebtoken::{
    Algorithm::{ES256, EdDSA, HS256, PS256, RS256},
    get_current_timestamp,
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
async fn keys_work_without_a_secret() {
    let key = SigningKey::generate("one", EdDSA);
    let issuer = Issuer::start(&[&key.jwk]).await;
    let options = Options::default().with("JWT_JWKS_URL", &issuer.url).with("JWT_SECRET", "");
    let Some(app) = App::local_with(options).await else { return };
    judge_both(&app, &signed_by(&key), ACCEPTED).await;
    judge_both(&app, &format!("Bearer {}", token(SECRET, HS256, "alice")), REJECTED).await;
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
