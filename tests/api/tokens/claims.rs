//! Many combinations of claims, each judged by the API and by the crate jsonwebtoken.

use jsonwebtoken::{Algorithm::HS256, DecodingKey, Validation, decode, get_current_timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{App, Contract, Options, Response, SECRET};

use super::{path, sign};

const ISSUER: &str = "https://auth.example";
const AUDIENCE: &str = "tasks";

/// Leaves out the two cases in which jsonwebtoken departs from RFC 7519: it accepts lists of issuers, and
/// rejects times before 1970.
#[tokio::test(flavor = "multi_thread")]
async fn times_issuer_and_audience_get_the_same_verdict_from_jsonwebtoken() {
    let options = Options::default().with("JWT_ISSUER", ISSUER).with("JWT_AUDIENCE", AUDIENCE);
    let Some(app) = App::local_with(options).await else { return };
    let mut validation = Validation::new(HS256);
    validation.leeway = 30;
    validation.validate_nbf = true;
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    let key = DecodingKey::from_secret(SECRET.as_bytes());

    // Times are far enough from every bound that the verdict is the same a few seconds later.
    let now = get_current_timestamp();
    let absent = || Value::Null;
    let exps = [
        absent(),
        json!(now + 600),
        json!((now + 600) as f64 + 0.5),
        json!(now - 15),
        json!(now - 45),
        json!(0),
        json!((now + 600).to_string()),
        json!(true),
        json!([now + 600]),
    ];
    let nbfs = [absent(), json!(0), json!(now + 15), json!(now + 45), json!(now as f64 + 45.5), json!("0")];
    let issuers = [absent(), json!(ISSUER), json!("https://other.example"), json!(""), json!(7)];
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
            let verdict = decode::<Value>(&token, &key, &validation);
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
