use chrono::DateTime;
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::{
    response::Body,
    task::{SortKey, TaskFilter, TaskOrder, Version},
};

fn written(task: Task, replayed: bool) -> Written<Task> {
    Written { value: task, replayed, rate_limit: None }
}

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
        revision: 3,
    }
}

fn body(response: &Response) -> Value {
    serde_json::from_slice(&response.body).expect("JSON")
}

#[test]
fn task_has_the_fields_of_its_contract() {
    let task = task("2 litres".into());
    let response = Envelope.created(&written(task.clone(), false));
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

    let response = Plain.created(&written(task, true));
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

fn query(contract: Contract, limit: i64) -> TaskQuery {
    TaskQuery {
        filter: TaskFilter::default(),
        order: TaskOrder { by: SortKey::Number, descending: contract == Envelope },
        limit,
        start: ListStart::Offset(0),
        known: None,
    }
}

fn list(tasks: Vec<Task>, total: i64, has_more: bool) -> Shown<TaskList> {
    let begun_at = tasks.first().map(|task| task.created_at);
    let version = Version { revision: 1, updated_at: DateTime::UNIX_EPOCH };
    Shown::New(TaskList { tasks, total, has_more, version, begun_at })
}

#[test]
fn plain_list_fits_a_lambda_response_and_links_to_the_rest() {
    // Each quote is two bytes in JSON, and four in the JSON string of the event.
    let tasks: Vec<_> = (1..=1000).map(|number| Task { number, ..task("\"".repeat(2000)) }).collect();
    let response = Plain.list("a b", &query(Plain, 1000), &list(tasks, 1000, false));
    let shown = body(&response).as_array().expect("an array").len();
    assert!((500..1000).contains(&shown), "{shown}");
    let in_event = serde_json::to_string(&response.body).expect("JSON").len();
    assert!(in_event <= MAX_LIST_LEN + 4 && in_event > MAX_LIST_LEN - 20_000, "{in_event}");
    assert_eq!(response.headers[X_TOTAL_COUNT], "1000");
    let link = response.headers[LINK].to_str().expect("ASCII");
    let start = "</plain/api/a%20b/tasks?cursor=";
    assert!(link.starts_with(start) && link.ends_with(">; rel=\"next\""), "{link}");
}

#[test]
fn empty_plain_list_is_an_empty_array() {
    let response = Plain.list("a", &query(Plain, 1000), &list(Vec::new(), 0, false));
    assert_eq!(&*response.body, b"[]");
    assert!(!response.headers.contains_key(LINK));
}

#[test]
fn server_errors_do_not_reveal_their_cause() {
    for contract in [Envelope, Plain] {
        for error in [Error::Internal("secret".into()), Error::Unavailable("secret".into())] {
            let body = contract.error(&error.into(), "id-1").body;
            assert!(!String::from_utf8_lossy(&body).contains("secret"));
        }
    }
    let response = Envelope.error(&Error::Internal("secret".into()).into(), "id-1");
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
    let response = Plain.error(&Error::Internal("secret".into()).into(), "id-1");
    assert_eq!(
        body(&response),
        json!({ "detail": "Internal server error", "error": "Internal server error" })
    );
}

#[test]
fn list_has_the_form_of_its_contract_whatever_the_query() {
    let list = list(vec![task("2 litres".into())], 2, true);
    for query in [query(Envelope, 1), query(Plain, 1)] {
        let plain = Plain.list("a", &query, &list);
        assert_eq!(body(&plain)[0]["id"], 7);
        assert!(plain.headers.contains_key(LINK));
        let envelope = Envelope.list("a", &query, &list);
        assert_eq!(body(&envelope)["data"]["items"][0]["id"], Uuid::nil().to_string());
        assert!(body(&envelope)["data"]["pagination"]["next_cursor"].is_string());
        assert!(!envelope.headers.contains_key(LINK));
    }
}

/// If this test fails, increment `RENDERING`: clients have stored the old bodies with the old tags.
#[test]
fn tag_changes_with_the_rendering_of_a_task() {
    let tagged = |contract: Contract| {
        let response = contract.shown(&Shown::New(task("2 litres".into())));
        let Body::Text(body) = response.body else { panic!("the body of a task is text") };
        (response.headers[ETAG].to_str().expect("ASCII").to_owned(), body)
    };
    let tag = "\"1-3-647b9d9458e00\"".to_owned();
    let envelope = r#"{"data":{"id":"00000000-0000-0000-0000-000000000000","user_id":"a/b c","title":"Buy milk","description":"2 litres","due_date":null,"completed":true,"completed_at":"2026-01-06T15:30:00Z","created_at":"2026-01-06T15:30:00Z","updated_at":"2026-01-06T15:30:00Z"},"error":null}"#;
    assert_eq!(tagged(Envelope), (tag.clone(), envelope.into()));
    let plain = r#"{"id":7,"user_id":"a/b c","title":"Buy milk","description":"2 litres","completed":true,"created_at":"2026-01-06T15:30:00Z","updated_at":"2026-01-06T15:30:00Z"}"#;
    assert_eq!(tagged(Plain), (tag, plain.into()));
}

#[test]
fn changes_that_lambda_cannot_carry_are_left_for_the_next_request() {
    let end = ChangesPosition {
        revision: 1000,
        number: i64::MAX,
        copied_from: 1000,
        list_updated_at: DateTime::UNIX_EPOCH,
    };
    let change = |number| Change::Changed(Task { number, revision: number, ..task("\"".repeat(2000)) });
    let list = ChangeList { changes: (1..=1000).map(change).collect(), has_more: false, end: Some(end) };
    for contract in [Envelope, Plain] {
        let page = page(&list, EnvelopeTask::from, |id, _| id);
        let shown = i64::try_from(page.changed.len()).expect("few");
        assert!((500..1000).contains(&shown) && page.has_more, "{shown}");
        let last = ChangesPosition { revision: shown, number: shown, ..end };
        assert_eq!(page.end, Some(last));
        let response = contract.changes("alice", &list);
        let in_event = serde_json::to_string(&response.body).expect("JSON").len();
        assert!(in_event < 6 * 1024 * 1024, "{in_event}");
    }
}
