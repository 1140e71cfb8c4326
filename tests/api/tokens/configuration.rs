//! Tokens that are accepted or rejected because of the configuration, and configurations that stop start-up.

use jsonwebtoken::Algorithm::{EdDSA, HS256, HS384, HS512};
use reqwest::Method;
use serde_json::json;
use tests::{App, Contract, Issuer, Options, Response, SigningKey};

use super::{ACCEPTED, REJECTED, judge, token};

#[tokio::test(flavor = "multi_thread")]
async fn only_configured_secrets_and_algorithm_are_accepted() {
    // Each secret is as long as its hash.
    let (new, middle, old, other) = ("n".repeat(64), "m".repeat(48), "o".repeat(32), "x".repeat(64));
    let rotation = format!("{new}, {old}");
    for (variables, cases) in [
        (
            vec![("JWT_SECRET", rotation.as_str())],
            vec![
                (&new, HS256, ACCEPTED),
                (&old, HS256, ACCEPTED),
                (&other, HS256, REJECTED),
                (&rotation, HS256, REJECTED),
            ],
        ),
        (
            vec![("JWT_SECRET", ""), ("BETTER_AUTH_SECRET", old.as_str())],
            vec![(&old, HS256, ACCEPTED), (&new, HS256, REJECTED)],
        ),
        (
            vec![("JWT_SECRET", new.as_str()), ("BETTER_AUTH_SECRET", old.as_str())],
            vec![(&new, HS256, ACCEPTED), (&old, HS256, REJECTED)],
        ),
        (
            vec![("JWT_SECRET", middle.as_str()), ("JWT_ALGORITHM", "HS384")],
            vec![(&middle, HS384, ACCEPTED), (&middle, HS256, REJECTED), (&middle, HS512, REJECTED)],
        ),
        (
            vec![("JWT_SECRET", new.as_str()), ("JWT_ALGORITHM", "HS512")],
            vec![(&new, HS512, ACCEPTED), (&new, HS256, REJECTED), (&new, HS384, REJECTED)],
        ),
    ] {
        let options = variables
            .into_iter()
            .fold(Options::default(), |options, (name, value)| options.with(name, value));
        let Some(app) = App::local_with(options).await else { return };
        for (secret, algorithm, verdict) in cases {
            for contract in Contract::BOTH {
                let authorization = format!("Bearer {}", token(secret, algorithm, "alice"));
                judge(&app, contract, "alice", &authorization, verdict).await;
            }
        }
    }
}

/// Checks that a function with these settings does not start and logs this reason.
async fn assert_does_not_start(variables: &[(&str, &str)], reason: &str) {
    let options =
        variables.iter().fold(Options::default(), |options, (name, value)| options.with(name, *value));
    let Some(app) = App::local_with(options).await else { return };
    for contract in Contract::BOTH {
        let answer = app.user("alice").at(contract).list("").await.expect_status(500);
        assert_eq!(answer.json(), json!({ "message": "Internal Server Error" }));
    }
    let lines = app.internals().log_lines();
    assert_eq!(lines[0]["message"], format!("cannot start: {reason}"));
    assert_eq!((&lines[0]["level"], &lines[0]["function"]), (&json!("ERROR"), &json!("list-tasks")));
    assert!(!app.internals().log_text().contains("kept-to-myself"));
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_shorter_than_its_hash_stops_start_up_and_the_log_has_both_lengths() {
    let kept = |length| format!("{:-<length$}", "kept-to-myself");
    for (name, secret, algorithm, reason) in [
        ("JWT_SECRET", kept(47), "HS384", "JWT_SECRET has 47 bytes, HS384 needs at least 48"),
        ("JWT_SECRET", kept(63), "HS512", "JWT_SECRET has 63 bytes, HS512 needs at least 64"),
        ("JWT_SECRET", kept(31), "", "JWT_SECRET has 31 bytes, HS256 needs at least 32"),
        ("BETTER_AUTH_SECRET", kept(14), "HS256", "BETTER_AUTH_SECRET has 14 bytes, HS256 needs at least 32"),
        (
            "JWT_SECRET",
            format!("{},{}", kept(64), kept(48)),
            "HS512",
            "JWT_SECRET is a list of 2 secrets, because it contains a comma, and one has 48 bytes: HS512 needs \
             at least 64",
        ),
        ("JWT_SECRET", kept(64), "kept-to-myself", "JWT_ALGORITHM must be HS256, HS384 or HS512"),
    ] {
        let mut variables = vec![("JWT_SECRET", ""), ("JWT_ALGORITHM", algorithm)];
        variables.push((name, &secret));
        assert_does_not_start(&variables, reason).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn public_default_secret_of_better_auth_stops_start_up() {
    const DEFAULT: &str = "better-auth-secret-12345678901234567890";
    let list = format!("{},{DEFAULT}", "s".repeat(32));
    for (name, value) in [("JWT_SECRET", DEFAULT), ("BETTER_AUTH_SECRET", DEFAULT), ("JWT_SECRET", &list)] {
        let reason = format!("{name} is Better Auth's public default: create a secret");
        assert_does_not_start(&[("JWT_SECRET", ""), (name, value)], &reason).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_set_without_usable_key_stops_start_up_and_an_unusable_key_is_a_warning() {
    let unusable = "JWT_JWKS has a key that is skipped: an RSA key needs at least 2048 bits";
    for (value, problem) in [
        ("kept-to-myself", "is not a JSON Web Key Set"),
        (r#"{"kty":"OKP","crv":"Ed25519","x":"kept-to-myself"}"#, "is not a JSON Web Key Set"),
        (r#"{"keys":[]}"#, "has no usable public key"),
        (r#"{"keys":[{"kty":"oct","k":"kept-to-myself"}]}"#, "has no usable public key"),
    ] {
        assert_does_not_start(&[("JWT_JWKS", value)], &format!("JWT_JWKS {problem}")).await;
    }
    let key = SigningKey::generate("one", EdDSA);
    let keys = json!({ "keys": [{ "kty": "RSA", "n": "AQAB", "e": "AQAB" }, key.jwk] }).to_string();
    let Some(warnings) = warnings(&[("JWT_JWKS", &keys), ISSUER, AUDIENCE]).await else { return };
    assert_eq!(warnings, [unusable]);
}

/// The warnings that a function with these settings logs at start-up.
async fn warnings(variables: &[(&str, &str)]) -> Option<Vec<String>> {
    let options =
        variables.iter().fold(Options::default(), |options, (name, value)| options.with(name, *value));
    let app = App::local_with(options).await?;
    let request = app.request(Method::GET, "/api/alice/tasks");
    Response::to(request).await.expect_status(401);
    let lines = app.internals().log_lines();
    let at_start = lines.iter().filter(|line| line["request_id"].is_null() && line["level"] == "WARN");
    Some(at_start.filter_map(|line| line["message"].as_str().map(str::to_owned)).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_with_a_comma_is_reported_as_a_list_at_start_up() {
    let secret = "kept-to-myself-kept-to-myself-kept-to-myself";
    for (name, value, count) in [
        ("JWT_SECRET", format!("{secret},{secret}"), 2),
        ("BETTER_AUTH_SECRET", format!(" {secret} , {secret}, {secret}"), 3),
    ] {
        let Some(warnings) = warnings(&[("JWT_SECRET", ""), (name, &value)]).await else { return };
        let expected = format!(
            "{name} is a list of {count} secrets, because it contains a comma: tokens signed with any of \
             them are accepted"
        );
        assert_eq!(warnings, [expected]);
    }
    let Some(warnings) = warnings(&[("JWT_SECRET", secret)]).await else { return };
    assert_eq!(warnings, [""; 0]);
}

const ISSUER: (&str, &str) = ("JWT_ISSUER", "https://auth.example");
const AUDIENCE: (&str, &str) = ("JWT_AUDIENCE", "tasks");

#[tokio::test(flavor = "multi_thread")]
async fn public_keys_without_issuer_and_audience_are_a_warning_and_in_production_an_error() {
    let issuer = Issuer::start(&[]).await;
    let jwks = ("JWT_JWKS_URL", issuer.url.as_str());
    let missing = |names: &str| {
        format!(
            "{names} not set, so a token that the same issuer signed for another service is \
             accepted: set JWT_ISSUER to the `iss` and JWT_AUDIENCE to the `aud` of its tokens (for Better \
             Auth, both are its base URL)"
        )
    };
    let key = SigningKey::generate("one", EdDSA);
    let keys = json!({ "keys": [key.jwk] }).to_string();
    for (variables, names) in [
        (vec![jwks], Some("JWT_ISSUER and JWT_AUDIENCE are")),
        (vec![("JWT_JWKS", keys.as_str())], Some("JWT_ISSUER and JWT_AUDIENCE are")),
        (vec![jwks, ISSUER], Some("JWT_AUDIENCE is")),
        (vec![jwks, AUDIENCE], Some("JWT_ISSUER is")),
        (vec![jwks, ISSUER, AUDIENCE], None),
        (vec![], None),
    ] {
        let Some(warned) = warnings(&variables).await else { return };
        let warned: Vec<_> = warned.into_iter().filter(|warning| warning.contains("JWT_")).collect();
        assert_eq!(warned, names.map(missing).into_iter().collect::<Vec<_>>());

        for environment in ["production", "prod"] {
            let variables = [&variables[..], &[("ENVIRONMENT", environment)]].concat();
            match names {
                Some(names) => assert_does_not_start(&variables, &missing(names)).await,
                None => assert!(warnings(&variables).await.is_some(), "the function starts"),
            }
        }
    }
}
