//! `If-None-Match` on reads.

use std::time::Duration;

use reqwest::{Method, header::HeaderValue};
use serde_json::json;
use tests::{ApiClient, App, Contract, Response, errors};
use tokio::time::timeout;

use super::{NO_TAGS, OTHER_TAGS, new_task};

async fn read(client: &ApiClient<'_>, rest: &str, value: impl AsRef<[u8]>) -> Response {
    let value = HeaderValue::from_bytes(value.as_ref()).expect("a header");
    Response::to(client.request(Method::GET, rest).header("if-none-match", value)).await
}

#[track_caller]
fn assert_not_modified(response: &Response, etag: &str) {
    assert_eq!((response.status, response.text.as_str()), (304, ""));
    assert_eq!(response.etag(), etag);
    for header in ["content-type", "link", "x-total-count"] {
        assert_eq!(response.header(header), "", "{header}");
    }
    response.assert_common_headers();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_and_a_list_are_304_until_they_change() {
    let app = App::start().await;
    for client in app.clients("alice") {
        let (id, _) = new_task(&client).await;
        for rest in [format!("/{id}"), String::new(), "?limit=5".into()] {
            let current = Response::to(client.request(Method::GET, &rest)).await.expect_status(200);
            let etag = current.etag().to_owned();
            let opposite = etag.strip_prefix("W/").map_or_else(|| format!("W/{etag}"), str::to_owned);
            for value in
                [&etag, &opposite, "*", &format!("\"a\" , {etag}"), &format!(",{opposite},,W/\"b,c\"")]
            {
                assert_not_modified(&read(&client, &rest, value).await, &etag);
            }
            let mut others = NO_TAGS.map(str::to_owned).to_vec();
            others.extend(OTHER_TAGS.map(str::to_owned));
            others.extend([format!("{etag}, tag"), etag.replace('"', "")]);
            for value in others {
                let response = read(&client, &rest, &value).await.expect_status(200);
                assert_eq!((response.etag(), &response.text), (&*etag, &current.text), "{value:?}");
            }
            read(&client, &rest, b"\xff").await.expect_status(200);

            client.put(&id, json!({ "title": "Changed" })).await.expect_status(200);
            let response = read(&client, &rest, &etag).await.expect_status(200);
            assert_ne!(response.etag(), etag);
            assert!(response.text.contains("Changed"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_headers_are_joined_into_one_list() {
    let app = App::start().await;
    for client in app.clients("alice") {
        let (id, etag) = new_task(&client).await;
        let get = client.request(Method::GET, &format!("/{id}")).header("if-none-match", "\"other\"");
        assert_not_modified(&Response::to(get.header("if-none-match", &etag)).await, &etag);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_task_is_404_whatever_the_tags() {
    let app = App::start().await;
    for contract in Contract::BOTH {
        let (alice, bob) = (app.user("alice"), app.user("bob"));
        let client = alice.at(contract);
        let (his, his_etag) = new_task(&bob.at(contract)).await;
        let (gone, gone_etag) = new_task(&client).await;
        client.delete(&gone).await.expect_status(204);
        for (id, etag) in [(&his, &his_etag), (&gone, &gone_etag)] {
            for value in ["*", etag] {
                let response = read(&client, &format!("/{id}"), value).await;
                response.assert_error(contract, &errors::NOT_FOUND);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_a_user_without_tasks_is_304_too() {
    let app = App::start().await;
    for client in app.clients("alice") {
        let etag = client.list("").await.expect_status(200).etag().to_owned();
        assert_not_modified(&read(&client, "", &etag).await, &etag);
        new_task(&client).await;
        read(&client, "", &etag).await.expect_status(200);
    }
}

/// The test locks the table of tasks, so a request that reads a task would wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_lists_304_reads_no_task() {
    let Some(app) = App::local().await else { return };
    let database = app.internals().database().await;
    for client in app.clients("alice") {
        new_task(&client).await;
        let etag = client.list("").await.expect_status(200).etag().to_owned();
        database.batch_execute("begin; lock table tasks").await.expect("a superuser can lock tables");
        let response = timeout(Duration::from_secs(1), read(&client, "", &etag)).await;
        assert_not_modified(&response.expect("a 304 doesn't wait for the lock"), &etag);
        timeout(Duration::from_secs(1), read(&client, "", "\"other\""))
            .await
            .expect_err("a 200 waits for the lock");
        database.batch_execute("rollback").await.expect("a transaction");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_304_whatever_the_query() {
    let app = App::start().await;
    let (alice, bob) = (app.user("alice"), app.user("bob"));
    for title in ["one", "two", "three"] {
        alice.plain().new_task(title).await;
    }
    bob.plain().new_task("Bob's").await;
    for client in alice.clients() {
        for query in ["", "?limit=2", "?sort=-title&search=o", "?status=completed", "?due_after=2026-01-01"] {
            let tag = client.list(query).await.expect_status(200).etag().to_owned();
            for tags in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag} "), "*".to_owned()] {
                assert_not_modified(&read(&client, query, &tags).await, &tag);
            }
            for tags in ["\"x\"", "x", "", &tag[1..], "\"*\""] {
                read(&client, query, tags).await.expect_status(200);
            }
        }
        // The query is checked before the tags.
        read(&client, "?limit=0", "*").await.expect_status(422);
        let bobs = bob.at(client.contract).list("").await;
        read(&client, "", bobs.etag()).await.expect_status(200);
    }
}
