//! Describes error responses: one for each status and contract, and the schemas of their bodies.
//!
//! In the envelope contract, errors with different `details` have different schemas with disjoint sets of
//! codes. TypeScript can therefore infer the type of `details` from a comparison of `code`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use shared::{
    Contract::{self, Envelope, Plain},
    Error, Failure, StatusCode,
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

// Names of schemas, without the contract.
const ERROR: &str = "Error";
const VALIDATION_ERROR: &str = "ValidationError";
const INTERNAL_ERROR: &str = "InternalError";

/// Returns references to a contract's error responses with these statuses.
pub fn references(contract: Contract, statuses: &[u16]) -> Vec<(String, Ref)> {
    let name = |status: &u16| {
        let status = StatusCode::from_u16(*status).expect("a status of the table");
        (status.as_str().to_owned(), Ref::from_response_name(name(contract, status)))
    };
    statuses.iter().map(name).collect()
}

/// Describes the error responses of both contracts, by name, with an example for each cause.
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

/// Renders every error in a contract.
fn render_all(contract: Contract) -> Vec<shared::Response> {
    let complete = |error| match error {
        Error::Invalid(_) => Failure::from(Error::Invalid(vec![InputError {
            place: Place::Body,
            field: Some("title".into()),
            kind: "missing",
            message: "Field required".into(),
        }])),
        Error::Conflict | Error::TooManyTasks(_) | Error::Changed(_) | Error::RateLimited => {
            Failure { error, rate_limit: Some(samples::RATE_LIMIT) }
        }
        error => error.into(),
    };
    let errors = values::errors().into_iter().map(complete);
    errors.map(|error| contract.error(&error, samples::REQUEST_ID)).collect()
}

fn name(contract: Contract, status: StatusCode) -> String {
    let reason = status.canonical_reason().expect("a status of the table").replace(' ', "");
    format!("{contract:?}{reason}")
}

/// Returns the name of the schema of an error's body, without the contract.
fn kind(contract: Contract, status: StatusCode) -> &'static str {
    match (contract, status) {
        (_, StatusCode::UNPROCESSABLE_ENTITY) => VALIDATION_ERROR,
        (Envelope, StatusCode::INTERNAL_SERVER_ERROR) => INTERNAL_ERROR,
        _ => ERROR,
    }
}

/// Returns an example named after its message.
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
        400 => "The body is not valid JSON.",
        401 => "The token is missing, invalid or expired.",
        403 => "The user in the path is not the user of the token.",
        404 => "The user has no such task, or it was deleted after the idempotency key was first used.",
        409 => {
            "The idempotency key was used with a different request, or the user has reached the task limit."
        }
        410 => "The cursor has expired. Start again without since.",
        412 => {
            "The task was changed since it was read, so nothing was written. The response has its current ETag."
        }
        413 => "The body is too large.",
        415 => "The content type of the body is not JSON.",
        422 => "Values are missing, of the wrong type or out of bounds. The response lists all of them.",
        429 => "The user has made too many writes. Try again after the number of seconds in Retry-After.",
        500 => "An unexpected error. Report it with the value of X-Request-Id.",
        503 => {
            "The service is temporarily unavailable. Try again after the number of seconds in Retry-After. A write \
             might have been carried out: repeat it with the same idempotency key."
        }
        _ => unreachable!("no error has another status"),
    }
}

/// Returns the schemas of all error bodies and of their parts, by name.
pub fn schemas() -> Vec<(String, RefOr<Schema>)> {
    let mut codes = BTreeMap::<_, BTreeSet<_>>::new();
    for response in render_all(Envelope) {
        let code = body(&response)["error"]["code"].as_str().expect("an error has a code").to_owned();
        codes.entry(kind(Envelope, response.status)).or_default().insert(code);
    }
    let field_messages = object()
        .description(Some("Error messages by field. If the body as a whole is invalid, the key is `body`."))
        .additional_properties(Some(AdditionalProperties::from(ArrayBuilder::new().items(text("")))));
    let request = object().property("request_id", text("The value of the header `X-Request-Id`."));
    let plain_items = ArrayBuilder::new()
        .items(Ref::from_schema_name(PlainFieldError::name()))
        .description(Some("One entry for each invalid value."));
    let mut schemas = vec![
        (details(VALIDATION_ERROR), field_messages.into()),
        (details(INTERNAL_ERROR), request.required("request_id").into()),
        (PlainFieldError::name().into_owned(), PlainFieldError::schema()),
        (format!("Plain{ERROR}"), plain(text("A human-readable error message."))),
        (format!("Plain{VALIDATION_ERROR}"), plain(plain_items)),
    ];
    for (kind, codes) in codes {
        let code = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(codes));
        let code = code.description(Some("A machine-readable error code."));
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
        .property("message", text("A human-readable error message."))
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
        .property("error", text("`detail` as one line of text, ready to show to a user."));
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
