//! Many combinations of claims, each judged by the API and by the crate biscuit.

use biscuit::{
    ClaimPresenceOptions, Empty, JWT, Presence, TemporalOptions, Validation, ValidationOptions,
    jwa::SignatureAlgorithm, jws::Secret,
};
use chrono::Duration;
use jsonwebtoken::{Algorithm::HS256, get_current_timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{App, Contract, Options, Response, SECRET};

use super::{path, sign};

const ISSUER: &str = "https://auth.example";
const AUDIENCE: &str = "tasks";

/// Leaves out the one case in which biscuit departs from RFC 7519: it rejects fractions of seconds.
#[tokio::test(flavor = "multi_thread")]
async fn times_issuer_and_audience_get_the_same_verdict_from_biscuit() {
    let options = Options::default().with("JWT_ISSUER", ISSUER).with("JWT_AUDIENCE", AUDIENCE);
    let Some(app) = App::local_with(options).await else { return };
    let options = ValidationOptions {
        claim_presence_options: ClaimPresenceOptions {
            expiry: Presence::Required,
            issuer: Presence::Required,
            audience: Presence::Required,
            ..ClaimPresenceOptions::default()
        },
        temporal_options: TemporalOptions { epsilon: Duration::seconds(30), now: None },
        issuer: Validation::Validate(ISSUER.into()),
        audience: Validation::Validate(AUDIENCE.into()),
        ..ValidationOptions::default()
    };
    let secret = Secret::bytes_from_str(SECRET);

    // Times are far enough from every bound that the verdict is the same a few seconds later.
    let now = get_current_timestamp();
    let absent = || Value::Null;
    let exps = [
        absent(),
        json!(now + 600),
        json!(now - 15),
        json!(now - 45),
        json!(0),
        json!((now + 600).to_string()),
        json!(true),
        json!([now + 600]),
    ];
    let nbfs = [absent(), json!(0), json!(now + 15), json!(now + 45), json!("0")];
    let issuers =
        [absent(), json!(ISSUER), json!([ISSUER]), json!("https://auth.example/"), json!(""), json!(7)];
    let audiences = [
        absent(),
        json!(AUDIENCE),
        json!(["mail", AUDIENCE]),
        json!(["mail"]),
        json!([]),
        json!([AUDIENCE, 7]),
        json!("Tasks"),
        json!({ "tasks": true }),
    ];
    let (mut accepted, mut rejected) = (0, 0);
    for (exp, nbf) in exps.iter().flat_map(|exp| nbfs.iter().map(move |nbf| (exp, nbf))) {
        for (iss, aud) in issuers.iter().flat_map(|iss| audiences.iter().map(move |aud| (iss, aud))) {
            let mut claims = json!({ "sub": "alice", "exp": exp, "nbf": nbf, "iss": iss, "aud": aud });
            claims.as_object_mut().expect("an object").retain(|_, claim| !claim.is_null());
            let token = sign(SECRET, HS256, &claims);
            let decoded = JWT::<Value, Empty>::new_encoded(&token).decode(&secret, SignatureAlgorithm::HS256);
            let verdict = decoded.and_then(|token| token.validate(options.clone()));
            let request = app.request(Method::GET, &path(Contract::Plain, "alice")).bearer_auth(&token);
            let answer = Response::to(request).await;
            let expected = if verdict.is_ok() { 200 } else { 401 };
            assert_eq!(answer.status, expected, "{claims} {verdict:?} {}", answer.text);
            *if verdict.is_ok() { &mut accepted } else { &mut rejected } += 1;
        }
    }
    println!("{accepted} accepted and {rejected} rejected by both");
    assert!(accepted > 10 && rejected > 1_000);
}
