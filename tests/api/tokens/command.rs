//! `cargo dev token`: its tokens, decoded with the crate jsonwebtoken and sent to the API.

use std::process::Output;

use jsonwebtoken::{
    Algorithm::{self, HS256, HS512},
    DecodingKey, Validation, get_current_timestamp,
};
use local::binaries::workspace_root;
use serde_json::{Value, json};
use tests::{App, Contract, Options, SECRET};

use super::{ACCEPTED, EXPIRED, judge};
use crate::dev::cargo_dev;

/// Runs `cargo dev token` with these arguments and variables.
async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = cargo_dev(&workspace_root()).await;
    for name in ["BETTER_AUTH_SECRET", "JWT_ALGORITHM", "JWT_ISSUER", "JWT_AUDIENCE", "JWT_EXPIRATION_HOURS"]
    {
        // An empty variable counts as not set and takes precedence over .env.
        command.env(name, "");
    }
    command.arg("token").args(arguments).env("JWT_SECRET", SECRET).envs(variables.iter().copied());
    command.output().expect("the command runs")
}

async fn token(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output = run(arguments, variables).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
}

/// Returns the claims of a token after verifying its signature.
fn claims(token: &str, secret: &str, algorithm: Algorithm) -> Value {
    let mut validation = Validation::new(algorithm);
    (validation.validate_exp, validation.validate_aud) = (false, false);
    let key = DecodingKey::from_secret(secret.as_bytes()).expect("not empty");
    jsonwebtoken::decode(token, &key, &validation).expect("signed with the secret").claims
}

#[tokio::test(flavor = "multi_thread")]
async fn token_has_the_claims_of_better_auth_and_is_accepted() {
    let Some(app) = App::local().await else { return };
    let before = get_current_timestamp();
    let token = token(&["--user", "alice"], &[]).await;

    let mut claims = claims(&token, SECRET, HS256);
    let iat = claims["iat"].as_u64().expect("seconds");
    assert!((before..=get_current_timestamp()).contains(&iat), "{claims}");
    assert_eq!(claims["exp"], iat + 168 * 3600);
    for time in ["iat", "exp"] {
        claims.as_object_mut().expect("an object").remove(time);
    }
    let expected = json!({
        "sub": "alice", "user_id": "alice", "email": "alice@example.com", "name": "alice",
    });
    assert_eq!(claims, expected);

    for contract in Contract::BOTH {
        let alice = app.user_with_token("alice", &token);
        let task = alice.at(contract).new_task("made with a token of cargo dev").await;
        assert_eq!(task["user_id"], "alice");
    }
    let database = app.internals().database().await;
    let row = database.query_one("select id, email, name from users", &[]).await.expect("Alice has a row");
    let row = [0, 1, 2].map(|column| row.get::<_, String>(column));
    assert_eq!(row, ["alice", "alice@example.com", "alice"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_claim_has_an_option_and_an_empty_option_omits_it() {
    for (arguments, variables, expected) in [
        (
            "--user bob --email b@b.example --name Bob --issued-at 1000 --hours 2",
            vec![],
            json!({
                "sub": "bob", "user_id": "bob", "email": "b@b.example", "name": "Bob", "iat": 1000, "exp": 8200,
            }),
        ),
        (
            "--issued-at 1970-01-01T01:00:00+01:00 --expires-at 2026-12-24T18:00:00Z --user-id other",
            vec![],
            json!({
                "sub": "demo", "user_id": "other", "email": "demo@example.com", "name": "demo", "iat": 0,
                "exp": 1_798_135_200,
            }),
        ),
        (
            "--user-id= --email= --name= --issued-at 5",
            vec![
                ("JWT_EXPIRATION_HOURS", "1"),
                ("JWT_ISSUER", "https://i.example"),
                ("JWT_AUDIENCE", "tasks"),
            ],
            json!({ "sub": "demo", "iat": 5, "exp": 3605, "iss": "https://i.example", "aud": "tasks" }),
        ),
        (
            "--user-id= --email= --name= --issued-at 5 --expires-at 6 --issuer= --audience else",
            vec![("JWT_ISSUER", "https://i.example"), ("JWT_AUDIENCE", "tasks")],
            json!({ "sub": "demo", "iat": 5, "exp": 6, "aud": "else" }),
        ),
    ] {
        let arguments: Vec<_> = arguments.split(' ').collect();
        assert_eq!(claims(&token(&arguments, &variables).await, SECRET, HS256), expected, "{arguments:?}");
    }

    let secret = "s".repeat(64);
    let token =
        token(&[], &[("JWT_SECRET", &format!("{secret},{}", "o".repeat(64))), ("JWT_ALGORITHM", "HS512")])
            .await;
    assert_eq!(claims(&token, &secret, HS512)["sub"], "demo", "signed with the first secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn json_output_has_token_user_expiry_and_base_urls() {
    let Some(app) = App::local().await else { return };
    let output = token(&["--user", "a b", "--expires-at", "4102444800", "--json"], &[]).await;
    let mut json: Value = serde_json::from_str(&output).expect("JSON");
    let token = json["token"].as_str().expect("text").to_owned();
    json["claims"]["iat"].take();
    let expected = json!({
        "token": token,
        "user_id": "a b",
        "expires_at": "2100-01-01T00:00:00Z",
        "base_urls": { "envelope": "http://127.0.0.1:9000", "plain": "http://127.0.0.1:9000/plain" },
        "claims": {
            "sub": "a b", "user_id": "a b", "email": "a b@example.com", "name": "a b", "iat": null,
            "exp": 4_102_444_800_u64,
        },
    });
    assert_eq!(json, expected);

    let output = self::token(&["--user", "a b", "--json", "--url", &format!("{}/", app.url)], &[]).await;
    let json: Value = serde_json::from_str(&output).expect("JSON");
    for (name, body) in [("envelope", json!({ "title": "x" })), ("plain", json!({ "title": "y" }))] {
        let base = json["base_urls"][name].as_str().expect("text");
        let request = reqwest::Client::new().post(format!("{base}/api/a%20b/tasks")).json(&body);
        let response = request.bearer_auth(json["token"].as_str().expect("text")).send().await;
        assert_eq!(response.expect("an answer").status(), 201, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn can_create_expired_tokens_and_tokens_of_a_configured_issuer() {
    let options = Options::default().with("JWT_ISSUER", "https://i.example").with("JWT_AUDIENCE", "tasks");
    let Some(app) = App::local_with(options).await else { return };
    let variables = [("JWT_ISSUER", "https://i.example"), ("JWT_AUDIENCE", "tasks")];
    for (arguments, verdict) in [
        (&["--user", "alice"][..], ACCEPTED),
        (&["--user", "alice", "--expires-at", "2020-01-01T00:00:00Z"], EXPIRED),
    ] {
        let authorization = format!("Bearer {}", token(arguments, &variables).await);
        for contract in Contract::BOTH {
            judge(&app, contract, "alice", &authorization, verdict).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_time_is_an_error_and_prints_no_token() {
    for arguments in [&["--expires-at", "tomorrow"][..], &["--issued-at", "2026-13-01T00:00:00Z"]] {
        let output = run(arguments, &[]).await;
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
        assert!(message.contains("not a time such as 2026-12-24T18:00:00Z"), "{message}");
    }
}
