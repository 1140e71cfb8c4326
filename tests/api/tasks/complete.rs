//! `PATCH …/tasks/{task_id}/complete`: sets `completed` in the envelope contract, toggles it in the plain
//! one.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{ApiClient, App, Contract, FieldError, Response, changes};

#[tokio::test(flavor = "multi_thread")]
async fn envelope_sets_completed_and_a_repeat_keeps_completed_at() {
    let app = App::start().await;
    let alice = app.user("alice");
    let client = alice.envelope();
    let open = client.new_task("Buy milk").await;
    let id = client.id(&open);
    let complete = async |completed| client.task(&client.complete(&id, completed).await.expect_status(200));

    let done = complete(true).await;
    let time = &done["completed_at"];
    assert!(time.as_str().is_some_and(|time| time.ends_with('Z')), "{done}");
    assert_eq!(changes(&open, &done), json!({ "completed": true, "completed_at": time }));

    let again = complete(true).await;
    assert_eq!((&again["completed"], &again["completed_at"]), (&json!(true), time));

    for _ in 0..2 {
        let reopened = complete(false).await;
        assert_eq!((&reopened["completed"], &reopened["completed_at"]), (&json!(false), &Value::Null));
    }
    let later = complete(true).await;
    assert!(later["completed_at"].is_string() && later["completed_at"] != *time, "{later}");
    assert_eq!(client.task(&client.get(&id).await), later);
}

#[tokio::test(flavor = "multi_thread")]
async fn envelope_accepts_only_a_boolean() {
    let app = App::start().await;
    let alice = app.user("alice");
    let client = alice.envelope();
    let before = client.new_task("Buy milk").await;
    let complete = async |body: &Value| {
        let rest = format!("/{}/complete", client.id(&before));
        Response::to(client.request(Method::PATCH, &rest).json(body)).await
    };
    for value in [json!(null), json!(1), json!(0), json!("true"), json!(""), json!([true]), json!({})] {
        let fault = FieldError::new("body", "completed", "bool_type", "Input should be a valid boolean");
        complete(&json!({ "completed": value })).await.assert_invalid(Contract::Envelope, &[fault]);
    }
    for body in [json!({}), json!({ "Completed": true, "done": true })] {
        complete(&body).await.assert_invalid(Contract::Envelope, &[FieldError::missing("completed")]);
    }
    assert_eq!(client.only_task().await, before);

    let body = json!({ "completed": true, "title": "Sleep", "completed_at": "2000-01-01T00:00:00Z" });
    let after = client.task(&complete(&body).await.expect_status(200));
    let completed_at = &after["completed_at"];
    assert_ne!(*completed_at, body["completed_at"]);
    assert_eq!(changes(&before, &after), json!({ "completed": true, "completed_at": completed_at }));
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_toggles_whatever_the_body() {
    let app = App::start().await;
    let alice = app.user("alice");
    let client = alice.plain();
    let mut before = client.new_task("Buy milk").await;
    let bodies: [(Option<&str>, &[u8]); 9] = [
        (None, b""),
        (Some("application/json"), b""),
        (Some("application/json"), b"{\"completed\":false}"),
        (Some("application/json"), b"{\"completed\":true}"),
        (Some("application/json"), b"{\"completed\":7,\"title\":\"Sleep\"}"),
        (Some("application/json"), b"no JSON"),
        (Some("application/json"), b"\xff\xfe"),
        (Some("text/plain"), b"on"),
        (None, b"{}"),
    ];
    for (content_type, body) in bodies {
        let mut request = client.request(Method::PATCH, &format!("/{}/complete", client.id(&before)));
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let after = client.task(&Response::to(request.body(body)).await.expect_status(200));
        let mut toggled = changes(&before, &after);
        toggled.as_object_mut().expect("an object").remove("completed_at");
        assert_eq!(
            toggled,
            json!({ "completed": before["completed"] == false }),
            "{content_type:?} {body:?}"
        );
        before = after;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn change_is_visible_in_the_other_contract() {
    let app = App::start().await;
    let alice = app.user("alice");
    let (envelope, plain) = (alice.envelope(), alice.plain());
    let id = envelope.id(&envelope.new_task("Buy milk").await);
    let number = plain.id(&plain.only_task().await);

    plain.complete(&number, true).await.expect_status(200);
    let done = envelope.only_task().await;
    assert_eq!(done["completed"], true);
    assert!(done["completed_at"].is_string(), "{done}");
    let again = envelope.task(&envelope.complete(&id, true).await.expect_status(200));
    assert_eq!(again["completed_at"], done["completed_at"]);

    plain.complete(&number, true).await.expect_status(200);
    let open = envelope.only_task().await;
    assert_eq!((&open["completed"], &open["completed_at"]), (&json!(false), &Value::Null));

    envelope.complete(&id, true).await.expect_status(200);
    assert_eq!(plain.only_task().await["completed"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_toggles_are_all_applied() {
    let app = App::start().await;
    let alice = app.user("alice");
    let client = alice.plain();
    let id = client.id(&client.new_task("Buy milk").await);
    let toggles = |client: &ApiClient<'_>, count| -> Vec<_> {
        let path = format!("/{id}/complete");
        (0..count).map(|_| tokio::spawn(Response::to(client.request(Method::PATCH, &path)))).collect()
    };
    for (count, ends_completed) in [(20, false), (11, true), (20, true)] {
        let starts_completed = client.only_task().await["completed"] == true;
        let mut completing = 0;
        for toggle in toggles(&client, count) {
            let response = toggle.await.expect("no panic").expect_status(200);
            completing += usize::from(client.task(&response)["completed"] == true);
        }
        assert_eq!(client.only_task().await["completed"], ends_completed);
        // Toggles alternate, so half of them complete the task. If their number is odd, the last toggle has
        // the same result as the first.
        assert_eq!(completing, (count + usize::from(!starts_completed)) / 2);
    }
}
