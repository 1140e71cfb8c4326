//! Writes with an `Idempotency-Key`: here `POST …/tasks`, in `writes` all writes.

mod writes;

use reqwest::{Method, header::HeaderValue};
use serde_json::{Value, json};
use tests::{ApiClient, App, Contract, Response, errors};
use tokio::task::JoinSet;

async fn create(client: &ApiClient<'_>, key: impl AsRef<[u8]>, body: &Value) -> Response {
    let key = HeaderValue::from_bytes(key.as_ref()).expect("a key that can be sent");
    Response::to(client.request(Method::POST, "").header("Idempotency-Key", key).json(body)).await
}

/// Checks that the response is a task that this request created, and returns the task.
#[track_caller]
fn created(client: &ApiClient, response: Response) -> Value {
    let response = response.expect_status(201);
    assert_eq!(response.headers.get("idempotency-replayed"), None, "{}", response.text);
    client.task(&response)
}

/// Checks that the response is a replay of an earlier create, and returns the task.
#[track_caller]
fn replayed(client: &ApiClient, response: Response) -> Value {
    let response = response.expect_status(201);
    assert_eq!(response.header("idempotency-replayed"), "true", "{}", response.text);
    let task = client.task(&response);
    let location = response.header("location");
    assert!(location.ends_with(&format!("/tasks/{}", client.id(&task))), "{location}");
    task
}

#[tokio::test(flavor = "multi_thread")]
async fn repeat_with_the_same_body_returns_the_same_task() {
    let app = App::start().await;
    for client in app.clients("alice") {
        let body = json!({ "title": "Buy milk", "description": "2 litres", "due_date": "2026-12-24" });
        let task = created(&client, create(&client, "key", &body).await);
        for _ in 0..3 {
            assert_eq!(replayed(&client, create(&client, "key", &body).await), task);
        }
        assert_eq!(client.only_task().await, task);

        // A repeat returns the task as it is now, not as it was created.
        let changed = client.put(&client.id(&task), json!({ "title": "Buy bread" })).await.expect_status(200);
        assert_eq!(replayed(&client, create(&client, "key", &body).await), client.task(&changed));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_is_shared_by_both_contracts() {
    let app = App::start().await;
    for contract in Contract::BOTH {
        let alice = app.user("alice");
        let (client, other) = (alice.at(contract), alice.at(contract.other()));
        let body = json!({ "title": "a" });
        let task = created(&client, create(&client, "key", &body).await);
        let seen = replayed(&other, create(&other, "key", &body).await);
        assert_eq!(seen, other.only_task().await);
        assert_eq!(client.only_task().await, task);
        let response = create(&other, "key", &json!({ "title": "b" })).await;
        response.assert_error(other.contract, &errors::CONFLICT);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_creates_with_one_key_and_two_bodies_create_one_and_the_other_is_409() {
    let app = App::start().await;
    // The users are new, so their rows are created at the same time.
    for client in app.clients("alice") {
        let mut creates = JoinSet::new();
        for number in 0..20 {
            let title = if number % 2 == 0 { "even" } else { "odd" };
            let request = client.request(Method::POST, "").header("idempotency-key", "key");
            let response = Response::to(request.json(&json!({ "title": title })));
            creates.spawn(async move { (title, response.await) });
        }
        let responses = creates.join_all().await;
        let task = client.only_task().await;
        let mut creators = 0;
        for (title, response) in responses {
            if task["title"] == title {
                assert_eq!(client.task(&response), task);
                creators +=
                    usize::from(response.expect_status(201).header("idempotency-replayed").is_empty());
            } else {
                response.assert_error(client.contract, &errors::CONFLICT);
            }
        }
        assert_eq!(creators, 1, "one request creates the task, the others are replays");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn identical_requests_without_a_key_create_two_tasks() {
    let app = App::start().await;
    for client in app.clients("alice") {
        let body = json!({ "title": "a" });
        created(&client, create(&client, "key", &body).await);
        for _ in 0..2 {
            created(&client, client.create(body.clone()).await);
        }
        assert_eq!(client.tasks(&client.list("").await).len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_of_a_deleted_task_is_404_and_never_creates_it_again() {
    let app = App::start().await;
    for client in app.clients("alice") {
        let body = json!({ "title": "a" });
        let task = created(&client, create(&client, "key", &body).await);
        client.delete(&client.id(&task)).await.expect_status(204);
        for _ in 0..2 {
            create(&client, "key", &body).await.assert_error(client.contract, &errors::NOT_FOUND);
            let other = create(&client, "key", &json!({ "title": "b" })).await;
            other.assert_error(client.contract, &errors::CONFLICT);
        }
        assert_eq!(client.all_tasks().await.len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn content_is_compared_as_parsed_values() {
    let app = App::start().await;
    let alice = app.user("alice");
    let client = alice.envelope();
    let spellings = [
        r#"{"title":"é","description":null,"due_date":"2026-12-24T00:00:00Z","tags":"a, b"}"#,
        r#"{"due_date":"2026-12-24T00:00","title":"\u00e9","tags":["a","b","a"],"priority":"medium"}"#,
        r#"{ "dueDate": "2026-12-24T01:00:00.000+01:00", "title": "é", "tags": "a,b", "completed": true, "unknown": [1] }"#,
        r#"{"title":"é","dueDate":"2026-12-24T00:00","due_date":"2026-12-24T00:00:00.0Z","tags":"a,b","priority":null}"#,
    ];
    let mut tasks = Vec::new();
    for spelling in spellings {
        let request = client.request(Method::POST, "").header("idempotency-key", "key");
        let response = Response::to(request.header("content-type", "application/json").body(spelling)).await;
        tasks.push(client.task(&response.expect_status(201)));
    }
    assert!(tasks.iter().all(|task| *task == tasks[0]), "{tasks:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_kept_for_24_hours() {
    let Some(app) = App::local().await else { return };
    let database = app.internals().database().await;
    for client in app.clients("alice") {
        let body = json!({ "title": "a" });
        let task = created(&client, create(&client, "key", &body).await);
        let age = "update idempotency_keys set used_at = used_at - interval '23 hours 58 minutes';
                   update users set updated_at = updated_at - interval '23 hours 58 minutes'";
        database.batch_execute(age).await.expect("a superuser can run this");
        // Any write may delete expired keys.
        for key in ["key2", "key3"] {
            let id = client.id(&created(&client, create(&client, key, &body).await));
            client.put(&id, json!({ "title": "b" })).await.expect_status(200);
            client.delete(&id).await.expect_status(204);
        }
        assert_eq!(replayed(&client, create(&client, "key", &body).await), task);
        create(&client, "key", &json!({ "title": "b" }))
            .await
            .assert_error(client.contract, &errors::CONFLICT);
    }
}
