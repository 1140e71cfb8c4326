//! `GET /health` and `GET /health/ready`.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, App, Contract, Options, refusals};
use tokio::net::TcpListener;

/// Nothing listens on port 1.
const NOWHERE: &str = "postgresql://user:hunter2@127.0.0.1:1/nowhere";

async fn get(app: &App, path: &str) -> Answer {
    let answer = Answer::to(app.request(Method::GET, path)).await;
    assert!(!answer.header("x-request-id").is_empty(), "{path}");
    assert_eq!(answer.header("content-type"), "application/json", "{path}");
    answer
}

/// Holds the answer against a service that is well, and gives the time that it tells.
#[track_caller]
fn assert_well(answer: Answer, status: &str) -> String {
    let mut body = answer.expect_status(200).json();
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
async fn needs_no_token_and_minds_none() {
    let app = App::start().await;
    for (path, status) in [("/health", "healthy"), ("/plain/health", "healthy"), ("/health/ready", "ready")] {
        assert_well(get(&app, path).await, status);
        let request = app.request(Method::GET, path).bearer_auth("nonsense");
        assert_well(Answer::to(request).await, status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tells_the_time_of_now_and_an_id_for_each_request() {
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
        let told = assert_well(first, status);
        let told = told.trim_end_matches('Z');
        assert!(*before <= *told && *told <= *now().await, "{before} {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_it_is_healthy_but_not_ready_and_does_not_say_why() {
    let Some(app) = App::local().await else { return };
    let another = app.hands_on().database_url.replace("/test_", "/gone_");
    assert_ne!(another, app.hands_on().database_url);
    for url in [NOWHERE, &another, ""] {
        let options = Options::default().with("DATABASE_URL", url);
        let Some(app) = App::local_with(options).await else { return };
        for path in ["/health", "/plain/health"] {
            assert_well(get(&app, path).await, "healthy");
        }
        // Once more, for a process that has failed before.
        for _ in 0..2 {
            assert_not_ready(&get(&app, "/health/ready").await);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_keeps_silent_makes_it_not_ready_within_seconds() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = silent.local_addr().expect("an address");
    let url = format!("postgresql://user:hunter2@{address}/silent");
    let Some(app) = App::local_with(Options::default().with("DATABASE_URL", url)).await else { return };
    assert_well(get(&app, "/health").await, "healthy");
    let asked = Instant::now();
    assert_not_ready(&get(&app, "/health/ready").await);
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
}

/// The body is held against fixed words, so it can't say why.
#[track_caller]
fn assert_not_ready(answer: &Answer) {
    answer.assert_refused(Contract::Envelope, &refusals::UNAVAILABLE);
    let retry_after = answer.header("retry-after").parse::<u32>();
    assert!(retry_after.is_ok_and(|seconds| seconds >= 1), "{:?}", answer.headers);
}
