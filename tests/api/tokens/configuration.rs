//! Which tokens are believed is a matter of configuration.

use jsonwebtoken::Algorithm::{HS256, HS384, HS512};
use serde_json::json;
use tests::{App, Contract, Options, SECRET};

use super::{BAD, BELIEVED, judge, judge_claims, token};

#[tokio::test(flavor = "multi_thread")]
async fn names_issuer_and_audience_where_they_are_configured() {
    let options = Options::default().with("JWT_ISSUER", "https://auth.example").with("JWT_AUDIENCE", "tasks");
    let Some(app) = App::local_with(options).await else { return };
    let iss = "https://auth.example";
    let cases = vec![
        (json!({ "sub": "alice", "iss": iss, "aud": "tasks" }), BELIEVED),
        (json!({ "sub": "alice", "iss": iss, "aud": ["mail", "tasks"] }), BELIEVED),
        (json!({ "sub": "alice" }), BAD),
        (json!({ "sub": "alice", "iss": iss }), BAD),
        (json!({ "sub": "alice", "aud": "tasks" }), BAD),
        (json!({ "sub": "alice", "iss": "https://auth.example/", "aud": "tasks" }), BAD),
        (json!({ "sub": "alice", "iss": null, "aud": null }), BAD),
        (json!({ "sub": "alice", "iss": iss, "aud": "Tasks" }), BAD),
        (json!({ "sub": "alice", "iss": iss, "aud": ["mail"] }), BAD),
        (json!({ "sub": "alice", "iss": iss, "aud": [] }), BAD),
    ];
    judge_claims(&app, cases).await;

    let Some(app) = App::local().await else { return };
    judge_claims(&app, vec![(json!({ "sub": "alice", "iss": iss, "aud": "anyone" }), BELIEVED)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_and_algorithm_are_those_of_the_configuration() {
    let (new, old, other) = ("n".repeat(32), "o".repeat(40), "x".repeat(32));
    let rotation = format!("{new}, {old}");
    for (variables, cases) in [
        (
            vec![("JWT_SECRET", rotation.as_str())],
            vec![
                (&new, HS256, BELIEVED),
                (&old, HS256, BELIEVED),
                (&other, HS256, BAD),
                (&rotation, HS256, BAD),
            ],
        ),
        (
            vec![("JWT_SECRET", ""), ("BETTER_AUTH_SECRET", old.as_str())],
            vec![(&old, HS256, BELIEVED), (&new, HS256, BAD)],
        ),
        (
            vec![("JWT_SECRET", new.as_str()), ("BETTER_AUTH_SECRET", old.as_str())],
            vec![(&new, HS256, BELIEVED), (&old, HS256, BAD)],
        ),
        (
            vec![("JWT_SECRET", new.as_str()), ("JWT_ALGORITHM", "HS384")],
            vec![(&new, HS384, BELIEVED), (&new, HS256, BAD), (&new, HS512, BAD)],
        ),
        (
            vec![("JWT_SECRET", new.as_str()), ("JWT_ALGORITHM", "HS512")],
            vec![(&new, HS512, BELIEVED), (&new, HS256, BAD), (&new, HS384, BAD)],
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

#[tokio::test(flavor = "multi_thread")]
async fn a_short_secret_stops_start_up_with_a_line_that_names_it_and_does_not_tell_it() {
    for (name, value, told) in [
        ("JWT_SECRET", "kept-to-myself-kept-to-myself31", "JWT_SECRET has 31 bytes, it needs at least 32"),
        ("BETTER_AUTH_SECRET", "kept-to-myself", "BETTER_AUTH_SECRET has 14 bytes, it needs at least 32"),
        (
            "JWT_SECRET",
            "a-secret-that-is-long-enough-for-us,kept-to-myself",
            "JWT_SECRET is a list in which a secret has 14 bytes, each needs at least 32",
        ),
        ("JWT_ALGORITHM", "kept-to-myself", "JWT_ALGORITHM must be HS256, HS384 or HS512"),
    ] {
        let usual = if name == "JWT_ALGORITHM" { SECRET } else { "" };
        let options = Options::default().with("JWT_SECRET", usual).with(name, value);
        let Some(app) = App::local_with(options).await else { return };
        for contract in Contract::BOTH {
            let answer = app.user("alice").at(contract).list("").await.expect_status(500);
            assert_eq!(answer.json(), json!({ "message": "Internal Server Error" }));
        }
        let lines = app.hands_on().log_lines();
        assert_eq!(lines[0]["message"], format!("cannot start: {told}"));
        assert_eq!((&lines[0]["level"], &lines[0]["function"]), (&json!("ERROR"), &json!("list-tasks")));
        assert!(!app.hands_on().log_text().contains("kept-to-myself"));
    }
}
