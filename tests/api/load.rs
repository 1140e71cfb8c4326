//! Many users at once: no request fails, no task is lost or duplicated, and nobody sees another user's tasks.

use std::{sync::atomic::AtomicBool, time::Duration};

use shared::sql;
use tests::{App, work_with_journals};
use tokio::time::sleep;

/// The number of users: `LOAD_USERS`, or 64.
fn users() -> usize {
    let users = std::env::var("LOAD_USERS").ok().and_then(|users| users.parse().ok());
    users.unwrap_or(64)
}

/// How long the users send requests: `LOAD_SECONDS`, or 5 seconds.
fn duration() -> Duration {
    let seconds = std::env::var("LOAD_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(5))
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_users_lose_and_duplicate_nothing() {
    work_and_check(&App::start().await).await;
}

/// During a deployment the older functions are called while `migrate` installs newer ones.
#[tokio::test(flavor = "multi_thread")]
async fn installing_newer_functions_under_load_fails_no_request() {
    let Some(app) = App::local().await else { return };
    let mut owner = app.internals().database().await;
    let migrate = async {
        for version in 1..=5 {
            sleep(duration() / 6).await;
            let schema = format!("task_api_newer{version}");
            let functions = sql::functions_in(&schema);
            let install = format!(
                "create schema {schema} authorization task_api; set local role task_api; {functions} reset role;
                 insert into function_schemas (name) values ('{schema}');
                 drop schema if exists task_api_newer{} cascade",
                version - 1
            );
            let transaction = owner.transaction().await.expect("a connection");
            transaction.batch_execute(&install).await.expect("a new schema");
            transaction.commit().await.expect("the transaction commits");
        }
    };
    tokio::join!(work_and_check(&app), migrate);
}

/// Has all users send random requests, none of which may fail, and compares their lists with their journals.
async fn work_and_check(app: &App) {
    let counts = work_with_journals(app, users(), duration(), async |_: &AtomicBool| ()).await;
    assert_eq!(counts.refused, 0, "responses with status 503");
}
