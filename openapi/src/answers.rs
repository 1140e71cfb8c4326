//! Describes successful responses, and the headers of all responses. Statuses, headers and examples are taken
//! from responses rendered by the code.

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

/// Present on every response: the run loop adds it.
const REQUEST_ID: &str = "X-Request-Id";

/// Returns the schemas of all successful task responses, by name.
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

/// The content of a successful response.
#[derive(Clone, Copy)]
pub enum Shape {
    /// One task.
    Task,
    /// A list of tasks.
    List,
    /// Changes of a list.
    Changes,
}

/// Returns a reference to the schema of a response body.
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

/// Describes a response rendered by the code. `schema` is that of its body, if it has one.
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

/// Describes the 304 sent to a client that already has the version shown in `response`.
pub fn not_modified(response: &shared::Response) -> Response {
    let mut same = shared::Response::empty(StatusCode::NOT_MODIFIED);
    for name in [CACHE_CONTROL, ETAG] {
        same.headers.extend(response.headers.get(&name).map(|value| (name, value.clone())));
    }
    rendered("The client's version is still current. No body.", &same, None)
}

/// Returns every response header, by name.
pub fn headers() -> Vec<(&'static str, Header)> {
    let seconds = || integer(0..=i64::from(u32::MAX)).build();
    let replayed = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["true"])).build();
    vec![
        (
            "Cache-Control",
            header(
                string(),
                true,
                "`no-store` if the response must not be cached, or `private, no-cache` if a browser may cache it but \
                 must revalidate it before each use.",
            ),
        ),
        (
            "ETag",
            header(
                string(),
                true,
                "The version of the task or list. Send it as `If-None-Match` when you read the same URL again, or \
                 that of a task as `If-Match` when you change the task.",
            ),
        ),
        (
            "Idempotency-Replayed",
            header(
                replayed,
                false,
                "Present if an earlier request with the same `Idempotency-Key` was carried out. This request changed \
                 nothing.",
            ),
        ),
        (
            "Link",
            header(
                string(),
                false,
                "The path and query of the next page: `</plain/api/…>; rel=\"next\"` (RFC 8288). Absent on the last \
                 page.",
            ),
        ),
        ("Location", header(string(), true, "The path of the created task.")),
        (
            "RateLimit",
            header(
                string(),
                false,
                "The user's write budget: `r` writes are left, and it is full again in `t` seconds. Example: \
                 `\"writes\";r=999;t=1`. Absent if writes are unlimited.",
            ),
        ),
        (
            "RateLimit-Policy",
            header(
                string(),
                false,
                "The size of a user's write budget: `q` writes, refilled continuously within `w` seconds. Example: \
                 `\"writes\";q=1000;w=600`. Absent if writes are unlimited.",
            ),
        ),
        ("Retry-After", header(seconds(), true, "The number of seconds to wait before trying again.")),
        ("WWW-Authenticate", header(string(), true, "Always `Bearer` (RFC 6750).")),
        (
            "X-Request-Id",
            header(string(), true, "Identifies the request in the service's log. Quote it in bug reports."),
        ),
        (
            "X-Total-Count",
            header(
                integer(0..=i64::MAX).build(),
                true,
                "The number of tasks that match the query, on all pages.",
            ),
        ),
    ]
}

fn header(schema: Object, required: bool, description: &str) -> Header {
    let mut header = HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build();
    // OpenAPI has this field, but utoipa's type doesn't.
    header.extensions = required.then(|| Extensions::from_iter([("required", true)]));
    header
}

fn string() -> Object {
    ObjectBuilder::new().schema_type(Type::String).build()
}
