//! Authentication: which tokens are accepted, and which user's paths they open.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use reqwest::Method;
use serde::Serialize;
use serde_json::{Value, json};
use tests::{App, Contract, ErrorResponse, Response, SECRET, errors};

mod claims;
mod command;
mod configuration;
mod hostile;
mod key_refresh;
mod paths;
mod public_keys;

use Algorithm::{HS256, HS384, HS512};

/// The expected response to a token: `None` if the token is accepted.
type Verdict = Option<&'static ErrorResponse>;

const ACCEPTED: Verdict = None;
const REJECTED: Verdict = Some(&errors::BAD_TOKEN);
const EXPIRED: Verdict = Some(&errors::EXPIRED);

fn sign(secret: &str, algorithm: Algorithm, claims: &impl Serialize) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes()).expect("not empty");
    encode(&Header::new(algorithm), claims, &key).expect("signable")
}

/// A token of this user with valid claims, signed with this secret and algorithm.
fn token(secret: &str, algorithm: Algorithm, user_id: &str) -> String {
    sign(secret, algorithm, &json!({ "sub": user_id, "exp": get_current_timestamp() + 86_400 }))
}

/// The path of a user's tasks. The user id must already be encoded.
fn path(contract: Contract, user_id: &str) -> String {
    let prefix = if contract == Contract::Plain { "/plain" } else { "" };
    format!("{prefix}/api/{user_id}/tasks")
}

/// Lists a user's tasks with this `Authorization` header, and checks the response against the verdict.
async fn judge(app: &App, contract: Contract, user_id: &str, authorization: &str, verdict: Verdict) {
    let request = app.request(Method::GET, &path(contract, user_id)).header("authorization", authorization);
    let answer = Response::to(request).await;
    println!("{contract:?} {authorization:.400}");
    match verdict {
        None => assert_eq!(answer.status, 200, "{}", answer.text),
        Some(refusal) => assert_error(&answer, contract, refusal),
    }
}

#[track_caller]
fn assert_error(answer: &Response, contract: Contract, refusal: &ErrorResponse) {
    answer.assert_error(contract, refusal);
    assert_eq!(answer.header("www-authenticate"), if refusal.status == 401 { "Bearer" } else { "" });
}

/// Checks the verdict on each set of claims. Claims without `exp` get a valid one.
async fn judge_claims(app: &App, cases: Vec<(Value, Verdict)>) {
    for (mut claims, verdict) in cases {
        if claims.get("exp").is_none() {
            claims["exp"] = json!(get_current_timestamp() + 600);
        }
        println!("{claims}");
        for contract in Contract::BOTH {
            let authorization = format!("Bearer {}", sign(SECRET, HS256, &claims));
            judge(app, contract, "alice", &authorization, verdict).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_bearer_scheme_is_accepted_in_any_letter_case() {
    let app = App::start().await;
    let alice = app.user("alice");
    let valid = &alice.token;
    let mut cases: Vec<(String, Verdict)> =
        ["Bearer", "bearer", "BEARER", "bEaReR"].map(|scheme| (format!("{scheme} {valid}"), ACCEPTED)).into();
    for not_bearer in ["", "Bearer", "Bearer ", "Bearer a", "Bearer a.b", "Bearer a.b.c", "Bearer ..", "null"]
    {
        cases.push((not_bearer.into(), REJECTED));
    }
    for before in ["", "Basic ", "Token ", "Bearer:", "Bearer", "JWT ", "Bearer Bearer "] {
        cases.push((format!("{before}{valid}"), REJECTED));
    }
    for contract in Contract::BOTH {
        let none = Response::to(app.request(Method::GET, &path(contract, &alice.id))).await;
        assert_error(&none, contract, &errors::NO_TOKEN);
        for (authorization, verdict) in &cases {
            judge(&app, contract, &alice.id, authorization, *verdict).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_repeated_or_non_text_headers_are_401() {
    let Some(app) = App::local().await else { return };
    let valid = format!("Bearer {}", token(SECRET, HS256, "alice"));
    let long = json!({ "sub": "alice", "exp": get_current_timestamp() + 600, "x": "x".repeat(6_500) });
    let long = sign(SECRET, HS256, &long);
    assert!((8_200..9_500).contains(&long.len()));
    for contract in Contract::BOTH {
        judge(&app, contract, "alice", &format!("Bearer {long}"), REJECTED).await;
        let request = || app.request(Method::GET, &path(contract, "alice"));
        let twice = request().header("authorization", &valid).header("authorization", &valid);
        assert_error(&Response::to(twice).await, contract, &errors::BAD_TOKEN);
        let no_text = request().header("authorization", &b"Bearer \xf0\x9f\x92\xa5\xff"[..]);
        assert_error(&Response::to(no_text).await, contract, &errors::BAD_TOKEN);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_secret_and_its_one_algorithm_are_accepted() {
    let Some(app) = App::local().await else { return };
    let cases = [
        (token(SECRET, HS256, "alice"), ACCEPTED),
        (token(&SECRET.to_uppercase(), HS256, "alice"), REJECTED),
        // HMAC pads a key with zeros, so this is the signature of an empty key.
        (token("\0", HS256, "alice"), REJECTED),
        (token(SECRET, HS384, "alice"), REJECTED),
        (token(SECRET, HS512, "alice"), REJECTED),
    ];
    for (token, verdict) in cases {
        for contract in Contract::BOTH {
            judge(&app, contract, "alice", &format!("Bearer {token}"), verdict).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn user_id_comes_from_sub_or_user_id() {
    let Some(app) = App::local().await else { return };
    let cases = vec![
        (json!({ "sub": "alice" }), ACCEPTED),
        (json!({ "user_id": "alice" }), ACCEPTED),
        (json!({ "sub": "alice", "user_id": "alice" }), ACCEPTED),
        (json!({ "sub": "alice", "user_id": "bob" }), REJECTED),
        (json!({ "sub": "bob", "user_id": "alice" }), REJECTED),
        (json!({ "sub": 7, "user_id": 8 }), REJECTED),
        (json!({}), REJECTED),
        (json!({ "id": "alice", "email": "alice@example.com" }), REJECTED),
        (json!({ "sub": "" }), REJECTED),
        (json!({ "sub": "x".repeat(256) }), REJECTED),
        (json!({ "sub": "a\u{0}lice" }), REJECTED),
        (json!({ "sub": ["alice"] }), REJECTED),
        (json!({ "sub": { "id": "alice" } }), REJECTED),
        (json!({ "sub": true }), REJECTED),
        (json!({ "sub": 1.5 }), REJECTED),
        (json!({ "sub": null }), REJECTED),
    ];
    judge_claims(&app, cases).await;

    for (claims, user_id) in [
        (json!({ "sub": 42 }), "42"),
        (json!({ "user_id": 42, "sub": "42" }), "42"),
        (json!({ "sub": u64::MAX }), "18446744073709551615"),
        (json!({ "sub": -1 }), "-1"),
    ] {
        let mut claims = claims;
        claims["exp"] = json!(get_current_timestamp() + 600);
        for contract in Contract::BOTH {
            let authorization = format!("Bearer {}", sign(SECRET, HS256, &claims));
            judge(&app, contract, user_id, &authorization, ACCEPTED).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exp_and_nbf_are_checked_with_30_seconds_of_leeway() {
    let Some(app) = App::local().await else { return };
    let now = i64::try_from(get_current_timestamp()).expect("the time fits");
    let alice = |name: &str, value: Value| json!({ "sub": "alice", name: value });
    let cases = vec![
        (alice("exp", json!(now + 1)), ACCEPTED),
        (alice("exp", json!(now - 20)), ACCEPTED),
        (alice("exp", json!(now - 31)), EXPIRED),
        (alice("exp", json!(now - 86_400)), EXPIRED),
        (alice("exp", json!(0)), EXPIRED),
        (alice("exp", json!(-1)), REJECTED),
        (alice("exp", json!(i64::MIN)), REJECTED),
        (alice("exp", Value::Null), REJECTED),
        (alice("exp", json!((now + 600).to_string())), REJECTED),
        (alice("exp", json!("never")), REJECTED),
        (alice("exp", json!([now + 600])), REJECTED),
        (alice("exp", json!(true)), REJECTED),
        (alice("exp", json!((now + 600) as f64 + 0.5)), ACCEPTED),
        (alice("nbf", json!(now - 86_400)), ACCEPTED),
        (alice("nbf", json!(now + 25)), ACCEPTED),
        (alice("nbf", json!(now + 60)), REJECTED),
        (alice("nbf", json!(now + 86_400)), REJECTED),
        (alice("iat", json!(now + 86_400)), ACCEPTED),
        // An expired token of another user is 401, not 403.
        (json!({ "sub": "bob", "exp": now - 60 }), EXPIRED),
    ];
    judge_claims(&app, cases).await;

    // A token without `exp`, and an expired token with a wrong signature: both are invalid rather than
    // expired.
    for contract in Contract::BOTH {
        for token in [
            sign(SECRET, HS256, &json!({ "sub": "alice" })),
            sign(&SECRET.to_uppercase(), HS256, &json!({ "sub": "alice", "exp": now - 60 })),
        ] {
            judge(&app, contract, "alice", &format!("Bearer {token}"), REJECTED).await;
        }
    }
}
