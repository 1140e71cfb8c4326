//! What the operations answer. Statuses, header fields and examples are read off answers that the code renders.

use std::collections::BTreeMap;

use serde_json::Value;
use shared::{
    Contract::{self, Envelope, Plain},
    Error, StatusCode,
    contract::{
        PLAIN_LIMIT,
        bodies::{
            Data, EnvelopeChanges, EnvelopeFailure, EnvelopeList, EnvelopeTask, PlainChanges, PlainTask,
        },
        schemas::{self, integer},
    },
    error::{InputError, Place},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Content, Header, HeaderBuilder, Object, ObjectBuilder, Ref, RefOr, Response, Schema, Type,
        example::ExampleBuilder, extensions::Extensions, schema::ArrayBuilder,
    },
};

use crate::samples;

/// Every answer carries it; the run loop adds it.
const REQUEST_ID: &str = "X-Request-Id";

/// The schema of an answer that shows one task.
pub fn task_schema(contract: Contract) -> RefOr<Schema> {
    match contract {
        Envelope => Data::<EnvelopeTask>::schema(),
        Plain => Ref::from_schema_name(PlainTask::name()).into(),
    }
}

/// The schema of an answer that shows a list.
pub fn list_schema(contract: Contract) -> RefOr<Schema> {
    match contract {
        Envelope => Data::<EnvelopeList>::schema(),
        Plain => {
            let most = usize::try_from(*PLAIN_LIMIT.end()).ok();
            let task = Ref::from_schema_name(PlainTask::name());
            ArrayBuilder::new().items(task).max_items(most).into()
        }
    }
}

/// The schema of an answer that shows changes.
pub fn changes_schema(contract: Contract) -> RefOr<Schema> {
    match contract {
        Envelope => Data::<EnvelopeChanges>::schema(),
        Plain => PlainChanges::schema(),
    }
}

/// Describes an answer that the code has rendered; `schema` where it has a body.
pub fn rendered(description: &str, answer: &shared::Response, schema: Option<RefOr<Schema>>) -> Response {
    let mut response = Response::new(description);
    let present = |name: &str| name == REQUEST_ID || answer.headers.contains_key(name);
    for (name, _) in headers().into_iter().filter(|(name, _)| present(name)) {
        let header = Ref::new(format!("#/components/headers/{name}"));
        response.headers.insert(name.into(), RefOr::Ref(header));
    }
    if let Some(schema) = schema {
        let mut content = Content::new(Some(schema));
        content.example = serde_json::from_slice(&answer.body).ok();
        let content_type = answer.headers["content-type"].to_str().expect("content types are ASCII");
        response.content.insert(content_type.into(), content.into());
    }
    response
}

/// The errors of a contract with these statuses.
pub fn error_refs(contract: Contract, statuses: &[u16]) -> Vec<(String, Ref)> {
    let name = |status: &u16| {
        let status = StatusCode::from_u16(*status).expect("a status of the table");
        (status.as_str().to_owned(), Ref::from_response_name(error_name(contract, status)))
    };
    statuses.iter().map(name).collect()
}

/// The errors of both contracts by name, with an example for each cause.
pub fn errors() -> Vec<(String, Response)> {
    [Envelope, Plain].into_iter().flat_map(errors_of).collect()
}

fn errors_of(contract: Contract) -> Vec<(String, Response)> {
    let mut answers = BTreeMap::<_, Vec<shared::Response>>::new();
    for error in schemas::errors() {
        let error = match error {
            Error::Invalid(_) => Error::Invalid(vec![sample_error()]),
            error => error,
        };
        let answer = contract.error(&error, samples::REQUEST_ID);
        answers.entry(answer.status).or_default().push(answer);
    }
    let describe = |(status, answers): (StatusCode, Vec<shared::Response>)| {
        let schema = match (contract, status) {
            (Envelope, _) => EnvelopeFailure::name(),
            (Plain, StatusCode::UNPROCESSABLE_ENTITY) => "PlainValidationError".into(),
            (Plain, _) => "PlainError".into(),
        };
        let schema = Ref::from_schema_name(schema).into();
        let mut response = rendered(meaning(status), &answers[0], Some(schema));
        if answers.len() > 1 {
            for content in response.content.values_mut() {
                let RefOr::T(content) = content else { continue };
                content.example = None;
                content.examples = answers.iter().map(example).collect();
            }
        }
        (error_name(contract, status), response)
    };
    answers.into_iter().map(describe).collect()
}

fn error_name(contract: Contract, status: StatusCode) -> String {
    let reason = status.canonical_reason().expect("a status of the table").replace(' ', "");
    format!("{contract:?}{reason}")
}

/// An example, named by the words that tell it from the others.
fn example(answer: &shared::Response) -> (String, RefOr<utoipa::openapi::example::Example>) {
    let body: Value = serde_json::from_slice(&answer.body).expect("the body of an error is JSON");
    let words = body["detail"].as_str().or(body["error"]["message"].as_str()).expect("an error has words");
    (words.replace(' ', "_"), ExampleBuilder::new().summary(words).value(Some(body.clone())).build().into())
}

fn sample_error() -> InputError {
    InputError {
        place: Place::Body,
        field: Some("title".into()),
        kind: "missing",
        message: "Field required".into(),
    }
}

fn meaning(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "The body is not JSON.",
        401 => "No token, an expired one, or one not to be trusted.",
        403 => "The path names another user than the token.",
        404 => "There is no such task of this user.",
        409 => "The idempotency key came before, with another request; or the user has too many tasks.",
        410 => "The cursor has expired.",
        412 => "The task was changed since it was read.",
        413 => "The body is too large.",
        415 => "The body says it is something else than JSON.",
        422 => "Values out of bounds, of the wrong type or missing: all of them are told.",
        429 => "The user has made too many writes.",
        500 => "A fault of the service. The log knows the request by its id.",
        503 => "The database is out of reach.",
        _ => unreachable!("no error has another status"),
    }
}

/// The header fields of answers.
pub fn headers() -> Vec<(&'static str, Header)> {
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).build();
    vec![
        ("Cache-Control", header(string(), true, "How long the answer may be kept.")),
        ("ETag", header(string(), true, "Changes with the body; for `If-None-Match`.")),
        ("Idempotency-Replayed", {
            let replayed = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["true"])).build();
            header(replayed, false, "There where the task was made by an earlier request with the same key.")
        }),
        (
            "Link",
            header(string(), false, "There where tasks follow: `<…?cursor=…>; rel=\"next\"` (RFC 8288)."),
        ),
        ("Location", header(string(), true, "The path of the task.")),
        ("Retry-After", header(seconds, true, "Seconds after which to try again.")),
        ("WWW-Authenticate", header(string(), true, "`Bearer` (RFC 6750).")),
        ("X-Request-Id", header(string(), true, "The id by which the log knows the request.")),
        ("X-Total-Count", {
            header(integer(0..=i64::MAX).build(), true, "How many tasks the user has in all.")
        }),
    ]
}

fn header(schema: Object, required: bool, description: &str) -> Header {
    let mut header = HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build();
    // OpenAPI knows it, utoipa does not.
    header.extensions = required.then(|| Extensions::from_iter([("required", true)]));
    header
}

fn string() -> Object {
    ObjectBuilder::new().schema_type(Type::String).build()
}
