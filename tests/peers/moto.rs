//! The functions take their configuration from Secrets Manager: the SDK's own calls, answered by moto.

use std::time::Duration;

use axum::{Router, http::StatusCode};
use jsonwebtoken::Algorithm;
use local::token::{TokenRequest, mint};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tests::{Answer, App, Options, SECRET};
use tokio::{net::TcpListener, process::Command, time};

use crate::Server;

const NAME: &str = "task-api/test";

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

/// Does what an administrator does with the AWS CLI.
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
    Answer::to(request).await.expect_status(200);
}

/// The API without a word of configuration but where its secret is.
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
    let log = app.hands_on().log_text();
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
        Answer::to(app.request(Method::GET, "/api/alice/tasks").bearer_auth(token)).await.status
    };
    assert_eq!((status(&old).await, status(&new).await), (200, 401));

    // Both verify while the new one spreads.
    put("PutSecretValue", "SecretId", &format!("{new},{old}")).await;
    time::sleep(REFRESH + Duration::from_secs(1)).await;
    assert_eq!((status(&old).await, status(&new).await), (200, 200));

    // One that can't be used changes nothing.
    put("PutSecretValue", "SecretId", "short").await;
    time::sleep(REFRESH + Duration::from_secs(1)).await;
    assert_eq!((status(&old).await, status(&new).await), (200, 200));

    put("PutSecretValue", "SecretId", &new).await;
    time::sleep(REFRESH + Duration::from_secs(1)).await;
    assert_eq!((status(&old).await, status(&new).await), (401, 200));
    assert_eq!(app.hands_on().gateway().function("list-tasks").expect("a function").starts(), 1);

    // Nor does it matter that Secrets Manager is away for a while.
    server.stop().await;
    time::sleep(REFRESH + Duration::from_secs(1)).await;
    assert_eq!((status(&old).await, status(&new).await), (401, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_secret_is_told_in_one_line() {
    let server = moto().await;
    for (secret, told) in [
        (None, "SECRET_ID names a secret that does not exist"),
        (Some("no JSON"), "SECRET_ID's secret is not a JSON object"),
        (Some("{}"), "JWT_SECRET is not set (nor are BETTER_AUTH_SECRET or JWT_JWKS_URL)"),
        (Some(r#"{"JWT_SECRET": "short"}"#), "JWT_SECRET has 5 bytes, HS256 needs at least 32"),
    ] {
        let name = format!("secret-{}", uuid::Uuid::new_v4());
        if let Some(secret) = secret {
            secrets_manager(&server, "CreateSecret", json!({ "Name": name, "SecretString": secret })).await;
        }
        let app = api(&server, &name).await;
        Answer::to(app.request(Method::GET, "/api/alice/tasks")).await.expect_status(500);
        let log = app.hands_on().log_text();
        assert!(log.contains(&format!("cannot start: {told}")), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secrets_manager_out_of_reach_is_told_within_the_time_to_start() {
    let server = moto().await;
    let app = api(&server, NAME).await;
    server.stop().await;
    Answer::to(app.request(Method::GET, "/api/alice/tasks")).await.expect_status(500);
    let log = app.hands_on().log_text();
    assert!(log.contains("cannot start: SECRET_ID's secret can't be fetched"), "{log}");
}

/// What moto doesn't do without a whole set of policies: to refuse.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_may_not_be_read_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let refuse =
        async || (StatusCode::BAD_REQUEST, r#"{"__type": "AccessDeniedException", "Message": "no"}"#);
    let server = tokio::spawn(async move { axum::serve(listener, Router::new().fallback(refuse)).await });
    let app = api_at(&url, NAME).await;
    Answer::to(app.request(Method::GET, "/api/alice/tasks")).await.expect_status(500);
    let log = app.hands_on().log_text();
    let told = "cannot start: SECRET_ID names a secret that this function is not allowed to read";
    assert!(log.contains(told), "{log}");
    server.abort();
}
