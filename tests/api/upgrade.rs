//! The upgrade from the release without revisions: its data is kept, and its code keeps writing during the
//! deployment.

mod large;
mod mixed;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::json;
use tests::{
    App, Contract, Options, Replica, binary, connect, empty_database, endpoints_url, migrate,
    migrated_database,
};
use tokio::task::block_in_place;
use tokio_postgres::Client;
use uuid::Uuid;

const MIGRATIONS: [&str; 2] = [
    include_str!("../../migrations/V1__users_and_tasks.sql"),
    include_str!("../../migrations/V2__functions_and_attempts.sql"),
];
const FUNCTIONS: &str = include_str!("upgrade/functions.sql");

/// A database with that release's schema and functions.
struct Before {
    url: String,
    endpoints_url: String,
    /// A connection as the superuser.
    database: Client,
}

/// That release's code: makes the same calls of SQL functions.
struct OldCode(Client);

impl Before {
    async fn new() -> Self {
        let url = empty_database().await;
        let database = connect(&url).await;
        for migration in MIGRATIONS {
            database.batch_execute(migration).await.expect("a migration");
        }
        // `migrate` compares the checksums of migrations, so the history is copied from a migrated database.
        let (migrated, _) = migrated_database().await;
        let history =
            "select version, name, applied_on, checksum from refinery_schema_history where version <= 2";
        let history = connect(&migrated).await.query(history, &[]).await.expect("a history");
        let table = "create table refinery_schema_history
                     (version int4 primary key, name varchar(255), applied_on varchar(255), checksum varchar(255))";
        database.batch_execute(table).await.expect("a new table");
        for row in &history {
            let (version, texts): (i32, [&str; 3]) = (row.get(0), [row.get(1), row.get(2), row.get(3)]);
            let insert = "insert into refinery_schema_history values ($1, $2, $3, $4)";
            database.execute(insert, &[&version, &texts[0], &texts[1], &texts[2]]).await.expect("a row");
        }
        let install = format!(
            "create schema task_api_before authorization task_api;
             set local role task_api;
             {FUNCTIONS}
             revoke execute on all functions in schema task_api_before from public;
             grant usage on schema task_api_before to task_api_endpoints;
             reset role;
             insert into function_schemas (name) values ('task_api_before');"
        );
        database.batch_execute(&install).await.expect("functions");
        let endpoints_url = endpoints_url(&url).await;
        Self { url, endpoints_url, database }
    }

    async fn old_code(&self) -> OldCode {
        OldCode(connect(&self.endpoints_url).await)
    }

    async fn migrate(&self) {
        let executable = binary("migrate").await;
        block_in_place(|| migrate(&executable, &self.url)).expect("the migration succeeds");
    }

    /// Starts this release's code.
    async fn app(&self, options: Options) -> App {
        let options = options.with("DATABASE_URL", &self.endpoints_url);
        App::local_with(options).await.expect("the tests run locally")
    }
}

/// The hash that the old code stores for the content of a create.
fn hash(title: &str) -> Vec<u8> {
    let content =
        format!("{{\"title\":\"{title}\",\"description\":null,\"due_date\":null,\"completed\":false}}");
    digest(&SHA256, content.as_bytes()).as_ref().to_vec()
}

impl OldCode {
    /// Returns the outcome and the task's id.
    async fn create(&self, user: &str, title: &str, key: Option<&str>) -> (String, Option<Uuid>) {
        let call = "select outcome, id from task_api_before.create_task(
                        $1, null, null, null, false, $2, $3, null, null, false, $4, $5, $6, false,
                        clock_timestamp() + interval '1 minute')";
        let hash = key.map(|_| hash(title));
        let row =
            self.0.query_one(call, &[&user, &Uuid::now_v7(), &title, &key, &hash, &Uuid::now_v7()]).await;
        let row = row.expect("a call");
        (row.get(0), row.get(1))
    }

    async fn update(&self, user: &str, id: Uuid, title: &str) -> String {
        let call = "select outcome from task_api_before.update_task(
                        $1, $2, null, $3, false, null, false, null, null, true, $4, false,
                        clock_timestamp() + interval '1 minute')";
        let row = self.0.query_one(call, &[&user, &id, &title, &Uuid::now_v7()]).await;
        row.expect("a call").get(0)
    }

    async fn delete(&self, user: &str, id: Uuid) -> String {
        let call = "select outcome from task_api_before.delete_task(
                        $1, $2, null, $3, false, clock_timestamp() + interval '1 minute')";
        let row = self.0.query_one(call, &[&user, &id, &Uuid::now_v7()]).await;
        row.expect("a call").get(0)
    }
}

/// Creates `count` tasks with the old code: one with a key, some of them changed.
async fn write_before(old: &OldCode, user: &str, count: usize) {
    for number in 0..count + 2 {
        let key = (number == 0).then_some("key");
        let (outcome, id) = old.create(user, &format!("{number}"), key).await;
        assert_eq!(outcome, "done");
        let id = id.expect("an id");
        match number {
            1 | 2 => assert_eq!(old.delete(user, id).await, "done"),
            3 | 4 => assert_eq!(old.update(user, id, "changed").await, "done"),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_of_the_older_release_are_listed_counted_compared_and_copied() {
    if App::local().await.is_none() {
        return;
    }
    let before = Before::new().await;
    let old = before.old_code().await;
    for user in ["alice", "bob"] {
        write_before(&old, user, 10).await;
    }
    before.migrate().await;
    let app = before.app(Options::default().with("TASKS_PER_USER", "12")).await;
    for (contract, id) in Contract::BOTH.into_iter().zip(["alice", "bob"]) {
        let user = app.user_with_id(id);
        let front = user.at(contract);
        let list = front.list("").await.expect_status(200);
        match contract {
            Contract::Envelope => assert_eq!(list.json()["data"]["pagination"]["total"], 10),
            Contract::Plain => assert_eq!(list.header("x-total-count"), "10"),
        }
        let tasks = front.all_tasks().await;
        assert_eq!(tasks.len(), 10);
        for limit in [1, 3, 500] {
            let mut replica = Replica::new(user.at(contract));
            replica.assert_current(limit).await;
            assert_eq!(replica.restarts, 0);
        }

        let mut replica = Replica::new(user.at(contract));
        replica.pull(4).await;
        for id in tasks.keys() {
            let get = front.get(id).await.expect_status(200);
            let put =
                || front.request(reqwest::Method::PUT, &format!("/{id}")).json(&json!({ "title": "new" }));
            let edit = tests::Response::to(put().header("if-match", get.etag())).await.expect_status(200);
            assert_ne!(edit.etag(), get.etag());
            tests::Response::to(put().header("if-match", get.etag())).await.expect_status(412);
        }
        replica.assert_current(4).await;

        let create = |title: &str, key: &str| {
            let request = front.request(reqwest::Method::POST, "").header("idempotency-key", key);
            tests::Response::to(request.json(&json!({ "title": title })))
        };
        let replayed = create("0", "key").await.expect_status(201);
        assert_eq!(replayed.header("idempotency-replayed"), "true");
        create("1", "key").await.expect_status(409);
        for key in ["one", "two"] {
            create("new", key).await.expect_status(201);
        }
        let refused = create("new", "three").await.expect_status(409);
        assert!(refused.text.contains("Limit of 12 tasks reached"), "{}", refused.text);
        front.delete(tasks.keys().next().expect("a task")).await.expect_status(204);
        create("new", "three").await.expect_status(201);
        replica.assert_current(4).await;
        // The new code doesn't know the user's earlier writes, so its first write may make the replica start
        // again.
        assert!(replica.restarts <= 1);
    }
}
