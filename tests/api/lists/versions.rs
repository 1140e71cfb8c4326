//! `ETag` and `If-None-Match` of lists.

use reqwest::Method;
use serde_json::json;
use tests::{ApiClient, App, Contract, Response};

async fn list_unless(client: &ApiClient<'_>, query: &str, tags: &str) -> Response {
    Response::to(client.request(Method::GET, query).header("if-none-match", tags)).await
}

fn assert_not_modified(response: &Response, tag: &str) {
    assert_eq!((response.status, response.text.as_str()), (304, ""));
    assert_eq!((response.header("etag"), response.header("cache-control")), (tag, "private, no-cache"));
    assert_eq!((response.header("link"), response.header("x-total-count")), ("", ""));
}

/// The current ETag of a list.
async fn tag(client: &ApiClient<'_>, query: &str) -> String {
    let response = client.list(query).await.expect_status(200);
    assert_eq!(response.header("cache-control"), "private, no-cache");
    let tag = response.header("etag").to_owned();
    assert!(tag.len() > 2 && tag.starts_with('"') && tag.ends_with('"'), "{tag:?}");
    tag
}

#[tokio::test(flavor = "multi_thread")]
async fn list_is_304_until_something_is_written() {
    let app = App::start().await;
    for contract in Contract::BOTH {
        let alice = app.user("alice");
        let client = alice.at(contract);
        let mut before = tag(&client, "").await;
        assert_not_modified(&list_unless(&client, "", &before).await, &before);
        let id = client.id(&client.new_task("one").await);
        for write in 0..4 {
            match write {
                0 => {}
                1 => drop(client.put(&id, json!({ "title": "one" })).await.expect_status(200)),
                2 => drop(client.complete(&id, true).await.expect_status(200)),
                _ => drop(client.delete(&id).await.expect_status(204)),
            }
            let response = list_unless(&client, "", &before).await.expect_status(200);
            let after = tag(&client, "").await;
            assert_eq!(response.header("etag"), after);
            assert_ne!(after, before, "write {write}");
            assert_not_modified(&list_unless(&client, "", &after).await, &after);
            before = after;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn list_is_304_whatever_the_query() {
    let app = App::start().await;
    let (alice, bob) = (app.user("alice"), app.user("bob"));
    for title in ["one", "two", "three"] {
        alice.plain().new_task(title).await;
    }
    bob.plain().new_task("Bob's").await;
    for contract in Contract::BOTH {
        let client = alice.at(contract);
        for query in ["", "?limit=2", "?sort=-title&search=o", "?status=completed", "?due_after=2026-01-01"] {
            let tag = tag(&client, query).await;
            for tags in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag} "), "*".to_owned()] {
                assert_not_modified(&list_unless(&client, query, &tags).await, &tag);
            }
            for tags in ["\"x\"", "x", "", &tag[1..], "\"*\""] {
                list_unless(&client, query, tags).await.expect_status(200);
            }
        }
        // The query is checked before the tags.
        list_unless(&client, "?limit=0", "*").await.expect_status(422);
        let tag = tag(&bob.at(contract), "").await;
        list_unless(&client, "", &tag).await.expect_status(200);
    }
}
