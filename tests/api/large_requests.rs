//! Requests that are as large as can be: the work grows no faster than the request, and responses and log
//! lines stay small.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{App, Contract, Response, User};

/// Maximum number of invalid values that a response reports.
const MAX_ERRORS: usize = 20;

/// Maximum size of a response to an invalid request, in bytes.
const MAX_RESPONSE_LEN: usize = 16 * 1024;

/// Maximum size of a log line, in bytes.
const MAX_LINE_LEN: usize = 8 * 1024;

/// The body of a POST with these members and a title.
fn body<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let members: String = names.map(|name| format!(",{}:1", json!(name))).collect();
    format!("{{\"title\":\"a\"{members}}}")
}

/// Sends a POST.
async fn post(user: &User<'_>, contract: Contract, body: String) -> Response {
    let request = user.at(contract).request(Method::POST, "").header("content-type", "application/json");
    Response::to(request.body(body)).await
}

/// The number of errors in a response with status 422.
fn errors(contract: Contract, response: &Response) -> usize {
    assert_eq!(response.status, 422, "{}", response.text);
    let body = response.json();
    match contract {
        Contract::Envelope => {
            let fields = body["error"]["details"].as_object().expect("fields");
            fields.values().map(|messages| messages.as_array().expect("messages").len()).sum()
        }
        Contract::Plain => body["detail"].as_array().expect("errors").len(),
    }
}

/// The duration of the last request, in milliseconds.
fn ms(app: &App) -> f64 {
    let lines = app.internals().log_lines();
    let line = lines.iter().rfind(|line| line["message"] == "request").expect("a request line");
    line["ms"].as_f64().expect("a number")
}

fn assert_short_lines(app: &App) {
    for line in app.internals().log_lines() {
        let len = line.to_string().len();
        assert!(len <= MAX_LINE_LEN, "{len} bytes: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fourteen_thousand_repeated_names_take_linear_time_and_a_short_response() {
    let Some(app) = App::local().await else { return };
    let alice = app.user("alice");
    let names: Vec<_> = (0..28_000).map(|number| format!("{number:x}")).collect();
    for contract in Contract::BOTH {
        let twice = names[..14_000].iter().chain(&names[..14_000]).map(String::as_str);
        let (distinct, repeated) = (body(names.iter().map(String::as_str)), body(twice));
        assert!(repeated.len() > 200_000 && distinct.len() < 256 * 1024);
        post(&alice, contract, distinct).await.expect_status(201);
        let without = ms(&app);
        let response = post(&alice, contract, repeated).await;
        let with = ms(&app);
        assert!(with < 5.0 * without.max(20.0), "{with} ms with repeated names, {without} ms without");
        assert_eq!(errors(contract, &response), MAX_ERRORS);
        assert!(response.text.len() <= MAX_RESPONSE_LEN, "{} bytes", response.text.len());
    }
    assert_short_lines(&app);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_names_are_cut_in_responses_and_log_lines() {
    let Some(app) = App::local().await else { return };
    let alice = app.user("alice");
    for contract in Contract::BOTH {
        for character in ["\u{1}", "\"", "a", "é", "💥"] {
            let bytes_in_body = json!(character).to_string().len() - 2;
            let name = |number| character.repeat(6_000 / bytes_in_body) + &format!("{number}");
            let names: Vec<_> = (0..20).map(name).collect();
            let response = post(&alice, contract, body(names.iter().chain(&names).map(String::as_str))).await;
            assert_eq!(errors(contract, &response), MAX_ERRORS);
            assert!(response.text.len() <= MAX_RESPONSE_LEN, "{character:?}: {} bytes", response.text.len());
            assert!(response.text.contains("…"), "{character:?}");
        }
    }
    assert_short_lines(&app);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_paths_are_cut_in_log_lines() {
    let Some(app) = App::local().await else { return };
    let alice = app.user("alice");
    for character in ["%01", "%F0%9F%92%A5", "%22", "a"] {
        let id = character.repeat(6_000 / character.len());
        let request = app.request(Method::GET, &format!("/api/{id}/tasks")).bearer_auth(&alice.token);
        Response::to(request).await.expect_status(403);
    }
    assert_short_lines(&app);
    let lines = app.internals().log_lines();
    let cut = |line: &&Value| line["reason"].as_str().is_some_and(|reason| reason.ends_with('…'));
    assert_eq!(lines.iter().filter(cut).count(), 4);
}
