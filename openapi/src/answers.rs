//! What the operations answer when they succeed, and the header fields of all responses. Statuses, header fields and
//! examples are taken from responses that the code renders.

use shared::{
    Contract::{self, Envelope, Plain},
    StatusCode,
    contract::{
        PLAIN_LIMIT,
        bodies::{Data, EnvelopeChanges, EnvelopeList, EnvelopeTask, PlainChanges, PlainTask},
        schemas::integer,
    },
    header::{CACHE_CONTROL, ETAG},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Content, Header, HeaderBuilder, Object, ObjectBuilder, Ref, RefOr, Response, Schema, Type,
        extensions::Extensions, schema::ArrayBuilder,
    },
};

/// Every response has it; the run loop adds it.
const REQUEST_ID: &str = "X-Request-Id";

/// The schemas of all bodies of successes on tasks, by name.
pub fn schemas() -> Vec<(String, RefOr<Schema>)> {
    let most = usize::try_from(*PLAIN_LIMIT.end()).ok();
    let plain_tasks = ArrayBuilder::new().items(Ref::from_schema_name(PlainTask::name())).max_items(most);
    vec![
        (schema_name(Envelope, Shape::Task), Data::<EnvelopeTask>::schema()),
        (schema_name(Envelope, Shape::List), Data::<EnvelopeList>::schema()),
        (schema_name(Envelope, Shape::Changes), Data::<EnvelopeChanges>::schema()),
        (schema_name(Plain, Shape::Task), PlainTask::schema()),
        (schema_name(Plain, Shape::List), plain_tasks.into()),
        (schema_name(Plain, Shape::Changes), PlainChanges::schema()),
    ]
}

/// What the body of a success shows.
#[derive(Clone, Copy)]
pub enum Shape {
    /// One task.
    Task,
    /// Many tasks.
    List,
    /// Changes of a list.
    Changes,
}

/// The schema of a body, by its name.
pub fn schema(contract: Contract, shape: Shape) -> RefOr<Schema> {
    Ref::from_schema_name(schema_name(contract, shape)).into()
}

fn schema_name(contract: Contract, shape: Shape) -> String {
    let name = match (contract, shape) {
        (Envelope, Shape::Task) => "EnvelopeTaskResponse",
        (Envelope, Shape::List) => "EnvelopeListResponse",
        (Envelope, Shape::Changes) => "EnvelopeChangesResponse",
        (Plain, Shape::Task) => "PlainTask",
        (Plain, Shape::List) => "PlainTaskList",
        (Plain, Shape::Changes) => "PlainChanges",
    };
    name.into()
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

/// The response to a client that has the current version of what `response` shows.
pub fn not_modified(response: &shared::Response) -> Response {
    let mut same = shared::Response::empty(StatusCode::NOT_MODIFIED);
    for name in [CACHE_CONTROL, ETAG] {
        same.headers.extend(response.headers.get(&name).map(|value| (name, value.clone())));
    }
    rendered("The client has the current version.", &same, None)
}

/// The header fields of responses.
pub fn headers() -> Vec<(&'static str, Header)> {
    let seconds = || integer(0..=i64::from(u32::MAX)).build();
    let replayed = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["true"])).build();
    vec![
        ("Cache-Control", header(string(), true, "How long the response may be kept.")),
        (
            "ETag",
            header(string(), true, "The version of the task or list, for `If-Match` and `If-None-Match`."),
        ),
        (
            "Idempotency-Replayed",
            header(replayed, false, "Present if an earlier request with the same key was carried out."),
        ),
        ("Link", header(string(), false, "Present if more tasks follow: `<…>; rel=\"next\"` (RFC 8288).")),
        ("Location", header(string(), true, "The path of the task.")),
        (
            "RateLimit",
            header(string(), false, "How many writes the user may still make, and when there are more."),
        ),
        (
            "RateLimit-Policy",
            header(string(), false, "How many writes a user may make. Absent if unlimited."),
        ),
        ("Retry-After", header(seconds(), true, "Seconds after which to try again.")),
        ("WWW-Authenticate", header(string(), true, "`Bearer` (RFC 6750).")),
        ("X-Request-Id", header(string(), true, "The request's id in the log.")),
        ("X-Total-Count", header(integer(0..=i64::MAX).build(), true, "How many tasks there are in all.")),
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
