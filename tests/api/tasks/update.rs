//! `PUT …/tasks/{task_id}`: replaces the task in the envelope contract, changes the fields present in the
//! plain one.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{ApiClient, App, Contract, Response, User, changes};

use super::delay_at_random;

/// Creates the user's only task, with every field set, and returns it as each contract shows it.
pub(super) async fn full_task(user: &User<'_>) -> (Value, Value) {
    let body = json!({
        "title": "Buy milk", "description": "2 litres", "due_date": "2026-12-24", "priority": "high", "tags": "a,b",
    });
    let envelope = user.envelope();
    let made = envelope.task(&envelope.create(body).await.expect_status(201));
    let done = envelope.complete(&envelope.id(&made), true).await.expect_status(200);
    (envelope.task(&done), user.plain().only_task().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn envelope_replaces_the_task_and_resets_absent_fields() {
    let app = App::start().await;
    let alice = app.user("alice");
    let client = alice.envelope();
    let (before, _) = full_task(&alice).await;
    let id = client.id(&before);

    let after = client.task(&client.put(&id, json!({ "title": "Sleep" })).await.expect_status(200));
    let emptied = json!({
        "title": "Sleep", "description": null, "due_date": null, "priority": "medium", "tags": null,
        "completed": false, "completed_at": null,
    });
    assert_eq!(changes(&before, &after), emptied);
    assert_eq!(client.task(&client.get(&id).await), after);

    let body = json!({
        "title": "Wake up", "description": "Slowly", "due_date": "2027-01-01T00:30:00+01:00", "priority": "low",
        "tags": ["c"], "completed": true,
    });
    let mut filled = changes(&after, &client.task(&client.put(&id, body).await.expect_status(200)));
    assert!(filled["completed_at"].as_str().is_some_and(|time| time.ends_with('Z')), "{filled}");
    filled["completed_at"] = Value::Null;
    let expected = json!({
        "title": "Wake up", "description": "Slowly", "due_date": "2026-12-31T23:30:00Z", "priority": "low",
        "tags": "c", "completed": true, "completed_at": null,
    });
    assert_eq!(filled, expected);

    let body = json!({
        "title": "Wake up", "description": null, "due_date": null, "priority": null, "tags": null, "completed": true,
    });
    let nulled = client.task(&client.put(&id, body).await.expect_status(200));
    let expected = json!({ "description": null, "due_date": null, "priority": "medium", "tags": null });
    assert_eq!(changes(&client.task(&client.get(&id).await), &nulled), json!({}));
    for (field, value) in expected.as_object().expect("an object") {
        assert_eq!(nulled[field], *value, "{field}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_changes_only_the_fields_present_and_null_clears_what_can_be_empty() {
    let app = App::start().await;
    assert_plain_changes(&app, async |client, id, body| client.put(id, body).await).await;
}

/// Checks that a plain PUT or PATCH changes only the fields present, and that null clears those that can be
/// empty.
pub(super) async fn assert_plain_changes(
    app: &App,
    change: impl AsyncFn(&ApiClient<'_>, &str, Value) -> Response,
) {
    for (body, changed) in [
        (json!({ "title": "Sleep" }), json!({ "title": "Sleep" })),
        (json!({ "description": "1 litre" }), json!({ "description": "1 litre" })),
        (json!({ "description": "" }), json!({ "description": "" })),
        (json!({ "description": null }), json!({ "description": null })),
        (json!({ "due_date": "2027-01-01" }), json!({ "due_date": "2027-01-01" })),
        (json!({ "due_date": null }), json!({ "due_date": null })),
        (json!({ "priority": "low" }), json!({ "priority": "low" })),
        (json!({ "tags": ["c", " b"] }), json!({ "tags": ["c", "b"] })),
        (json!({ "tags": null }), json!({ "tags": [] })),
        (json!({ "completed": false }), json!({ "completed": false, "completed_at": null })),
        (json!({ "title": null, "description": "1 litre" }), json!({ "description": "1 litre" })),
        (json!({ "title": "Sleep", "completed": null }), json!({ "title": "Sleep" })),
        (json!({ "title": "Sleep", "completed_at": null }), json!({ "title": "Sleep" })),
        // No known field with a value, so nothing changes.
        (json!({}), json!({})),
        (json!({ "title": null, "priority": null, "completed": null }), json!({})),
    ] {
        let alice = app.user("alice");
        let client = alice.plain();
        let (_, before) = full_task(&alice).await;

        let after = client.task(&change(&client, &client.id(&before), body.clone()).await.expect_status(200));
        assert_eq!(changes(&before, &after), changed, "{body}");
        assert_eq!(client.only_task().await, after, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_never_truncates_longer_texts_of_envelope() {
    let app = App::start().await;
    let alice = app.user("alice");
    let (title, description) = ("t".repeat(255), "d".repeat(2000));
    alice.envelope().create(json!({ "title": title, "description": description })).await.expect_status(201);

    let client = alice.plain();
    let before = client.only_task().await;
    assert_eq!((&before["title"], &before["description"]), (&json!(title), &json!(description)));
    let id = client.id(&before);
    let after = client.task(&client.put(&id, json!({ "priority": "high" })).await.expect_status(200));
    assert_eq!(changes(&before, &after), json!({ "priority": "high" }));
    let after = client.task(&client.put(&id, json!({ "description": "short" })).await.expect_status(200));
    assert_eq!((&after["title"], &after["description"]), (&json!(title), &json!("short")));
    assert_eq!(alice.envelope().only_task().await["title"], title);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_and_server_set_fields_are_ignored() {
    let app = App::start().await;
    let alice = app.user("alice");
    for client in alice.clients() {
        let before = client.new_task("Buy milk").await;
        let body = json!({
            "title": "Sleep", "id": client.unknown_id(), "user_id": "mallory", "color": [1, { "a": null }],
            "created_at": "2000-01-01T00:00:00Z", "updated_at": "2000-01-01T00:00:00Z",
            "completed_at": "2000-01-01T00:00:00Z",
        });
        let after = client.task(&client.put(&client.id(&before), body).await.expect_status(200));
        assert_eq!(changes(&before, &after), json!({ "title": "Sleep" }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn updated_at_never_runs_backwards_under_parallel_writes() {
    let Some(app) = App::local().await else { return };
    let alice = app.user("alice");
    let database = app.internals().database().await;
    delay_at_random(&database, "update").await;
    let triggers = "create table public.steps_back (step interval);
                create function public.note_step_back() returns trigger language plpgsql security definer as $$
                begin
                    insert into public.steps_back values (old.updated_at - new.updated_at);
                    return null;
                end
                $$;
                create trigger note_step_back after update on public.tasks for each row
                    when (new.updated_at < old.updated_at or new.updated_at < new.created_at)
                    execute function public.note_step_back()";
    database.batch_execute(triggers).await.expect("a superuser can create triggers");
    let client = alice.envelope();
    let id = client.id(&client.new_task("contended").await);
    join_all((0..12).map(async |number| {
        for count in 0..20 {
            let response = match number % 3 {
                0 => client.put(&id, json!({ "title": format!("{number} {count}") })).await,
                1 => client.patch(&id, json!({ "title": format!("{number} {count}") })).await,
                _ => client.complete(&id, count % 2 == 0).await,
            };
            response.expect_status(200);
        }
    }))
    .await;
    let steps = database.query_one("select count(*), max(step)::text from public.steps_back", &[]).await;
    let steps = steps.expect("a count");
    let (count, most): (i64, Option<String>) = (steps.get(0), steps.get(1));
    assert_eq!(count, 0, "writes of 240 set the time back, by up to {most:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn completed_at_is_set_on_completion_kept_while_completed_and_null_when_open() {
    let app = App::start().await;
    for contract in Contract::BOTH {
        for method in [Method::PUT, Method::PATCH] {
            let alice = app.user("alice");
            let client = alice.at(contract);
            let path = format!("/{}", client.id(&client.new_task("Buy milk").await));
            let write = async |body: Value| {
                Response::to(client.request(method.clone(), &path).json(&body)).await.expect_status(200);
                alice.envelope().only_task().await["completed_at"].clone()
            };
            let completed_at =
                async |completed: bool| write(json!({ "title": "Buy milk", "completed": completed })).await;
            assert_eq!(completed_at(false).await, Value::Null);
            let first = completed_at(true).await;
            assert!(first.as_str().is_some_and(|time| time.ends_with('Z')), "{first}");
            assert_eq!(completed_at(true).await, first);
            assert_eq!(write(json!({ "title": "Buy oat milk", "completed": true })).await, first);
            if method == Method::PATCH {
                assert_eq!(write(json!({ "title": "Buy milk" })).await, first);
                assert_eq!(write(json!({})).await, first);
            }
            assert_eq!(completed_at(false).await, Value::Null);
            let second = completed_at(true).await;
            assert!(second.is_string() && second != first, "{second} {first}");
        }
    }
}
