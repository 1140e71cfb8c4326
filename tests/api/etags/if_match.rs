//! `If-Match` on writes.

use reqwest::{Method, header::HeaderValue};
use serde_json::json;
use tests::{App, Contract, Response, errors};

use super::{NO_TAGS, OTHER_TAGS, etag, new_task, put, writes};
use crate::endpoints::rows;

#[tokio::test(flavor = "multi_thread")]
async fn write_is_carried_out_if_one_of_the_tags_is_current() {
    let app = App::start().await;
    for client in app.clients("alice") {
        let contract = client.contract;
        for endpoint in writes(contract) {
            let (id, _) = new_task(&client).await;
            let request_with = async |value: &dyn Fn(&str) -> String| {
                let (id, etag) = if endpoint.method == Method::DELETE {
                    new_task(&client).await
                } else {
                    (id.clone(), etag(&client, &id).await)
                };
                let value = value(&etag);
                println!("{contract:?} {} {} {value}", endpoint.method, endpoint.rest);
                let response = Response::to(endpoint.request(&client, &id).header("if-match", value)).await;
                response.expect_status(endpoint.status);
            };
            request_with(&|etag| etag.to_owned()).await;
            request_with(&|_| "*".to_owned()).await;
            request_with(&|etag| format!(" \"a\" ,W/\"b\",{etag}")).await;
            request_with(&|etag| format!("{etag}, \"a,b\"")).await;
            request_with(&|etag| format!(",, {etag} ,")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_tags_are_412_with_the_current_etag_and_write_nothing() {
    let Some(app) = App::local().await else { return };
    for client in app.clients("alice") {
        let contract = client.contract;
        let (id, old) = new_task(&client).await;
        let (_, anothers) = new_task(&client).await;
        let current =
            client.put(&id, json!({ "title": "Changed" })).await.expect_status(200).etag().to_owned();
        let before = rows(&app).await;
        let weak = format!("W/{current}");
        let (upper, unquoted) = (current.to_uppercase(), current.replace('"', ""));
        let longer = format!("\"{unquoted}0\"");
        let values = [&old, &anothers, &weak, &longer].map(String::as_str);
        let values = values.into_iter().chain((upper != current).then_some(&*upper)).chain(OTHER_TAGS);
        for value in values {
            for endpoint in writes(contract) {
                println!("{contract:?} {} {} {value}", endpoint.method, endpoint.rest);
                let response = Response::to(endpoint.request(&client, &id).header("if-match", value)).await;
                let error = if value.starts_with("W/") {
                    &errors::CHANGED_SINCE_A_WEAK_TAG
                } else {
                    &errors::CHANGED
                };
                response.assert_error(contract, error);
                assert_eq!(response.etag(), current);
            }
        }
        assert_eq!(rows(&app).await, before);
        let response = Response::to(put(&client, &id, "Merged").header("if-match", current)).await;
        response.expect_status(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn value_that_is_not_a_list_of_tags_is_422_and_writes_nothing() {
    let Some(app) = App::local().await else { return };
    for client in app.clients("alice") {
        let contract = client.contract;
        let (id, current) = new_task(&client).await;
        let before = rows(&app).await;
        let with_garbage = format!("{current}, tag");
        let values = NO_TAGS.map(str::as_bytes).into_iter().chain([with_garbage.as_bytes(), b"\xff"]);
        for value in values {
            let value = HeaderValue::from_bytes(value).expect("a header");
            for endpoint in writes(contract) {
                println!("{contract:?} {} {} {value:?}", endpoint.method, endpoint.rest);
                for id in [&id, &client.unknown_id()] {
                    let response =
                        Response::to(endpoint.request(&client, id).header("if-match", &value)).await;
                    response.assert_invalid_value(contract, "header", "if-match");
                }
            }
        }
        assert_eq!(rows(&app).await, before);
    }
}

/// API Gateway joins repeated headers with commas.
#[tokio::test(flavor = "multi_thread")]
async fn repeated_headers_are_joined_into_one_list() {
    let app = App::start().await;
    for client in app.clients("alice") {
        let (id, current) = new_task(&client).await;
        let twice = |first: &str, second: &str| {
            Response::to(put(&client, &id, "Changed").header("if-match", first).header("if-match", second))
        };
        twice("\"a\"", "\"b\"").await.assert_error(client.contract, &errors::CHANGED);
        twice("\"a\"", "tag").await.assert_invalid_value(client.contract, "header", "if-match");
        twice("\"a\"", "*").await.assert_invalid_value(client.contract, "header", "if-match");
        twice("\"a\"", &current).await.expect_status(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_task_is_404_rather_than_412() {
    let app = App::start().await;
    for contract in Contract::BOTH {
        let (alice, bob) = (app.user("alice"), app.user("bob"));
        let client = alice.at(contract);
        // First without a row of the user, then with one.
        for _ in 0..2 {
            let (his, his_etag) = new_task(&bob.at(contract)).await;
            for id in [&his, &client.unknown_id()] {
                for value in ["*", "\"other\"", &his_etag] {
                    for endpoint in writes(contract) {
                        let response =
                            Response::to(endpoint.request(&client, id).header("if-match", value)).await;
                        response.assert_error(contract, &errors::NOT_FOUND);
                        assert_eq!(response.header("etag"), "");
                    }
                }
            }
            new_task(&client).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_without_fields_is_compared_too() {
    let app = App::start().await;
    for client in app.clients("alice") {
        let (id, current) = new_task(&client).await;
        let method = if client.contract == Contract::Envelope { Method::PATCH } else { Method::PUT };
        let nothing = |value: &str| {
            let request = client.request(method.clone(), &format!("/{id}")).json(&json!({}));
            Response::to(request.header("if-match", value))
        };
        let changed = nothing("\"other\"").await;
        changed.assert_error(client.contract, &errors::CHANGED);
        assert_eq!(changed.etag(), current);
        assert_eq!(nothing(&current).await.expect_status(200).etag(), current);
        assert_eq!(nothing("*").await.expect_status(200).etag(), current);
        nothing("tag").await.assert_invalid_value(client.contract, "header", "if-match");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn is_ignored_on_create() {
    let app = App::start().await;
    for client in app.clients("alice") {
        for value in ["\"other\"", "*", "tag", ""] {
            let create = client.request(Method::POST, "").header("if-match", value);
            Response::to(create.json(&json!({ "title": "a" }))).await.expect_status(201);
        }
    }
}

/// It has no meaning there. If it were ignored, a client that wants to create only would overwrite.
#[tokio::test(flavor = "multi_thread")]
async fn if_none_match_on_a_write_is_422_and_writes_nothing() {
    let Some(app) = App::local().await else { return };
    for client in app.clients("alice") {
        let (id, current) = new_task(&client).await;
        let before = rows(&app).await;
        for value in ["*", &current, "no tag"] {
            let create = client.request(Method::POST, "").json(&json!({ "title": "a" }));
            let writes = writes(client.contract).map(|endpoint| endpoint.request(&client, &id));
            for request in writes.chain([create]) {
                let response = Response::to(request.header("if-none-match", value)).await;
                response.assert_invalid_value(client.contract, "header", "if-none-match");
            }
        }
        assert_eq!(rows(&app).await, before);
    }
}
