//! `PUT …/tasks/{task_id}`: replaces the task in the envelope contract, changes the fields present in the
//! plain one.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::{ApiClient, App, Contract, FieldError, Response, User, changes};

/// Invalid values of single fields, each with the expected error.
pub(super) fn faulty_fields(contract: Contract) -> Vec<(&'static str, Value, FieldError)> {
    let (title_max, description_max) = limits(contract);
    let too_long = |max| ("string_too_long", format!("String should have at most {max} characters"));
    let fixed = |kind, message: &str| (kind, message.to_owned());
    let blank = || fixed("string_blank", "String should not consist only of white space");
    let null_character = || fixed("string_null_character", "String should not contain U+0000");
    let string = || fixed("string_type", "Input should be a valid string");
    let boolean = || fixed("bool_type", "Input should be a valid boolean");
    let datetime = || fixed("datetime_parsing", "Input should be a valid datetime");

    let mut cases = vec![
        ("title", json!(""), fixed("string_too_short", "String should have at least 1 character")),
        ("title", json!(" \t\n\u{a0}\u{3000}"), blank()),
        ("title", json!("a\u{0}b"), null_character()),
        ("title", json!("é".repeat(title_max + 1)), too_long(title_max)),
        ("title", json!(7), string()),
        ("title", json!(["Buy milk"]), string()),
        ("description", json!("\u{0}"), null_character()),
        ("description", json!("𝒳".repeat(description_max + 1)), too_long(description_max)),
        ("description", json!(false), string()),
        ("completed", json!(1), boolean()),
        ("completed", json!("true"), boolean()),
        ("completed", json!({}), boolean()),
    ];
    if contract == Contract::Envelope {
        cases.extend([("title", Value::Null, string()), ("completed", Value::Null, boolean())]);
        for value in [json!("tomorrow"), json!("2026-02-30"), json!(1_767_713_400), json!(""), json!(true)] {
            cases.push(("due_date", value, datetime()));
        }
    }
    let fault =
        |(field, value, (kind, message))| (field, value, FieldError::new("body", field, kind, message));
    cases.into_iter().map(fault).collect()
}

/// The longest title and description, in characters.
pub(super) fn limits(contract: Contract) -> (usize, usize) {
    match contract {
        Contract::Envelope => (255, 2000),
        Contract::Plain => (200, 1000),
    }
}

/// Creates the user's only task, with every field set, and returns it as each contract shows it.
pub(super) async fn full_task(user: &User<'_>) -> (Value, Value) {
    let body = json!({ "title": "Buy milk", "description": "2 litres", "due_date": "2026-12-24T18:00:00Z" });
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
        "title": "Sleep", "description": null, "due_date": null, "completed": false, "completed_at": null,
    });
    assert_eq!(changes(&before, &after), emptied);
    assert_eq!(client.task(&client.get(&id).await), after);

    let body = json!({
        "title": "Wake up", "description": "Slowly", "due_date": "2027-01-01T00:30:00+01:00", "completed": true,
    });
    let mut filled = changes(&after, &client.task(&client.put(&id, body).await.expect_status(200)));
    assert!(filled["completed_at"].as_str().is_some_and(|time| time.ends_with('Z')), "{filled}");
    filled["completed_at"] = Value::Null;
    let expected = json!({
        "title": "Wake up", "description": "Slowly", "due_date": "2026-12-31T23:30:00Z", "completed": true,
        "completed_at": null,
    });
    assert_eq!(filled, expected);

    let body = json!({ "title": "Wake up", "description": null, "due_date": null, "completed": true });
    let after = client.task(&client.put(&id, body).await.expect_status(200));
    assert_eq!(
        (&after["description"], &after["due_date"], &after["completed"]),
        (&Value::Null, &Value::Null, &json!(true))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn envelope_requires_a_title() {
    let app = App::start().await;
    let alice = app.user("alice");
    let (before, _) = full_task(&alice).await;
    let client = alice.envelope();
    for body in [json!({}), json!({ "description": "1 litre", "completed": false })] {
        let response = client.put(&client.id(&before), body).await;
        response.assert_invalid(Contract::Envelope, &[FieldError::missing("title")]);
    }
    assert_eq!(client.only_task().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_changes_only_the_fields_present_and_null_clears_only_the_description() {
    let app = App::start().await;
    assert_plain_changes(&app, async |client, id, body| client.put(id, body).await).await;
}

/// Checks that a plain PUT or PATCH changes only the fields present, and that null clears only the
/// description.
pub(super) async fn assert_plain_changes(
    app: &App,
    change: impl AsyncFn(&ApiClient<'_>, &str, Value) -> Response,
) {
    for (body, changed) in [
        (json!({ "title": "Sleep" }), json!({ "title": "Sleep" })),
        (json!({ "description": "1 litre" }), json!({ "description": "1 litre" })),
        (json!({ "description": "" }), json!({ "description": "" })),
        (json!({ "description": null }), json!({ "description": null })),
        (json!({ "completed": false }), json!({ "completed": false, "completed_at": null })),
        (json!({ "title": null, "description": "1 litre" }), json!({ "description": "1 litre" })),
        (json!({ "title": "Sleep", "completed": null }), json!({ "title": "Sleep" })),
        // Fields that the plain contract doesn't have stay unchanged.
        (json!({ "title": "Sleep", "due_date": null, "completed_at": null }), json!({ "title": "Sleep" })),
        // No known field with a value, so nothing changes.
        (json!({}), json!({})),
        (json!({ "title": null, "completed": null }), json!({})),
        (json!({ "due_date": "2030-01-01" }), json!({})),
    ] {
        let alice = app.user("alice");
        let client = alice.plain();
        let (in_envelope, before) = full_task(&alice).await;

        let after = client.task(&change(&client, &client.id(&before), body.clone()).await.expect_status(200));
        let mut shown = changed.clone();
        shown.as_object_mut().expect("an object").remove("completed_at");
        assert_eq!(changes(&before, &after), shown, "{body}");
        assert_eq!(changes(&in_envelope, &alice.envelope().only_task().await), changed, "{body}");
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
    let after = client.task(&client.put(&id, json!({ "completed": true })).await.expect_status(200));
    assert_eq!(changes(&before, &after), json!({ "completed": true }));
    let after = client.task(&client.put(&id, json!({ "description": "short" })).await.expect_status(200));
    assert_eq!((&after["title"], &after["description"]), (&json!(title), &json!("short")));
    assert_eq!(alice.envelope().only_task().await["title"], title);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_values_are_422_and_change_nothing() {
    let app = App::start().await;
    let alice = app.user("alice");
    full_task(&alice).await;
    for contract in Contract::BOTH {
        let client = alice.at(contract);
        let before = client.only_task().await;
        for (field, value, fault) in faulty_fields(contract) {
            let mut body = json!({ "title": "Sleep" });
            body[field] = value;
            client.put(&client.id(&before), body).await.assert_invalid(contract, &[fault]);
        }
        assert_eq!(client.only_task().await, before);

        let (title_max, description_max) = limits(contract);
        let body = json!({ "title": "é".repeat(title_max), "description": "𝒳".repeat(description_max) });
        let after = client.task(&client.put(&client.id(&before), body.clone()).await.expect_status(200));
        assert_eq!(after["title"], body["title"]);
        assert_eq!(after["description"], body["description"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_and_server_set_fields_are_ignored() {
    let app = App::start().await;
    let alice = app.user("alice");
    for contract in Contract::BOTH {
        let client = alice.at(contract);
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
async fn completed_at_is_set_on_completion_kept_while_completed_and_null_when_open() {
    let app = App::start().await;
    for contract in Contract::BOTH {
        let alice = app.user("alice");
        let client = alice.at(contract);
        let id = client.id(&client.new_task("Buy milk").await);
        let completed_at = async |body: Value| {
            client.put(&id, body).await.expect_status(200);
            alice.envelope().only_task().await["completed_at"].clone()
        };
        assert_eq!(completed_at(json!({ "title": "Buy milk", "completed": false })).await, Value::Null);
        let first = completed_at(json!({ "title": "Buy milk", "completed": true })).await;
        assert!(first.as_str().is_some_and(|time| time.ends_with('Z')), "{first}");
        assert_eq!(completed_at(json!({ "title": "Buy milk", "completed": true })).await, first);
        assert_eq!(completed_at(json!({ "title": "Buy oat milk", "completed": true })).await, first);
        assert_eq!(completed_at(json!({ "title": "Buy milk", "completed": false })).await, Value::Null);
        let second = completed_at(json!({ "title": "Buy milk", "completed": true })).await;
        assert!(second.is_string() && second != first, "{second} {first}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn updated_at_never_runs_backwards_under_parallel_writes() {
    let Some(app) = App::local().await else { return };
    let alice = app.user("alice");
    let database = app.internals().database().await;
    // A random delay between the start of a transaction and its write lets transactions overtake each other.
    let triggers = "create function public.dawdle() returns trigger language plpgsql as
                $$ begin perform pg_sleep(random() * 0.005); return null; end $$;
                create trigger dawdle before update on public.tasks
                    for each statement execute function public.dawdle();
                create table public.steps_back (step interval);
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
