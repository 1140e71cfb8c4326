//! `migrate --restored`, after the database was restored to an earlier point.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use local::lambda::{Function, FunctionSpec};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{App, Replica, Response, binary, connect, empty_database};

use super::{UP_TO_DATE, outcome_and_line, outcome_with};

/// Tables with what a user can see.
const TABLES: [&str; 4] = ["users", "tasks", "deleted_tasks", "idempotency_keys"];

/// A copy that has changes from the lost time must be fetched again. Otherwise it would differ from the list
/// for ever once there are as many new writes as were lost.
#[tokio::test(flavor = "multi_thread")]
async fn copy_with_changes_of_the_lost_time_is_fetched_again() {
    let Some(app) = App::local().await else { return };
    let database = app.internals().database().await;
    let execute = async |statement: String| database.batch_execute(&statement).await.expect("valid SQL");
    let user = app.user("alice");
    let client = user.envelope();
    let [kept, renamed, deleted] = ["Kept", "Renamed", "Deleted"];
    let mut ids = Vec::new();
    for title in [kept, renamed, deleted] {
        ids.push(client.id(&client.new_task(title).await));
    }
    for table in TABLES {
        execute(format!("create table saved_{table} as table {table}")).await;
    }

    // The lost time: four writes that a copy and an edit have seen.
    client.new_task("Lost").await;
    client.new_task("Lost as well").await;
    client.delete(&ids[2]).await.expect_status(204);
    client.put(&ids[1], json!({ "title": "Lost title" })).await.expect_status(200);
    let mut copy = Replica::new(user.envelope());
    copy.assert_current(100).await;
    let task = client.get(&ids[1]).await;
    let list = client.list("").await;

    execute("truncate users, tasks, deleted_tasks, idempotency_keys".into()).await;
    execute("insert into users select * from saved_users".into()).await;
    execute("insert into tasks overriding system value select * from saved_tasks".into()).await;
    for table in ["deleted_tasks", "idempotency_keys"] {
        execute(format!("insert into {table} select * from saved_{table}")).await;
    }
    let restored = outcome_with(&app.internals().database_url, &["--restored"]).await;
    assert!(restored.0 && restored.1.ends_with("Raised the revisions of 1 user."), "{}", restored.1);

    // More writes than were lost.
    for number in 0..6 {
        client.new_task(&format!("New {number}")).await;
    }
    copy.assert_current(100).await;
    assert_eq!(copy.restarts, 1);
    let edit = client.request(Method::PUT, &format!("/{}", ids[1])).json(&json!({ "title": "Edited" }));
    Response::to(edit.header("if-match", task.etag())).await.expect_status(412);
    let cached = client.request(Method::GET, "").header("if-none-match", list.etag());
    Response::to(cached).await.expect_status(200);
    // Later writes continue from there, and the copy follows them.
    client.delete(&ids[0]).await.expect_status(204);
    copy.assert_current(100).await;
    assert_eq!(copy.restarts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_user_is_raised_and_the_clock_never_lowers_a_revision() {
    let url = empty_database().await;
    outcome_and_line(&url).await;
    let database = connect(&url).await;
    let users = "insert into users (id, revision) select n::text, n from generate_series(1, 25000) n;
                 insert into users (id, revision) values ('of the future', 8000000000000000000)";
    database.batch_execute(users).await.expect("valid SQL");
    let raised = outcome_with(&url, &["--restored"]).await;
    assert_eq!(raised, (true, "Raised the revisions of 25001 users.".into()));
    let state =
        "select count(*) filter (where revision > extract(epoch from now() - interval '1 hour') * 1e6),
                        max(revision), bool_and(changes_from = revision) from users";
    let row = database.query_one(state, &[]).await.expect("valid SQL");
    assert_eq!((row.get(0), row.get(1), row.get(2)), (25001_i64, 8_000_000_000_000_000_001_i64, true));
    assert_eq!(outcome_and_line(&url).await, (true, UP_TO_DATE.into()));
}

/// A misspelled option must not be ignored: the copies would differ without an error.
#[tokio::test(flavor = "multi_thread")]
async fn unknown_arguments_and_events_are_rejected() {
    let url = empty_database().await;
    let usage = "cannot migrate: usage: migrate [--restored]";
    assert_eq!(outcome_with(&url, &["--restore"]).await, (false, usage.into()));
    assert_eq!(outcome_with(&url, &["--restored", "--restored"]).await, (false, usage.into()));

    let spec = FunctionSpec {
        name: "migrate".into(),
        binary: binary("migrate").await,
        timeout: Duration::from_secs(60),
        memory: 128,
        environment: BTreeMap::from([("DATABASE_URL".into(), url.clone())]),
        max_instances: 1,
    };
    let function = Function::new(spec, Arc::new(|_: &str, line: &str| println!("{line}")));
    let invoke = async |event: Value| {
        let response = function.invoke(event.to_string().into()).await;
        response.map(|body| serde_json::from_slice::<Value>(&body).expect("JSON"))
    };
    assert!(invoke(json!({ "restore": true })).await.is_err());
    let first = invoke(json!({})).await.expect("an empty event migrates");
    assert_eq!(first["applied"][0], "V1__schema");
    assert_eq!(first["repaired"], json!([]));
    connect(&url).await.batch_execute("insert into users (id) values ('a')").await.expect("valid SQL");
    let restored = invoke(json!({ "restored": true })).await.expect("the event is known");
    assert_eq!(restored, json!({ "applied": [], "repaired": [], "raised": 1 }));
    function.shutdown().await;
}
