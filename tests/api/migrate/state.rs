//! Every run checks the roles, rights, policies, functions and the sequence, and repairs what differs: a dump
//! does not contain all of it, and operators change it.

use local::postgres::Cluster;
use shared::sql;
use tests::{MIGRATED, connect, migrated_cluster};
use tokio_postgres::Client;

use super::{UP_TO_DATE, outcome_and_line};

/// Changes to a migrated database, and a part of what `migrate` then reports. `{schema}` is the functions'.
const CHANGES: [(&str, &str); 28] = [
    ("alter role task_api bypassrls", "Repaired: alter role task_api nobypassrls."),
    (
        "alter role task_api superuser createrole login",
        "Repaired: alter role task_api nosuperuser nocreaterole nologin.",
    ),
    ("alter role task_api_endpoints bypassrls", "Repaired: alter role task_api_endpoints nobypassrls."),
    ("grant pg_read_all_data to task_api", "Repaired: revoke pg_read_all_data from task_api"),
    (
        "create role reader; grant select on tasks to reader;
         create role console; grant reader to console; grant console to task_api_endpoints",
        "Repaired: revoke console from task_api_endpoints",
    ),
    ("grant task_api to task_api_endpoints", "Repaired: revoke task_api from task_api_endpoints"),
    ("alter table tasks owner to task_api", "Repaired: alter table public.tasks owner to postgres"),
    (
        "alter table tasks disable row level security",
        "Repaired: alter table public.tasks enable row level security, no force row level security.",
    ),
    (
        "alter table users force row level security",
        "Repaired: alter table public.users enable row level security, no force row level security.",
    ),
    ("drop policy users_own on users", "create policy users_own on public.users to task_api"),
    ("alter policy tasks_own on tasks using (true)", "create policy tasks_own on public.tasks to task_api"),
    ("alter policy tasks_own on tasks to postgres", "create policy tasks_own on public.tasks to task_api"),
    (
        "alter policy erased_users_own on erased_users with check (true)",
        "create policy erased_users_own on public.erased_users to task_api",
    ),
    ("create policy all_rows on tasks using (true)", "Repaired: drop policy all_rows on public.tasks."),
    (
        "revoke select, delete on users from task_api",
        "Repaired: grant delete, select on public.users to task_api.",
    ),
    (
        "revoke update (last_used) on function_schemas from task_api",
        "Repaired: grant update (last_used) on public.function_schemas to task_api.",
    ),
    ("grant truncate on tasks to task_api", "Repaired: revoke truncate on public.tasks from task_api."),
    (
        "grant select on tasks to public",
        "Repaired: revoke all on public.tasks from public, task_api_endpoints.",
    ),
    (
        "grant select (title) on tasks to task_api_endpoints",
        "Repaired: revoke all on public.tasks from public, task_api_endpoints.",
    ),
    (
        "grant temporary on database migrated to public",
        "Repaired: revoke temporary on database migrated from public.",
    ),
    ("grant create on schema public to public", "Repaired: revoke create on schema public from public."),
    ("revoke usage on schema public from task_api", "Repaired: grant usage on schema public to task_api."),
    (
        "drop function {schema}.lower_case",
        "Applied functions {schema}. Repaired: drop schema {schema} cascade.",
    ),
    ("alter function {schema}.erase_user owner to postgres", "Applied functions {schema}."),
    ("grant execute on function {schema}.record_use to public", "Applied functions {schema}."),
    ("revoke execute on function {schema}.get_task from task_api_endpoints", "Applied functions {schema}."),
    ("revoke usage on schema {schema} from task_api_endpoints", "Applied functions {schema}."),
    (
        "create or replace function {schema}.record_use() returns void language plpgsql as 'begin end'",
        "Applied functions {schema}.",
    ),
];

async fn superuser(cluster: &Cluster) -> Client {
    connect(&cluster.url(MIGRATED)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn repairs_each_change_and_names_the_repair() {
    let cluster = migrated_cluster().await;
    let (url, database) = (cluster.url(MIGRATED), superuser(&cluster).await);
    let mut missed = Vec::new();
    for (change, expected) in CHANGES {
        let [change, expected] = [change, expected].map(|text| text.replace("{schema}", &sql::SCHEMA));
        database.batch_execute(&change).await.unwrap_or_else(|error| panic!("{change}: {error}"));
        let (success, line) = outcome_and_line(&url).await;
        if !success || !line.contains(&expected) || outcome_and_line(&url).await.1 != UP_TO_DATE {
            missed.push(format!("{change}: {line}"));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

/// As after logical replication, which doesn't copy sequences.
#[tokio::test(flavor = "multi_thread")]
async fn moves_the_sequence_beyond_the_highest_number() {
    let cluster = migrated_cluster().await;
    let (url, database) = (cluster.url(MIGRATED), superuser(&cluster).await);
    let copy = "insert into users (id) values ('alice');
        insert into tasks (id, number, user_id, title) overriding system value
        select gen_random_uuid(), n, 'alice', 'Copied' from generate_series(1, 50) n";
    database.batch_execute(copy).await.expect("valid SQL");
    let (_, line) = outcome_and_line(&url).await;
    assert_eq!(line, "Repaired: select setval('public.tasks_number_seq', 50).");
    assert_eq!(outcome_and_line(&url).await, (true, UP_TO_DATE.into()));
    let next =
        "insert into tasks (id, user_id, title) values (gen_random_uuid(), 'alice', 'New') returning number";
    let number: i64 = database.query_one(next, &[]).await.expect("the number is free").get(0);
    assert_eq!(number, 51);
}

/// Deployments run `migrate` while the API is in use.
#[tokio::test(flavor = "multi_thread")]
async fn run_on_a_right_database_waits_for_no_lock_and_changes_nothing() {
    let cluster = migrated_cluster().await;
    let (url, database) = (cluster.url(MIGRATED), superuser(&cluster).await);
    let versions = async || {
        let rows = "select array_agg(xmin::text order by kind, oid)::text from (
                        select 1, oid, xmin from pg_class union all select 2, oid, xmin from pg_policy
                        union all select 3, oid, xmin from pg_proc union all select 4, oid, xmin from pg_authid
                        union all select 5, oid, xmin from pg_namespace
                        union all select 6, oid, xmin from pg_database
                        union all select 7, roleid, xmin from pg_auth_members
                    ) as changed (kind, oid, xmin)";
        database.query_one(rows, &[]).await.expect("catalogs").get::<_, String>(0)
    };
    let before = versions().await;
    let writer = superuser(&cluster).await;
    let write = "begin; lock table users, tasks, deleted_tasks, idempotency_keys, erased_users
                 in row exclusive mode";
    writer.batch_execute(write).await.expect("a transaction");
    assert_eq!(outcome_and_line(&url).await, (true, UP_TO_DATE.into()));
    assert_eq!(versions().await, before);
}

/// The owner of a database need not be a superuser. What it may not do is named in one line, and executing
/// that is enough.
#[tokio::test(flavor = "multi_thread")]
async fn names_the_statement_that_its_role_may_not_execute() {
    let cluster = migrated_cluster().await;
    let superuser = superuser(&cluster).await;
    for statement in
        ["create role \"an owner\" login password 'hidden'", "create database owned owner \"an owner\""]
    {
        superuser.batch_execute(statement).await.expect("valid SQL");
    }
    let url = format!("postgres://an%20owner:hidden@127.0.0.1:{}/owned", cluster.port());
    let (success, line) = outcome_and_line(&url).await;
    let (problem, statement) = line.split_once("run migrate again: ").unwrap_or_else(|| panic!("{line}"));
    assert!(!success && problem.starts_with("cannot migrate: ") && !line.contains("hidden"), "{line}");
    assert!(statement.starts_with("grant task_api to \"an owner\""), "{statement}");
    superuser.batch_execute(statement).await.expect("a superuser may");
    let applied = format!("Applied functions {}.", *sql::SCHEMA);
    let (success, line) = outcome_and_line(&url).await;
    assert!(success && line.starts_with(&applied), "{line}");
    assert_eq!(outcome_and_line(&url).await, (true, UP_TO_DATE.into()));

    // A statement that is carried out without any effect is not taken for a repair.
    superuser.batch_execute("grant pg_read_all_data to task_api").await.expect("a superuser may");
    let (success, line) = outcome_and_line(&url).await;
    assert!(!success && line.contains("run migrate again: revoke pg_read_all_data from task_api"), "{line}");
}
