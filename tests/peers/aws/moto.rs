//! The functions read their configuration from Secrets Manager, which moto simulates.

use std::time::Duration;

use axum::{Router, http::StatusCode};
use jsonwebtoken::Algorithm;
use local::token::{TokenRequest, mint};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tests::{App, Options, Response, SECRET};
use tokio::{net::TcpListener, process::Command, time};

use crate::Server;

/// The name of the secret.
const NAME: &str = "task-api/test";

/// `SECRET_REFRESH_SECONDS` of the functions.
const REFRESH: Duration = Duration::from_secs(2);

async fn moto() -> Server {
    let program = std::env::var("MOTO_SERVER").expect("set by run.sh");
    Server::start(|port| {
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        command
    })
    .await
}

/// Calls an action of Secrets Manager, as an administrator does with the AWS CLI.
async fn secrets_manager(server: &Server, action: &str, body: Value) {
    let request = Client::new()
        .post(server.url())
        .header("x-amz-target", format!("secretsmanager.{action}"))
        .header("content-type", "application/x-amz-json-1.1")
        .header(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=test/20260101/eu-central-1/secretsmanager/aws4_request, SignedHeaders=host, Signature=0",
        )
        .body(body.to_string());
    Response::to(request).await.expect_status(200);
}

/// Starts an API that gets its tokens' secret from Secrets Manager only.
async fn api(server: &Server, secret_id: &str) -> App {
    api_at(&server.url(), secret_id).await
}

async fn api_at(url: &str, secret_id: &str) -> App {
    let options = Options::default()
        .with("SECRET_ID", secret_id)
        .with("AWS_ENDPOINT_URL", url)
        .with("AWS_ACCESS_KEY_ID", "test")
        .with("AWS_SECRET_ACCESS_KEY", "test")
        .with("AWS_REGION", "eu-central-1")
        .with("SECRET_REFRESH_SECONDS", REFRESH.as_secs().to_string())
        .with("JWT_SECRET", "");
    App::local_with(options).await.expect("on this machine")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_configures_the_functions() {
    let server = moto().await;
    let secret = json!({ "JWT_SECRET": SECRET }).to_string();
    secrets_manager(&server, "CreateSecret", json!({ "Name": NAME, "SecretString": secret })).await;
    let app = api(&server, NAME).await;
    app.user("alice").envelope().new_task("configured by a secret").await;
    let log = app.internals().log_text();
    assert!(!log.contains(SECRET), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_secret_is_picked_up_by_running_functions() {
    let server = moto().await;
    let (old, new) = ("o".repeat(32), "n".repeat(32));
    let put = async |action: &str, name: &str, secret: &str| {
        let body = json!({ name: NAME, "SecretString": json!({ "JWT_SECRET": secret }).to_string() });
        secrets_manager(&server, action, body).await;
    };
    put("CreateSecret", "Name", &old).await;
    let app = api(&server, NAME).await;
    let status = async |secret: &str| {
        let request = TokenRequest { user: "alice".into(), hours: 1, ..TokenRequest::default() };
        let token = mint(secret, Algorithm::HS256, &request).expect("HS256 signs");
        Response::to(app.request(Method::GET, "/api/alice/tasks").bearer_auth(token)).await.status
    };
    assert_eq!((status(&old).await, status(&new).await), (200, 401));

    // With both in the secret, tokens of either are accepted during the rotation.
    put("PutSecretValue", "SecretId", &format!("{new},{old}")).await;
    time::sleep(REFRESH + Duration::from_secs(1)).await;
    assert_eq!((status(&old).await, status(&new).await), (200, 200));

    // An invalid secret changes nothing.
    put("PutSecretValue", "SecretId", "short").await;
    time::sleep(REFRESH + Duration::from_secs(1)).await;
    assert_eq!((status(&old).await, status(&new).await), (200, 200));

    put("PutSecretValue", "SecretId", &new).await;
    time::sleep(REFRESH + Duration::from_secs(1)).await;
    assert_eq!((status(&old).await, status(&new).await), (401, 200));
    assert_eq!(app.internals().gateway().function("list-tasks").expect("a function").starts(), 1);

    // The old secret stays in use while Secrets Manager is unavailable.
    server.stop().await;
    time::sleep(REFRESH + Duration::from_secs(1)).await;
    assert_eq!((status(&old).await, status(&new).await), (401, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_in_a_secret_are_logged_in_one_line_at_start() {
    let server = moto().await;
    for (secret, told) in [
        (None, "SECRET_ID names a secret that does not exist"),
        (Some("no JSON"), "SECRET_ID's secret is not a JSON object"),
        (Some("{}"), "JWT_SECRET is not set (nor are BETTER_AUTH_SECRET, JWT_JWKS or JWT_JWKS_URL)"),
        (Some(r#"{"JWT_SECRET": "short"}"#), "JWT_SECRET has 5 bytes, HS256 needs at least 32"),
    ] {
        let name = format!("secret-{}", uuid::Uuid::new_v4());
        if let Some(secret) = secret {
            secrets_manager(&server, "CreateSecret", json!({ "Name": name, "SecretString": secret })).await;
        }
        let app = api(&server, &name).await;
        Response::to(app.request(Method::GET, "/api/alice/tasks")).await.expect_status(500);
        let log = app.internals().log_text();
        assert!(log.contains(&format!("cannot start: {told}")), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unavailable_secrets_manager_is_logged_at_start() {
    let server = moto().await;
    let app = api(&server, NAME).await;
    server.stop().await;
    Response::to(app.request(Method::GET, "/api/alice/tasks")).await.expect_status(500);
    let log = app.internals().log_text();
    assert!(log.contains("cannot start: SECRET_ID's secret can't be fetched"), "{log}");
}

/// With a stub instead of moto, which would need IAM policies to deny access.
#[tokio::test(flavor = "multi_thread")]
async fn a_denied_access_to_the_secret_is_logged_at_start() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let refuse =
        async || (StatusCode::BAD_REQUEST, r#"{"__type": "AccessDeniedException", "Message": "no"}"#);
    let server = tokio::spawn(async move { axum::serve(listener, Router::new().fallback(refuse)).await });
    let app = api_at(&url, NAME).await;
    Response::to(app.request(Method::GET, "/api/alice/tasks")).await.expect_status(500);
    let log = app.internals().log_text();
    let told = "cannot start: SECRET_ID names a secret that this function is not allowed to read";
    assert!(log.contains(told), "{log}");
    server.abort();
}
