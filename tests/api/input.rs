//! Rules for requests to every endpoint: the order of the checks, and the responses to invalid requests.

use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tests::{App, Contract, FieldError, Options, Response, errors};

use crate::endpoints::{Endpoint, a_task, endpoints, rows};

mod bodies;
mod hostile;
mod values;

/// Largest body that is accepted, in bytes.
const MAX_BODY_LEN: usize = 256 * 1024;

fn not_a_uuid() -> FieldError {
    FieldError::new("path", "task_id", "uuid_parsing", "Input should be a valid UUID")
}

fn not_an_integer(place: &'static str, field: &'static str) -> FieldError {
    let message = "Input should be a valid integer, unable to parse string as an integer";
    FieldError::new(place, field, "int_parsing", message)
}

fn too_small(place: &'static str, field: &'static str, min: i64) -> FieldError {
    FieldError::new(
        place,
        field,
        "greater_than_equal",
        format!("Input should be greater than or equal to {min}"),
    )
}

fn too_great(place: &'static str, field: &'static str, max: i64) -> FieldError {
    FieldError::new(place, field, "less_than_equal", format!("Input should be less than or equal to {max}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn token_is_checked_before_user_before_input_before_database() {
    // Nothing listens on port 1, so a request that gets as far as the database is 503.
    let Some(app) = App::local_with(Options::default().through(1)).await else { return };
    let alice = app.user("alice");
    for client in alice.clients() {
        let contract = client.contract;
        for endpoint in endpoints(contract) {
            println!("{contract:?} {} {}", endpoint.method, endpoint.rest);
            // Invalid input: a body without fields, a query out of bounds, or a malformed task id.
            let (faulty, fault) = match (contract, &endpoint.method, endpoint.rest) {
                (_, &Method::POST, _) => {
                    (client.request(Method::POST, "").json(&json!({})), FieldError::missing("title"))
                }
                (_, _, "" | "/changes") => {
                    let rest = format!("{}?limit=0", endpoint.rest);
                    (client.request(Method::GET, &rest), too_small("query", "limit", 1))
                }
                (Contract::Envelope, ..) => (endpoint.request(&client, "x"), not_a_uuid()),
                (Contract::Plain, ..) => (endpoint.request(&client, "x"), not_an_integer("path", "task_id")),
            };
            let elsewhere = |authorized: bool| {
                let (client, request) = faulty.try_clone().expect("a body in memory").build_split();
                let mut request = request.expect("a valid request");
                let path = request.url().path().replace(&alice.id, "bob");
                request.url_mut().set_path(&path);
                if !authorized {
                    request.headers_mut().remove("authorization");
                }
                RequestBuilder::from_parts(client, request)
            };
            let response = Response::to(elsewhere(false)).await;
            response.assert_error(contract, &errors::NO_TOKEN);
            Response::to(elsewhere(true)).await.assert_error(contract, &errors::FORBIDDEN);
            Response::to(faulty).await.assert_invalid(contract, &[fault]);

            let response = Response::to(endpoint.request(&client, &client.unknown_id())).await;
            response.assert_error(contract, &errors::UNAVAILABLE);
            assert_eq!(response.header("retry-after"), "1");
        }
        let post = |content_type: &'static str, body: Vec<u8>| {
            Response::to(client.request(Method::POST, "").header("content-type", content_type).body(body))
        };
        post("application/json", b"{".into()).await.assert_error(contract, &errors::NOT_JSON);
        post("text/plain", b"{}".into()).await.assert_error(contract, &errors::NOT_JSON_TYPE);
        let large = vec![b' '; MAX_BODY_LEN + 1];
        post("application/json", large).await.assert_error(contract, &errors::TOO_LARGE);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_errors_are_reported_together() {
    let app = App::start().await;
    let alice = app.user("alice");
    let body = json!({ "title": 7, "description": "\u{0}", "due_date": "soon", "completed": "yes" });
    for client in alice.clients() {
        let contract = client.contract;
        let title = FieldError::new("body", "title", "string_type", "Input should be a valid string");
        let null_character = "String should not contain U+0000";
        let description = FieldError::new("body", "description", "string_null_character", null_character);
        let due_date =
            FieldError::new("body", "due_date", "datetime_parsing", "Input should be a valid datetime");
        let completed = FieldError::new("body", "completed", "bool_type", "Input should be a valid boolean");
        let key = "Input should be 1-255 visible ASCII characters";
        let key = FieldError::new("header", "idempotency-key", "string_pattern_mismatch", key);
        let (id, in_post) = match contract {
            Contract::Envelope => (not_a_uuid(), vec![]),
            Contract::Plain => (not_an_integer("path", "task_id"), vec![completed.clone()]),
        };

        let post = client.request(Method::POST, "").header("idempotency-key", "two words").json(&body);
        let shared = vec![title, description, due_date];
        let faults = [vec![key], shared.clone(), in_post].concat();
        Response::to(post).await.assert_invalid(contract, &faults);

        let faults = [vec![id.clone()], shared, vec![completed.clone()]].concat();
        client.put("x", body.clone()).await.assert_invalid(contract, &faults);
        if contract == Contract::Envelope {
            client.patch("x", body.clone()).await.assert_invalid(contract, &faults);
            let complete = client.request(Method::PATCH, "/x/complete").json(&body);
            Response::to(complete).await.assert_invalid(contract, &[id, completed]);
            let faults = [too_small("query", "limit", 1), too_small("query", "offset", 0)];
            client.list("?limit=0&offset=-1").await.assert_invalid(contract, &faults);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn absent_task_and_another_users_task_get_the_same_404() {
    let Some(app) = App::local().await else { return };
    for contract in Contract::BOTH {
        let (alice, bob) = (app.user("alice"), app.user("bob"));
        let (client, bobs) = (alice.at(contract), a_task(&bob, contract).await);
        // First without a row of the user, then with one.
        for _ in 0..2 {
            let before = rows(&app).await;
            for endpoint in endpoints(contract).into_iter().filter(Endpoint::names_a_task) {
                println!("{contract:?} {} {}", endpoint.method, endpoint.rest);
                let absent = Response::to(endpoint.request(&client, &client.unknown_id())).await;
                let another = Response::to(endpoint.request(&client, &bobs)).await;
                for response in [&absent, &another] {
                    response.assert_error(contract, &errors::NOT_FOUND);
                }
                assert_eq!(another.headers.len(), absent.headers.len(), "{:?}", another.headers);
            }
            // A PATCH without fields must not reveal the task either.
            client.patch(&bobs, json!({})).await.assert_error(contract, &errors::NOT_FOUND);
            assert_eq!(rows(&app).await, before);
            a_task(&alice, contract).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_response_is_json_with_its_own_request_id() {
    let app = App::start().await;
    let alice = app.user("alice");
    let mut ids = std::collections::BTreeSet::new();
    for contract in Contract::BOTH {
        let (client, id) = (alice.at(contract), a_task(&alice, contract).await);
        for endpoint in endpoints(contract) {
            let faulty = if endpoint.names_a_task() { Some(endpoint.request(&client, "x")) } else { None };
            for (request, status) in faulty
                .map(|it| (it, 422))
                .into_iter()
                .chain([(endpoint.request(&client, &id), endpoint.status)])
            {
                let response = Response::to(request).await.expect_status(status);
                let content_type = if status == 204 { "" } else { "application/json" };
                assert_eq!(
                    response.header("content-type"),
                    content_type,
                    "{} {}",
                    endpoint.method,
                    endpoint.rest
                );
                assert_eq!(response.text.is_empty(), status == 204);
                let id = response.header("x-request-id");
                assert!(!id.is_empty() && ids.insert(id.to_owned()), "{id:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_routes_are_the_gateways_404() {
    let app = App::start().await;
    let alice = app.user("alice");
    let id = a_task(&alice, Contract::Envelope).await;
    let tasks = format!("/api/{}/tasks", alice.id);
    for (method, path) in [
        (Method::DELETE, tasks.clone()),
        (Method::PUT, tasks.clone()),
        (Method::PATCH, tasks.clone()),
        (Method::POST, format!("{tasks}/{id}")),
        (Method::GET, format!("{tasks}/{id}/complete")),
        (Method::POST, format!("{tasks}/{id}/complete")),
        (Method::OPTIONS, tasks.clone()),
        (Method::POST, "/health".into()),
        (Method::GET, "/plain/health/ready".into()),
        (Method::GET, format!("{tasks}/")),
        (Method::GET, format!("{tasks}//")),
        (Method::GET, format!("{tasks}/{id}/")),
        (Method::GET, format!("/{tasks}")),
        (Method::GET, format!("/PLAIN{tasks}")),
        (Method::GET, format!("/plain/plain{tasks}")),
        (Method::GET, format!("/api/{}/Tasks", alice.id)),
        (Method::GET, "/api//tasks".into()),
        (Method::GET, "/".into()),
        (Method::GET, "/plain".into()),
        (Method::GET, "/api".into()),
    ] {
        let response = Response::to(app.request(method.clone(), &path).bearer_auth(&alice.token)).await;
        assert_eq!(
            (response.status, response.json()),
            (404, json!({ "message": "Not Found" })),
            "{method} {path}"
        );
        assert_eq!(response.header("content-type"), "application/json");
    }
}
