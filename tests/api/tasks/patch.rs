//! `PATCH …/tasks/{task_id}`: changes only the fields in the body, in both contracts.

use serde_json::{Value, json};
use tests::{App, Contract, FieldError, changes};

use super::update::{assert_plain_changes, faulty_fields, full_task, limits};

#[tokio::test(flavor = "multi_thread")]
async fn envelope_changes_only_the_fields_present() {
    let app = App::start().await;
    for (body, changed) in [
        (json!({ "title": "Sleep" }), json!({ "title": "Sleep" })),
        (json!({ "description": "1 litre" }), json!({ "description": "1 litre" })),
        (json!({ "description": "" }), json!({ "description": "" })),
        (json!({ "description": null }), json!({ "description": null })),
        (json!({ "due_date": "2027-01-01T00:00:00-05:00" }), json!({ "due_date": "2027-01-01T05:00:00Z" })),
        (json!({ "due_date": "2027-01-01T12:30:00" }), json!({ "due_date": "2027-01-01T12:30:00Z" })),
        (json!({ "due_date": "2027-01-01" }), json!({ "due_date": "2027-01-01T00:00:00Z" })),
        (json!({ "due_date": null }), json!({ "due_date": null })),
        (json!({ "completed": false }), json!({ "completed": false, "completed_at": null })),
        (
            json!({ "title": "Sleep", "description": null, "due_date": null, "completed": false }),
            json!({
                "title": "Sleep", "description": null, "due_date": null, "completed": false, "completed_at": null,
            }),
        ),
        // Unknown fields next to a known one.
        (
            json!({
                "title": "Sleep", "id": uuid::Uuid::nil(), "user_id": "mallory", "color": "red",
                "created_at": "2000-01-01T00:00:00Z", "completed_at": null, "updated_at": null,
            }),
            json!({ "title": "Sleep" }),
        ),
        // No known field, so nothing changes.
        (json!({}), json!({})),
        (json!({ "user_id": "mallory", "completed_at": null }), json!({})),
    ] {
        let alice = app.user("alice");
        let client = alice.envelope();
        let (before, _) = full_task(&alice).await;
        let after = client.task(&client.patch(&client.id(&before), body.clone()).await.expect_status(200));
        assert_eq!(changes(&before, &after), changed, "{body}");
        assert_eq!(client.only_task().await, after, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_values_are_422_and_change_nothing() {
    let app = App::start().await;
    let alice = app.user("alice");
    let client = alice.envelope();
    let (before, _) = full_task(&alice).await;
    let id = client.id(&before);
    for (field, value, fault) in faulty_fields(Contract::Envelope) {
        // A valid field next to the invalid one.
        let valid = if field == "title" { "description" } else { "title" };
        let body = json!({ field: value, valid: "Sleep" });
        client.patch(&id, body).await.assert_invalid(Contract::Envelope, &[fault]);
    }
    let body = json!({ "title": null, "description": 7, "due_date": "soon", "completed": null });
    let faults = [
        FieldError::new("body", "title", "string_type", "Input should be a valid string"),
        FieldError::new("body", "description", "string_type", "Input should be a valid string"),
        FieldError::new("body", "due_date", "datetime_parsing", "Input should be a valid datetime"),
        FieldError::new("body", "completed", "bool_type", "Input should be a valid boolean"),
    ];
    client.patch(&id, body).await.assert_invalid(Contract::Envelope, &faults);
    assert_eq!(client.only_task().await, before);

    let (title_max, description_max) = limits(Contract::Envelope);
    let body = json!({ "title": "é".repeat(title_max), "description": "𝒳".repeat(description_max) });
    let after = client.task(&client.patch(&id, body.clone()).await.expect_status(200));
    assert_eq!(changes(&before, &after), body);
}

#[tokio::test(flavor = "multi_thread")]
async fn completed_at_is_set_on_completion_kept_while_completed_and_null_when_open() {
    let app = App::start().await;
    let alice = app.user("alice");
    let client = alice.envelope();
    let id = client.id(&client.new_task("Buy milk").await);
    let completed_at = async |body: Value| {
        client.task(&client.patch(&id, body).await.expect_status(200))["completed_at"].clone()
    };
    assert_eq!(completed_at(json!({ "completed": false })).await, Value::Null);
    let first = completed_at(json!({ "completed": true })).await;
    assert!(first.as_str().is_some_and(|time| time.ends_with('Z')), "{first}");
    assert_eq!(completed_at(json!({ "completed": true })).await, first);
    assert_eq!(completed_at(json!({ "title": "Buy oat milk" })).await, first);
    assert_eq!(completed_at(json!({})).await, first);
    assert_eq!(completed_at(json!({ "completed": false })).await, Value::Null);
    let second = completed_at(json!({ "completed": true })).await;
    assert!(second.is_string() && second != first, "{second} {first}");
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_behaves_like_put() {
    let app = App::start().await;
    assert_plain_changes(&app, async |client, id, body| client.patch(id, body).await).await;

    let alice = app.user("alice");
    full_task(&alice).await;
    let client = alice.plain();
    let before = client.only_task().await;
    let id = client.id(&before);
    for (field, value, fault) in faulty_fields(Contract::Plain) {
        client.patch(&id, json!({ field: value })).await.assert_invalid(Contract::Plain, &[fault]);
    }
    client.patch(&client.unknown_id(), json!({ "title": "Sleep" })).await.expect_status(404);
    assert_eq!(client.only_task().await, before);
}
