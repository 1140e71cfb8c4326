//! Responses and log lines when the database fails.

use std::time::{Duration, Instant};

use serde_json::json;
use shared::sql;
use tests::{App, Contract, Options, errors};

#[tokio::test(flavor = "multi_thread")]
async fn unexpected_error_is_500_with_the_request_id() {
    let Some(app) = App::local().await else { return };
    let alice = app.user("alice");
    let database = app.internals().database().await;
    database.batch_execute("alter table tasks rename to elsewhere").await.expect("the table can be renamed");
    for contract in Contract::BOTH {
        let response = alice.at(contract).create(json!({ "title": "a private title" })).await;
        let request_id = response.header("x-request-id");
        let expected = match contract {
            Contract::Envelope => json!({
                "data": null,
                "error": {
                    "code": "INTERNAL_SERVER_ERROR",
                    "message": "An unexpected error occurred",
                    "details": { "request_id": request_id },
                },
            }),
            Contract::Plain => json!({ "detail": "Internal server error", "error": "Internal server error" }),
        };
        assert_eq!((response.status, response.json()), (500, expected));
        let lines = app.internals().log_lines();
        let line = lines.iter().find(|line| line["request_id"] == request_id).expect("a line");
        assert_eq!(line["level"], "ERROR");
        assert!(line["reason"].as_str().is_some_and(|reason| reason.contains("42P01")), "{line}");
    }
    database.batch_execute("alter table elsewhere rename to tasks").await.expect("the table can be renamed");
    for contract in Contract::BOTH {
        alice.at(contract).new_task("the next request works").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unresponsive_database_is_503_within_8_seconds() {
    let Some(app) = App::local().await else { return };
    let alice = app.user("alice");
    let client = alice.envelope();
    let id = client.id(&client.new_task("locked").await);
    let database = app.internals().database().await;
    database.batch_execute("begin; lock table tasks").await.expect("the table can be locked");
    let started = Instant::now();
    let response = client.put(&id, json!({ "title": "changed" })).await;
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    response.assert_error(Contract::Envelope, &errors::UNAVAILABLE);
    assert_eq!(response.header("retry-after"), "1");

    database.batch_execute("rollback").await.expect("the lock is released");
    let task = client.task(&client.get(&id).await.expect_status(200));
    assert_eq!(task["title"], "locked", "the rejected write was not carried out");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_sql_functions_are_503_and_the_log_says_to_run_migrate() {
    let Some(app) = App::local().await else { return };
    let alice = app.user("alice");
    alice.envelope().new_task("Buy milk").await;
    let drop_schema = format!("drop schema {} cascade", *sql::SCHEMA);
    app.internals().database().await.batch_execute(&drop_schema).await.expect("a superuser can run this");
    for contract in Contract::BOTH {
        alice.at(contract).list("").await.assert_error(contract, &errors::UNAVAILABLE);
        alice.at(contract).create(json!({ "title": "a" })).await.assert_error(contract, &errors::UNAVAILABLE);
    }
    let log = app.internals().log_text();
    assert!(log.contains("run `migrate`"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn privileged_login_is_one_warning() {
    let Some(database) = App::local().await else { return };
    let options = Options::default().with("DATABASE_URL", &database.internals().database_url);
    let Some(app) = App::local_with(options).await else { return };
    let alice = app.user("alice");
    for _ in 0..2 {
        alice.envelope().list("").await.expect_status(200);
    }
    let lines = app.internals().log_lines();
    let warnings = lines.iter().filter(|line| line["level"] == "WARN");
    let warnings: Vec<_> = warnings.filter_map(|line| line["message"].as_str()).collect();
    let [owner] = warnings[..] else { panic!("expected one warning: {warnings:?}") };
    assert!(owner.starts_with("DATABASE_URL ") && owner.contains("task_api_endpoints"), "{owner}");
}
