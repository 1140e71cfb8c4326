//! Two walls separate users: the filters in each function, and row-level security. Either one alone must be
//! enough.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use shared::sql;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Attempt, Database, Key, List, outcome, title};

/// The filters by user in the functions.
const FILTERS: [&str; 6] = [
    "t.user_id = p_user_id",
    "d.user_id = p_user_id",
    "k.user_id = p_user_id",
    "u.id = p_user_id",
    "u.id = p_user.id",
    "s.id = p_user_id",
];

pub const TAKE_ROW_LEVEL_SECURITY_DOWN: &str = "
    alter table tasks disable row level security;
    alter table users disable row level security;
    alter table deleted_tasks disable row level security;
    alter table idempotency_keys disable row level security";

/// Returns statements that replace the functions with the same functions without their filters.
pub fn take_filters_down() -> String {
    let schema = sql::SCHEMA.as_str();
    let mut functions = sql::functions_in(schema).replace("create function", "create or replace function");
    let filters: usize = FILTERS.iter().map(|filter| functions.matches(filter).count()).sum();
    let all = ["= p_user_id", "= p_user.id"].map(|user| functions.matches(user).count());
    assert_eq!(filters, all[0] + all[1], "FILTERS lists every filter");
    for filter in FILTERS {
        functions = functions.replace(filter, "true");
    }
    format!("set role task_api; {functions} reset role")
}

/// Makes a write. Without either wall it fails, because it would change the rows of both users.
async fn fails(write: impl Future<Output = Row>) -> bool {
    AssertUnwindSafe(write).catch_unwind().await.is_err()
}

/// Makes every call as Alice. Returns the calls that saw or changed something of Bob's.
async fn reach(database: &Database) -> Vec<&'static str> {
    let (alice, bob) = ("alice", "bob");
    let plant = "insert into users (id, revision, task_count) values ('bob', 20, 20), ('alice', 1, 1);
         insert into tasks (id, revision, user_id, title)
         select gen_random_uuid(), n, 'bob', 'Bob''s' from generate_series(1, 20) n;
         insert into deleted_tasks (user_id, revision, id, number, deleted_at)
         values ('bob', 9000000000000000000, gen_random_uuid(), 0, now());
         insert into idempotency_keys (user_id, key, hash, task_id, task_number, used_at)
         values ('bob', 'taken', 'another', gen_random_uuid(), 0, now())";
    database.run_as_owner(plant).await;
    let own =
        "insert into tasks (id, user_id, title) values (gen_random_uuid(), 'alice', 'Alice''s') returning id";
    let own = database.owner.query_one(own, &[]).await.expect("a new task").get(0);
    assert_eq!(title(&database.get(alice, Key::Id(own)).await), Some("Alice's"));

    let bobs_rows = async || {
        let rows = "select md5(string_agg(t::text, ' ' order by number)),
                           (select u::text from users u where id = 'bob')
                           || (select count(*) from deleted_tasks where user_id = 'bob')
                           || (select count(*) from idempotency_keys where user_id = 'bob')
                    from tasks t where user_id = 'bob'";
        let row = database.owner.query_one(rows, &[]).await.expect("Bob's rows");
        (row.get::<_, Option<String>>(0), row.get::<_, Option<String>>(1))
    };
    let bobs_task = async || {
        let task = "select id, number from tasks where user_id = 'bob' order by number limit 1";
        let row = database.owner.query_one(task, &[]).await.expect("one of Bob's");
        [Key::Id(row.get(0)), Key::Number(row.get(1))]
    };
    let mut reached = Vec::new();
    for which in [0, 1] {
        let call = |names: [&'static str; 2]| names[which];
        let seen = database.get(alice, bobs_task().await[which]).await;
        reached.extend((title(&seen) == Some("Bob's")).then_some(call(["get by id", "get by number"])));
        let before = bobs_rows().await;
        let failed = fails(database.update(alice, bobs_task().await[which], "Alice's", Attempt::new())).await;
        let changed = failed || bobs_rows().await != before;
        reached.extend(changed.then_some(call(["update by id", "update by number"])));
        let before = bobs_rows().await;
        let failed = fails(database.delete(alice, bobs_task().await[which], Attempt::new())).await;
        let changed = failed || bobs_rows().await != before;
        reached.extend(changed.then_some(call(["delete by id", "delete by number"])));
        let before = bobs_rows().await;
        let missing = [Key::Id(Uuid::now_v7()), Key::Number(0)][which];
        let failed = fails(database.update(alice, missing, "Alice's", Attempt::new().retry())).await;
        reached.extend(
            (failed || bobs_rows().await != before).then_some(call(["retry by id", "retry by number"])),
        );
    }
    for (name, list) in [
        ("list", List::NEWEST),
        ("list with an offset", List { offset: 1, ..List::NEWEST }),
        ("list in order", List { descending: false, ..List::NEWEST }),
        ("list that is sorted", List { sort: Some("title"), ..List::NEWEST }),
        ("list of a search", List { search: Some("'S"), ..List::NEWEST }),
    ] {
        let tasks = database.list(alice, list).await;
        let sees_bobs = tasks.iter().any(|task| title(task) == Some("Bob's"));
        let counted = tasks[0].get::<_, i64>("total") != 1;
        reached.extend((sees_bobs || counted).then_some(name));
    }
    // The call takes the version of the list from the first row of a user that it sees.
    let version = "select revision, updated_at, created_at from users where id = 'bob'";
    let version = database.owner.query_one(version, &[]).await.expect("Bob's row");
    let known = Some((Some(version.get(0)), Some(version.get(1))));
    let rows = database.list(alice, List { known, ..List::NEWEST }).await;
    reached.extend((outcome(&rows[0]) == "known").then_some("version of a list"));
    let before = bobs_rows().await;
    let failed = fails(database.create(alice, "Alice's")).await;
    reached.extend((failed || bobs_rows().await != before).then_some("create"));
    let keyed = database.create_with(alice, Uuid::now_v7(), "Alice's", Some("taken"), Attempt::new()).await;
    reached.extend((outcome(&keyed) == "conflict").then_some("key"));
    let copy = database.changes(alice, None, 100).await;
    let sees_bobs = copy.iter().any(|task| title(task) == Some("Bob's"));
    reached.extend(sees_bobs.then_some("changes"));
    let since = (copy[0].get("list_revision"), copy[0].get("list_updated_at"));
    // As a write of each would.
    database.run_as_owner("update users set revision = revision + 1").await;
    let deletions = database.changes(alice, Some(since), 100).await;
    let sees_bobs = deletions.iter().any(|change| change.get::<_, Option<bool>>("is_deleted") == Some(true));
    reached.extend(sees_bobs.then_some("deletions"));
    assert_eq!(title(&database.get(bob, bobs_task().await[0]).await), Some("Bob's"));
    let before = bobs_rows().await;
    database.erase(alice, Attempt::new()).await;
    reached.extend((bobs_rows().await != before).then_some("erase"));
    reached
}

#[tokio::test(flavor = "multi_thread")]
async fn with_both_walls_no_call_reaches_another_users_rows() {
    assert_eq!(reach(&Database::new().await).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_filters_row_level_security_holds() {
    let database = Database::new().await;
    database.run_as_owner(&take_filters_down()).await;
    assert_eq!(reach(&database).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_row_level_security_the_filters_hold() {
    let database = Database::new().await;
    database.run_as_owner(TAKE_ROW_LEVEL_SECURITY_DOWN).await;
    assert_eq!(reach(&database).await, [""; 0]);
}

/// Proves that the tests above really removed the walls, for every call.
#[tokio::test(flavor = "multi_thread")]
async fn without_either_wall_every_call_reaches_another_users_rows() {
    let database = Database::new().await;
    database.run_as_owner(&take_filters_down()).await;
    database.run_as_owner(TAKE_ROW_LEVEL_SECURITY_DOWN).await;
    let calls = [
        "get by id",
        "update by id",
        "delete by id",
        "retry by id",
        "get by number",
        "update by number",
        "delete by number",
        "retry by number",
        "list",
        "list with an offset",
        "list in order",
        "list that is sorted",
        "list of a search",
        "version of a list",
        "create",
        "key",
        "changes",
        "deletions",
        "erase",
    ];
    assert_eq!(reach(&database).await, calls);
}

/// A session that sets its search path must not make the functions use other operators or tables.
#[tokio::test(flavor = "multi_thread")]
async fn search_path_of_the_session_changes_nothing() {
    let database = Database::new().await;
    let tamper = "
        create schema tampered;
        create function tampered.always(text, text) returns boolean language sql immutable as 'select true';
        create operator tampered.= (leftarg = text, rightarg = text, function = tampered.always);
        create table tampered.tasks (like tasks);
        create function tampered.set_config(text, text, boolean) returns text language sql return null;
        grant usage on schema tampered to public";
    database.run_as_owner(tamper).await;
    database.run_as_owner(TAKE_ROW_LEVEL_SECURITY_DOWN).await;
    let set = "set search_path = tampered, pg_catalog, public";
    database.endpoint.batch_execute(set).await.expect("any role can set its search_path");
    assert_eq!(reach(&database).await, [""; 0]);
}
