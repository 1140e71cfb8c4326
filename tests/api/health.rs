//! `GET /health` and `GET /health/ready`, with and without a database.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tests::{App, Contract, Options, Response, errors};
use tokio::net::TcpListener;

/// A database that can't be reached: nothing listens on port 1.
const UNREACHABLE: &str = "postgresql://user:hunter2@127.0.0.1:1/nowhere";

async fn get(app: &App, path: &str) -> Response {
    let response = Response::to(app.request(Method::GET, path)).await;
    response.assert_common_headers();
    assert_eq!(response.header("content-type"), "application/json", "{path}");
    response
}

/// Checks that a response reports a healthy service, and returns its timestamp.
#[track_caller]
fn assert_healthy(response: Response, status: &str) -> String {
    let mut body = response.expect_status(200).json();
    let timestamp = body["timestamp"].take();
    let timestamp = timestamp.as_str().unwrap_or_default();
    let shape: String =
        timestamp.chars().map(|sign| if sign.is_ascii_digit() { '0' } else { sign }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00Z", "{timestamp}");
    assert_eq!(
        body,
        json!({
            "status": status, "service": "task-api", "version": env!("CARGO_PKG_VERSION"), "timestamp": null,
        })
    );
    timestamp.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn needs_no_token_and_ignores_an_invalid_one() {
    let app = App::start().await;
    for (path, status) in [("/health", "healthy"), ("/plain/health", "healthy"), ("/health/ready", "ready")] {
        assert_healthy(get(&app, path).await, status);
        let request = app.request(Method::GET, path).bearer_auth("nonsense");
        assert_healthy(Response::to(request).await, status);
        let head = Response::to(app.request(Method::HEAD, path)).await.expect_status(200);
        assert_eq!((head.header("content-type"), &*head.text), ("application/json", ""), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn returns_the_current_time_and_a_new_request_id() {
    let Some(app) = App::local().await else { return };
    let alice = app.user("alice");
    let now = async || {
        let task: Value = alice.envelope().new_task("what time is it?").await;
        task["created_at"].as_str().expect("a time")[.."2026-01-06T15:30:00".len()].to_owned()
    };
    for (path, status) in [("/health", "healthy"), ("/plain/health", "healthy"), ("/health/ready", "ready")] {
        let before = now().await;
        let (first, second) = (get(&app, path).await, get(&app, path).await);
        assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
        let timestamp = assert_healthy(first, status);
        let timestamp = timestamp.trim_end_matches('Z');
        assert!(*before <= *timestamp && *timestamp <= *now().await, "{before} {timestamp}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_health_is_200_and_ready_is_503_without_a_reason() {
    let Some(app) = App::local().await else { return };
    let missing_database = app.internals().database_url.replace("/test_", "/gone_");
    assert_ne!(missing_database, app.internals().database_url);
    for url in [UNREACHABLE, &missing_database, ""] {
        let options = Options::default().with("DATABASE_URL", url);
        let Some(app) = App::local_with(options).await else { return };
        for path in ["/health", "/plain/health"] {
            assert_healthy(get(&app, path).await, "healthy");
        }
        // Twice, so that the second request meets a process whose ping has failed.
        for _ in 0..2 {
            assert_not_ready(&get(&app, "/health/ready").await);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unresponsive_database_makes_ready_503_within_4_seconds() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = silent.local_addr().expect("an address");
    let url = format!("postgresql://user:hunter2@{address}/silent");
    let Some(app) = App::local_with(Options::default().with("DATABASE_URL", url)).await else { return };
    assert_healthy(get(&app, "/health").await, "healthy");
    let asked = Instant::now();
    assert_not_ready(&get(&app, "/health/ready").await);
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
}

/// Checks for the fixed body of a 503, which gives no reason.
#[track_caller]
fn assert_not_ready(response: &Response) {
    response.assert_error(Contract::Envelope, &errors::UNAVAILABLE);
    let retry_after = response.header("retry-after").parse::<u32>();
    assert!(retry_after.is_ok_and(|seconds| seconds >= 1), "{:?}", response.headers);
}
