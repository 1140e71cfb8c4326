//! Public keys: when they are fetched, and how long they are used.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use jsonwebtoken::Algorithm::{ES256, EdDSA, HS256};
use serde_json::json;
use shared::auth::{KeySet, TokenConfig, Verifier};
#[cfg(target_os = "linux")]
use tests::{App, Clock};
use tests::{Contract, Issuer, SECRET, SigningKey, errors};

use super::{
    ACCEPTED, REJECTED, Verdict, judge,
    public_keys::{app_of, judge_both, signed_by},
    token,
};

const UNAVAILABLE: Verdict = Some(&errors::UNAVAILABLE);

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_causes_at_most_one_fetch_in_30_seconds() {
    let (old, new, newest) = (
        SigningKey::generate("old", EdDSA),
        SigningKey::generate("new", EdDSA),
        SigningKey::generate("newest", ES256),
    );
    let issuer = Issuer::start(&[&old.jwk]).await;
    let Some(app) = app_of(&issuer).await else { return };
    judge(&app, Contract::Plain, "alice", &signed_by(&old), ACCEPTED).await;

    issuer.publish(&[&old.jwk, &new.jwk]);
    judge(&app, Contract::Plain, "alice", &signed_by(&new), ACCEPTED).await;
    judge(&app, Contract::Plain, "alice", &signed_by(&old), ACCEPTED).await;
    assert_eq!(issuer.fetches(), 2);

    issuer.publish(&[&newest.jwk]);
    for number in 0..20 {
        let made_up = SigningKey::generate(&format!("made up {number}"), EdDSA);
        judge(&app, Contract::Plain, "alice", &signed_by(&made_up), REJECTED).await;
    }
    judge(&app, Contract::Plain, "alice", &signed_by(&newest), REJECTED).await;
    assert_eq!(issuer.fetches(), 2, "made-up key ids cause no fetch");

    tokio::time::sleep(Duration::from_secs(31)).await;
    judge(&app, Contract::Plain, "alice", &signed_by(&newest), ACCEPTED).await;
    judge(&app, Contract::Plain, "alice", &signed_by(&old), REJECTED).await;
    assert_eq!(issuer.fetches(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn known_keys_verify_while_the_issuer_is_down() {
    let key = SigningKey::generate("one", EdDSA);
    let issuer = Issuer::start(&[&key.jwk]).await;
    let Some(app) = app_of(&issuer).await else { return };
    judge_both(&app, &signed_by(&key), ACCEPTED).await;
    issuer.stop();
    judge_both(&app, &signed_by(&key), ACCEPTED).await;
    let unknown = SigningKey::generate("unknown", EdDSA);
    judge_both(&app, &signed_by(&unknown), UNAVAILABLE).await;
    judge_both(&app, &signed_by(&key), ACCEPTED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_cannot_be_fetched_at_first_answer_503() {
    let key = SigningKey::generate("one", EdDSA);
    let published = json!({ "keys": [key.jwk] }).to_string();
    let large = json!({ "keys": [key.jwk], "x": "x".repeat(64 * 1024) }).to_string();
    for (status, body) in [
        (StatusCode::OK, "not JSON"),
        (StatusCode::OK, "{}"),
        (StatusCode::OK, large.as_str()),
        (StatusCode::INTERNAL_SERVER_ERROR, published.as_str()),
        (StatusCode::FOUND, published.as_str()),
    ] {
        let issuer = Issuer::start(&[]).await;
        issuer.answer_with(status, body, Duration::ZERO);
        let Some(app) = app_of(&issuer).await else { return };
        judge_both(&app, &signed_by(&key), UNAVAILABLE).await;
        judge_both(&app, &format!("Bearer {}", token(SECRET, HS256, "alice")), ACCEPTED).await;
        assert_eq!(issuer.fetches(), 1, "{status} {body:.40}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_does_not_answer_delays_a_request_by_seconds_only() {
    let (key, other) = (SigningKey::generate("one", EdDSA), SigningKey::generate("other", EdDSA));
    let issuer = Issuer::start(&[&key.jwk]).await;
    let Some(app) = app_of(&issuer).await else { return };
    judge(&app, Contract::Plain, "alice", &signed_by(&key), ACCEPTED).await;
    issuer.answer_with(StatusCode::OK, "", Duration::from_secs(60));
    let started = Instant::now();
    judge(&app, Contract::Plain, "alice", &signed_by(&other), UNAVAILABLE).await;
    assert!(started.elapsed() < Duration::from_secs(7), "{:?}", started.elapsed());
    judge(&app, Contract::Plain, "alice", &signed_by(&key), ACCEPTED).await;
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_key_set_withdraws_all_keys() {
    let key = SigningKey::generate("one", EdDSA);
    let issuer = Issuer::start(&[&key.jwk]).await;
    let Some(app) = app_of(&issuer).await else { return };
    judge_both(&app, &signed_by(&key), ACCEPTED).await;

    issuer.publish(&[]);
    // An unknown key makes the function fetch the set.
    judge_both(&app, &signed_by(&SigningKey::generate("unknown", EdDSA)), REJECTED).await;
    assert_eq!(issuer.fetches(), 2);
    judge_both(&app, &signed_by(&key), REJECTED).await;
    judge_both(&app, &format!("Bearer {}", token(SECRET, HS256, "alice")), ACCEPTED).await;
    let log = app.internals().log_text();
    assert!(log.contains("key set has no usable public key"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_set_that_is_empty_at_first_is_fetched_again_for_the_first_token() {
    let issuer = Issuer::start(&[]).await;
    let Some(app) = app_of(&issuer).await else { return };
    let key = SigningKey::generate("one", EdDSA);
    // The first request starts the process, which fetches the keys.
    judge(&app, Contract::Plain, "alice", &format!("Bearer {}", token(SECRET, HS256, "alice")), ACCEPTED)
        .await;
    issuer.publish(&[&key.jwk]);
    judge_both(&app, &signed_by(&key), ACCEPTED).await;
    assert_eq!(issuer.fetches(), 2);
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn without_a_successful_refresh_keys_are_used_for_one_hour() {
    let key = SigningKey::generate("one", EdDSA);
    let issuer = Issuer::start(&[&key.jwk]).await;
    let clock = Clock::start();
    let Some(app) = App::local_with(clock.options().with("JWT_JWKS_URL", &issuer.url)).await else { return };
    judge_both(&app, &signed_by(&key), ACCEPTED).await;

    issuer.answer_with(StatusCode::INTERNAL_SERVER_ERROR, "", Duration::ZERO);
    for seconds in [601, 1800, 3590] {
        clock.set_ahead(seconds);
        judge_both(&app, &signed_by(&key), ACCEPTED).await;
    }
    assert_eq!(issuer.fetches(), 4, "the keys are fetched at the start and after each step of the clock");
    clock.set_ahead(3601);
    judge_both(&app, &signed_by(&key), UNAVAILABLE).await;
    judge_both(&app, &format!("Bearer {}", token(SECRET, HS256, "alice")), ACCEPTED).await;

    // After the next successful refresh, keys are used for another hour.
    issuer.publish(&[&key.jwk]);
    clock.set_ahead(3640);
    judge_both(&app, &signed_by(&key), ACCEPTED).await;
    clock.set_ahead(3640 + 3590);
    issuer.stop();
    judge_both(&app, &signed_by(&key), ACCEPTED).await;
    clock.set_ahead(3640 + 3650);
    judge_both(&app, &signed_by(&key), UNAVAILABLE).await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn max_age_of_the_issuer_decides_when_keys_are_fetched_again() {
    let (old, new) = (SigningKey::generate("old", EdDSA), SigningKey::generate("new", EdDSA));
    // Without a max-age, keys are fetched again after 10 minutes.
    for (cache_control, used, withdrawn) in
        [("", 590, 601), ("max-age=120", 110, 121), ("public, max-age=86400", 1790, 1801)]
    {
        let issuer = Issuer::start(&[&old.jwk]).await;
        issuer.set_cache_control(cache_control);
        let clock = Clock::start();
        let options = clock.options().with("JWT_JWKS_URL", &issuer.url);
        let Some(app) = App::local_with(options).await else { return };
        judge_both(&app, &signed_by(&old), ACCEPTED).await;
        issuer.publish(&[&new.jwk]);
        clock.set_ahead(used);
        judge_both(&app, &signed_by(&old), ACCEPTED).await;
        assert_eq!(issuer.fetches(), 1);
        clock.set_ahead(withdrawn);
        judge_both(&app, &signed_by(&old), REJECTED).await;
        judge_both(&app, &signed_by(&new), ACCEPTED).await;
    }
}

/// A process of Lambda Managed Instances checks several tokens at once. A process of the local Lambda handles
/// one request at a time, so this test calls the verifier itself.
#[tokio::test(flavor = "multi_thread")]
async fn look_up_of_a_cached_key_does_not_wait_for_a_fetch() {
    let (known, unknown) = (SigningKey::generate("known", EdDSA), SigningKey::generate("unknown", EdDSA));
    // Signed first, because a verifier installs cryptography that can't sign, unless there is another.
    let (known_token, unknown_token) = (signed_by(&known), signed_by(&unknown));
    let issuer = Issuer::start(&[&known.jwk]).await;
    let verifier = Verifier::new(&TokenConfig {
        secrets: Vec::new(),
        keys: KeySet::default(),
        jwks_url: Some(issuer.url.parse().expect("a URL")),
        algorithm: HS256,
        issuer: None,
        audience: None,
    });
    verifier.fetch_keys().await;
    issuer.answer_with(StatusCode::OK, "", Duration::from_secs(3));
    let started = Instant::now();
    let slow = async { (verifier.caller(Some(&unknown_token)).await.is_ok(), started.elapsed()) };
    let quick = async {
        while issuer.fetches() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        (verifier.caller(Some(&known_token)).await.is_ok(), started.elapsed())
    };
    let (slow, quick) = tokio::join!(slow, quick);
    assert!(!slow.0 && slow.1 >= Duration::from_secs(3), "{slow:?}");
    assert!(quick.0 && quick.1 < Duration::from_secs(2), "{quick:?}");
}
