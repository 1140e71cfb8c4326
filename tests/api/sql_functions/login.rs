//! The endpoints' login: it can call the functions and do nothing else.

use shared::sql;
use tokio_postgres::error::SqlState;

use super::{Attempt, Database, Key, List, id};

/// The functions that endpoints call.
const OPERATIONS: [&str; 7] =
    ["create_task", "delete_task", "erase_user", "get_task", "list_changes", "list_tasks", "update_task"];

/// The next test checks privileges on tables and functions in the catalog.
#[tokio::test(flavor = "multi_thread")]
async fn endpoints_login_is_denied_everything_but_the_functions() {
    let database = Database::new().await;
    database.create("alice", "Own").await;
    database
        .run_as_owner(
            "create schema private; create table private.things (id int); create table plans (id int)",
        )
        .await;
    let schema = sql::SCHEMA.as_str();
    let mut statements = [
        "copy (select 1) to program 'true'",
        "create table mine (id int)",
        "create temporary table mine (id int)",
        "create schema mine",
        "create role mine",
        "create function public.mine() returns int language sql return 1",
        "alter table tasks disable row level security",
        "drop policy tasks_own on tasks",
        "set role task_api",
        "set role postgres",
        "set session authorization postgres",
        "select from private.things",
        "select from plans",
    ]
    .map(str::to_owned)
    .to_vec();
    statements.push(format!("drop function {schema}.get_task"));
    statements.push(format!("alter function {schema}.get_task reset all"));
    statements.push(format!("create function {schema}.mine() returns int language sql return 1"));
    for statement in statements {
        // A reset restores the login's own role, not one with more privileges.
        database.endpoint.batch_execute("reset role; reset session authorization").await.expect("no effect");
        let error = database.endpoint.batch_execute(&statement).await.expect_err(&statement);
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{statement}: {error:?}");
    }
}

/// Checks the catalog, so that tables and functions of later migrations are covered.
#[tokio::test(flavor = "multi_thread")]
async fn endpoints_role_has_no_privilege_but_execute_on_the_operations() {
    let database = Database::new().await;
    let roles = "select rolsuper or rolcreaterole or rolcreatedb or rolbypassrls or rolreplication
                        or exists (select from pg_auth_members where member = r.oid)
                 from pg_roles r where rolname = 'task_api_endpoints'";
    assert!(!database.owner.query_one(roles, &[]).await.expect("a role").get::<_, bool>(0));
    let objects = "select c.relname from pg_class c join pg_namespace n on n.oid = relnamespace
                   where nspname not in ('pg_catalog', 'information_schema', 'pg_toast') and (
                       relkind in ('r', 'v', 'm', 'p', 'f') and (
                           has_table_privilege('task_api_endpoints', c.oid,
                                               'select, insert, update, delete, truncate, references, trigger')
                           or has_any_column_privilege('task_api_endpoints', c.oid,
                                                       'select, insert, update, references'))
                       or relkind = 'S' and has_sequence_privilege('task_api_endpoints', c.oid,
                                                                   'usage, select, update'))";
    assert!(database.owner.query(objects, &[]).await.expect("a catalog").is_empty());
    let functions = "select proname::text from pg_proc p join pg_namespace n on n.oid = pronamespace
                     where nspname not in ('pg_catalog', 'information_schema')
                       and has_function_privilege('task_api_endpoints', p.oid, 'execute')
                     order by proname";
    let functions = database.owner.query(functions, &[]).await.expect("a catalog");
    let functions: Vec<&str> = functions.iter().map(|row| row.get(0)).collect();
    assert_eq!(functions, OPERATIONS);
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_belong_to_task_api_pin_their_search_path_and_are_not_public() {
    let database = Database::new().await;
    let functions = "select proname::text, pg_get_userbyid(proowner)::text, prosecdef,
                            coalesce(proconfig @> '{\"search_path=pg_catalog, pg_temp\"}', false),
                            has_function_privilege('public', p.oid, 'execute')
                     from pg_proc p where pronamespace = $1::text::regnamespace";
    let functions = database.owner.query(functions, &[&sql::SCHEMA.as_str()]).await.expect("a catalog");
    assert!(functions.len() > OPERATIONS.len());
    for row in functions {
        let name: &str = row.get(0);
        assert_eq!(row.get::<_, &str>(1), "task_api", "{name}");
        assert!(!row.get::<_, bool>(4), "{name} must not be executable by public");
        // The other functions run only inside of these.
        let is_operation = OPERATIONS.contains(&name);
        assert_eq!(row.get::<_, bool>(2), is_operation, "{name}");
        assert_eq!(row.get::<_, bool>(3), is_operation, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_user_or_a_setting_remains_in_the_session() {
    let database = Database::new().await;
    let task = Key::Id(id(&database.create("alice", "One").await));
    let remains = async || {
        let settings = "select coalesce(current_setting('app.user_id', true), ''),
                               current_setting('lock_timeout'), current_setting('search_path'), current_user::text";
        let row = database.endpoint.query_one(settings, &[]).await.expect("settings");
        [0, 1, 2, 3].map(|column| row.get::<_, String>(column))
    };
    let clean = ["", "0", "\"$user\", public", "task_api_endpoints"].map(str::to_owned);
    assert_eq!(remains().await, clean, "create");
    database.get("alice", task).await;
    assert_eq!(remains().await, clean, "get");
    database.list("alice", List::NEWEST).await;
    assert_eq!(remains().await, clean, "list");
    database.update("alice", task, "Two", Attempt::new()).await;
    assert_eq!(remains().await, clean, "update");
    database.delete("alice", task, Attempt::new()).await;
    assert_eq!(remains().await, clean, "delete");
    database.changes("alice", None, 10).await;
    assert_eq!(remains().await, clean, "changes");
    database.erase("alice", Attempt::new()).await;
    assert_eq!(remains().await, clean, "erase");
    // An empty title violates a check constraint.
    let task = Key::Id(id(&database.create("alice", "One").await));
    let failing = format!(
        "select {}.update_task(
             p_user_id => 'alice', p_id => '{}', p_number => null, p_title => '', p_set_description => false,
             p_description => null, p_set_due_date => false, p_due_date => null, p_due_all_day => false,
             p_priority => null, p_tags => null, p_completed => null, p_toggle => false, p_expected_revisions => null, p_expected_times => null,
             p_idempotency_key => null, p_idempotency_hash => null, p_writes_per_minute => 0,
             p_attempt => gen_random_uuid(), p_is_retry => false, p_void_after => 'infinity')",
        *sql::SCHEMA,
        task.parts().0.expect("an id")
    );
    let error = database.endpoint.batch_execute(&failing).await.expect_err("an empty title");
    assert_eq!(error.code(), Some(&SqlState::CHECK_VIOLATION), "{error:?}");
    assert_eq!(remains().await, clean, "a failed call");
}
