//! Describes error responses: one for each status and contract, and the schemas of their bodies.
//!
//! In the envelope contract, errors with different `details` have different schemas with disjoint sets of
//! codes. TypeScript can therefore infer the type of `details` from a comparison of `code`.

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use lambda_http::http::StatusCode;
use serde_json::Value;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ObjectBuilder, Ref, RefOr, Response, Schema,
        example::{Example, ExampleBuilder},
        schema::{AdditionalProperties, ArrayBuilder},
    },
};

use super::PlainFieldError;
use crate::{
    contract::{
        Contract::{self, Envelope, Plain},
        headers::describe::rendered,
        openapi::{NamedSchema, null, object, samples, string},
    },
    error::{Error, Failure, InputError, Place, TokenError},
    response::Response as Rendered,
    task::Version,
};

// Names of schemas, without the contract.
const ERROR: &str = "Error";
const VALIDATION_ERROR: &str = "ValidationError";
const INTERNAL_ERROR: &str = "InternalError";

/// Returns references to a contract's error responses with these statuses.
pub fn references(contract: Contract, statuses: &[&str]) -> Vec<(String, Ref)> {
    let reference = |status: &&str| {
        let code = status.parse().expect("a status");
        ((*status).to_owned(), Ref::from_response_name(name(contract, code)))
    };
    statuses.iter().map(reference).collect()
}

/// Describes the error responses of both contracts, by name, with an example for each cause.
pub fn responses() -> Vec<(String, Response)> {
    [Envelope, Plain].into_iter().flat_map(responses_of).collect()
}

fn responses_of(contract: Contract) -> Vec<(String, Response)> {
    let mut by_status = BTreeMap::<_, Vec<_>>::new();
    for response in render_all(contract) {
        by_status.entry(response.status).or_default().push(response);
    }
    let describe = |(status, examples): (StatusCode, Vec<Rendered>)| {
        let schema = Ref::from_schema_name(format!("{contract:?}{}", kind(contract, status))).into();
        let mut response = rendered(meaning(status), &examples[0], Some(schema));
        if examples.len() > 1 {
            for content in response.content.values_mut() {
                let RefOr::T(content) = content else { continue };
                content.example = None;
                content.examples = examples.iter().map(example).collect();
            }
        }
        (name(contract, status), response)
    };
    by_status.into_iter().map(describe).collect()
}

/// Returns every error, once for each message that a response can have.
fn all_errors() -> Vec<Failure> {
    let missing = InputError {
        place: Place::Body,
        field: Some("title".into()),
        kind: "missing",
        message: "Field required".into(),
    };
    let rejected_write = |error| Failure { error, rate_limit: Some(samples::RATE_LIMIT) };
    vec![
        Error::InvalidJson.into(),
        Error::Unauthorized(TokenError::Missing).into(),
        Error::Unauthorized(TokenError::Invalid("")).into(),
        Error::Unauthorized(TokenError::Expired).into(),
        Error::Forbidden(String::new()).into(),
        Error::NotFound.into(),
        rejected_write(Error::Conflict),
        rejected_write(Error::TooManyTasks(10_000)),
        Error::Gone.into(),
        rejected_write(Error::Changed {
            version: Version { revision: 0, updated_at: DateTime::UNIX_EPOCH },
            only_weak: false,
        }),
        rejected_write(Error::RateLimited),
        Error::PayloadTooLarge.into(),
        Error::UnsupportedMediaType.into(),
        Error::Invalid(vec![missing]).into(),
        Error::Internal(String::new()).into(),
        Error::Unavailable(String::new()).into(),
    ]
}

fn render_all(contract: Contract) -> Vec<Rendered> {
    all_errors().iter().map(|failure| contract.error(failure, samples::REQUEST_ID)).collect()
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
fn example(response: &Rendered) -> (String, RefOr<Example>) {
    let body = body(response);
    let message =
        body["detail"].as_str().or(body["error"]["message"].as_str()).expect("an error has a message");
    (
        message.replace(' ', "_"),
        ExampleBuilder::new().summary(message).value(Some(body.clone())).build().into(),
    )
}

fn body(response: &Rendered) -> Value {
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
        429 => {
            "The user has made too many writes, or another list of the user with filters or a sort is still running. \
             Try again after the number of seconds in Retry-After."
        }
        500 => "An unexpected error. Report it with the value of X-Request-Id.",
        503 => {
            "The service is temporarily unavailable. Try again after the number of seconds in Retry-After. A write \
             might have been carried out: repeat it with the same idempotency key."
        }
        _ => unreachable!("no error has another status"),
    }
}

/// Returns the schemas of all error bodies and of their parts, by name.
pub fn schemas() -> Vec<NamedSchema> {
    let mut codes = BTreeMap::<_, BTreeSet<_>>::new();
    for response in render_all(Envelope) {
        let code = body(&response)["error"]["code"].as_str().expect("an error has a code").to_owned();
        codes.entry(kind(Envelope, response.status)).or_default().insert(code);
    }
    let field_messages = object()
        .description(Some("Error messages by field. If the body as a whole is invalid, the key is `body`."))
        .additional_properties(Some(AdditionalProperties::from(ArrayBuilder::new().items(string()))));
    let request = object().property("request_id", described("The value of the header `X-Request-Id`."));
    let plain_items = ArrayBuilder::new()
        .items(Ref::from_schema_name(PlainFieldError::name()))
        .description(Some("One entry for each invalid value."));
    let mut schemas = vec![
        (details(VALIDATION_ERROR), field_messages.into()),
        (details(INTERNAL_ERROR), request.required("request_id").into()),
        (PlainFieldError::name().into_owned(), PlainFieldError::schema()),
        (format!("Plain{ERROR}"), plain(described("A human-readable error message."))),
        (format!("Plain{VALIDATION_ERROR}"), plain(plain_items)),
    ];
    for (kind, codes) in codes {
        let code = string().enum_values(Some(codes));
        let code = code.description(Some("A machine-readable error code."));
        schemas.extend([(format!("{kind}Code"), code.into()), (format!("Envelope{kind}"), envelope(kind))]);
    }
    schemas
}

fn envelope(kind: &str) -> RefOr<Schema> {
    let details: RefOr<Schema> = match kind {
        ERROR => null().into(),
        _ => Ref::from_schema_name(details(kind)).into(),
    };
    let error = object()
        .property("code", Ref::from_schema_name(format!("{kind}Code")))
        .property("message", described("A human-readable error message."))
        .property("details", details);
    let body = object()
        .description(Some("An error in the envelope contract."))
        .property("data", null())
        .property("error", ["code", "message", "details"].into_iter().fold(error, ObjectBuilder::required));
    body.required("data").required("error").into()
}

fn plain(detail: impl Into<RefOr<Schema>>) -> RefOr<Schema> {
    let body = object()
        .description(Some("An error in the plain contract."))
        .property("detail", detail)
        .property("error", described("`detail` as one line of text, ready to show to a user."));
    body.required("detail").required("error").into()
}

fn details(kind: &str) -> String {
    format!("{kind}Details")
}

fn described(description: &str) -> ObjectBuilder {
    string().description(Some(description))
}
