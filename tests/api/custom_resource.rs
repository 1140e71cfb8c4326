//! `migrate` as CloudFormation invokes it. It always sends exactly one response, and the invocation always
//! succeeds, because Lambda would repeat a failed one.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::put};
use local::lambda::{Function, FunctionSpec};
use serde_json::{Value, json};
use tests::{binary, empty_database};
use tokio::net::TcpListener;

/// A server in place of CloudFormation's response URL.
#[derive(Clone, Default)]
struct CloudFormation {
    received: Arc<Mutex<Vec<Value>>>,
    /// Statuses to answer with before a response is accepted.
    failures: Arc<Mutex<VecDeque<StatusCode>>>,
}

impl CloudFormation {
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url =
            format!("http://{}/response?signature=x", listener.local_addr().expect("the listener is bound"));
        let router = Router::new().route("/response", put(Self::receive)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    async fn receive(State(this): State<Self>, body: Bytes) -> StatusCode {
        if let Some(failure) = this.failures.lock().expect("no panic").pop_front() {
            return failure;
        }
        this.received.lock().expect("no panic").push(serde_json::from_slice(&body).expect("JSON"));
        StatusCode::OK
    }

    /// Invokes `migrate` with a request, and returns the status and the reason of its response.
    async fn request(&self, environment: &[(&str, &str)], mut event: Value) -> (String, String) {
        event["ResponseURL"] = json!(self.start().await);
        event["StackId"] = json!("stack");
        event["RequestId"] = json!("request");
        event["LogicalResourceId"] = json!("Migration");
        let environment = environment.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        let spec = FunctionSpec {
            name: "migrate".into(),
            binary: binary("migrate").await,
            timeout: Duration::from_secs(60),
            memory: 128,
            environment: environment.collect::<BTreeMap<_, _>>(),
            max_instances: 1,
        };
        let function = Function::new(spec, Arc::new(|_: &str, line: &str| println!("{line}")));
        let outcome = function.invoke(event.to_string().into()).await;
        function.shutdown().await;
        let responses = std::mem::take(&mut *self.received.lock().expect("no panic"));
        assert_eq!(responses.len(), 1, "{responses:?} {outcome:?}");
        assert!(outcome.is_ok(), "{outcome:?}");
        let text = |name: &str| responses[0][name].as_str().expect(name).to_owned();
        let ids = ["StackId", "RequestId", "LogicalResourceId"].map(text);
        assert_eq!(ids, ["stack", "request", "Migration"]);
        (text("Status"), text("Reason"))
    }
}

fn version(number: u32) -> Value {
    json!({ "Version": format!("arn:aws:lambda:eu-central-1:123456789012:function:task-api-migrate:{number}") })
}

fn create() -> Value {
    json!({ "RequestType": "Create", "ResourceProperties": version(1) })
}

fn update(from: u32, to: u32) -> Value {
    json!({
        "RequestType": "Update",
        "PhysicalResourceId": "schema",
        "ResourceProperties": version(to),
        "OldResourceProperties": version(from),
    })
}

fn delete() -> Value {
    json!({ "RequestType": "Delete", "PhysicalResourceId": "schema", "ResourceProperties": version(1) })
}

type Environment = &'static [(&'static str, &'static str)];

const DEAD_DATABASE: Environment = &[("DATABASE_URL", "postgres://user:hidden@127.0.0.1:1/none")];

const NO_CONFIGURATION: Environment = &[];

/// Secrets Manager's address is a port that nothing listens on.
const NO_SECRET: Environment = &[
    ("SECRET_ID", "missing"),
    ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
    ("AWS_REGION", "eu-central-1"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_is_reported() {
    let url = empty_database().await;
    let environment = [("DATABASE_URL", url.as_str())];
    let (status, reason) = CloudFormation::default().request(&environment, create()).await;
    assert_eq!(status, "SUCCESS", "{reason}");
    assert!(reason.starts_with("Applied V1__schema, "), "{reason}");
    let repeated = CloudFormation::default().request(&environment, update(1, 2)).await;
    assert_eq!(repeated, ("SUCCESS".into(), "The schema is up to date.".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_reported_without_failing_the_invocation() {
    for (environment, expected) in [
        (DEAD_DATABASE, "refused"),
        (NO_CONFIGURATION, "DATABASE_URL is not set"),
        (NO_SECRET, "SECRET_ID's secret can't be fetched"),
    ] {
        for event in [create(), update(1, 2)] {
            let (status, reason) = CloudFormation::default().request(environment, event).await;
            assert_eq!(status, "FAILED");
            assert!(reason.contains(expected) && !reason.contains("hidden"), "{reason}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_and_rollback_need_no_database_and_no_configuration() {
    for environment in [DEAD_DATABASE, NO_CONFIGURATION, NO_SECRET] {
        for event in [delete(), update(2, 1)] {
            let (status, reason) = CloudFormation::default().request(environment, event).await;
            assert_eq!(status, "SUCCESS", "{reason}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn response_that_gets_a_503_is_sent_again() {
    let cloud_formation = CloudFormation::default();
    cloud_formation.failures.lock().expect("no panic").push_back(StatusCode::SERVICE_UNAVAILABLE);
    let (status, _) = cloud_formation.request(DEAD_DATABASE, create()).await;
    assert_eq!(status, "FAILED");
}
