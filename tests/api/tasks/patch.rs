//! `PATCH …/tasks/{task_id}`: changes only the fields in the body, in both contracts.

use serde_json::json;
use tests::{App, changes};

use super::update::{assert_plain_changes, full_task};

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
        (json!({ "due_date": "2027-01-01" }), json!({ "due_date": "2027-01-01" })),
        (json!({ "due_date": null }), json!({ "due_date": null })),
        (json!({ "priority": "low" }), json!({ "priority": "low" })),
        (json!({ "tags": ["c", " b"] }), json!({ "tags": "c,b" })),
        (json!({ "tags": null }), json!({ "tags": null })),
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
        (json!({ "user_id": "mallory", "completed_at": null, "priority": null }), json!({})),
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
async fn plain_behaves_like_put() {
    let app = App::start().await;
    assert_plain_changes(&app, async |client, id, body| client.patch(id, body).await).await;
}
