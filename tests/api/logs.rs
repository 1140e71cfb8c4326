//! The log lines of the functions, and the texts that they must never contain.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, App, Contract, Options, SECRET};
use tokio::time::sleep;

/// The log lines of a request. They come through a pipe, so the request's last line may arrive after its
/// response.
async fn about(app: &App, answer: &Answer) -> Vec<Value> {
    let id = answer.header("x-request-id");
    for _ in 0..200 {
        let lines = app.hands_on().log_lines().into_iter();
        let lines: Vec<_> = lines.filter(|line| line["request_id"] == id).collect();
        if lines.last().is_some_and(|line| line["message"] == "request") {
            return lines;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("the request {id} has no final line: {}", app.hands_on().log_text());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_has_a_line_and_every_change_an_audit_line() {
    let Some(app) = App::local().await else { return };
    let alice = app.user("alice");
    let front = alice.envelope();
    let created = front.create(json!({ "title": "Buy milk" })).await.expect_status(201);
    let id = front.id(&front.task(&created));
    let answers = [
        (created, "created", 201),
        (front.put(&id, json!({ "title": "Buy milk" })).await, "updated", 200),
        (front.patch(&id, json!({ "title": "Buy milk" })).await, "updated", 200),
        (front.complete(&id, true).await, "updated", 200),
        (front.delete(&id).await, "deleted", 204),
    ];
    for (answer, audit, status) in &answers {
        let lines = about(&app, answer).await;
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
    let again = front.create(json!({ "title": "Buy milk" })).await;
    assert_eq!(about(&app, &again).await.last().expect("a line")["cold_start"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn warning_has_request_id_and_cold_start_even_if_info_is_not_logged() {
    let Some(app) = App::local_with(Options::default().with("LOG_LEVEL", "warn")).await else { return };
    let alice = app.user("alice");
    alice.envelope().list("").await.expect_status(200);
    let path = format!("/api/{}/tasks", alice.id);
    let unauthorized = Answer::to(app.request(Method::GET, &path)).await.expect_status(401);
    let lines = about(&app, &unauthorized).await;
    let [line] = &lines[..] else { panic!("expected one line: {lines:#?}") };
    assert_eq!(line["cold_start"], false, "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_401_403_and_503_are_warnings_with_a_reason() {
    let Some(app) = App::local_with(Options::default().through(1)).await else { return };
    let alice = app.user("alice");
    let path = format!("/api/{}/tasks", alice.id);
    let refused = [
        (Answer::to(app.request(Method::GET, &path)).await, 401, "no Authorization header"),
        (Answer::to(app.request(Method::GET, &path).bearer_auth("x.y.z")).await, 401, "not"),
        (
            Answer::to(app.request(Method::GET, "/api/mallory/tasks").bearer_auth(&alice.token)).await,
            403,
            "mallory",
        ),
        (alice.envelope().list("").await, 503, "connecting"),
    ];
    for (answer, status, reason) in &refused {
        assert_eq!(answer.status, *status);
        let warning = &about(&app, answer).await[0];
        assert_eq!((&warning["level"], &warning["status"]), (&json!("WARN"), &json!(status)));
        assert!(warning["reason"].as_str().is_some_and(|logged| logged.contains(reason)), "{warning}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_secret_url_title_or_description_is_ever_logged() {
    let Some(app) = App::local_with(Options::default().with("LOG_LEVEL", "trace")).await else { return };
    let alice = app.user("alice");
    for contract in Contract::BOTH {
        let front = alice.at(contract);
        let body = json!({ "title": "a private title", "description": "a private description" });
        let id = front.id(&front.task(&front.create(body.clone()).await));
        front.put(&id, body).await.expect_status(200);
        front.create(json!({ "title": "a private title".repeat(99), "completed": "private" })).await;
        front.complete(&id, true).await.expect_status(200);
        front.list("").await.expect_status(200);
        Answer::to(app.request(Method::GET, "/api/x/tasks").bearer_auth(format!("{}x", alice.token))).await;
    }
    let text = app.hands_on().log_text();
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
    let database = app.hands_on().database().await;
    let front = alice.envelope();
    let id = front.id(&front.new_task("open").await);
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
        for answer in [
            front.create(json!({ "title": "a private title" })).await,
            front.put(&id, json!({ "title": "a private title" })).await,
            alice.plain().create(json!({ "title": "a private title" })).await,
        ] {
            assert_eq!(answer.status, status, "{code} {}", answer.text);
            assert!(!answer.text.contains("private"), "{}", answer.text);
            let lines = about(&app, &answer).await;
            let request = lines.last().expect("every request is logged");
            assert!(request["reason"].as_str().is_some_and(|reason| reason.contains(code)), "{request}");
        }
    }
    let text = app.hands_on().log_text();
    assert!(!text.contains("private"), "a title is in the log:\n{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn text_from_outside_cannot_forge_a_line() {
    let Some(app) = App::local().await else { return };
    let forged = "x\n{\"level\":\"INFO\",\"forged\":true}\r\u{2028}\u{1b}[31m\"";
    let mallory = app.user_with_id(forged);
    let encoded: String = forged.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let own = app.request(Method::GET, &format!("/api/{encoded}/tasks")).bearer_auth(&mallory.token);
    let own = Answer::to(own).await.expect_status(200);
    let alice = app.user("alice");
    let foreign = app.request(Method::GET, &format!("/api/{encoded}/tasks")).bearer_auth(&alice.token);
    Answer::to(foreign).await.expect_status(403);

    assert_eq!(about(&app, &own).await[0]["user_id"], forged);
    let lines = app.hands_on().log_lines();
    assert!(lines.iter().all(|line| line.get("forged").is_none()), "{lines:#?}");
    assert_eq!(lines.len(), app.hands_on().log_text().lines().count(), "every line is JSON");
}
