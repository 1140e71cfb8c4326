//! The command that brings the schema up to date.

use std::process::Output;

use shared::sql;
use tests::{binary, connect, empty_database};
use tokio::process::Command;

const APPLIED: &str =
    "Applied V1__users_and_tasks, V2__functions_and_attempts, V3__revisions, functions {schema}.";

async fn migrate(database_url: &str) -> Output {
    let mut command = Command::new(binary("migrate").await);
    command.env_clear().env("DATABASE_URL", database_url).output().await.expect("it runs")
}

/// Its one line, of output or of error.
async fn told(database_url: &str) -> (bool, String) {
    let output = migrate(database_url).await;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).expect("UTF-8");
    assert_eq!(text.lines().count(), 1, "{text}");
    (output.status.success(), text.trim_end().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn says_what_it_applied_and_does_nothing_the_second_time() {
    let url = empty_database().await;
    assert_eq!(told(&url).await, (true, APPLIED.replace("{schema}", &sql::SCHEMA)));
    assert_eq!(told(&url).await, (true, "The schema is up to date.".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn is_applied_once_by_many_at_once() {
    let url = empty_database().await;
    let runs: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn({
                let url = url.clone();
                async move { told(&url).await }
            })
        })
        .collect();
    let mut applied = 0;
    for run in runs {
        let (success, text) = run.await.expect("no panic");
        assert!(success, "{text}");
        applied += usize::from(text.starts_with("Applied"));
    }
    assert_eq!(applied, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_a_migration_that_was_changed_after_it_had_been_applied() {
    let url = empty_database().await;
    told(&url).await;
    let database = connect(&url).await;
    let changed = "update refinery_schema_history set checksum = '1'";
    database.execute(changed, &[]).await.expect("a history");
    let (success, text) = told(&url).await;
    assert!(!success);
    assert!(text.starts_with("cannot migrate: ") && text.contains("V1__users_and_tasks"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn gives_up_waiting_for_a_lock_rather_than_have_everybody_wait() {
    let url = empty_database().await;
    told(&url).await;
    let database = connect(&url).await;
    database.batch_execute("begin; lock table refinery_schema_history").await.expect("a history");
    let (success, text) = told(&url).await;
    assert!(!success && text.contains("lock timeout"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn leaves_a_newer_schema_as_it_is_so_that_code_can_be_rolled_back() {
    let url = empty_database().await;
    told(&url).await;
    let newer = "insert into refinery_schema_history (version, name, applied_on, checksum)
                 select 999, 'of_the_future', applied_on, '1' from refinery_schema_history limit 1";
    connect(&url).await.execute(newer, &[]).await.expect("a history");
    assert_eq!(told(&url).await, (true, "The schema is up to date.".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn says_what_to_do_in_one_line_and_shows_no_password() {
    let (success, text) = told("").await;
    assert_eq!(
        (success, text.as_str()),
        (false, "cannot migrate: DATABASE_URL is not set (nor is NEON_DATABASE_URL)")
    );
    let (success, text) = told("postgres://user:hidden@127.0.0.1:1/none").await;
    assert!(!success && text.starts_with("cannot migrate: ") && !text.contains("hidden"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn installs_functions_beside_those_of_other_versions_and_removes_what_90_days_have_not_used() {
    let url = empty_database().await;
    told(&url).await;
    let database = connect(&url).await;
    // (schema, days since its last use, whether it stays); the database's functions are old, too, but migrate uses them.
    let schemas = [("task_api_kept", 90, true), ("task_api_unused", 91, false), (&sql::SCHEMA, 91, true)];
    for (schema, days, _) in schemas {
        let used = format!(
            "create schema if not exists {schema};
             create or replace function {schema}.some() returns int language sql return 1;
             insert into function_schemas (name, last_used) values ('{schema}', current_date - {days})
             on conflict (name) do update set last_used = excluded.last_used"
        );
        database.batch_execute(&used).await.expect("valid SQL");
    }
    assert_eq!(told(&url).await, (true, "The schema is up to date.".into()));
    for (schema, _, stays) in schemas {
        let found = "select (select count(*) from pg_namespace where nspname = $1),
                            (select count(*) from function_schemas where name = $1)";
        let row = database.query_one(found, &[&schema]).await.expect("valid SQL");
        assert_eq!((row.get(0), row.get(1)), (i64::from(stays), i64::from(stays)), "{schema}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn installs_functions_again_that_somebody_dropped() {
    let url = empty_database().await;
    told(&url).await;
    let drop = format!("drop schema {} cascade", *sql::SCHEMA);
    connect(&url).await.batch_execute(&drop).await.expect("superusers may");
    assert_eq!(told(&url).await, (true, format!("Applied functions {}.", *sql::SCHEMA)));
}
