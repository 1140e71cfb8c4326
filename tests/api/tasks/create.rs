//! `POST …/tasks`: fields, bounds, the response, and the user's row.

use futures_util::future::join_all;
use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{App, Contract, FieldError, Response, SECRET, User};
use uuid::Uuid;

use super::delay_at_random;

#[tokio::test(flavor = "multi_thread")]
async fn response_has_exactly_the_fields_of_its_contract() {
    let app = App::start().await;
    let alice = app.user("alice");

    let body = json!({
        "title": "Buy milk", "description": "2 litres", "due_date": "2026-12-24T18:00:00+01:00", "priority": "high",
        "tags": ["home", "shopping"],
    });
    let mut task = alice.envelope().task(&alice.envelope().create(body.clone()).await);
    let id = task["id"].as_str().and_then(|id| Uuid::parse_str(id).ok());
    assert_eq!(id.map(|id| id.get_version_num()), Some(7), "{task}");
    assert_eq!(task["created_at"], task["updated_at"]);
    for set_by_the_server in ["id", "created_at"] {
        task.as_object_mut().expect("a task").remove(set_by_the_server).expect(set_by_the_server);
    }
    assert!(task["updated_at"].as_str().is_some_and(|time| time.ends_with('Z')), "{task}");
    task["updated_at"] = Value::Null;
    assert_eq!(
        task,
        json!({
            "user_id": alice.id, "title": "Buy milk", "description": "2 litres",
            "due_date": "2026-12-24T17:00:00Z", "priority": "high", "tags": "home,shopping", "completed": false,
            "completed_at": null, "updated_at": null,
        })
    );

    let mut task = alice.plain().task(&alice.plain().create(body).await);
    assert!(task["id"].as_i64().is_some_and(|id| id >= 1), "{task}");
    for set_by_the_server in ["id", "created_at", "updated_at"] {
        task.as_object_mut().expect("a task").remove(set_by_the_server).expect(set_by_the_server);
    }
    assert_eq!(
        task,
        json!({
            "user_id": alice.id, "title": "Buy milk", "description": "2 litres",
            "due_date": "2026-12-24T17:00:00Z", "priority": "high", "tags": ["home", "shopping"], "completed": false,
            "completed_at": null,
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn title_is_stored_unchanged() {
    let app = App::start().await;
    let alice = app.user("alice");
    for client in alice.clients() {
        let response =
            client.create(json!({ "title": "a", "description": "b", "due_date": "2026-12-24" })).await;
        let task = client.task(&response);
        assert_eq!(client.task(&client.get(&client.id(&task)).await.expect_status(200)), task);
        for title in [
            "a",
            "  Buy\tmilk \r\n",
            "<script>alert(\"x\")</script> &amp; \\ '; drop table tasks; --",
            "\u{1}\u{7f}\u{feff}\u{202e}\u{2028}\u{ffff}\u{10ffff}",
            "👩\u{200d}👩\u{200d}👧 é e\u{301} ﬁ Ⅳ",
        ] {
            let task = client.new_task(title).await;
            assert_eq!(task["title"], title);
            assert_eq!(client.task(&client.get(&client.id(&task)).await), task);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn due_date_is_returned_as_the_date_or_the_time_in_utc_that_was_sent() {
    let app = App::start().await;
    for client in app.clients("alice") {
        for (given, returned) in [
            ("2026-12-24", "2026-12-24"),
            ("2028-02-29", "2028-02-29"),
            ("0001-01-01", "0001-01-01"),
            ("2026-12-24T00:00", "2026-12-24T00:00:00Z"),
            ("2026-12-24T18:30", "2026-12-24T18:30:00Z"),
            ("2026-12-24T18:30:15", "2026-12-24T18:30:15Z"),
            ("2026-12-24T18:30:15Z", "2026-12-24T18:30:15Z"),
            ("2026-12-24T18:30:15.25Z", "2026-12-24T18:30:15.250Z"),
            ("2026-12-24T18:30:15.123456", "2026-12-24T18:30:15.123456Z"),
            ("2026-12-24T18:30:15+00:00", "2026-12-24T18:30:15Z"),
            ("2026-12-24T18:30+01:00", "2026-12-24T17:30:00Z"),
            ("2026-12-24T18:30:15+0530", "2026-12-24T13:00:15Z"),
            ("2026-12-31T20:00:00-08", "2027-01-01T04:00:00Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
        ] {
            let task = client.task(&client.create(json!({ "title": "a", "due_date": given })).await);
            assert_eq!(task["due_date"], returned, "{given}");
            assert_eq!(client.task(&client.get(&client.id(&task)).await)["due_date"], returned, "{given}");
        }
        let without = client.create(json!({ "title": "a", "due_date": null })).await.expect_status(201);
        assert_eq!(client.task(&without)["due_date"], Value::Null);
    }
}

/// Some front ends send `dueDate`.
#[tokio::test(flavor = "multi_thread")]
async fn every_body_accepts_due_date_in_camel_case() {
    let app = App::start().await;
    for client in app.clients("alice") {
        let (date, utc) = ("2026-12-24T18:00:00+01:00", "2026-12-24T17:00:00Z");
        let created = client.create(json!({ "title": "a", "dueDate": date })).await.expect_status(201);
        let task = client.task(&created);
        assert_eq!(task["due_date"], utc);
        assert_eq!(task.get("dueDate"), None);
        let id = client.id(&task);
        for (response, due_date) in [
            (client.put(&id, json!({ "title": "a", "dueDate": date })).await, json!(utc)),
            (client.patch(&id, json!({ "dueDate": null })).await, json!(null)),
            (client.patch(&id, json!({ "dueDate": "2026-12-24" })).await, json!("2026-12-24")),
            (client.patch(&id, json!({ "title": "b" })).await, json!("2026-12-24")),
            (client.patch(&id, json!({ "dueDate": date, "due_date": utc })).await, json!(utc)),
            (client.put(&id, json!({ "title": "a", "dueDate": null, "due_date": null })).await, json!(null)),
        ] {
            assert_eq!(client.task(&response.expect_status(200))["due_date"], due_date);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn due_date_under_both_names_with_different_values_is_422() {
    let app = App::start().await;
    for client in app.clients("alice") {
        let id = client.id(&client.new_task("a").await);
        let differ = ["due_date", "dueDate"].map(|field| {
            FieldError::new("body", field, "value_error", "due_date and dueDate should not differ")
        });
        let invalid =
            [FieldError::new("body", "dueDate", "datetime_parsing", "Input should be a valid datetime")];
        for (due_date, other, errors) in [
            (json!("2026-12-24"), json!("2026-12-25"), &differ[..]),
            (json!("2026-12-24"), json!("2026-12-24T00:00:00Z"), &differ[..]),
            (json!("2026-12-24"), json!(null), &differ[..]),
            (json!("2026-12-24"), json!("soon"), &invalid[..]),
        ] {
            let body = json!({ "title": "a", "due_date": due_date, "dueDate": other });
            client.create(body.clone()).await.assert_invalid(client.contract, errors);
            client.put(&id, body.clone()).await.assert_invalid(client.contract, errors);
            client.patch(&id, body).await.assert_invalid(client.contract, errors);
        }
        assert_eq!(client.tasks(&client.list("").await).len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_can_create_a_completed_task_with_completed_at() {
    let app = App::start().await;
    for (body, completed) in [
        (json!({ "title": "a" }), false),
        (json!({ "title": "a", "completed": false }), false),
        (json!({ "title": "a", "completed": true }), true),
    ] {
        let alice = app.user("alice");
        let response = alice.plain().create(body).await.expect_status(201);
        assert_eq!(alice.plain().task(&response)["completed"], completed);
        let task = alice.envelope().only_task().await;
        assert_eq!(task["completed"], completed);
        let since = if completed { task["created_at"].clone() } else { Value::Null };
        assert_eq!(task["completed_at"], since);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_fields_are_ignored_and_completed_in_envelope() {
    let app = App::start().await;
    for (contract, foreign) in [(Contract::Envelope, "completed"), (Contract::Plain, "due")] {
        let (alice, bob) = (app.user("alice"), app.user("bob"));
        let client = alice.at(contract);
        for value in [json!(true), json!("2026-12-24"), json!({})] {
            let body = json!({
                "title": "Buy milk", "id": client.unknown_id(), "number": 7, "user_id": bob.id, "user": null,
                "created_at": "2000-01-01T00:00:00Z", "updated_at": 0, "completed_at": "2000-01-01T00:00:00Z",
                "Title": 1, "constructor": {}, "": [], foreign: value,
            });
            let task = client.task(&client.create(body.clone()).await.expect_status(201));
            assert_eq!((&task["title"], &task["user_id"]), (&json!("Buy milk"), &json!(alice.id)));
            assert_ne!(task["id"], body["id"]);
            assert!(task["created_at"].as_str() > Some("2026"), "{task}");
            assert_eq!(task["created_at"], task["updated_at"]);
        }
        for task in alice.envelope().tasks(&alice.envelope().list("").await) {
            let untouched = json!([task["completed"], task["completed_at"], task["due_date"]]);
            assert_eq!(untouched, json!([false, null, null]));
        }
        assert_eq!(bob.at(contract).tasks(&bob.at(contract).list("").await), [] as [Value; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn special_characters_of_the_user_id_are_escaped_in_location() {
    let app = App::start().await;
    let unique = Uuid::new_v4();
    let user = app.user_with_id(format!("auth0|ü/ä ?#%2F<{unique}"));
    for (contract, prefix) in [(Contract::Envelope, ""), (Contract::Plain, "/plain")] {
        let user_path = format!("{prefix}/api/auth0%7C%C3%BC%2F%C3%A4%20%3F%23%252F%3C{unique}/tasks");
        let request = app.request(Method::POST, &user_path).bearer_auth(&user.token);
        let response = Response::to(request.json(&json!({ "title": "a" }))).await.expect_status(201);
        let task = user.at(contract).task(&response);
        assert_eq!(task["user_id"], user.id);
        assert_eq!(response.header("location"), format!("{user_path}/{}", user.at(contract).id(&task)));
        let there = app.request(Method::GET, response.header("location")).bearer_auth(&user.token);
        assert_eq!(user.at(contract).task(&Response::to(there).await.expect_status(200)), task);
    }
}

/// Signs a token with these claims.
fn token(claims: &Value) -> String {
    encode(
        &Header::default(),
        claims,
        &EncodingKey::from_secret(SECRET.as_bytes()).expect("the secret is not empty"),
    )
    .expect("HS256 signs")
}

#[tokio::test(flavor = "multi_thread")]
async fn first_task_creates_the_users_row_from_the_tokens_claims() {
    let Some(app) = App::local().await else { return };
    let database = app.internals().database().await;
    let row = async |id: &str| {
        let statement = "select to_jsonb(profile)::text
                         from (select id, email, name, image, email_verified from users) profile where id = $1";
        let row = database.query_opt(statement, &[&id]).await.expect("a valid statement");
        row.map(|row| serde_json::from_str::<Value>(row.get(0)).expect("JSON"))
    };
    for (contract, email) in [(Contract::Envelope, "a@example.com"), (Contract::Plain, "b@example.com")] {
        let sign_in = |user: &mut User, name: &str| {
            let claims = json!({
                "sub": user.id, "email": email, "name": name, "image": "https://example.com/a.png",
                "emailVerified": true, "exp": get_current_timestamp() + 600,
            });
            user.token = token(&claims);
        };
        let [mut first, mut second] = [app.user("first"), app.user("second")];
        let expected = |user: &User, email: Option<&str>| {
            Some(json!({
                "id": user.id, "email": email, "name": "Ann", "image": "https://example.com/a.png",
                "email_verified": email.is_some(),
            }))
        };
        sign_in(&mut first, "Ann");
        first.at(contract).create(json!({})).await.expect_status(422);
        assert_eq!(row(&first.id).await, None, "a rejected request creates no row");
        first.at(contract).new_task("a").await;
        assert_eq!(row(&first.id).await, expected(&first, Some(email)));

        // An e-mail address belongs to one row. A second user with the same address can still create tasks.
        sign_in(&mut second, "Ann");
        second.at(contract).new_task("a").await;
        assert_eq!(row(&second.id).await, expected(&second, None));

        // Only the first task writes these fields; a later token does not change them.
        sign_in(&mut first, "Other");
        first.at(contract).new_task("b").await;
        assert_eq!(row(&first.id).await, expected(&first, Some(email)));
    }
    let nobody = app.user("nobody");
    nobody.envelope().new_task("a").await;
    let bare =
        json!({ "id": nobody.id, "email": null, "name": null, "image": null, "email_verified": false });
    assert_eq!(row(&nobody.id).await, Some(bare));
}

/// A B-tree index entry has room for about 2.7 kB.
#[tokio::test(flavor = "multi_thread")]
async fn email_that_cannot_be_stored_is_dropped_and_the_task_is_created() {
    let Some(app) = App::local().await else { return };
    let database = app.internals().database().await;
    let mut random = fastrand::Rng::with_seed(1);
    // Random letters, because PostgreSQL could compress repeated ones until they fit.
    let mut name = |length| (0..length).map(|_| random.alphanumeric()).collect::<String>();
    for email in ["a\0b@example.com".into(), name(3000), name(5500), format!("{}@example.com", name(4000))] {
        for contract in Contract::BOTH {
            let mut user = app.user("long");
            let claims = json!({
                "sub": user.id, "email": email, "name": "Ann", "emailVerified": true,
                "exp": get_current_timestamp() + 600,
            });
            user.token = token(&claims);
            for title in ["first", "second"] {
                let response = user.at(contract).create(json!({ "title": title })).await;
                assert_eq!(response.status, 201, "an e-mail of {} bytes: {}", email.len(), response.text);
            }
            let select = "select email, name, email_verified from users where id = $1";
            let row = database.query_one(select, &[&user.id]).await.expect("a row");
            assert_eq!(row.get::<_, Option<String>>("email"), None);
            assert_eq!(row.get::<_, Option<String>>("name").as_deref(), Some("Ann"));
            assert!(!row.get::<_, bool>("email_verified"), "a dropped e-mail address is not verified");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn task_numbers_follow_created_at_under_parallel_creates() {
    let Some(app) = App::local().await else { return };
    let alice = app.user("alice");
    let database = app.internals().database().await;
    delay_at_random(&database, "insert").await;
    join_all((0..8).map(async |number| {
        let client = alice.at(Contract::BOTH[number % 2]);
        for _ in 0..25 {
            client.new_task("a").await;
        }
    }))
    .await;
    let disorder = "select count(*), max(before - created_at)::text
                    from (select created_at, lag(created_at) over (order by number) as before
                          from tasks where user_id = $1) as tasks
                    where created_at < before";
    let row = database.query_one(disorder, &[&alice.id]).await.expect("a count");
    let (count, most): (i64, Option<String>) = (row.get(0), row.get(1));
    assert_eq!(count, 0, "tasks of 200 are older than the task with the number before, by up to {most:?}");
}
