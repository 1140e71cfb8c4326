use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::*;
use crate::request::MAX_BODY_LEN;

/// An event with this body and what else `change` puts in.
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

fn read<I: Input>(contract: Contract, body: impl ToString) -> Result<I, Error> {
    contract.read(&event(&body.to_string(), |_| {}))
}

/// The faults as `place.field kind`.
fn faults<I: std::fmt::Debug>(result: Result<I, Error>) -> Vec<String> {
    match result.expect_err("faulty") {
        Error::Invalid(faults) => faults
            .iter()
            .map(|fault| {
                let field = fault.field.as_deref().unwrap_or("*");
                format!("{}.{field} {}", fault.place.as_str(), fault.kind)
            })
            .collect(),
        error => panic!("{error}"),
    }
}

#[test]
fn every_fault_of_a_request_is_told_at_once() {
    let event = event(r#"{"description": 7, "due_date": "soon", "x": 1, "x": 2}"#, |event| {
        event["headers"]["idempotency-key"] = json!("two words");
        event["pathParameters"]["task_id"] = json!("first");
    });
    assert_eq!(
        faults(Contract::Envelope.read::<NewTask>(&event)),
        [
            "header.idempotency-key string_pattern_mismatch",
            "body.x repeated",
            "body.title missing",
            "body.description string_type",
            "body.due_date datetime_parsing",
        ]
    );
    assert_eq!(
        faults(Contract::Envelope.read::<PatchTask>(&event)),
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
fn a_fault_before_the_body_is_told_before_the_body_is_judged() {
    let event = event("not JSON", |event| event["pathParameters"]["task_id"] = json!("first"));
    assert_eq!(faults(Contract::Envelope.read::<PatchTask>(&event)), ["path.task_id uuid_parsing"]);
}

#[test]
fn bodies_that_are_no_json_object() {
    for broken in ["", " ", "{", "{\"title\": \"\\ud800\"}", "{'title': 1}", "{\"title\": \"a\"} x", "nul"] {
        assert!(matches!(read::<NewTask>(Contract::Plain, broken), Err(Error::InvalidJson)), "{broken}");
    }
    let deep = format!("{{\"title\": {}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(matches!(read::<NewTask>(Contract::Plain, deep), Err(Error::InvalidJson)));
    for other in ["[]", "null", "7", "\"text\"", "true", "[{\"title\": \"a\"}]"] {
        assert_eq!(
            faults(read::<NewTask>(Contract::Plain, other)),
            ["body.* model_attributes_type"],
            "{other}"
        );
    }
}

#[test]
fn the_size_of_a_body_is_bounded_decoded_or_not() {
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
    assert!(read::<NewTask>(Contract::Plain, &fits).is_ok());
    assert!(Contract::Plain.read::<NewTask>(&base64(fits)).is_ok());
    assert!(matches!(read::<NewTask>(Contract::Plain, &too_large), Err(Error::PayloadTooLarge)));
    let result = Contract::Plain.read::<NewTask>(&base64(too_large));
    assert!(matches!(result, Err(Error::PayloadTooLarge)));
}

#[test]
fn base64_that_is_none_is_no_json() {
    let event = event("💥", |event| event["isBase64Encoded"] = json!(true));
    assert!(matches!(Contract::Plain.read::<NewTask>(&event), Err(Error::InvalidJson)));
}

#[test]
fn a_content_type_must_say_json_where_it_says_anything() {
    let read = |content_type: Value| {
        let event = event(r#"{"title": "a"}"#, |event| event["headers"] = content_type);
        Contract::Plain.read::<NewTask>(&event)
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
fn task_ids_are_of_their_contracts_kind() {
    let read = |contract: Contract, id: &str| {
        contract.read::<TaskKey>(&event("", |event| event["pathParameters"]["task_id"] = json!(id)))
    };
    let uuid = "0199D3C4-7a00-7000-8000-000000000001";
    assert!(matches!(read(Contract::Envelope, uuid), Ok(TaskKey::Id(_))));
    assert!(matches!(read(Contract::Plain, "1"), Ok(TaskKey::Number(1))));
    assert!(matches!(read(Contract::Plain, "9223372036854775807"), Ok(TaskKey::Number(i64::MAX))));
    for id in ["1", "", &uuid.replace('-', ""), &format!("{{{uuid}}}"), &format!("urn:uuid:{uuid}")] {
        assert_eq!(faults(read(Contract::Envelope, id)), ["path.task_id uuid_parsing"], "{id}");
    }
    assert_eq!(faults(read(Contract::Plain, "0")), ["path.task_id greater_than_equal"]);
    assert_eq!(faults(read(Contract::Plain, uuid)), ["path.task_id int_parsing"]);
    assert_eq!(faults(read(Contract::Plain, &"9".repeat(400))), ["path.task_id less_than_equal"]);
}

#[test]
fn a_completion_is_said_in_one_contract_and_flipped_in_the_other() {
    let read = |contract, body: &str| read::<CompleteTask>(contract, body);
    assert!(read(Contract::Envelope, r#"{"completed": false}"#).is_ok());
    for (body, fault) in [
        ("{}", "body.completed missing"),
        (r#"{"completed": null}"#, "body.completed bool_type"),
        (r#"{"completed": 1}"#, "body.completed bool_type"),
        (r#"{"completed": "true"}"#, "body.completed bool_type"),
    ] {
        assert_eq!(faults(read(Contract::Envelope, body)), [fault]);
    }
    let event = event("no JSON at all", |event| {
        event["pathParameters"]["task_id"] = json!("7");
    });
    assert!(Contract::Plain.read::<CompleteTask>(&event).is_ok());
}

#[test]
fn a_put_without_its_title_is_faulty_in_one_contract_and_empty_in_the_other() {
    assert_eq!(faults(read::<PutTask>(Contract::Envelope, "{}")), ["body.title missing"]);
    let event = event(r#"{"title": null, "completed": null}"#, |event| {
        event["pathParameters"]["task_id"] = json!("7");
    });
    let put = Contract::Plain.read::<PutTask>(&event).expect("valid");
    assert_eq!(put.0.changes, TaskChanges::default());
}
