//! The errors: a response for each status of each contract, and the schemas of their bodies.
//!
//! In the envelope contract, errors with different `details` have different schemas, each with codes of its own: in
//! TypeScript, a comparison of `code` is then enough to give `details` its type.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use shared::{
    Contract::{self, Envelope, Plain},
    Error, StatusCode,
    contract::{bodies::PlainFieldError, schemas as values},
    error::{InputError, Place},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ObjectBuilder, Ref, RefOr, Response, Schema, Type,
        example::{Example, ExampleBuilder},
        schema::{AdditionalProperties, ArrayBuilder},
    },
};

use crate::{answers, samples};

/// Names of schemas, without the contract.
const ERROR: &str = "Error";
const VALIDATION_ERROR: &str = "ValidationError";
const INTERNAL_ERROR: &str = "InternalError";

/// The errors of a contract with these statuses.
pub fn references(contract: Contract, statuses: &[u16]) -> Vec<(String, Ref)> {
    let name = |status: &u16| {
        let status = StatusCode::from_u16(*status).expect("a status of the table");
        (status.as_str().to_owned(), Ref::from_response_name(name(contract, status)))
    };
    statuses.iter().map(name).collect()
}

/// The errors of both contracts by name, with an example for each cause.
pub fn responses() -> Vec<(String, Response)> {
    [Envelope, Plain].into_iter().flat_map(responses_of).collect()
}

fn responses_of(contract: Contract) -> Vec<(String, Response)> {
    let mut rendered = BTreeMap::<_, Vec<_>>::new();
    for response in render_all(contract) {
        rendered.entry(response.status).or_default().push(response);
    }
    let describe = |(status, examples): (StatusCode, Vec<shared::Response>)| {
        let schema = Ref::from_schema_name(format!("{contract:?}{}", kind(contract, status))).into();
        let mut response = answers::rendered(meaning(status), &examples[0], Some(schema));
        if examples.len() > 1 {
            for content in response.content.values_mut() {
                let RefOr::T(content) = content else { continue };
                content.example = None;
                content.examples = examples.iter().map(example).collect();
            }
        }
        (name(contract, status), response)
    };
    rendered.into_iter().map(describe).collect()
}

/// Every error, as a contract shows it.
fn render_all(contract: Contract) -> Vec<shared::Response> {
    let complete = |error| match error {
        Error::Invalid(_) => Error::Invalid(vec![InputError {
            place: Place::Body,
            field: Some("title".into()),
            kind: "missing",
            message: "Field required".into(),
        }]),
        Error::Conflict | Error::TooManyTasks(_) | Error::Changed(_) | Error::RateLimited => {
            Error::NotWritten(Box::new(error), samples::RATE_LIMIT)
        }
        error => error,
    };
    let errors = values::errors().into_iter().map(complete);
    errors.map(|error| contract.error(&error, samples::REQUEST_ID)).collect()
}

fn name(contract: Contract, status: StatusCode) -> String {
    let reason = status.canonical_reason().expect("a status of the table").replace(' ', "");
    format!("{contract:?}{reason}")
}

/// The schema of an error's body, without the contract.
fn kind(contract: Contract, status: StatusCode) -> &'static str {
    match (contract, status) {
        (_, StatusCode::UNPROCESSABLE_ENTITY) => VALIDATION_ERROR,
        (Envelope, StatusCode::INTERNAL_SERVER_ERROR) => INTERNAL_ERROR,
        _ => ERROR,
    }
}

/// An example, named after its message.
fn example(response: &shared::Response) -> (String, RefOr<Example>) {
    let body = body(response);
    let message =
        body["detail"].as_str().or(body["error"]["message"].as_str()).expect("an error has a message");
    (
        message.replace(' ', "_"),
        ExampleBuilder::new().summary(message).value(Some(body.clone())).build().into(),
    )
}

fn body(response: &shared::Response) -> Value {
    serde_json::from_slice(&response.body).expect("the body of an error is JSON")
}

fn meaning(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "The body is not JSON.",
        401 => "The token is missing, expired or invalid.",
        403 => "The path names another user than the token.",
        404 => "The user has no such task.",
        409 => "The idempotency key was used for a different request, or the user has too many tasks.",
        410 => "The cursor has expired.",
        412 => "The task was changed since it was read.",
        413 => "The body is too large.",
        415 => "The content type of the body is not JSON.",
        422 => "Values are out of bounds, of the wrong type or missing. All of them are reported.",
        429 => "The user has made too many writes.",
        500 => "A bug in the service. The log contains the request's id.",
        503 => "The database can't be reached.",
        _ => unreachable!("no error has another status"),
    }
}

/// The schemas of all bodies of errors, and of what is in them, by name.
pub fn schemas() -> Vec<(String, RefOr<Schema>)> {
    let mut codes = BTreeMap::<_, BTreeSet<_>>::new();
    for response in render_all(Envelope) {
        let code = body(&response)["error"]["code"].as_str().expect("an error has a code").to_owned();
        codes.entry(kind(Envelope, response.status)).or_default().insert(code);
    }
    let field_messages = object()
        .description(Some("The messages for each invalid field."))
        .additional_properties(Some(AdditionalProperties::from(ArrayBuilder::new().items(text("")))));
    let request = object().property("request_id", text("The same as in the header `X-Request-Id`."));
    let plain_items = ArrayBuilder::new().items(Ref::from_schema_name(PlainFieldError::name()));
    let mut schemas = vec![
        (details(VALIDATION_ERROR), field_messages.into()),
        (details(INTERNAL_ERROR), request.required("request_id").into()),
        (PlainFieldError::name().into_owned(), PlainFieldError::schema()),
        (format!("Plain{ERROR}"), plain(text("What is wrong."))),
        (format!("Plain{VALIDATION_ERROR}"), plain(plain_items)),
    ];
    for (kind, codes) in codes {
        let code = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(codes));
        let code = code.description(Some("The kind of error, for programs."));
        schemas.extend([(format!("{kind}Code"), code.into()), (format!("Envelope{kind}"), envelope(kind))]);
    }
    schemas
}

fn envelope(kind: &str) -> RefOr<Schema> {
    let details: RefOr<Schema> = match kind {
        ERROR => values::null().into(),
        _ => Ref::from_schema_name(details(kind)).into(),
    };
    let error = object()
        .property("code", Ref::from_schema_name(format!("{kind}Code")))
        .property("message", text("What is wrong, for people."))
        .property("details", details);
    let body = object()
        .description(Some("An error in the envelope contract."))
        .property("data", values::null())
        .property("error", ["code", "message", "details"].into_iter().fold(error, ObjectBuilder::required));
    body.required("data").required("error").into()
}

fn plain(detail: impl Into<RefOr<Schema>>) -> RefOr<Schema> {
    let body = object()
        .description(Some("An error in the plain contract."))
        .property("detail", detail)
        .property("error", text("The same in one line that a page can show."));
    body.required("detail").required("error").into()
}

fn details(kind: &str) -> String {
    format!("{kind}Details")
}

fn object() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Object)
}

fn text(description: &str) -> ObjectBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String);
    text.description(Some(description).filter(|description| !description.is_empty()))
}
