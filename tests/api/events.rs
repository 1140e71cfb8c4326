//! Lambda events sent without the gateway: the samples in `events/`, and events that the gateway never sends.

use std::{collections::BTreeSet, fs, sync::Arc};

use local::{
    binaries::workspace_root,
    gateway::Routes,
    lambda::{Function, FunctionSpec, InvokeError},
    template::Template,
};
use serde_json::{Value, json};
use shared::sql;
use tests::{App, Contract, Response, binary, connect, empty_database, errors};

/// The user in the samples, and the id of that user's only task.
const USER: &str = "demo";
const TASK_ID: &str = "0199d3c4-7a00-7000-8000-000000000001";

/// The samples with their names. Each gets the token.
fn samples(token: &str) -> Vec<(String, Value)> {
    let files = fs::read_dir(workspace_root().join("events")).expect("a folder of samples");
    let read = |file: fs::DirEntry| {
        let name = file.file_name().into_string().expect("UTF-8");
        let text = fs::read_to_string(file.path()).expect("UTF-8");
        let event = serde_json::from_str(&text.replace("REPLACE_WITH_A_TOKEN", token));
        (name.trim_end_matches(".json").to_owned(), event.unwrap_or_else(|error| panic!("{name}: {error}")))
    };
    files.map(|file| read(file.expect("a readable file"))).collect()
}

fn sample(token: &str, name: &str) -> Value {
    let (_, event) = samples(token).into_iter().find(|(sample, _)| sample == name).expect("a sample");
    event
}

/// Deletes everything from the database and inserts the task of the samples, which has number 1.
async fn reset(app: &App) {
    let statements = format!(
        "truncate users restart identity cascade;
         insert into users (id, task_count) values ('{USER}', 1);
         insert into tasks (id, user_id, title) values ('{TASK_ID}', '{USER}', 'Buy milk');"
    );
    app.internals().database().await.batch_execute(&statements).await.expect("a task");
}

fn template() -> Template {
    Template::read(&workspace_root().join("template.yaml"), &[].into()).expect("the template is valid")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_succeeds_and_every_route_has_a_sample() {
    let Some(app) = App::local().await else { return };
    let token = app.user_with_id(USER).token;
    let template = template();
    let routes = template.functions.iter().flat_map(|function| &function.routes);
    let mut without_sample: BTreeSet<_> = routes.map(|route| route.route_key()).collect();
    // The event of a HEAD is that of the GET but for the method.
    without_sample.retain(|route| !route.starts_with("HEAD "));
    let routes = Routes::new(template.functions).expect("the routes are valid");
    for (name, event) in samples(&token).into_iter().filter(|(name, _)| name != "migrate") {
        println!("{name}");
        let method = event["requestContext"]["http"]["method"].as_str().expect("a method");
        let path = event["rawPath"].as_str().expect("a path");
        let found = routes.find(method, path).expect("a valid path").expect("a route");
        assert!(name.starts_with(&found.function.binary), "{}", found.function.binary);
        // The sample has the values that the gateway would derive from such a request.
        assert_eq!(event["routeKey"], found.route.route_key());
        assert_eq!(event["requestContext"]["routeKey"], event["routeKey"]);
        assert_eq!(event["requestContext"]["http"]["path"], path);
        let parameters = event.get("pathParameters").cloned().unwrap_or_else(|| json!({}));
        assert_eq!(parameters, json!(found.path_parameters));

        reset(&app).await;
        let status = match method {
            "POST" => 201,
            "DELETE" => 204,
            _ => 200,
        };
        let response = app.internals().invoke(&found.function.binary, &event).await.expect_status(status);
        assert_eq!(response.header("x-request-id"), format!("sample-{name}"));
        without_sample.remove(&found.route.route_key());
    }
    assert_eq!(without_sample, BTreeSet::new(), "routes of template.yaml without a sample in events/");
}

/// The function `migrate`, configured for a database.
async fn migrate(app: &App, database_url: &str) -> Function {
    let spec = FunctionSpec {
        name: "migrate".into(),
        binary: binary("migrate").await,
        environment: [("DATABASE_URL".to_owned(), database_url.to_owned())].into(),
        ..app.internals().gateway().function("health").expect("a function").spec().clone()
    };
    Function::new(spec, Arc::new(|_: &str, _: &str| {}))
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_returns_what_it_applied() {
    let Some(app) = App::local().await else { return };
    let database_url = empty_database().await;
    let function = migrate(&app, &database_url).await;
    let migrations = fs::read_dir(workspace_root().join("migrations")).expect("a folder of migrations");
    let migrations =
        migrations.map(|file| file.expect("a readable file").file_name().into_string().expect("UTF-8"));
    let migrations: BTreeSet<_> = migrations.map(|name| name.trim_end_matches(".sql").to_owned()).collect();
    let event = sample("", "migrate").to_string();
    let functions = format!("functions {}", *sql::SCHEMA);
    let all: Vec<_> = migrations.into_iter().chain([functions]).collect();
    for applied in [json!(all), json!([])] {
        let payload = function.invoke(event.clone().into()).await.expect("a response");
        let response: Value = serde_json::from_slice(&payload).expect("JSON");
        assert_eq!(response, json!({ "applied": applied, "repaired": [] }));
    }
    let tasks = connect(&database_url).await.query_one("select count(*) from tasks", &[]).await;
    assert_eq!(tasks.expect("a table").get::<_, i64>(0), 0);
    function.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn body_larger_than_the_gateway_allows_is_413_in_the_contracts_format() {
    let Some(app) = App::local().await else { return };
    let token = app.user_with_id(USER).token;
    for (contract, suffix) in Contract::BOTH.into_iter().zip(["", "-plain"]) {
        for encoded in [false, true] {
            for function in ["create-task", "update-task"] {
                let mut event = sample(&token, &format!("{function}{suffix}"));
                event["body"] = json!("A".repeat(10 * 1024 * 1024 + 4));
                event["isBase64Encoded"] = json!(encoded);
                let response = app.internals().invoke(function, &event).await;
                response.assert_error(contract, &errors::TOO_LARGE);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_the_local_gateway_never_sends_are_answered_in_the_contracts_format() {
    let Some(app) = App::local().await else { return };
    let token = app.user_with_id(USER).token;
    reset(&app).await;
    for (contract, suffix, prefix) in [(Contract::Envelope, "", ""), (Contract::Plain, "-plain", "/plain")] {
        let list = sample(&token, &format!("list-tasks{suffix}"));
        let create = sample(&token, &format!("create-task{suffix}"));
        let with = |event: &Value, pointer: &str, value: Value| {
            let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
            let mut event = event.clone();
            event.pointer_mut(parent).expect("a place")[name] = value;
            event
        };

        let mut capitalized = list.clone();
        let headers = capitalized["headers"].as_object_mut().expect("headers");
        let authorization = headers.remove("authorization").expect("a token");
        headers.insert("Authorization".into(), authorization);
        for (event, keeps_request_id) in [
            // The path starts with the name of a stage.
            (with(&list, "/rawPath", json!(format!("/prod{prefix}/api/{USER}/tasks"))), true),
            // Bytes that are invalid in a URI. API Gateway passes them on unchanged.
            (with(&list, "/rawQueryString", json!("x=<\"{}|^`\\>&é \u{1}")), true),
            (with(&list, "/headers/host", json!("a b<>\"/:x")), true),
            (with(&list, "/headers/host", json!("")), true),
            (with(&list, "/headers/x-odd", json!("café 💥")), true),
            (capitalized, true),
            (with(&list, "/requestContext/requestId", Value::Null), false),
            (with(&list, "/requestContext/requestId", json!("")), false),
            (with(&list, "/requestContext/requestId", json!("a\r\nb: c")), false),
        ] {
            let response = app.internals().invoke("list-tasks", &event).await.expect_status(200);
            let tasks = match contract {
                Contract::Envelope => response.json()["data"]["items"].clone(),
                Contract::Plain => response.json(),
            };
            assert_eq!(tasks[0]["title"], "Buy milk", "{event}");
            let id = response.header("x-request-id");
            assert_eq!(id == format!("sample-list-tasks{suffix}"), keeps_request_id, "{id}");
            assert!(!id.is_empty());
        }

        for (event, refusal) in [
            (with(&list, "/pathParameters", Value::Null), &errors::FORBIDDEN),
            (with(&list, "/pathParameters", json!({})), &errors::FORBIDDEN),
            (with(&list, "/headers", json!({})), &errors::NO_TOKEN),
            (with(&list, "/headers/authorization", json!("Bearer 💥")), &errors::BAD_TOKEN),
        ] {
            let response = app.internals().invoke("list-tasks", &event).await;
            response.assert_error(contract, refusal);
        }
        for event in [
            with(&create, "/body", Value::Null),
            with(&create, "/isBase64Encoded", json!(true)),
            with(&with(&create, "/body", json!("e30")), "/isBase64Encoded", json!(true)),
            with(&with(&create, "/body", json!("{}{}")), "/isBase64Encoded", json!(false)),
        ] {
            let response = app.internals().invoke("create-task", &event).await;
            response.assert_error(contract, &errors::NOT_JSON);
        }
        let encoded = with(&create, "/body", json!("eyJ0aXRsZSI6ICJCdXkgbWlsayJ9")); // {"title": "Buy milk"}
        let encoded = with(&encoded, "/isBase64Encoded", json!(true));
        app.internals().invoke("create-task", &encoded).await.expect_status(201);
    }
}

/// Events of other services, and events that no service sends. Each contains a private text if it can.
fn foreign_events() -> Vec<Value> {
    vec![
        json!({}),
        json!([]),
        json!(null),
        json!(true),
        json!(12345.5),
        json!("a private text"),
        json!(["a private text"]),
        json!({ "a private text": "a private text" }),
        // API Gateway's events in other formats or with wrong types.
        json!({
            "version": "1.0", "path": "/api/private/tasks", "httpMethod": "GET",
            "headers": { "x": "a private text" },
        }),
        json!({ "version": "2.0", "headers": "a private text", "requestContext": {} }),
        json!({ "version": "2.0", "headers": {}, "requestContext": "a private text" }),
        json!({ "version": "2.0", "headers": {}, "requestContext": { "http": { "method": "A PRIVATE TEXT" } } }),
        json!({ "version": "2.0", "headers": { "a private text": "x" }, "requestContext": {} }),
        json!({ "version": "2.0", "headers": { "x": "a private\ntext" }, "requestContext": {} }),
        json!({ "version": "2.0", "headers": {}, "requestContext": {}, "isBase64Encoded": "a private text" }),
        // SQS, an Application Load Balancer, a schedule.
        json!({ "Records": [{
            "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d", "body": "a private text",
            "eventSource": "aws:sqs", "attributes": { "ApproximateReceiveCount": "1" },
        }] }),
        json!({
            "requestContext": { "elb": { "targetGroupArn": "a private text" } }, "httpMethod": "GET",
            "path": "/api/private/tasks", "queryStringParameters": { "search": "a private text" },
            "headers": { "authorization": "Bearer a.private.text" }, "body": "", "isBase64Encoded": false,
        }),
        json!({ "source": "aws.events", "detail-type": "Scheduled Event", "detail": { "x": "a private text" } }),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn event_of_another_service_is_logged_with_a_request_id_and_without_its_values() {
    let Some(app) = App::local().await else { return };
    let token = app.user_with_id(USER).token;
    reset(&app).await;
    let function = app.internals().gateway().function("list-tasks").expect("a function");
    let foreign = foreign_events();
    for event in &foreign {
        match function.invoke(event.to_string().into()).await {
            Ok(payload) => {
                let response = Response::from_payload(&payload);
                assert!((400..600).contains(&response.status), "{event} {response:?}");
                assert!(!response.text.to_lowercase().contains("private"), "{event} {response:?}");
            }
            Err(InvokeError::Function(payload)) => {
                let error = String::from_utf8_lossy(&payload).to_lowercase();
                assert!(!error.contains("private"), "{event} {error}");
            }
            Err(error) => panic!("{event} {error}"),
        }
    }
    app.internals().invoke("list-tasks", &sample(&token, "list-tasks")).await.expect_status(200);
    assert_eq!(function.starts(), 1, "the process survives");

    let text = app.internals().log_text();
    assert!(!text.to_lowercase().contains("private"), "{text}");
    let lines = app.internals().log_lines();
    let failures = lines.iter().filter(|line| line["level"] == "WARN" || line["level"] == "ERROR");
    let ids: BTreeSet<_> = failures.filter_map(|line| line["request_id"].as_str()).collect();
    assert!(!ids.contains(""), "{text}");
    assert_eq!(ids.len(), foreign.len(), "each event is logged with a request id of its own: {text}");
}

/// No gateway sends this many headers. The `http` crate's header map holds 24,576 and panics if it gets more.
#[tokio::test(flavor = "multi_thread")]
async fn event_with_more_headers_than_a_header_map_can_hold_is_answered() {
    let Some(app) = App::local().await else { return };
    let token = app.user_with_id(USER).token;
    reset(&app).await;
    let function = app.internals().gateway().function("list-tasks").expect("a function");
    for count in [24_560, 24_574, 24_576, 40_000] {
        let mut event = sample(&token, "list-tasks");
        let headers = event["headers"].as_object_mut().expect("headers");
        headers.extend((0..count).map(|number| (format!("x-{number}"), json!("x"))));
        let outcome = function.invoke(event.to_string().into()).await;
        let response =
            Response::from_payload(&outcome.unwrap_or_else(|error| panic!("{count} headers: {error}")));
        assert!(!response.header("x-request-id").is_empty(), "{response:?}");
    }
    app.internals().invoke("list-tasks", &sample(&token, "list-tasks")).await.expect_status(200);
    assert_eq!(function.starts(), 1, "the process survives");
}
