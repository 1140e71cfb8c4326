//! `DELETE …/api/{user_id}`: deletes everything of a user.

use reqwest::Method;
use serde_json::json;
use tests::{App, Contract, Options, Response, User, errors};
use tokio_postgres::Client;

use crate::logs::lines_about;

/// The number of the user's rows in each table that refers to users.
async fn rows_of(database: &Client, user_id: &str) -> Vec<(String, i64)> {
    let tables = "select c.relname::text, a.attname::text
                  from pg_class c
                  join pg_attribute a on a.attrelid = c.oid and not a.attisdropped
                  where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
                    and (a.attname = 'user_id' or c.relname = 'users' and a.attname = 'id')
                  order by c.relname";
    let mut counts = Vec::new();
    for row in database.query(tables, &[]).await.expect("the catalog can be queried") {
        let (table, column): (String, String) = (row.get(0), row.get(1));
        let count = format!("select count(*) from {table} where {column} = $1");
        counts.push((table, database.query_one(&count, &[&user_id]).await.expect("a table").get(0)));
    }
    counts
}

/// Writes rows of the user into every table.
async fn use_everything(user: &User<'_>) {
    for client in user.clients() {
        let contract = client.contract;
        let create = client.request(Method::POST, "").header("idempotency-key", format!("{contract:?}"));
        let created =
            Response::to(create.json(&json!({ "title": "a private title" }))).await.expect_status(201);
        client.delete(&client.id(&client.task(&created))).await.expect_status(204);
        client.new_task("another private title").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_204_and_deletes_everything_of_the_user() {
    let Some(app) = App::local().await else { return };
    let database = app.internals().database().await;
    for contract in Contract::BOTH {
        let (alice, bob) = (app.user("alice"), app.user("bob"));
        for user in [&alice, &bob] {
            use_everything(user).await;
        }
        let before = rows_of(&database, &bob.id).await;
        let tables: Vec<_> = before.iter().map(|(table, _)| table.as_str()).collect();
        assert_eq!(tables, ["deleted_tasks", "idempotency_keys", "tasks", "users"]);
        assert!(before.iter().all(|(_, count)| *count > 0), "{before:?}");
        assert_eq!(rows_of(&database, &alice.id).await, before);

        let client = alice.at(contract);
        let id = client.all_tasks().await.into_keys().next().expect("a task");
        let response = client.erase().await.expect_status(204);
        assert_eq!((response.text.as_str(), response.header("content-type")), ("", ""));
        response.assert_common_headers();
        assert!(rows_of(&database, &alice.id).await.iter().all(|(_, count)| *count == 0));
        assert_eq!(rows_of(&database, &bob.id).await, before);

        for client in [alice.at(contract), alice.at(contract.other())] {
            assert_eq!(client.all_tasks().await.len(), 0);
        }
        let list = client.list("").await;
        match contract {
            Contract::Envelope => assert_eq!(list.json()["data"]["pagination"]["total"], 0),
            Contract::Plain => assert_eq!(list.header("x-total-count"), "0"),
        }
        client.get(&id).await.assert_error(contract, &errors::NOT_FOUND);
        client.put(&id, json!({ "title": "b" })).await.assert_error(contract, &errors::NOT_FOUND);
        // A user without a row gets none.
        for user in [&alice, &app.user("nobody")] {
            user.at(contract).erase().await.expect_status(204);
            assert!(rows_of(&database, &user.id).await.iter().all(|(_, count)| *count == 0));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn next_create_starts_from_scratch() {
    let Some(app) = App::local_with(Options::default().with("TASKS_PER_USER", "3")).await else { return };
    for client in app.clients("alice") {
        let create = |title: &str| {
            let request = client.request(Method::POST, "").header("idempotency-key", title);
            Response::to(request.json(&json!({ "title": title })))
        };
        let mut ids = Vec::new();
        for _ in 0..3 {
            for title in ["a", "b", "c"] {
                let created = create(title).await.expect_status(201);
                assert_eq!(created.header("idempotency-replayed"), "");
                ids.push(client.id(&client.task(&created)));
            }
            create("d").await.expect_status(409);
            let tasks = client.all_tasks().await;
            assert_eq!(tasks.keys().filter(|id| ids.contains(id)).count(), 3);
            client.erase().await.expect_status(204);
        }
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 9, "no id is used twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uses_no_write_budget_and_the_next_create_has_a_full_one() {
    let Some(app) = App::local_with(Options::default().with("WRITES_PER_MINUTE", "1")).await else { return };
    for client in app.clients("alice") {
        for _ in 0..2 {
            for left in (0..10).rev() {
                let response = client.create(json!({ "title": "a" })).await.expect_status(201);
                let expected = format!("\"writes\";r={left};");
                assert!(
                    response.header("ratelimit").starts_with(&expected),
                    "{}",
                    response.header("ratelimit")
                );
            }
            client
                .create(json!({ "title": "a" }))
                .await
                .assert_error(client.contract, &errors::TOO_MANY_WRITES);
            for _ in 0..12 {
                client.erase().await.expect_status(204);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ignores_idempotency_key_and_if_match() {
    let app = App::start().await;
    for client in app.clients("alice") {
        for (key, if_match) in [("key", "\"other\""), ("key", "*"), ("two words", "tag"), ("", "")] {
            client.new_task("a").await;
            let request = client.erase_request().header("idempotency-key", key).header("if-match", if_match);
            let response = Response::to(request).await.expect_status(204);
            assert_eq!(response.header("idempotency-replayed"), "");
            assert_eq!(client.all_tasks().await.len(), 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_without_the_users_own_token_erases_nothing() {
    let app = App::start().await;
    for contract in Contract::BOTH {
        let (alice, bob) = (app.user("alice"), app.user("bob"));
        for user in [&alice, &bob] {
            user.at(contract).new_task("a").await;
        }
        let url = bob.at(contract).user_url();
        let path = url.strip_prefix(&app.url).expect("a path");
        let without = Response::to(app.request(Method::DELETE, path)).await;
        without.assert_error(contract, &errors::NO_TOKEN);
        let foreign = Response::to(app.request(Method::DELETE, path).bearer_auth(&alice.token)).await;
        foreign.assert_error(contract, &errors::FORBIDDEN);
        for user in [&alice, &bob] {
            user.at(contract).only_task().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_database_is_503() {
    let Some(app) = App::local_with(Options::default().through(1)).await else { return };
    for contract in Contract::BOTH {
        let response = app.user("alice").at(contract).erase().await;
        response.assert_error(contract, &errors::UNAVAILABLE);
        assert!(!response.header("retry-after").is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_records_the_erase_without_its_content() {
    let Some(app) = App::local().await else { return };
    for contract in Contract::BOTH {
        let alice = app.user("alice");
        use_everything(&alice).await;
        let tasks = alice.at(contract).all_tasks().await;
        let response = alice.at(contract).erase().await.expect_status(204);
        let lines = lines_about(&app, &response).await;
        let [audit, request] = &lines[..] else { panic!("expected two lines: {lines:#?}") };
        assert_eq!((&audit["audit"], &audit["user_id"]), (&json!("erased"), &json!(alice.id)));
        assert_eq!((&request["function"], &request["status"]), (&json!("erase-user"), &json!(204)));
        let audit = audit.to_string();
        assert!(!audit.contains("private"), "{audit}");
        assert!(tasks.keys().all(|id| !audit.contains(&format!("\"{id}\""))), "{audit}");
    }
}
