//! Limits per user: the number of tasks, and writes per minute.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use tests::{ApiClient, App, Contract, ErrorResponse, Options, Response, errors};
use tokio::time::sleep;

use crate::endpoints::{endpoints, rows};

const LIMIT_OF_3: ErrorResponse = ErrorResponse {
    status: 409,
    code: "CONFLICT",
    message: "Limit of 3 tasks reached",
    detail: "Limit of 3 tasks reached",
};

async fn create(client: &ApiClient<'_>) -> Response {
    client.create(json!({ "title": "a" })).await
}

async fn create_with(client: &ApiClient<'_>, key: &str) -> Response {
    let request = client.request(Method::POST, "").header("idempotency-key", key);
    Response::to(request.json(&json!({ "title": "a" }))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn create_beyond_tasks_per_user_is_409_and_nothing_else_is_affected() {
    let Some(app) = App::local_with(Options::default().with("TASKS_PER_USER", "3")).await else { return };
    for contract in Contract::BOTH {
        let (alice, bob) = (app.user("alice"), app.user("bob"));
        let client = alice.at(contract);
        let keyed = create_with(&client, "key").await.expect_status(201);
        let id = client.id(&client.task(&keyed));
        for _ in 0..2 {
            create(&client).await.expect_status(201);
        }
        let before = rows(&app).await;
        for client in [alice.at(contract), alice.at(contract.other())] {
            create(&client).await.assert_error(client.contract, &LIMIT_OF_3);
        }
        create_with(&client, "refused").await.assert_error(contract, &LIMIT_OF_3);
        let replayed = create_with(&client, "key").await.expect_status(201);
        assert_eq!(replayed.header("idempotency-replayed"), "true");
        assert_eq!(rows(&app).await, before);

        create(&bob.at(contract)).await.expect_status(201);
        client.put(&id, json!({ "title": "b" })).await.expect_status(200);
        client.complete(&id, true).await.expect_status(200);
        client.delete(&id).await.expect_status(204);
        let first = create_with(&client, "refused").await.expect_status(201);
        assert_eq!(first.header("idempotency-replayed"), "");
        create(&client).await.assert_error(contract, &LIMIT_OF_3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_creates_never_exceed_tasks_per_user() {
    let Some(app) = App::local_with(Options::default().with("TASKS_PER_USER", "3")).await else { return };
    for client in app.clients("alice") {
        let responses = join_all((0..16).map(|_| create(&client))).await;
        let (created, refused): (Vec<_>, Vec<_>) =
            responses.into_iter().partition(|response| response.status == 201);
        assert_eq!(created.len(), 3);
        for response in refused {
            response.assert_error(client.contract, &LIMIT_OF_3);
        }
        assert_eq!(client.all_tasks().await.len(), 3);
    }
}

/// Writes per minute: the budget gains one write every three seconds.
const PER_MINUTE: u32 = 20;
/// Writes in a full budget: those of ten minutes.
const BUCKET: u32 = PER_MINUTE * 10;

async fn app_with_budget() -> Option<App> {
    App::local_with(Options::default().with("WRITES_PER_MINUTE", PER_MINUTE.to_string())).await
}

/// Returns the remaining budget from the headers of a response, and checks that they are well-formed.
#[track_caller]
fn remaining(response: &Response) -> u32 {
    assert_eq!(
        response.header("ratelimit-policy"),
        format!("\"writes\";q={BUCKET};w=600"),
        "{}",
        response.text
    );
    let state = response.header("ratelimit");
    let parameters = state.strip_prefix("\"writes\";r=").unwrap_or_else(|| panic!("{state:?}"));
    let (left, seconds) = parameters.split_once(";t=").unwrap_or_else(|| panic!("{state:?}"));
    assert!(seconds.parse::<u32>().is_ok_and(|seconds| seconds <= 600), "{state:?}");
    if left == "0" && response.status == 429 {
        assert_eq!(seconds, response.header("retry-after"), "{state:?}");
    }
    let left = left.parse().unwrap_or_else(|_| panic!("{state:?}"));
    assert!(left <= BUCKET, "{state:?}");
    left
}

#[track_caller]
fn assert_no_headers(response: &Response) {
    for name in ["ratelimit", "ratelimit-policy"] {
        assert_eq!(response.header(name), "", "{} {}", response.status, response.text);
    }
}

/// Writes until the user's budget is used up. Returns the number of writes.
async fn use_up_budget(client: &ApiClient<'_>) -> u32 {
    let one = async || {
        let mut done = 0;
        loop {
            let response = create(client).await;
            if response.status == 429 {
                return done;
            }
            response.expect_status(201);
            done += 1;
        }
    };
    let done = join_all((0..4).map(|_| one())).await;
    done.into_iter().sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_report_the_budget_and_only_writes_carried_out_use_it() {
    let Some(app) = app_with_budget().await else { return };
    for contract in Contract::BOTH {
        let (alice, bob) = (app.user("alice"), app.user("bob"));
        let client = alice.at(contract);
        let first = create_with(&client, "key").await.expect_status(201);
        let mut expected = remaining(&first);
        assert_eq!(expected, BUCKET - 1);
        let id = client.id(&client.task(&first));

        for (refused, status) in [
            (create_with(&client, "key").await, 201),
            (client.put(&client.unknown_id(), json!({ "title": "b" })).await, 404),
            (client.delete(&client.unknown_id()).await, 404),
            (
                Response::to(
                    client.request(Method::DELETE, &format!("/{id}")).header("if-match", "\"other\""),
                )
                .await,
                412,
            ),
            (
                Response::to(
                    client.request(Method::DELETE, &format!("/{id}")).header("idempotency-key", "key"),
                )
                .await,
                409,
            ),
        ] {
            let now = remaining(&refused.expect_status(status));
            assert!((expected..=expected + 1).contains(&now), "{status}: {now} of {expected}");
        }
        for (response, status) in [
            (client.get(&id).await, 200),
            (client.list("").await, 200),
            (client.changes("").await, 200),
            (create(&bob.at(contract)).await.expect_status(201), 201),
            (client.create(json!({ "title": "" })).await, 422),
            (client.delete("x").await, 422),
            (Response::to(app.request(Method::DELETE, &format!("/api/{}/tasks/{id}", alice.id))).await, 401),
        ] {
            let response = response.expect_status(status);
            if status == 201 {
                assert_eq!(remaining(&response), BUCKET - 1, "another user has a budget of their own");
            } else {
                assert_no_headers(&response);
            }
        }
        for endpoint in endpoints(contract).iter().filter(|endpoint| endpoint.is_write()) {
            let response = Response::to(endpoint.request(&client, &id)).await.expect_status(endpoint.status);
            let now = remaining(&response);
            // The budget may have gained a write in the meantime.
            assert!((expected - 1..=expected).contains(&now), "{} {}", endpoint.method, endpoint.rest);
            expected = now;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_bucket_is_429_writes_nothing_and_refills() {
    let Some(app) = app_with_budget().await else { return };
    for client in app.clients("alice") {
        let contract = client.contract;
        let started = Instant::now();
        let done = 1 + {
            let keyed = create_with(&client, "key").await.expect_status(201);
            remaining(&keyed);
            use_up_budget(&client).await
        };
        let refilled = u32::try_from(started.elapsed().as_secs()).expect("a small number") / 3 + 1;
        assert!((BUCKET..=BUCKET + refilled).contains(&done), "{done} of {BUCKET}, {:?}", started.elapsed());

        let id = client.all_tasks().await.into_keys().next().expect("a task");
        let before = rows(&app).await;
        let mut retry_after = 0;
        for endpoint in endpoints(contract).iter().filter(|endpoint| endpoint.is_write()) {
            // The budget is checked before the task, and the task before If-Match.
            for id in [&id, &client.unknown_id()] {
                let request = endpoint.request(&client, id).header("if-match", "\"other\"");
                let response = Response::to(request.header("idempotency-key", "unused")).await;
                if response.status != 429 {
                    // The budget has just gained a write, so the request was carried out or rejected for
                    // another reason.
                    continue;
                }
                response.assert_error(contract, &errors::TOO_MANY_WRITES);
                assert_eq!(remaining(&response), 0);
                retry_after = response.header("retry-after").parse().expect("whole seconds");
                assert!((1..=3).contains(&retry_after), "{retry_after}");
            }
        }
        assert!(retry_after > 0, "at least one write is 429");
        let replayed = create_with(&client, "key").await.expect_status(201);
        assert_eq!(replayed.header("idempotency-replayed"), "true");
        let other =
            client.request(Method::POST, "").header("idempotency-key", "key").json(&json!({ "title": "b" }));
        Response::to(other).await.assert_error(contract, &errors::CONFLICT);
        for response in [client.get(&id).await, client.list("").await, client.changes("").await] {
            response.expect_status(200);
        }
        let after = rows(&app).await;
        // If the budget gained a write in between, the create with the key "unused" was carried out.
        assert!(after == before || after.contains("unused"), "{after}");

        use_up_budget(&client).await;
        let refused = create(&client).await;
        refused.assert_error(contract, &errors::TOO_MANY_WRITES);
        sleep(Duration::from_secs(refused.header("retry-after").parse().expect("whole seconds"))).await;
        create(&client).await.expect_status(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn budget_is_checked_before_the_limit_of_tasks() {
    let options = Options::default().with("WRITES_PER_MINUTE", "1").with("TASKS_PER_USER", "3");
    let Some(app) = App::local_with(options).await else { return };
    for client in app.clients("alice") {
        let id = client.id(&client.task(&create(&client).await.expect_status(201)));
        for _ in 0..2 {
            create(&client).await.expect_status(201);
        }
        create(&client).await.assert_error(client.contract, &LIMIT_OF_3);
        for _ in 0..7 {
            client.put(&id, json!({ "title": "b" })).await.expect_status(200);
        }
        let refused = create(&client).await;
        refused.assert_error(client.contract, &errors::TOO_MANY_WRITES);
        assert_eq!(refused.header("ratelimit-policy"), "\"writes\";q=10;w=600");
        let retry_after: u32 = refused.header("retry-after").parse().expect("whole seconds");
        assert!((50..=60).contains(&retry_after), "{retry_after}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn zero_writes_per_minute_disables_the_budget_and_its_headers() {
    let Some(app) = App::local_with(Options::default().with("WRITES_PER_MINUTE", "0")).await else { return };
    for client in app.clients("alice") {
        let id = client.id(&client.new_task("Buy milk").await);
        for endpoint in endpoints(client.contract) {
            assert_no_headers(
                &Response::to(endpoint.request(&client, &id)).await.expect_status(endpoint.status),
            );
        }
        let response = client.delete(&client.unknown_id()).await;
        assert_no_headers(&response.expect_status(404));
    }
}
