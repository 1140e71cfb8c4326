use chrono::DateTime;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;

fn task(description: String) -> Task {
    let time = DateTime::from_timestamp(1_767_713_400, 0).expect("in range");
    Task {
        id: Uuid::nil(),
        number: 7,
        user_id: "a/b c".into(),
        title: "Buy milk".into(),
        description: Some(description),
        due_date: None,
        completed: true,
        completed_at: Some(time),
        created_at: time,
        updated_at: time,
    }
}

fn body(response: &Response) -> Value {
    serde_json::from_slice(&response.body).expect("JSON")
}

#[test]
fn the_route_tells_the_contract() {
    for path in ["/plain/api/{user_id}/tasks", "/plain/health", "/plain"] {
        assert_eq!(Contract::of_path(path), Plain, "{path}");
    }
    for path in ["/api/{user_id}/tasks", "/health", "/plainly", "", "/api/plain/tasks"] {
        assert_eq!(Contract::of_path(path), Envelope, "{path}");
    }
}

#[test]
fn a_task_shows_what_its_contract_knows() {
    let task = task("2 litres".into());
    let response = Envelope.created(&task, false);
    assert_eq!(
        body(&response),
        json!({
            "data": {
                "id": "00000000-0000-0000-0000-000000000000", "user_id": "a/b c", "title": "Buy milk",
                "description": "2 litres", "due_date": null, "completed": true,
                "completed_at": "2026-01-06T15:30:00Z", "created_at": "2026-01-06T15:30:00Z",
                "updated_at": "2026-01-06T15:30:00Z",
            },
            "error": null,
        })
    );
    assert_eq!(response.headers[LOCATION], "/api/a%2Fb%20c/tasks/00000000-0000-0000-0000-000000000000");
    assert!(!response.headers.contains_key(IDEMPOTENCY_REPLAYED));

    let response = Plain.created(&task, true);
    assert_eq!(
        body(&response),
        json!({
            "id": 7, "user_id": "a/b c", "title": "Buy milk", "description": "2 litres", "completed": true,
            "created_at": "2026-01-06T15:30:00Z", "updated_at": "2026-01-06T15:30:00Z",
        })
    );
    assert_eq!(response.headers[LOCATION], "/plain/api/a%2Fb%20c/tasks/7");
    assert_eq!(response.headers[IDEMPOTENCY_REPLAYED], "true");
}

#[test]
fn a_plain_list_never_outgrows_lambda_and_says_how_to_go_on() {
    // Each quote is two bytes of JSON, and four within the event.
    let tasks: Vec<_> = (1..=1000).map(|number| Task { number, ..task("\"".repeat(2000)) }).collect();
    let list = TaskList { total: 1000, tasks, has_more: false };
    let response = Plain.list("a b", TaskQuery::Oldest { limit: 1000, after: 0 }, &list);
    let shown = body(&response).as_array().expect("an array").len();
    assert!((500..1000).contains(&shown), "{shown}");
    let in_event = serde_json::to_string(&response.body).expect("JSON").len();
    assert!(in_event <= PLAIN_LIST_LEN + 4 && in_event > PLAIN_LIST_LEN - 20_000, "{in_event}");
    assert_eq!(response.headers[X_TOTAL_COUNT], "1000");
    let next = format!("</plain/api/a%20b/tasks?after={shown}>; rel=\"next\"");
    assert_eq!(response.headers[LINK], next);
}

#[test]
fn an_empty_plain_list_is_an_empty_array() {
    let list = TaskList { total: 0, tasks: Vec::new(), has_more: false };
    let response = Plain.list("a", TaskQuery::Oldest { limit: 1000, after: 0 }, &list);
    assert_eq!(&*response.body, b"[]");
    assert!(!response.headers.contains_key(LINK));
}

#[test]
fn errors_of_ours_tell_nothing_of_their_cause() {
    for error in [Error::Internal("secret".into()), Error::Unavailable("secret".into())] {
        for contract in [Envelope, Plain] {
            let body = contract.error(&error, "id-1").body;
            assert!(!String::from_utf8_lossy(&body).contains("secret"));
        }
    }
    let response = Envelope.error(&Error::Internal("secret".into()), "id-1");
    assert_eq!(
        body(&response),
        json!({
            "data": null,
            "error": {
                "code": "INTERNAL_SERVER_ERROR", "message": "An unexpected error occurred",
                "details": { "request_id": "id-1" },
            },
        })
    );
    let response = Plain.error(&Error::Internal("secret".into()), "id-1");
    assert_eq!(body(&response), json!({ "detail": "Internal server error" }));
}
