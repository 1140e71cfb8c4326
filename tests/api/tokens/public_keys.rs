//! Tokens that are signed with a key which their issuer publishes.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use jsonwebtoken::{
    Algorithm::{ES256, EdDSA, HS256, PS256, RS256},
    get_current_timestamp,
};
use serde_json::{Value, json};
use tests::{Answer, App, Contract, Issuer, Options, SECRET, SigningKey, refusals};

use super::{BAD, BELIEVED, Verdict, judge, path, token};

const UNAVAILABLE: Verdict = Some(&refusals::UNAVAILABLE);

fn signed_by(key: &SigningKey) -> String {
    let claims =
        json!({ "sub": "alice", "exp": get_current_timestamp() + 600, "iss": "http://issuer", "aud": "x" });
    format!("Bearer {}", key.sign(&claims))
}

async fn app_of(issuer: &Issuer) -> Option<App> {
    App::local_with(Options::default().with("JWT_JWKS_URL", &issuer.url)).await
}

async fn judge_both(app: &App, authorization: &str, verdict: Verdict) {
    for contract in Contract::BOTH {
        judge(app, contract, "alice", authorization, verdict).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn are_believed_in_four_algorithms_beside_the_secret() {
    let keys = [EdDSA, ES256, RS256, PS256]
        .map(|algorithm| SigningKey::generate(&format!("{algorithm:?}"), algorithm));
    let issuer = Issuer::start(&keys.each_ref().map(|key| &key.jwk)).await;
    let Some(app) = app_of(&issuer).await else { return };
    for key in &keys {
        judge_both(&app, &signed_by(key), BELIEVED).await;
    }
    judge_both(&app, &format!("Bearer {}", token(SECRET, HS256, "alice")), BELIEVED).await;
    for _ in 0..50 {
        judge(&app, Contract::Plain, "alice", &signed_by(&keys[0]), BELIEVED).await;
    }
    assert_eq!(issuer.fetches(), 1, "while the process started, and never since");
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_alone_where_no_secret_is_set() {
    let key = SigningKey::generate("one", EdDSA);
    let issuer = Issuer::start(&[&key.jwk]).await;
    let options = Options::default().with("JWT_JWKS_URL", &issuer.url).with("JWT_SECRET", "");
    let Some(app) = App::local_with(options).await else { return };
    judge_both(&app, &signed_by(&key), BELIEVED).await;
    judge_both(&app, &format!("Bearer {}", token(SECRET, HS256, "alice")), BAD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn are_fetched_anew_for_an_unknown_key_but_once_in_30_seconds() {
    let (old, new, newest) = (
        SigningKey::generate("old", EdDSA),
        SigningKey::generate("new", EdDSA),
        SigningKey::generate("newest", ES256),
    );
    let issuer = Issuer::start(&[&old.jwk]).await;
    let Some(app) = app_of(&issuer).await else { return };
    judge(&app, Contract::Plain, "alice", &signed_by(&old), BELIEVED).await;

    issuer.publish(&[&old.jwk, &new.jwk]);
    judge(&app, Contract::Plain, "alice", &signed_by(&new), BELIEVED).await;
    judge(&app, Contract::Plain, "alice", &signed_by(&old), BELIEVED).await;
    assert_eq!(issuer.fetches(), 2);

    issuer.publish(&[&newest.jwk]);
    for number in 0..20 {
        let made_up = SigningKey::generate(&format!("made up {number}"), EdDSA);
        judge(&app, Contract::Plain, "alice", &signed_by(&made_up), BAD).await;
    }
    judge(&app, Contract::Plain, "alice", &signed_by(&newest), BAD).await;
    assert_eq!(issuer.fetches(), 2, "whatever a sender makes up");

    tokio::time::sleep(Duration::from_secs(31)).await;
    judge(&app, Contract::Plain, "alice", &signed_by(&newest), BELIEVED).await;
    judge(&app, Contract::Plain, "alice", &signed_by(&old), BAD).await;
    assert_eq!(issuer.fetches(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn stay_in_use_when_their_issuer_is_gone() {
    let key = SigningKey::generate("one", EdDSA);
    let issuer = Issuer::start(&[&key.jwk]).await;
    let Some(app) = app_of(&issuer).await else { return };
    judge_both(&app, &signed_by(&key), BELIEVED).await;
    issuer.stop();
    judge_both(&app, &signed_by(&key), BELIEVED).await;
    let unknown = SigningKey::generate("unknown", EdDSA);
    judge_both(&app, &signed_by(&unknown), UNAVAILABLE).await;
    judge_both(&app, &signed_by(&key), BELIEVED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn that_can_not_be_had_make_a_503_of_what_might_be_good() {
    let key = SigningKey::generate("one", EdDSA);
    let published = json!({ "keys": [key.jwk] }).to_string();
    let large = json!({ "keys": [key.jwk], "x": "x".repeat(64 * 1024) }).to_string();
    for (status, body) in [
        (StatusCode::OK, "not JSON"),
        (StatusCode::OK, "{}"),
        (StatusCode::OK, r#"{"keys": []}"#),
        (StatusCode::OK, large.as_str()),
        (StatusCode::INTERNAL_SERVER_ERROR, published.as_str()),
        (StatusCode::FOUND, published.as_str()),
    ] {
        let issuer = Issuer::start(&[]).await;
        issuer.answer_with(status, body, Duration::ZERO);
        let Some(app) = app_of(&issuer).await else { return };
        judge_both(&app, &signed_by(&key), UNAVAILABLE).await;
        judge_both(&app, &format!("Bearer {}", token(SECRET, HS256, "alice")), BELIEVED).await;
        assert_eq!(issuer.fetches(), 1, "{status} {body:.40}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_issuer_that_is_silent_keep_nobody_waiting_for_long() {
    let (key, other) = (SigningKey::generate("one", EdDSA), SigningKey::generate("other", EdDSA));
    let issuer = Issuer::start(&[&key.jwk]).await;
    let Some(app) = app_of(&issuer).await else { return };
    judge(&app, Contract::Plain, "alice", &signed_by(&key), BELIEVED).await;
    issuer.answer_with(StatusCode::OK, "", Duration::from_secs(60));
    let started = Instant::now();
    judge(&app, Contract::Plain, "alice", &signed_by(&other), UNAVAILABLE).await;
    assert!(started.elapsed() < Duration::from_secs(7), "{:?}", started.elapsed());
    judge(&app, Contract::Plain, "alice", &signed_by(&key), BELIEVED).await;
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn that_are_no_use_are_passed_over_and_hide_no_other() {
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
    judge_both(&app, &signed_by(&good), BELIEVED).await;
    for (key, jwk) in &odd {
        println!("{jwk}");
        judge(&app, Contract::Plain, "alice", &signed_by(key), BAD).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn are_fetched_over_tls_or_from_this_machine_alone() {
    for url in ["http://auth.example/jwks", "ftp://localhost/jwks", "jwks"] {
        let Some(app) = App::local_with(Options::default().with("JWT_JWKS_URL", url)).await else { return };
        let request = app.request(reqwest::Method::GET, &path(Contract::Plain, "alice"));
        Answer::to(request).await.expect_status(500);
        let log = app.hands_on().log_text();
        assert!(log.contains("cannot start: JWT_JWKS_URL "), "{log}");
    }
    // An issuer whose certificate nobody vouches for is as good as none.
    let key = SigningKey::generate("one", EdDSA);
    let issuer = Issuer::start(&[&key.jwk]).await;
    let url = issuer.url.replace("http://", "https://");
    let Some(app) = App::local_with(Options::default().with("JWT_JWKS_URL", url)).await else { return };
    judge_both(&app, &signed_by(&key), UNAVAILABLE).await;
    assert_eq!(issuer.fetches(), 0);
}
