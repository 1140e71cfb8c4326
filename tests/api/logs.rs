//! The log lines of the functions, and the texts that they must never contain.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{App, Options, Response, SECRET};
use tokio::time::sleep;

/// The log lines of a request. They come through a pipe, so the request's last line may arrive after its
/// response.
pub(crate) async fn lines_about(app: &App, response: &Response) -> Vec<Value> {
    let id = response.header("x-request-id");
    for _ in 0..200 {
        let lines = app.internals().log_lines().into_iter();
        let lines: Vec<_> = lines.filter(|line| line["request_id"] == id).collect();
        if lines.last().is_some_and(|line| line["message"] == "request") {
            return lines;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("the request {id} has no final line: {}", app.internals().log_text());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_has_a_line_and_every_change_an_audit_line() {
    let Some(app) = App::local().await else { return };
    let alice = app.user("alice");
    let client = alice.envelope();
    let created = client.create(json!({ "title": "Buy milk" })).await.expect_status(201);
    let id = client.id(&client.task(&created));
    let responses = [
        (created, "created", 201),
        (client.put(&id, json!({ "title": "Buy milk" })).await, "updated", 200),
        (client.patch(&id, json!({ "title": "Buy milk" })).await, "updated", 200),
        (client.complete(&id, true).await, "updated", 200),
        (client.delete(&id).await, "deleted", 204),
    ];
    for (response, audit, status) in &responses {
        let lines = lines_about(&app, response).await;
        let [changed, request] = &lines[..] else { panic!("expected two lines: {lines:#?}") };
        assert_eq!(
            (&changed["audit"], &changed["task_id"], &changed["user_id"]),
            (&json!(audit), &json!(id), &json!(alice.id))
        );
        assert_eq!(request["status"], *status);
        assert_eq!(request["user_id"], alice.id);
        assert_eq!(request["environment"], "test");
        assert_eq!(request["level"], "INFO");
        assert!(request["function"].as_str().is_some_and(|name| name.ends_with("-task")), "{request}");
        assert!(request["ms"].as_f64().is_some_and(|ms| ms > 0.0), "{request}");
        assert_eq!(request["cold_start"], true, "the first request of each function is a cold start");
    }
    let again = client.create(json!({ "title": "Buy milk" })).await;
    assert_eq!(lines_about(&app, &again).await.last().expect("a line")["cold_start"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn warning_has_request_id_and_cold_start_even_if_info_is_not_logged() {
    let Some(app) = App::local_with(Options::default().with("LOG_LEVEL", "warn")).await else { return };
    let alice = app.user("alice");
    alice.envelope().list("").await.expect_status(200);
    let path = format!("/api/{}/tasks", alice.id);
    let unauthorized = Response::to(app.request(Method::GET, &path)).await.expect_status(401);
    let lines = lines_about(&app, &unauthorized).await;
    let [line] = &lines[..] else { panic!("expected one line: {lines:#?}") };
    assert_eq!(line["cold_start"], false, "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_401_403_and_503_are_warnings_with_a_reason() {
    let Some(app) = App::local_with(Options::default().through(1)).await else { return };
    let alice = app.user("alice");
    let path = format!("/api/{}/tasks", alice.id);
    let refused = [
        (Response::to(app.request(Method::GET, &path)).await, 401, "no Authorization header"),
        (Response::to(app.request(Method::GET, &path).bearer_auth("x.y.z")).await, 401, "not"),
        (
            Response::to(app.request(Method::GET, "/api/mallory/tasks").bearer_auth(&alice.token)).await,
            403,
            "mallory",
        ),
        (alice.envelope().list("").await, 503, "connecting"),
    ];
    for (response, status, reason) in &refused {
        assert_eq!(response.status, *status);
        let warning = &lines_about(&app, response).await[0];
        assert_eq!((&warning["level"], &warning["status"]), (&json!("WARN"), &json!(status)));
        assert!(warning["reason"].as_str().is_some_and(|logged| logged.contains(reason)), "{warning}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_secret_url_title_or_description_is_ever_logged() {
    let Some(app) = App::local_with(Options::default().with("LOG_LEVEL", "trace")).await else { return };
    let alice = app.user("alice");
    for client in alice.clients() {
        let body = json!({ "title": "a private title", "description": "a private description" });
        let id = client.id(&client.task(&client.create(body.clone()).await));
        client.put(&id, body).await.expect_status(200);
        client.create(json!({ "title": "a private title".repeat(99), "completed": "private" })).await;
        client.complete(&id, true).await.expect_status(200);
        client.list("").await.expect_status(200);
        Response::to(app.request(Method::GET, "/api/x/tasks").bearer_auth(format!("{}x", alice.token))).await;
    }
    let text = app.internals().log_text();
    assert!(text.contains("\"level\":\"INFO\""), "the log has lines of level INFO");
    let signature = alice.token.rsplit('.').next().expect("three parts");
    for private in ["private", SECRET, signature, "postgres://"] {
        assert!(!text.contains(private), "{private:?} is in the log");
    }
}

/// Messages of the database can quote values, for example in errors of casts and triggers.
#[tokio::test(flavor = "multi_thread")]
async fn database_error_is_logged_with_its_code_and_without_its_text() {
    let Some(app) = App::local_with(Options::default().with("LOG_LEVEL", "trace")).await else { return };
    let alice = app.user("alice");
    let database = app.internals().database().await;
    let client = alice.envelope();
    let id = client.id(&client.new_task("open").await);
    for (code, status) in [("P0001", 500), ("22P02", 500), ("23514", 500), ("53100", 503), ("40001", 503)] {
        let trigger = format!(
            "create or replace function public.quote_title() returns trigger language plpgsql as $$
             begin
                 raise warning 'title: %', new.title;
                 raise exception 'title: %', new.title
                     using errcode = '{code}', detail = new.title, hint = new.title;
             end
             $$;
             create or replace trigger quote_title before insert or update on public.tasks
                 for each row execute function public.quote_title()"
        );
        database.batch_execute(&trigger).await.expect("a superuser can create triggers");
        for response in [
            client.create(json!({ "title": "a private title" })).await,
            client.put(&id, json!({ "title": "a private title" })).await,
            alice.plain().create(json!({ "title": "a private title" })).await,
        ] {
            assert_eq!(response.status, status, "{code} {}", response.text);
            assert!(!response.text.contains("private"), "{}", response.text);
            let lines = lines_about(&app, &response).await;
            let request = lines.last().expect("every request is logged");
            assert!(request["reason"].as_str().is_some_and(|reason| reason.contains(code)), "{request}");
        }
    }
    let text = app.internals().log_text();
    assert!(!text.contains("private"), "a title is in the log:\n{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn text_from_outside_cannot_forge_a_line() {
    let Some(app) = App::local().await else { return };
    let forged = "x\n{\"level\":\"INFO\",\"forged\":true}\r\u{2028}\u{1b}[31m\"";
    let mallory = app.user_with_id(forged);
    let encoded: String = forged.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let own = app.request(Method::GET, &format!("/api/{encoded}/tasks")).bearer_auth(&mallory.token);
    let own = Response::to(own).await.expect_status(200);
    let alice = app.user("alice");
    let foreign = app.request(Method::GET, &format!("/api/{encoded}/tasks")).bearer_auth(&alice.token);
    Response::to(foreign).await.expect_status(403);

    assert_eq!(lines_about(&app, &own).await[0]["user_id"], forged);
    let lines = app.internals().log_lines();
    assert!(lines.iter().all(|line| line.get("forged").is_none()), "{lines:#?}");
    assert_eq!(lines.len(), app.internals().log_text().lines().count(), "every line is JSON");
}
