//! Metrics in the request's log line, checked by the rules of CloudWatch's "Specification: Embedded metric
//! format".

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{App, Options, Response};

const NAMESPACE: &str = "task-api/test";

/// The names of the metrics in a line, which must follow the specification; `None` if the line has no
/// metrics.
fn metrics(line: &Value) -> Option<BTreeSet<&str>> {
    let metadata = line.get("_aws")?.as_object().expect("an object");
    let members: BTreeSet<_> = metadata.keys().map(String::as_str).collect();
    assert_eq!(members, BTreeSet::from(["CloudWatchMetrics", "Timestamp"]));
    // Milliseconds since the epoch, not seconds: this range is 2001 to 2096.
    assert!(
        (1_000_000_000_000..4_000_000_000_000)
            .contains(&metadata["Timestamp"].as_u64().expect("a whole number"))
    );
    let mut names = BTreeSet::new();
    for directive in metadata["CloudWatchMetrics"].as_array().expect("an array") {
        let members: BTreeSet<_> =
            directive.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(members, BTreeSet::from(["Dimensions", "Metrics", "Namespace"]));
        assert_eq!(directive["Namespace"], NAMESPACE);
        let dimension = directive["Dimensions"][0][0].as_str().expect("text");
        assert_eq!(directive["Dimensions"], json!([[dimension]]));
        let value = line[dimension].as_str().expect("a member with text");
        assert!((1..=1024).contains(&value.len()) && value.is_ascii());
        let definitions = directive["Metrics"].as_array().expect("an array");
        assert!((1..=100).contains(&definitions.len()));
        for definition in definitions {
            let name = definition["Name"].as_str().expect("text");
            assert!(line[name].is_number(), "{name} must be a number: {line}");
            let (unit, expected) =
                if name == "errors" { ("Count", "function") } else { ("Milliseconds", "route") };
            assert_eq!((definition["Unit"].as_str(), dimension), (Some(unit), expected));
            assert!(names.insert(name), "{name} is defined twice");
        }
    }
    assert!(line.to_string().len() < 256 * 1024);
    Some(names)
}

fn request_lines(app: &App) -> Vec<Value> {
    app.internals().log_lines().into_iter().filter(|line| line["message"] == "request").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn request_line_has_the_durations_and_whether_it_is_a_server_error() {
    let Some(app) = App::local_with(Options::default().with("METRICS_NAMESPACE", NAMESPACE)).await else {
        return;
    };
    let alice = app.user("alice");
    alice.envelope().new_task("\",\"database_ms\":").await;
    Response::to(app.request(Method::GET, "/health")).await.expect_status(200);
    Response::to(app.request(Method::GET, "/api/alice/tasks")).await.expect_status(401);
    let lines = app.internals().log_lines();
    for line in &lines {
        let expected: &[&str] = match (line["message"].as_str(), line["status"].as_u64()) {
            (Some("request"), Some(201)) => &["database_ms", "errors", "ms"],
            (Some("request"), _) => &["errors", "ms"],
            _ => &[],
        };
        assert_eq!(metrics(line).unwrap_or_default(), expected.iter().copied().collect(), "{line}");
    }
    assert_eq!(request_lines(&app).len(), 3);
    assert!(request_lines(&app).iter().all(|line| line["errors"] == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn payload_that_is_no_event_counts_as_an_error_of_its_function_without_a_route() {
    let Some(app) = App::local_with(Options::default().with("METRICS_NAMESPACE", NAMESPACE)).await else {
        return;
    };
    app.internals().invoke("list-tasks", &json!({ "source": "aws.events" })).await.expect_status(500);
    let [line] = &request_lines(&app)[..] else { panic!("expected one request line") };
    assert_eq!(metrics(line), Some(["errors"].into()));
    assert_eq!((&line["errors"], line.get("route")), (&json!(1), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn request_line_has_no_metrics_without_a_namespace() {
    let Some(app) = App::local().await else { return };
    Response::to(app.request(Method::GET, "/health")).await.expect_status(200);
    let [line] = &request_lines(&app)[..] else { panic!("expected one request line") };
    assert_eq!(metrics(line), None);
}
