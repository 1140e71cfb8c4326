//! Describes the headers, and responses with their headers.

use utoipa::openapi::{
    Content, Header, HeaderBuilder, Object, ObjectBuilder, Ref, RefOr, Response, Schema, Type,
    extensions::Extensions, path::Parameter,
};

use super::{CACHE_CONTROL, ETAG, StatusCode};
use crate::{
    contract::openapi::{integer, optional_header, string, text},
    request::MAX_IDEMPOTENCY_KEY_LEN,
    response::Response as Rendered,
};

/// Present on every response: the run loop adds it.
const REQUEST_ID: &str = "X-Request-Id";

/// The header `Idempotency-Key`, which makes a write safe to repeat.
pub fn idempotency_key() -> Parameter {
    optional_header(
        "Idempotency-Key",
        text(MAX_IDEMPOTENCY_KEY_LEN).min_length(Some(1)).pattern(Some("^[!-~]+$")),
        "Makes the write safe to repeat. Generate a new key, such as a UUID, for each write and send the same key \
         with each repeat: the write is carried out only once. Keys are stored for at least 24 hours.",
    )
}

/// The header `If-Match`, which makes a write depend on the task's version.
pub fn if_match() -> Parameter {
    optional_header(
        "If-Match",
        string().pattern(Some(r#"^[*]$|^(W/)?"[!#-~]*"$"#)),
        "The `ETag` of the task when it was read. If the task has been changed since, nothing is written and the \
         response is 412 (RFC 9110 §13.1.1).",
    )
}

/// The header `If-None-Match`, which avoids sending a version that the client already has.
pub fn if_none_match() -> Parameter {
    optional_header(
        "If-None-Match",
        string(),
        "The `ETag` of the version that the client already has. If it is still current, the response is 304 \
         without a body (RFC 9110 §13.1.2).",
    )
}

/// Describes a response rendered by the code. `schema` is that of its body, if it has one.
pub fn rendered(description: &str, rendered: &Rendered, schema: Option<RefOr<Schema>>) -> Response {
    let mut response = Response::new(description);
    let present = |name: &str| name == REQUEST_ID || rendered.headers.contains_key(name);
    for (name, _) in headers().into_iter().filter(|(name, _)| present(name)) {
        let header = Ref::new(format!("#/components/headers/{name}"));
        response.headers.insert(name.into(), RefOr::Ref(header));
    }
    if let Some(schema) = schema {
        let mut content = Content::new(Some(schema));
        content.example = serde_json::from_slice(&rendered.body).ok();
        let content_type = rendered.headers["content-type"].to_str().expect("content types are ASCII");
        response.content.insert(content_type.into(), content.into());
    }
    response
}

/// Describes the 304 sent to a client that already has the version shown in `response`.
pub fn not_modified(response: &Rendered) -> Response {
    let mut same = Rendered::empty(StatusCode::NOT_MODIFIED);
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
                string().build(),
                true,
                "`no-store` if the response must not be cached, or `private, no-cache` if a browser may cache it but \
                 must revalidate it before each use.",
            ),
        ),
        (
            "ETag",
            header(
                string().build(),
                true,
                "The version of the task or list. Send it as `If-None-Match` when you read the same URL again, or \
                 that of a task as `If-Match` when you change the task. Generated clients return it with the \
                 response: `response.headers.get(\"etag\")` in openapi-fetch and hey-api, `headers.get(\"etag\")` in \
                 orval.",
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
                string().build(),
                false,
                "The path and query of the next page: `</plain/api/…>; rel=\"next\"` (RFC 8288). Absent on the last \
                 page.",
            ),
        ),
        ("Location", header(string().build(), true, "The path of the created task.")),
        (
            "RateLimit",
            header(
                string().build(),
                false,
                "The user's write budget: `r` writes are left, and it is full again in `t` seconds. Example: \
                 `\"writes\";r=999;t=1`. Absent if writes are unlimited.",
            ),
        ),
        (
            "RateLimit-Policy",
            header(
                string().build(),
                false,
                "The size of a user's write budget: `q` writes, refilled continuously within `w` seconds. Example: \
                 `\"writes\";q=1000;w=600`. Absent if writes are unlimited.",
            ),
        ),
        ("Retry-After", header(seconds(), true, "The number of seconds to wait before trying again.")),
        ("WWW-Authenticate", header(string().build(), true, "Always `Bearer` (RFC 6750).")),
        (
            "X-Request-Id",
            header(
                string().build(),
                true,
                "Identifies the request in the service's log. Quote it in bug reports.",
            ),
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
