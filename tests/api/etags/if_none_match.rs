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
    let bob = app.user("bob");
    new_task(&bob.plain()).await;
    for client in app.clients("alice") {
        assert_is_304_for_matching_tags(&client, "").await;
        let (id, _) = new_task(&client).await;
        let task = format!("/{id}");
        let reads =
            [&task, "", "?limit=5", "?sort=-title&search=milk", "?status=completed", "?due_after=2026-01-01"];
        for write in ["update", "complete", "delete"] {
            let mut etags = Vec::new();
            for rest in reads {
                etags.push((rest, assert_is_304_for_matching_tags(&client, rest).await));
            }
            match write {
                "update" => {
                    drop(client.put(&id, json!({ "title": "Changed milk" })).await.expect_status(200))
                }
                "complete" => drop(client.complete(&id, true).await.expect_status(200)),
                _ => drop(client.delete(&id).await.expect_status(204)),
            }
            for (rest, etag) in etags {
                let status = if write == "delete" && rest == task { 404 } else { 200 };
                let response = read(&client, rest, &etag).await.expect_status(status);
                assert!(status == 404 || response.etag() != etag, "{write} {rest}");
            }
        }
        // The query is checked before the tags.
        read(&client, "?limit=0", "*").await.expect_status(422);
        let bobs = bob.at(client.contract).list("").await;
        read(&client, "", bobs.etag()).await.expect_status(200);
    }
}

/// Returns the current ETag.
async fn assert_is_304_for_matching_tags(client: &ApiClient<'_>, rest: &str) -> String {
    let current = Response::to(client.request(Method::GET, rest)).await.expect_status(200);
    let etag = current.etag().to_owned();
    let opposite = etag.strip_prefix("W/").map_or_else(|| format!("W/{etag}"), str::to_owned);
    for value in [&etag, &opposite, "*", &format!("\"a\" , {etag}"), &format!(",{opposite},,W/\"b,c\"")] {
        assert_not_modified(&read(client, rest, value).await, &etag);
    }
    let mut others = [NO_TAGS.as_slice(), &OTHER_TAGS, &["\"*\""]].concat();
    let (followed_by_garbage, unquoted) = (format!("{etag}, tag"), etag.replace('"', ""));
    others.extend([&*followed_by_garbage, &unquoted, &etag[1..]]);
    for value in others.iter().map(|value| value.as_bytes()).chain([&b"\xff"[..]]) {
        let response = read(client, rest, value).await.expect_status(200);
        assert_eq!((response.etag(), &response.text), (&*etag, &current.text), "{value:?}");
    }
    etag
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
