use base64::{Engine, prelude::BASE64_STANDARD};
use lambda_http::{aws_lambda_events::apigw::ApiGatewayV2httpRequest, http::header::ETAG};
use serde_json::{Value, json};

use super::*;
use crate::{
    contract::tests::{body, task},
    error::Error,
    request::MAX_BODY_LEN,
    response::Body,
};

type Reads<I> = fn(Contract, &mut Reader) -> Result<I, Recorded>;

/// Returns an event with this body, modified by `change`.
fn event(body: &str, change: impl FnOnce(&mut Value)) -> ApiGatewayV2httpRequest {
    let mut event = json!({
        "version": "2.0",
        "rawQueryString": "",
        "headers": { "content-type": "application/json" },
        "pathParameters": { "task_id": "0199d3c4-7a00-7000-8000-000000000001" },
        "requestContext": { "http": { "method": "POST" } },
        "body": body,
        "isBase64Encoded": false,
    });
    change(&mut event);
    serde_json::from_value(event).expect("an event")
}

fn read_event<I>(read: Reads<I>, contract: Contract, event: &ApiGatewayV2httpRequest) -> Result<I, Error> {
    let mut request = Reader::new(event);
    let input = read(contract, &mut request);
    request.finish(input)
}

fn read<I>(read: Reads<I>, contract: Contract, body: impl ToString) -> Result<I, Error> {
    read_event(read, contract, &event(&body.to_string(), |_| {}))
}

/// Returns the errors as `place.field kind`.
fn errors<I: std::fmt::Debug>(result: Result<I, Error>) -> Vec<String> {
    match result.expect_err("a request that is rejected") {
        Error::Invalid(errors) => errors
            .iter()
            .map(|error| {
                let field = error.field.as_deref().unwrap_or("*");
                format!("{}.{field} {}", error.place.as_str(), error.kind)
            })
            .collect(),
        error => panic!("{error}"),
    }
}

#[test]
fn all_errors_of_a_request_are_reported() {
    let event = event(r#"{"description": 7, "due_date": "soon", "x": 1, "x": 2}"#, |event| {
        event["headers"]["idempotency-key"] = json!("two words");
        event["pathParameters"]["task_id"] = json!("first");
    });
    assert_eq!(
        errors(read_event(create_task, Contract::Envelope, &event)),
        [
            "header.idempotency-key string_pattern_mismatch",
            "body.x repeated",
            "body.title missing",
            "body.description string_type",
            "body.due_date datetime_parsing",
        ]
    );
    assert_eq!(
        errors(read_event(patch_task, Contract::Envelope, &event)),
        [
            "path.task_id uuid_parsing",
            "header.idempotency-key string_pattern_mismatch",
            "body.x repeated",
            "body.description string_type",
            "body.due_date datetime_parsing"
        ]
    );
}

#[test]
fn errors_outside_the_body_are_reported_rather_than_an_unreadable_body() {
    let event = event("not JSON", |event| event["pathParameters"]["task_id"] = json!("first"));
    assert_eq!(errors(read_event(patch_task, Contract::Envelope, &event)), ["path.task_id uuid_parsing"]);
}

#[test]
fn body_that_is_not_a_json_object_is_rejected() {
    for broken in ["", " ", "{", "{\"title\": \"\\ud800\"}", "{'title': 1}", "{\"title\": \"a\"} x", "nul"] {
        assert!(matches!(read(create_task, Contract::Plain, broken), Err(Error::InvalidJson)), "{broken}");
    }
    let deep = format!("{{\"title\": {}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(matches!(read(create_task, Contract::Plain, deep), Err(Error::InvalidJson)));
    for other in ["[]", "null", "7", "\"text\"", "true", "[{\"title\": \"a\"}]"] {
        assert_eq!(
            errors(read(create_task, Contract::Plain, other)),
            ["body.* model_attributes_type"],
            "{other}"
        );
    }
}

#[test]
fn body_size_is_limited_before_and_after_decoding() {
    let padded = |len: usize| {
        let body = r#"{"title": "a", "x": ""}"#;
        body.replace(r#""""#, &format!("\"{}\"", "x".repeat(len - body.len())))
    };
    let base64 = |body: String| {
        event("", |event| {
            event["body"] = json!(BASE64_STANDARD.encode(body));
            event["isBase64Encoded"] = json!(true);
        })
    };
    let (fits, too_large) = (padded(MAX_BODY_LEN), padded(MAX_BODY_LEN + 1));
    assert!(read(create_task, Contract::Plain, &fits).is_ok());
    assert!(read_event(create_task, Contract::Plain, &base64(fits)).is_ok());
    assert!(matches!(read(create_task, Contract::Plain, &too_large), Err(Error::PayloadTooLarge)));
    let result = read_event(create_task, Contract::Plain, &base64(too_large));
    assert!(matches!(result, Err(Error::PayloadTooLarge)));
}

#[test]
fn invalid_base64_is_rejected_as_invalid_json() {
    let event = event("💥", |event| event["isBase64Encoded"] = json!(true));
    assert!(matches!(read_event(create_task, Contract::Plain, &event), Err(Error::InvalidJson)));
}

#[test]
fn content_type_must_be_json_if_present() {
    let read = |content_type: Value| {
        let event = event(r#"{"title": "a"}"#, |event| event["headers"] = content_type);
        read_event(create_task, Contract::Plain, &event)
    };
    assert!(read(json!({})).is_ok());
    for json_type in ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"] {
        assert!(read(json!({ "content-type": json_type })).is_ok(), "{json_type}");
    }
    for other in
        ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "", "text/json", "é"]
    {
        let result = read(json!({ "content-type": other }));
        assert!(matches!(result, Err(Error::UnsupportedMediaType)), "{other}");
    }
}

#[test]
fn task_id_is_a_uuid_in_envelope_and_an_integer_in_plain() {
    let read = |contract: Contract, id: &str| {
        read_event(task_key, contract, &event("", |event| event["pathParameters"]["task_id"] = json!(id)))
    };
    let uuid = "0199D3C4-7a00-7000-8000-000000000001";
    assert!(matches!(read(Contract::Envelope, uuid), Ok(TaskKey::Id(_))));
    assert!(matches!(read(Contract::Plain, "1"), Ok(TaskKey::Number(1))));
    assert!(matches!(read(Contract::Plain, "9223372036854775807"), Ok(TaskKey::Number(i64::MAX))));
    for id in ["1", "", &uuid.replace('-', ""), &format!("{{{uuid}}}"), &format!("urn:uuid:{uuid}")] {
        assert_eq!(errors(read(Contract::Envelope, id)), ["path.task_id uuid_parsing"], "{id}");
    }
    assert_eq!(errors(read(Contract::Plain, "0")), ["path.task_id greater_than_equal"]);
    assert_eq!(errors(read(Contract::Plain, uuid)), ["path.task_id int_parsing"]);
    assert_eq!(errors(read(Contract::Plain, &"9".repeat(400))), ["path.task_id less_than_equal"]);
}

#[test]
fn complete_requires_a_boolean_in_envelope_and_ignores_the_body_in_plain() {
    let read = |contract, body: &str| read(complete_task, contract, body);
    assert!(read(Contract::Envelope, r#"{"completed": false}"#).is_ok());
    for (body, error) in [
        ("{}", "body.completed missing"),
        (r#"{"completed": null}"#, "body.completed bool_type"),
        (r#"{"completed": 1}"#, "body.completed bool_type"),
        (r#"{"completed": "true"}"#, "body.completed bool_type"),
    ] {
        assert_eq!(errors(read(Contract::Envelope, body)), [error]);
    }
    let event = event("no JSON at all", |event| {
        event["pathParameters"]["task_id"] = json!("7");
    });
    assert!(read_event(complete_task, Contract::Plain, &event).is_ok());
}

#[test]
fn put_without_a_title_is_rejected_in_envelope_and_changes_nothing_in_plain() {
    assert_eq!(errors(read(update_task, Contract::Envelope, "{}")), ["body.title missing"]);
    let event = event(r#"{"title": null, "completed": null}"#, |event| {
        event["pathParameters"]["task_id"] = json!("7");
    });
    let put = read_event(update_task, Contract::Plain, &event).expect("valid");
    assert_eq!(put.changes, TaskChanges::default());
}

fn written(task: Task, replayed: bool) -> Written<Task> {
    Written { value: task, replayed, rate_limit: None }
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
                "description": "2 litres", "due_date": null, "priority": "medium", "tags": null,
                "completed": true,
                "completed_at": "2026-01-06T15:30:00.000000Z", "created_at": "2026-01-06T15:30:00.000000Z",
                "updated_at": "2026-01-06T15:30:00.000000Z",
            },
            "error": null,
        })
    );
    assert_eq!(response.headers[LOCATION], "/api/a%2Fb%20c/tasks/00000000-0000-0000-0000-000000000000");
    assert!(!response.headers.contains_key("idempotency-replayed"));

    let response = Plain.created(&written(task, true));
    assert_eq!(
        body(&response),
        json!({
            "id": 7, "user_id": "a/b c", "title": "Buy milk", "description": "2 litres", "due_date": null,
            "priority": "medium", "tags": [], "completed": true, "completed_at": "2026-01-06T15:30:00.000000Z",
            "created_at": "2026-01-06T15:30:00.000000Z", "updated_at": "2026-01-06T15:30:00.000000Z",
        })
    );
    assert_eq!(response.headers[LOCATION], "/plain/api/a%2Fb%20c/tasks/7");
    assert_eq!(response.headers["idempotency-replayed"], "true");
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
    let envelope = r#"{"data":{"id":"00000000-0000-0000-0000-000000000000","user_id":"a/b c","title":"Buy milk","description":"2 litres","due_date":null,"priority":"medium","tags":null,"completed":true,"completed_at":"2026-01-06T15:30:00.000000Z","created_at":"2026-01-06T15:30:00.000000Z","updated_at":"2026-01-06T15:30:00.000000Z"},"error":null}"#;
    assert_eq!(tagged(Envelope), (tag.clone(), envelope.into()));
    let plain = r#"{"id":7,"user_id":"a/b c","title":"Buy milk","description":"2 litres","due_date":null,"priority":"medium","tags":[],"completed":true,"completed_at":"2026-01-06T15:30:00.000000Z","created_at":"2026-01-06T15:30:00.000000Z","updated_at":"2026-01-06T15:30:00.000000Z"}"#;
    assert_eq!(tagged(Plain), (tag, plain.into()));
}
