//! The headers that several operations share: how they are read and rendered.

use lambda_http::http::{
    StatusCode,
    header::{CACHE_CONTROL, ETAG, HeaderName},
};

use super::etag::{self, entity_tag};
use crate::{
    error::Recorded,
    request::{Reader, idempotency_key},
    response::Response,
    task::{RateLimit, Version, Versions, WriteHeaders, Written},
};

const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Reads the headers of a write that creates a task.
pub(super) fn create_headers(request: &mut Reader) -> Result<WriteHeaders, Recorded> {
    let idempotency_key = request.header("idempotency-key", idempotency_key);
    // Ignored, it would let a write through that the client wanted only under a condition.
    let condition = request.header("if-none-match", |_| {
        Err::<(), _>(("value_error", "Writes can't have this condition, only reads can".into()))
    });
    condition?;
    Ok(WriteHeaders { idempotency_key: idempotency_key?, expected: None })
}

/// Reads the headers of a write that changes a task.
pub(super) fn write_headers(request: &mut Reader) -> Result<WriteHeaders, Recorded> {
    let headers = create_headers(request);
    let expected = request.header("if-match", |value| {
        etag::if_match(value).ok_or(("value_error", "Input should be * or a list of entity tags".into()))
    });
    Ok(WriteHeaders { expected: expected?, ..headers? })
}

/// Reads the header `If-None-Match`. A malformed value is ignored, because the header only saves a transfer.
pub(super) fn if_none_match(request: &mut Reader) -> Result<Option<Versions>, Recorded> {
    Ok(request.header("if-none-match", |value| Ok(etag::if_none_match(value)))?.flatten())
}

/// Renders the 304 sent to a client that already has the current version.
pub(super) fn not_modified(version: Version) -> Response {
    with_version(Response::empty(StatusCode::NOT_MODIFIED), version)
}

/// Adds the entity tag of a version. A browser may store the response, but must revalidate it before each
/// use.
pub(super) fn with_version(response: Response, version: Version) -> Response {
    response.with(ETAG, entity_tag(version)).with(CACHE_CONTROL, "private, no-cache")
}

/// Adds what a client must know of a write besides its result.
pub(super) fn with_outcome<T>(response: Response, written: &Written<T>) -> Response {
    let response = with_rate_limit(response, written.rate_limit);
    if written.replayed { response.with(IDEMPOTENCY_REPLAYED, "true") } else { response }
}

/// Adds the state of the write budget (draft-ietf-httpapi-ratelimit-headers-10), if writes are limited.
pub(super) fn with_rate_limit(response: Response, rate_limit: Option<RateLimit>) -> Response {
    let Some(RateLimit { quota, remaining, reset, retry_after }) = rate_limit else { return response };
    // A client that has no write left waits for the next one, not for a full budget.
    let time = if remaining == 0 { retry_after } else { reset };
    response
        .with(RATE_LIMIT_POLICY, format!("\"writes\";q={quota};w={}", RateLimit::WINDOW))
        .with(RATE_LIMIT, format!("\"writes\";r={remaining};t={time}"))
}

#[cfg(feature = "openapi")]
pub mod describe;
