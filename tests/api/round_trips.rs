//! Database round trips, counted on the connection: a warm request to any endpoint makes exactly one.

use reqwest::Method;
use serde_json::json;
use tests::{ApiClient, App, Contract, Options, Proxy, Response, database_port};

/// Calls every endpoint, the deletion last. Returns the round trips of each call.
async fn every_endpoint(client: &ApiClient<'_>, proxy: &Proxy) -> Vec<(&'static str, usize)> {
    let mut counts = Vec::new();
    let mut before = proxy.round_trips();
    let mut note = |endpoint, response: Response, status| {
        let response = response.expect_status(status);
        counts.push((endpoint, proxy.round_trips() - before));
        before = proxy.round_trips();
        response
    };
    let created = note("create", client.create(json!({ "title": "One" })).await, 201);
    let id = client.id(&client.task(&created));
    let keyed = client.request(Method::POST, "").header("idempotency-key", uuid::Uuid::new_v4().to_string());
    let keyed = keyed.json(&json!({ "title": "Two" }));
    note("create with a key", Response::to(keyed).await, 201);
    let known = async |rest: &str, response: Response| {
        Response::to(client.request(Method::GET, rest).header("if-none-match", response.etag())).await
    };
    let list = note("list", client.list("").await, 200);
    note("list with a matching If-None-Match", known("", list).await, 304);
    let get = note("get", client.get(&id).await, 200);
    note("get with a matching If-None-Match", known(&format!("/{id}"), get).await, 304);
    note("changes", client.changes("").await, 200);
    note("update", client.put(&id, json!({ "title": "Three" })).await, 200);
    if client.contract == Contract::Envelope {
        note("patch", client.patch(&id, json!({ "completed": true })).await, 200);
        note("patch without fields", client.patch(&id, json!({})).await, 200);
    }
    note("complete", client.complete(&id, true).await, 200);
    let keyed = || {
        let put = client.request(Method::PUT, &format!("/{id}")).json(&json!({ "title": "Four" }));
        Response::to(put.header("idempotency-key", &id).header("if-match", "*"))
    };
    note("update with a key", keyed().await, 200);
    note("replay", keyed().await, 200);
    note("delete", client.delete(&id).await, 204);
    note("get of a deleted task", client.get(&id).await, 404);
    note("erase", client.erase().await, 204);
    note("erase a user without a row", client.erase().await, 204);
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn warm_request_makes_exactly_one_round_trip() {
    let proxy = Proxy::start(database_port().await).await;
    let Some(app) = App::local_with(Options::default().through(proxy.port)).await else { return };
    let alice = app.user("alice");
    for contract in Contract::BOTH {
        every_endpoint(&alice.at(contract), &proxy).await;
    }
    for contract in Contract::BOTH {
        for (endpoint, round_trips) in every_endpoint(&alice.at(contract), &proxy).await {
            assert_eq!(round_trips, 1, "{contract:?} {endpoint}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_requests_and_health_checks_make_no_round_trip() {
    let proxy = Proxy::start(database_port().await).await;
    let Some(app) = App::local_with(Options::default().through(proxy.port)).await else { return };
    let alice = app.user("alice");
    every_endpoint(&alice.envelope(), &proxy).await;

    let before = proxy.round_trips();
    Response::to(app.request(Method::GET, "/health")).await.expect_status(200);
    Response::to(app.request(Method::GET, &format!("/api/{}/tasks", alice.id))).await.expect_status(401);
    let foreign = app.request(Method::GET, "/api/bob/tasks").bearer_auth(&alice.token);
    Response::to(foreign).await.expect_status(403);
    alice.envelope().list("?limit=0").await.expect_status(422);
    alice.envelope().create(json!({ "title": "" })).await.expect_status(422);
    alice.envelope().get("no-uuid").await.expect_status(422);
    assert_eq!(proxy.round_trips(), before);
}
