//! Who the caller is: which tokens are believed, and whose path they open.

use jsonwebtoken::{Algorithm, EncodingKey, Header, crypto, encode, get_current_timestamp};
use reqwest::Method;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use tests::{Answer, App, Contract, Refusal, SECRET, refusals};

mod claims;
mod command;
mod configuration;
mod hostile;
mod key_refresh;
mod paths;
mod public_keys;

use Algorithm::{HS256, HS384, HS512};

/// What should become of a token: `None` where it is believed.
type Verdict = Option<&'static Refusal>;

const BELIEVED: Verdict = None;
const BAD: Verdict = Some(&refusals::BAD_TOKEN);
const EXPIRED: Verdict = Some(&refusals::EXPIRED);

/// Claims in order, so that one can be there twice.
struct Claims(Vec<(&'static str, Value)>);

impl Serialize for Claims {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn sign(secret: &str, algorithm: Algorithm, claims: &impl Serialize) -> String {
    encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).expect("signable")
}

/// A token of this user, sound but for what secret and algorithm make of it.
fn token(secret: &str, algorithm: Algorithm, user_id: &str) -> String {
    sign(secret, algorithm, &json!({ "sub": user_id, "exp": get_current_timestamp() + 86_400 }))
}

/// The path of a user's tasks, the user id as it stands there.
fn path(contract: Contract, user_id: &str) -> String {
    let prefix = if contract == Contract::Plain { "/plain" } else { "" };
    format!("{prefix}/api/{user_id}/tasks")
}

/// Asks for a user's tasks with this `Authorization` header, and holds the answer against the verdict.
async fn judge(app: &App, contract: Contract, user_id: &str, authorization: &str, verdict: Verdict) {
    let request = app.request(Method::GET, &path(contract, user_id)).header("authorization", authorization);
    let answer = Answer::to(request).await;
    println!("{contract:?} {authorization:.400}");
    match verdict {
        None => assert_eq!(answer.status, 200, "{}", answer.text),
        Some(refusal) => refused(&answer, contract, refusal),
    }
}

#[track_caller]
fn refused(answer: &Answer, contract: Contract, refusal: &Refusal) {
    answer.assert_refused(contract, refusal);
    assert_eq!(answer.header("www-authenticate"), if refusal.status == 401 { "Bearer" } else { "" });
}

/// Judges claims in tokens of an API with these settings, which are the user's id unless they say otherwise.
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
async fn comes_as_bearer_in_any_letter_case_and_nothing_else() {
    let app = App::start().await;
    let (alice, bob) = (app.user("alice"), app.user("bob"));
    let sound = &alice.token;
    let parts: Vec<_> = sound.split('.').collect();
    let bobs: Vec<_> = bob.token.split('.').collect();
    let mut cases: Vec<(String, Verdict)> =
        ["Bearer", "bearer", "BEARER", "bEaReR"].map(|scheme| (format!("{scheme} {sound}"), BELIEVED)).into();
    for not_bearer in ["", "Bearer", "Bearer ", "Bearer a", "Bearer a.b", "Bearer a.b.c", "Bearer ..", "null"]
    {
        cases.push((not_bearer.into(), BAD));
    }
    for before in ["", "Basic ", "Token ", "Bearer:", "Bearer", "JWT ", "Bearer Bearer "] {
        cases.push((format!("{before}{sound}"), BAD));
    }
    for malformed in [
        format!("{sound}x"),
        format!("{sound}."),
        format!("{sound} {sound}"),
        format!("{sound},"),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}..{}", parts[0], parts[2]),
        format!("{}.{}.{}", parts[0], bobs[1], parts[2]),
        format!("{}.{}.{}", parts[0], parts[1], bobs[2]),
    ] {
        cases.push((format!("Bearer {malformed}"), BAD));
    }
    for contract in Contract::BOTH {
        let none = Answer::to(app.request(Method::GET, &path(contract, &alice.id))).await;
        refused(&none, contract, &refusals::NO_TOKEN);
        for (authorization, verdict) in &cases {
            judge(&app, contract, &alice.id, authorization, *verdict).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_headers_are_no_token() {
    let Some(app) = App::local().await else { return };
    let sound = format!("Bearer {}", token(SECRET, HS256, "alice"));
    let long = json!({ "sub": "alice", "exp": get_current_timestamp() + 600, "x": "x".repeat(6_500) });
    let long = sign(SECRET, HS256, &long);
    assert!((8_200..9_500).contains(&long.len()));
    for contract in Contract::BOTH {
        judge(&app, contract, "alice", &format!("Bearer {long}"), BAD).await;
        let request = || app.request(Method::GET, &path(contract, "alice"));
        let twice = request().header("authorization", &sound).header("authorization", &sound);
        refused(&Answer::to(twice).await, contract, &refusals::BAD_TOKEN);
        let no_text = request().header("authorization", &b"Bearer \xf0\x9f\x92\xa5\xff"[..]);
        refused(&Answer::to(no_text).await, contract, &refusals::BAD_TOKEN);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn is_signed_with_the_secret_and_the_one_algorithm() {
    let Some(app) = App::local().await else { return };
    let sound = token(SECRET, HS256, "alice");
    let payload = sound.split('.').nth(1).expect("three parts");
    let mut cases = vec![
        (sound.clone(), BELIEVED),
        (token(&SECRET.to_uppercase(), HS256, "alice"), BAD),
        (token("", HS256, "alice"), BAD),
        (token(SECRET, HS384, "alice"), BAD),
        (token(SECRET, HS512, "alice"), BAD),
    ];
    for header in [
        "eyJhbGciOiJub25lIn0",  // {"alg":"none"}
        "eyJhbGciOiJOb25lIn0",  // {"alg":"None"}
        "eyJhbGciOiJOT05FIn0",  // {"alg":"NONE"}
        "eyJhbGciOiJuT25FIn0",  // {"alg":"nOnE"}
        "eyJhbGciOiIifQ",       // {"alg":""}
        "eyJhbGciOm51bGx9",     // {"alg":null}
        "eyJ0eXAiOiJKV1QifQ",   // {"typ":"JWT"}
        "eyJhbGciOiJSUzI1NiJ9", // {"alg":"RS256"}
    ] {
        let message = format!("{header}.{payload}");
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let signature = crypto::sign(message.as_bytes(), &key, HS256).expect("signable");
        cases.extend([(format!("{message}."), BAD), (message.clone(), BAD)]);
        cases.push((format!("{message}.{signature}"), BAD));
    }
    for (token, verdict) in cases {
        for contract in Contract::BOTH {
            judge(&app, contract, "alice", &format!("Bearer {token}"), verdict).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_its_user_in_sub_or_user_id() {
    let Some(app) = App::local().await else { return };
    let cases = vec![
        (json!({ "sub": "alice" }), BELIEVED),
        (json!({ "user_id": "alice" }), BELIEVED),
        (json!({ "sub": "alice", "user_id": "alice" }), BELIEVED),
        (json!({ "sub": "alice", "user_id": "bob" }), BAD),
        (json!({ "sub": "bob", "user_id": "alice" }), BAD),
        (json!({ "sub": 7, "user_id": 8 }), BAD),
        (json!({}), BAD),
        (json!({ "id": "alice", "email": "alice@example.com" }), BAD),
        (json!({ "sub": "" }), BAD),
        (json!({ "sub": "x".repeat(256) }), BAD),
        (json!({ "sub": "a\u{0}lice" }), BAD),
        (json!({ "sub": ["alice"] }), BAD),
        (json!({ "sub": { "id": "alice" } }), BAD),
        (json!({ "sub": true }), BAD),
        (json!({ "sub": 1.5 }), BAD),
        (json!({ "sub": null }), BAD),
    ];
    judge_claims(&app, cases).await;

    let twice = Claims(vec![
        ("sub", json!("bob")),
        ("sub", json!("alice")),
        ("exp", json!(get_current_timestamp() + 600)),
    ]);
    judge(&app, Contract::Envelope, "alice", &format!("Bearer {}", sign(SECRET, HS256, &twice)), BAD).await;

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
            judge(&app, contract, user_id, &authorization, BELIEVED).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn has_its_time_with_30_seconds_of_leeway_on_both_sides() {
    let Some(app) = App::local().await else { return };
    let now = i64::try_from(get_current_timestamp()).expect("a time of this age");
    let alice = |name: &str, value: Value| json!({ "sub": "alice", name: value });
    let cases = vec![
        (alice("exp", json!(now + 1)), BELIEVED),
        (alice("exp", json!(now - 20)), BELIEVED),
        (alice("exp", json!(now - 31)), EXPIRED),
        (alice("exp", json!(now - 86_400)), EXPIRED),
        (alice("exp", json!(0)), EXPIRED),
        (alice("exp", json!(-1)), BAD),
        (alice("exp", json!(i64::MIN)), BAD),
        (alice("exp", Value::Null), BAD),
        (alice("exp", json!((now + 600).to_string())), BAD),
        (alice("exp", json!("never")), BAD),
        (alice("exp", json!([now + 600])), BAD),
        (alice("exp", json!(true)), BAD),
        (alice("exp", json!((now + 600) as f64 + 0.5)), BELIEVED),
        (alice("nbf", json!(now - 86_400)), BELIEVED),
        (alice("nbf", json!(now + 25)), BELIEVED),
        (alice("nbf", json!(now + 60)), BAD),
        (alice("nbf", json!(now + 86_400)), BAD),
        (alice("iat", json!(now + 86_400)), BELIEVED),
        // Another's token that is past its time, too, is told nothing of whose path it is.
        (json!({ "sub": "bob", "exp": now - 60 }), EXPIRED),
    ];
    judge_claims(&app, cases).await;

    // No `exp` at all; and an expired token that is badly signed is bad, not expired.
    for contract in Contract::BOTH {
        for token in [
            sign(SECRET, HS256, &json!({ "sub": "alice" })),
            sign(&SECRET.to_uppercase(), HS256, &json!({ "sub": "alice", "exp": now - 60 })),
        ] {
            judge(&app, contract, "alice", &format!("Bearer {token}"), BAD).await;
        }
    }
}
