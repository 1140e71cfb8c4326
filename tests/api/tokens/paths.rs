//! The user id in the path, which must be the token's.

use reqwest::Method;
use serde_json::json;
use tests::{App, Contract, Response, errors};

use super::{assert_error, path};

#[tokio::test(flavor = "multi_thread")]
async fn path_of_another_user_is_403() {
    let app = App::start().await;
    let alice = app.user_with_id("alice");
    let others = "bob|Alice|ALICE|alice%20|%20alice|alice%00|%00|alice%2Fx|%2Falice|alice+|alice%252F|%2561lice\
                  |ａlice|*|%25|null|alice,alice|0";
    for other in others.split('|') {
        for contract in Contract::BOTH {
            let request = app.request(Method::GET, &path(contract, other)).bearer_auth(&alice.token);
            println!("{other}");
            assert_error(&Response::to(request).await, contract, &errors::FORBIDDEN);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn user_ids_are_opaque_text() {
    let app = App::start().await;
    let longest = ["x".repeat(255), "𝒳".repeat(255)];
    let odd = [
        "a", "a b", " a ", "a/b", "/", "a/../b", "a%b", "%2F", "%00", "a+b", "a?b=c", "a#b", "a&b", "a;b",
        "a,b", "🦀", "a\\b", "a\"b", "a\tb\nc", "<b>", "0", "null", "a:b", "~", "a..b",
    ];
    let long = [
        "ä@例.example",
        "e\u{301}",
        "a'b; drop table tasks; --",
        "\u{7f}",
        "{user_id}",
        "auth0|5f7c8ec7",
        "550e8400-e29b-41d4-a716-446655440000",
    ];
    for id in odd.into_iter().chain(long).chain(longest.iter().map(String::as_str)) {
        let user = app.user_with_id(id);
        let encoded: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
        for contract in Contract::BOTH {
            let front = user.at(contract);
            let request = app.request(Method::POST, &path(contract, &encoded)).bearer_auth(&user.token);
            let made = Response::to(request.json(&json!({ "title": "Buy milk" }))).await.expect_status(201);
            let task = front.task(&made);
            assert_eq!(task["user_id"], id);

            let request = app.request(Method::GET, made.header("location")).bearer_auth(&user.token);
            assert_eq!(front.task(&Response::to(request).await.expect_status(200)), task);
            let request = app.request(Method::GET, &path(contract, &encoded)).bearer_auth(&user.token);
            let tasks = front.tasks(&Response::to(request).await.expect_status(200));
            assert!(tasks.contains(&task), "{id:?} {tasks:?}");
        }
    }
}
