//! `ETag`, `If-Match` and `If-None-Match` (RFC 9110 §8.8.3 and §13).

mod if_match;
mod if_none_match;

use std::collections::BTreeSet;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tests::{ApiClient, App, Contract, Response, errors};

use crate::endpoints::{Endpoint, endpoints};

/// Values of `If-Match` and `If-None-Match` that are not a list of entity tags.
const NO_TAGS: [&str; 14] = [
    "",
    " ",
    ",",
    "tag",
    "\"tag",
    "tag\"",
    "'tag'",
    "W/tag",
    "w/\"tag\"",
    "W/ \"tag\"",
    "\"a\" \"b\"",
    "\"a b\"",
    "*, \"a\"",
    "\"a\", *",
];

/// Lists of entity tags that match no task and no list.
const OTHER_TAGS: [&str; 6] =
    ["\"\"", "\"other\"", "\"a\",\"b\" , \"c\"", "W/\"other\"", "\"a,b\", \"c\\\"", ", \"a\",, \"b\","];

/// The endpoints that change or delete an existing task.
fn writes(contract: Contract) -> impl Iterator<Item = Endpoint> {
    endpoints(contract).into_iter().filter(|endpoint| endpoint.is_write() && endpoint.names_a_task())
}

/// The ETag of a task, by its id.
async fn etag(client: &ApiClient<'_>, id: &str) -> String {
    client.get(id).await.expect_status(200).etag().to_owned()
}

/// Creates a task and returns its id and ETag.
async fn new_task(client: &ApiClient<'_>) -> (String, String) {
    let response = client.create(json!({ "title": "Buy milk" })).await.expect_status(201);
    (client.id(&client.task(&response)), response.etag().to_owned())
}

fn put(client: &ApiClient<'_>, id: &str, title: &str) -> RequestBuilder {
    client.request(Method::PUT, &format!("/{id}")).json(&json!({ "title": title }))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_of_a_task_changes_its_etag() {
    let app = App::start().await;
    for client in app.clients("alice") {
        let (id, created) = new_task(&client).await;
        let (other, other_etag) = new_task(&client).await;
        let mut seen = BTreeSet::from([created.clone(), other_etag.clone()]);
        assert_eq!(seen.len(), 2);
        assert_eq!(etag(&client, &id).await, created, "another task's write does not change this ETag");
        for endpoint in writes(client.contract).filter(|endpoint| endpoint.method != Method::DELETE) {
            // The second write sets the values already stored. So does the third, unless it toggles.
            for _ in 0..3 {
                let response = Response::to(endpoint.request(&client, &id)).await.expect_status(200);
                response.assert_common_headers();
                assert!(!response.etag().starts_with("W/"), "a weak tag would never match in If-Match");
                assert_eq!(
                    etag(&client, &id).await,
                    response.etag(),
                    "{} {}",
                    endpoint.method,
                    endpoint.rest
                );
                assert!(seen.insert(response.etag().to_owned()), "{} {}", endpoint.method, endpoint.rest);
            }
        }
        assert_eq!(etag(&client, &other).await, other_etag);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_without_fields_changes_no_etag() {
    let app = App::start().await;
    for client in app.clients("alice") {
        let (id, created) = new_task(&client).await;
        let list = client.list("").await.etag().to_owned();
        let method = if client.contract == Contract::Envelope { Method::PATCH } else { Method::PUT };
        let nothing = client.request(method, &format!("/{id}")).json(&json!({ "unknown": 1 }));
        let response = Response::to(nothing).await.expect_status(200);
        assert_eq!(response.etag(), created);
        assert_eq!(etag(&client, &id).await, created);
        assert_eq!(client.list("").await.etag(), list);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_of_the_user_changes_the_etag_of_the_list() {
    let app = App::start().await;
    for contract in Contract::BOTH {
        let (alice, bob) = (app.user("alice"), app.user("bob"));
        let client = alice.at(contract);
        let mut seen = BTreeSet::new();
        let list = async || client.list("").await.expect_status(200).etag().to_owned();
        assert!(seen.insert(list().await), "an empty list has an ETag too");
        let (id, _) = new_task(&client).await;
        assert!(seen.insert(list().await));
        for endpoint in endpoints(contract).iter().filter(|endpoint| endpoint.is_write()) {
            Response::to(endpoint.request(&client, &id)).await.expect_status(endpoint.status);
            let now = list().await;
            assert!(seen.insert(now.clone()), "{} {}", endpoint.method, endpoint.rest);
            // Reads, rejected writes and other users' writes do not change the ETag.
            client.get(&client.unknown_id()).await.expect_status(404);
            client.put(&client.unknown_id(), json!({ "title": "a" })).await.expect_status(404);
            client.create(json!({ "title": "" })).await.expect_status(422);
            bob.at(contract).new_task("Bob's").await;
            assert_eq!(list().await, now);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_one_of_50_concurrent_edits_with_the_same_etag_succeeds() {
    let app = App::start().await;
    for client in app.clients("alice") {
        let (id, created) = new_task(&client).await;
        let mut edits = tokio::task::JoinSet::new();
        for number in 0..50 {
            let title = format!("edit {number}");
            let request = if client.contract == Contract::Envelope {
                client.request(Method::PATCH, &format!("/{id}")).json(&json!({ "title": title }))
            } else {
                put(&client, &id, &title)
            };
            let response = Response::to(request.header("if-match", &created));
            edits.spawn(async move { (title, response.await) });
        }
        let responses = edits.join_all().await;
        let now = client.get(&id).await.expect_status(200);
        let (done, refused): (Vec<_>, Vec<_>) =
            responses.into_iter().partition(|(_, response)| response.status == 200);
        let [(title, response)] = &done[..] else { panic!("{} of 50 were carried out", done.len()) };
        assert_eq!((&client.task(&now)["title"], response.etag()), (&json!(title), now.etag()));
        for (_, response) in refused {
            response.assert_error(client.contract, &errors::CHANGED);
            assert_eq!(response.etag(), now.etag());
        }
    }
}

/// ETags of a user's list and tasks.
async fn all_etags(client: &ApiClient<'_>) -> Vec<String> {
    let mut etags = vec![client.list("").await.expect_status(200).etag().to_owned()];
    for id in client.all_tasks().await.keys() {
        etags.push(etag(client, id).await);
    }
    etags
}

/// Checks that none of the old ETags matches the list or a task.
async fn assert_match_nothing(client: &ApiClient<'_>, old: &[String]) {
    let tags = old.join(", ");
    let list = Response::to(client.request(Method::GET, "").header("if-none-match", &tags)).await;
    list.expect_status(200);
    for id in client.all_tasks().await.keys() {
        let get = client.request(Method::GET, &format!("/{id}")).header("if-none-match", &tags);
        Response::to(get).await.expect_status(200);
        let edit = Response::to(put(client, id, "overwritten").header("if-match", &tags)).await;
        edit.assert_error(client.contract, &errors::CHANGED);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn etags_from_before_an_erase_match_nothing_after_it() {
    let app = App::start().await;
    for client in app.clients("alice") {
        let mut old = all_etags(&client).await;
        for _ in 0..3 {
            for number in 0..4 {
                client.new_task(&format!("{number}")).await;
                assert_match_nothing(&client, &old).await;
            }
            old.extend(all_etags(&client).await);
            client.erase().await.expect_status(204);
            assert_match_nothing(&client, &old[1..]).await;
        }
    }
}

/// After a restore, the database assigns the revisions since the backup a second time.
#[tokio::test(flavor = "multi_thread")]
async fn etags_from_before_a_restore_match_nothing_written_after_it() {
    let Some(app) = App::local().await else { return };
    let database = app.internals().database().await;
    for client in app.clients("alice") {
        let (id, before) = new_task(&client).await;
        let back_up = "drop table if exists saved_users, saved_tasks;
                       create table saved_users as table users; create table saved_tasks as table tasks";
        database.batch_execute(back_up).await.expect("a superuser can run this");
        let lost = client.put(&id, json!({ "title": "lost with the restore" })).await.expect_status(200);
        let mut old = vec![lost.etag().to_owned()];
        old.push(
            client.create(json!({ "title": "lost as well" })).await.expect_status(201).etag().to_owned(),
        );
        old.push(client.list("").await.expect_status(200).etag().to_owned());
        let restore = "truncate users cascade;
                       insert into users select * from saved_users;
                       insert into tasks overriding system value select * from saved_tasks";
        database.batch_execute(restore).await.expect("a superuser can run this");

        // A task that was not changed after the backup keeps its ETag.
        assert_eq!(etag(&client, &id).await, before);
        assert_match_nothing(&client, &old).await;
        client.put(&id, json!({ "title": "written after the restore" })).await.expect_status(200);
        assert_match_nothing(&client, &old).await;
        client.create(json!({ "title": "created after the restore" })).await.expect_status(201);
        assert_match_nothing(&client, &old).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_write_has_the_tasks_current_etag() {
    let app = App::start().await;
    for client in app.clients("alice") {
        let create = || {
            client.request(Method::POST, "").header("idempotency-key", "key").json(&json!({ "title": "a" }))
        };
        let created = Response::to(create()).await.expect_status(201);
        assert_eq!(Response::to(create()).await.expect_status(201).etag(), created.etag());
        let id = client.id(&client.task(&created));
        let changed = client.put(&id, json!({ "title": "b" })).await.expect_status(200);
        let replayed = Response::to(create()).await.expect_status(201);
        assert_eq!((replayed.etag(), &client.task(&replayed)["title"]), (changed.etag(), &Value::from("b")));
    }
}
