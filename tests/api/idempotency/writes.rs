//! `Idempotency-Key` on every write.

use reqwest::{Method, RequestBuilder, header::HeaderValue};
use serde_json::{Value, json};
use tests::{ApiClient, App, Contract, FieldError, Response, errors};
use tokio::task::JoinSet;

use crate::endpoints::{Endpoint, endpoints, rows};

/// How often each of 64 clients sends the same toggle: `TOGGLES`, or 8.
fn toggles() -> usize {
    std::env::var("TOGGLES").ok().and_then(|count| count.parse().ok()).unwrap_or(8)
}

fn writes(contract: Contract) -> impl Iterator<Item = Endpoint> {
    endpoints(contract).into_iter().filter(Endpoint::is_write)
}

/// The endpoints that change or delete an existing task.
fn changes(contract: Contract) -> impl Iterator<Item = Endpoint> {
    writes(contract).filter(Endpoint::names_a_task)
}

async fn send(request: RequestBuilder, key: &str) -> Response {
    Response::to(request.header("idempotency-key", key)).await
}

#[track_caller]
fn assert_first(response: &Response, status: u16) {
    assert_eq!((response.status, response.header("idempotency-replayed")), (status, ""), "{}", response.text);
}

#[track_caller]
fn assert_replayed(response: &Response, status: u16) {
    assert_eq!(
        (response.status, response.header("idempotency-replayed")),
        (status, "true"),
        "{}",
        response.text
    );
}

/// A write without fields.
fn write_nothing(client: &ApiClient<'_>, id: &str) -> RequestBuilder {
    let method = if client.contract == Contract::Envelope { Method::PATCH } else { Method::PUT };
    client.request(method, &format!("/{id}")).json(&json!({}))
}

#[tokio::test(flavor = "multi_thread")]
async fn repeat_has_no_effect_and_returns_the_current_task() {
    let Some(app) = App::local().await else { return };
    for client in app.clients("alice") {
        let contract = client.contract;
        for endpoint in changes(contract) {
            let id = client.id(&client.new_task("Buy milk").await);
            let write = async |key| send(endpoint.request(&client, &id), key).await;
            println!("{contract:?} {} {}", endpoint.method, endpoint.rest);
            assert_first(&write(&id).await, endpoint.status);
            if endpoint.method != Method::DELETE {
                let changed = client.put(&id, json!({ "title": "Meanwhile", "completed": false })).await;
                changed.expect_status(200);
                client.complete(&id, true).await.expect_status(200);
            }
            let now = client.get(&id).await;
            let before = rows(&app).await;
            for _ in 0..3 {
                let again = write(&id).await;
                assert_replayed(&again, endpoint.status);
                if endpoint.method == Method::DELETE {
                    assert_eq!((again.text.as_str(), now.status), ("", 404));
                } else {
                    assert_eq!((client.task(&again), again.etag()), (client.task(&now), now.etag()));
                }
            }
            assert_eq!(rows(&app).await, before);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_reused_with_another_method_task_or_content_is_409() {
    let Some(app) = App::local().await else { return };
    for client in app.clients("alice") {
        let contract = client.contract;
        let other = client.id(&client.new_task("Another").await);
        for endpoint in writes(contract) {
            let id = client.id(&client.new_task("Buy milk").await);
            // The task's id serves as the key, so each endpoint has its own.
            assert_first(&send(endpoint.request(&client, &id), &id).await, endpoint.status);
            let before = rows(&app).await;
            let conflict = async |request: RequestBuilder| {
                send(request, &id).await.assert_error(contract, &errors::CONFLICT);
            };
            for another in
                writes(contract).filter(|it| (&it.method, it.rest) != (&endpoint.method, endpoint.rest))
            {
                println!(
                    "{contract:?} {} {}, {} {}",
                    endpoint.method, endpoint.rest, another.method, another.rest
                );
                conflict(another.request(&client, &id)).await;
            }
            if endpoint.names_a_task() {
                conflict(endpoint.request(&client, &other)).await;
            }
            match endpoint.body.as_ref().map(Value::to_string) {
                Some(body) if body.contains("title") => {
                    conflict(write_nothing(&client, &id)).await;
                    let rest = endpoint.rest.replace("{id}", &id);
                    let mut bodies = vec![
                        json!({ "title": "sleep" }),
                        json!({ "title": "Sleep", "description": "" }),
                        json!({ "title": "Sleep", "description": "long" }),
                        json!({ "title": "Sleep", "due_date": "2026-12-24" }),
                        json!({ "title": "Sleep", "priority": "high" }),
                        json!({ "title": "Sleep", "tags": "a" }),
                    ];
                    if contract == Contract::Plain {
                        bodies.push(json!({ "title": "Sleep", "completed": true }));
                    }
                    for body in bodies {
                        conflict(client.request(endpoint.method.clone(), &rest).json(&body)).await;
                    }
                }
                Some(_) => {
                    let rest = endpoint.rest.replace("{id}", &id);
                    conflict(client.request(Method::PATCH, &rest).json(&json!({ "completed": false }))).await;
                }
                None => {}
            }
            assert_eq!(rows(&app).await, before);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn if_match_is_not_part_of_the_content() {
    let app = App::start().await;
    for client in app.clients("alice") {
        for endpoint in changes(client.contract) {
            let created = client.create(json!({ "title": "Buy milk" })).await.expect_status(201);
            let (id, etag) = (client.id(&client.task(&created)), created.etag());
            let write = async |if_match: &str| {
                send(endpoint.request(&client, &id).header("if-match", if_match), &id).await
            };
            // A write that is not carried out does not use up its key.
            write("\"other\"").await.assert_error(client.contract, &errors::CHANGED);
            assert_first(&write(etag).await, endpoint.status);
            // The write changed the ETag. A repeat must not fail because of that.
            for if_match in [etag, "*", "\"other\""] {
                assert_replayed(&write(if_match).await, endpoint.status);
            }
            assert_replayed(&send(endpoint.request(&client, &id), &id).await, endpoint.status);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeat_for_a_deleted_task_is_404_and_a_repeated_delete_is_204() {
    let app = App::start().await;
    for client in app.clients("alice") {
        for endpoint in changes(client.contract).filter(|endpoint| endpoint.method != Method::DELETE) {
            let id = client.id(&client.new_task("Buy milk").await);
            assert_first(&send(endpoint.request(&client, &id), &id).await, 200);
            let delete = || client.request(Method::DELETE, &format!("/{id}"));
            let key = format!("delete-{id}");
            assert_first(&send(delete(), &key).await, 204);
            for _ in 0..2 {
                send(endpoint.request(&client, &id), &id)
                    .await
                    .assert_error(client.contract, &errors::NOT_FOUND);
                assert_replayed(&send(delete(), &key).await, 204);
                send(delete(), "another").await.assert_error(client.contract, &errors::NOT_FOUND);
            }
        }
        assert_eq!(client.all_tasks().await.len(), 0);
    }
}

/// A client may retry through the other contract, in which the task has another id.
#[tokio::test(flavor = "multi_thread")]
async fn repeated_delete_is_recognized_through_the_other_contract() {
    let app = App::start().await;
    for contract in Contract::BOTH {
        let alice = app.user("alice");
        let (client, other) = (alice.at(contract), alice.at(contract.other()));
        let id = client.id(&client.new_task("Buy milk").await);
        let other_id = other.id(&other.only_task().await);
        let delete = |client: &ApiClient<'_>, id: &str| client.request(Method::DELETE, &format!("/{id}"));
        assert_first(&send(delete(&client, &id), "key").await, 204);
        assert_replayed(&send(delete(&other, &other_id), "key").await, 204);
        assert_replayed(&send(delete(&client, &id), "key").await, 204);
        let another = other.id(&other.new_task("Another").await);
        send(delete(&other, &another), "key").await.assert_error(other.contract, &errors::CONFLICT);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_writes_and_writes_without_fields_use_up_no_key() {
    let app = App::start().await;
    for client in app.clients("alice") {
        let id = client.id(&client.new_task("Buy milk").await);
        for endpoint in writes(client.contract) {
            let key = format!("{} {}", endpoint.method, endpoint.rest).replace([' ', '{', '}'], "-");
            assert_first(&send(write_nothing(&client, &id), &key).await, 200);
            send(client.request(Method::DELETE, "/x"), &key).await.expect_status(422);
            let create = || client.request(Method::POST, "").header("content-type", "application/json");
            send(create().body("{"), &key).await.assert_error(client.contract, &errors::NOT_JSON);
            send(create().body("{}"), &key).await.expect_status(422);
            let missing = client.request(Method::DELETE, &format!("/{}", client.unknown_id()));
            send(missing, &key).await.assert_error(client.contract, &errors::NOT_FOUND);
            let id = if endpoint.method == Method::POST { String::new() } else { id.clone() };
            assert_first(&send(endpoint.request(&client, &id), &key).await, endpoint.status);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_1_to_255_visible_ascii_characters() {
    let app = App::start().await;
    let message = "Input should be 1-255 visible ASCII characters";
    let error = [FieldError::new("header", "idempotency-key", "string_pattern_mismatch", message)];
    for client in app.clients("alice") {
        for endpoint in writes(client.contract) {
            let id = client.id(&client.new_task("Buy milk").await);
            let before = client.all_tasks().await;
            let too_long = "k".repeat(256);
            let texts = ["", " ", "a b", "a\tb", "é", "🔑", &too_long].map(str::as_bytes);
            for key in texts.into_iter().chain([&b"k\xe9"[..], b"\xff"]) {
                let key = HeaderValue::from_bytes(key).expect("a header");
                let request = endpoint.request(&client, &id).header("idempotency-key", key);
                Response::to(request).await.assert_invalid(client.contract, &error);
            }
            assert_eq!(client.all_tasks().await, before);
            let longest = format!("{id:~<255}");
            assert_first(&send(endpoint.request(&client, &id), &longest).await, endpoint.status);
            assert_replayed(&send(endpoint.request(&client, &id), &longest).await, endpoint.status);
        }
        for key in ["!", "~", "\"'\\,;{}"] {
            let create = || client.request(Method::POST, "").json(&json!({ "title": "a" }));
            assert_first(&send(create(), key).await, 201);
            assert_replayed(&send(create(), key).await, 201);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_per_user_and_case_sensitive() {
    let app = App::start().await;
    for contract in Contract::BOTH {
        for user in [app.user("alice"), app.user("bob")] {
            let client = user.at(contract);
            for endpoint in writes(contract) {
                let key = format!("{}-{}", endpoint.method, endpoint.rest.len());
                for key in [key.to_lowercase(), key] {
                    let id = client.id(&client.new_task("Buy milk").await);
                    assert_first(&send(endpoint.request(&client, &id), &key).await, endpoint.status);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_toggle_repeated_by_64_clients_at_the_same_time_toggles_once() {
    let app = App::start().await;
    let alice = app.user("alice");
    let client = alice.plain();
    let id = client.id(&client.new_task("Buy milk").await);
    let mut clients = JoinSet::new();
    for _ in 0..64 {
        let request =
            client.request(Method::PATCH, &format!("/{id}/complete")).header("idempotency-key", "key");
        clients.spawn(async move {
            let mut first = 0;
            for _ in 0..toggles() {
                let response = Response::to(request.try_clone().expect("no body")).await.expect_status(200);
                assert_eq!(response.json()["completed"], true);
                first += usize::from(response.header("idempotency-replayed") != "true");
            }
            first
        });
    }
    let firsts: usize = clients.join_all().await.into_iter().sum();
    assert_eq!(firsts, 1);
    assert_eq!(client.only_task().await["completed"], true);
}
