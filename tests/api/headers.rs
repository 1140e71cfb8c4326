//! The common headers: `X-Request-Id` and `X-Content-Type-Options` on every response from a function, and
//! `Cache-Control` on all JSON.

use std::collections::BTreeSet;

use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tests::{App, Options, Response};

use crate::endpoints::endpoints;

#[tokio::test(flavor = "multi_thread")]
async fn every_status_of_every_endpoint_has_the_common_headers() {
    let options = Options::default().with("WRITES_PER_MINUTE", "3").with("TASKS_PER_USER", "10");
    let Some(app) = App::local_with(options).await else { return };
    let database = app.internals().database().await;
    for client in app.clients("alice") {
        let mut statuses = BTreeSet::new();
        let mut check = async |request: RequestBuilder| {
            let response = Response::to(request).await;
            response.assert_common_headers();
            statuses.insert(response.status);
            response
        };
        let post = || client.request(Method::POST, "");
        let created = check(post().json(&json!({ "title": "a" }))).await.expect_status(201);
        let (id, etag) = (client.id(&client.task(&created)), created.etag().to_owned());
        let task = |method| client.request(method, &format!("/{id}"));
        let list = check(client.request(Method::GET, "")).await.expect_status(200);
        for (request, status) in [
            (task(Method::GET), 200),
            (task(Method::GET).header("if-none-match", &etag), 304),
            (client.request(Method::GET, "").header("if-none-match", list.etag()), 304),
            (client.request(Method::GET, "/changes"), 200),
            (post().header("content-type", "application/json").body("{"), 400),
            (post().header("content-type", "text/plain").body("{}"), 415),
            (post().body(" ".repeat(300_000)), 413),
            (post().json(&json!({})), 422),
            (app.request(Method::GET, &client.url("")[app.url.len()..]), 401),
            (app.request(Method::GET, &client.url("")[app.url.len()..]).bearer_auth("x"), 401),
            (
                app.user_with_token("bob", &client.user.token).at(client.contract).request(Method::GET, ""),
                403,
            ),
            (client.request(Method::GET, &format!("/{}", client.unknown_id())), 404),
            (task(Method::DELETE).header("if-match", "\"other\""), 412),
        ] {
            check(request).await.expect_status(status);
        }
        let mut other = String::new();
        for _ in 1..10 {
            other = client
                .id(&client.task(&check(post().json(&json!({ "title": "a" }))).await.expect_status(201)));
        }
        let cursor = client.task(&check(client.request(Method::GET, "/changes")).await)["cursor"].clone();
        check(post().json(&json!({ "title": "a" }))).await.expect_status(409);
        for endpoint in endpoints(client.contract) {
            check(endpoint.request(&client, &id)).await;
        }
        for _ in 0..30 {
            check(client.request(Method::PUT, &format!("/{other}")).json(&json!({ "title": "a" }))).await;
        }
        check(client.erase_request()).await.expect_status(204);
        let expired = client.request(Method::GET, "/changes").query(&[("since", cursor.as_str())]);
        check(expired).await.expect_status(410);

        database.batch_execute("alter table users rename to elsewhere").await.expect("the table is renamed");
        for endpoint in endpoints(client.contract).iter().filter(|endpoint| endpoint.is_write()) {
            check(endpoint.request(&client, &id)).await;
        }
        database.batch_execute("alter table elsewhere rename to users").await.expect("the table is renamed");
        let all = [200, 201, 204, 304, 400, 401, 403, 404, 409, 410, 412, 413, 415, 422, 429, 500];
        assert!(all.iter().all(|status| statuses.contains(status)), "{statuses:?}");
    }
}
