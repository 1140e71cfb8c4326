//! A database that is used, restored elsewhere, and used again. `restore/run.sh` restores it.

use serde_json::{Value, json};
use shared::sql;
use tests::{ApiClient, App, Options, connect};

fn url(variable: &str) -> String {
    std::env::var(variable).expect("set by run.sh")
}

async fn app() -> App {
    let options = Options::default().with("DATABASE_URL", url("ENDPOINTS_URL"));
    App::local_with(options).await.expect("on this machine")
}

async fn titles(client: &ApiClient<'_>) -> Vec<Value> {
    let tasks = client.tasks(&client.list("").await.expect_status(200));
    tasks.iter().map(|task| task["title"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_used() {
    let app = app().await;
    for id in ["alice", "bob"] {
        let user = app.user_with_id(id);
        let client = user.envelope();
        for number in 1..=3 {
            client.new_task(&format!("{number} of {id}")).await;
        }
        let deleted = client.id(&client.new_task("Deleted").await);
        client.delete(&deleted).await.expect_status(204);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_database_is_complete_and_both_walls_stand() {
    let (app, superuser) = (app().await, connect(&url("SUPERUSER_URL")).await);
    let (alice, bob) = (app.user_with_id("alice"), app.user_with_id("bob"));
    let (alice, bob) = (alice.envelope(), bob.envelope());
    assert_eq!(titles(&bob).await, ["3 of bob", "2 of bob", "1 of bob"]);

    let id = alice.id(&alice.new_task("4 OF ALICE").await);
    assert_eq!(titles(&alice).await, ["4 OF ALICE", "3 of alice", "2 of alice", "1 of alice"]);
    let found = alice.list("?search=4%20of%20alice").await.expect_status(200);
    assert_eq!(alice.tasks(&found).len(), 1);
    alice.put(&id, json!({ "title": "4 of alice" })).await.expect_status(200);
    alice.complete(&id, true).await.expect_status(200);
    bob.get(&id).await.expect_status(404);

    // The second wall alone: functions without their filters.
    let filterless = sql::functions_in(&sql::SCHEMA)
        .replace("create function", "create or replace function")
        .replace("t.user_id = p_user_id", "true")
        .replace("u.id = p_user_id", "true");
    let alone = format!("set role task_api; {filterless} reset role");
    superuser.batch_execute(&alone).await.expect("task_api owns the functions");
    assert_eq!(titles(&alice).await, ["4 of alice", "3 of alice", "2 of alice", "1 of alice"]);
    bob.get(&id).await.expect_status(404);

    // The third: the login of the endpoints has no right to a table, and can't take on another role.
    let endpoint = connect(&url("ENDPOINTS_URL")).await;
    for statement in
        ["select from public.tasks", "set role task_api", "set role provider", "create table t ()"]
    {
        endpoint.batch_execute(statement).await.expect_err(statement);
    }

    alice.delete(&id).await.expect_status(204);
    assert_eq!(titles(&alice).await.len(), 3);
}
