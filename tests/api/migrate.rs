//! `migrate`, run as a command: installs migrations and functions, and establishes roles, rights and policies.

mod restored;
mod state;

use std::process::Command as Program;

use local::binaries::workspace_root;
use shared::sql;
use tests::{binary, connect, empty_database};
use tokio::process::Command;

const APPLIED: &str = "Applied V1__schema, functions {schema}.";

const UP_TO_DATE: &str = "The schema is up to date.";

/// Runs `migrate`. Returns whether it succeeded, and its only line on stdout or stderr.
async fn outcome_and_line(database_url: &str) -> (bool, String) {
    outcome_with(database_url, &[]).await
}

/// Runs `migrate` with arguments.
async fn outcome_with(database_url: &str, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(binary("migrate").await);
    command.args(arguments).env_clear().env("DATABASE_URL", database_url);
    let output = command.output().await.expect("migrate runs");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).expect("UTF-8");
    assert_eq!(text.lines().count(), 1, "{text}");
    (output.status.success(), text.trim_end().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_what_it_applied_and_a_second_run_does_nothing() {
    let url = empty_database().await;
    assert_eq!(outcome_and_line(&url).await, (true, APPLIED.replace("{schema}", &sql::SCHEMA)));
    assert_eq!(outcome_and_line(&url).await, (true, UP_TO_DATE.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_runs_apply_each_migration_once() {
    let url = empty_database().await;
    let runs: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn({
                let url = url.clone();
                async move { outcome_and_line(&url).await }
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
async fn rejects_a_migration_that_was_changed_after_it_was_applied() {
    let url = empty_database().await;
    outcome_and_line(&url).await;
    let database = connect(&url).await;
    let changed = "update refinery_schema_history set checksum = '1'";
    database.execute(changed, &[]).await.expect("the history table exists");
    let (success, text) = outcome_and_line(&url).await;
    assert!(!success);
    assert!(text.starts_with("cannot migrate: ") && text.contains("V1__schema"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn gives_up_waiting_for_a_lock() {
    let url = empty_database().await;
    outcome_and_line(&url).await;
    let database = connect(&url).await;
    database
        .batch_execute("begin; lock table refinery_schema_history")
        .await
        .expect("the history table exists");
    let (success, text) = outcome_and_line(&url).await;
    assert!(!success && text.contains("lock timeout"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn leaves_a_newer_schema_unchanged() {
    let url = empty_database().await;
    outcome_and_line(&url).await;
    let newer = "insert into refinery_schema_history (version, name, applied_on, checksum)
                 select 999, 'of_the_future', applied_on, '1' from refinery_schema_history limit 1";
    connect(&url).await.execute(newer, &[]).await.expect("the history table exists");
    assert_eq!(outcome_and_line(&url).await, (true, UP_TO_DATE.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_is_one_line_without_the_password() {
    let (success, text) = outcome_and_line("").await;
    assert_eq!(
        (success, text.as_str()),
        (false, "cannot migrate: DATABASE_URL is not set (nor is NEON_DATABASE_URL)")
    );
    let (success, text) = outcome_and_line("postgres://user:hidden@127.0.0.1:1/none").await;
    assert!(!success && text.starts_with("cannot migrate: ") && !text.contains("hidden"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn removes_function_schemas_unused_for_more_than_90_days() {
    let url = empty_database().await;
    outcome_and_line(&url).await;
    let database = connect(&url).await;
    // (schema, days since its last use, whether it is kept). The binary's own schema is kept because migrate
    // uses it.
    let schemas = [("task_api_kept", 90, true), ("task_api_unused", 91, false), (&sql::SCHEMA, 91, true)];
    for (schema, days, _) in schemas {
        let used = format!(
            "create schema if not exists {schema};
             create table {schema}.some ();
             insert into function_schemas (name, last_used) values ('{schema}', current_date - {days})
             on conflict (name) do update set last_used = excluded.last_used"
        );
        database.batch_execute(&used).await.expect("valid SQL");
    }
    assert_eq!(outcome_and_line(&url).await, (true, UP_TO_DATE.into()));
    for (schema, _, is_kept) in schemas {
        let found = "select (select count(*) from pg_namespace where nspname = $1),
                            (select count(*) from function_schemas where name = $1)";
        let row = database.query_one(found, &[&schema]).await.expect("valid SQL");
        assert_eq!((row.get(0), row.get(1)), (i64::from(is_kept), i64::from(is_kept)), "{schema}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn installs_dropped_functions_again() {
    let url = empty_database().await;
    outcome_and_line(&url).await;
    let drop = format!("drop schema {} cascade", *sql::SCHEMA);
    connect(&url).await.batch_execute(&drop).await.expect("a superuser can drop the schema");
    assert_eq!(outcome_and_line(&url).await, (true, format!("Applied functions {}.", *sql::SCHEMA)));
}

/// The name of the functions' schema is a hash of the files, and `migrate` compares checksums of migrations.
#[test]
fn sql_files_have_the_same_line_endings_in_every_checkout() {
    let mut git = Program::new("git");
    git.current_dir(workspace_root()).args(["check-attr", "text", "eol", "--"]);
    git.args(["shared/sql/tasks.sql", "migrations/V1__schema.sql", "functions/migrate/src/state.sql"]);
    let output = git.output().expect("git is installed");
    let attributes = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(attributes.matches(": text: set").count(), 3, "{attributes}");
    assert_eq!(attributes.matches(": eol: lf").count(), 3, "{attributes}");
}
