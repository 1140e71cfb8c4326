//! Panics in a handler.

use serde_json::json;
use tests::{App, Contract, Options};

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_answers_500_and_the_next_request_succeeds() {
    let options = Options::default().binary("create-task", env!("CARGO_BIN_EXE_panicking"));
    let Some(app) = App::local_with(options).await else { return };
    let alice = app.user("alice");
    for contract in Contract::BOTH {
        for title in ["panic before the database", "panic after the database"] {
            let client = alice.at(contract);
            let response = client.create(json!({ "title": title })).await;
            let request_id = response.header("x-request-id");
            let expected = match contract {
                Contract::Envelope => json!({
                    "data": null,
                    "error": {
                        "code": "INTERNAL_SERVER_ERROR",
                        "message": "An unexpected error occurred",
                        "details": { "request_id": request_id },
                    },
                }),
                Contract::Plain => {
                    json!({ "detail": "Internal server error", "error": "Internal server error" })
                }
            };
            assert!(!request_id.is_empty());
            assert_eq!((response.status, response.json()), (500, expected));

            let lines = app.internals().log_lines();
            let of_request: Vec<_> = lines.iter().filter(|line| line["request_id"] == request_id).collect();
            let [.., panic, request] = of_request[..] else { panic!("expected two lines: {of_request:?}") };
            assert!(panic["message"].as_str().is_some_and(|line| line.starts_with("panic: ")), "{panic}");
            assert!(
                panic["location"].as_str().is_some_and(|place| place.contains("panicking.rs")),
                "{panic}"
            );
            assert_eq!((&request["level"], &request["status"]), (&json!("ERROR"), &json!(500)));

            client.new_task("the next request").await;
        }
    }
    let function = app.internals().gateway().function("create-task").expect("it is there");
    assert_eq!(function.starts(), 1, "one process handled all requests");
    assert!(!app.internals().log_text().contains("holds the title"), "the log contains no title");
}
