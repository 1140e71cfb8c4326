//! Responses of the API, and the error responses that are expected in each contract.

use reqwest::{RequestBuilder, header::HeaderMap};
use serde_json::{Value, json};

use crate::Contract;

/// A response of the API.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
}

impl Response {
    /// Sends a request and returns the response.
    ///
    /// # Panics
    /// If there is no response.
    pub async fn to(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("a response");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.expect("a body") }
    }

    /// Reads a function's response to an event.
    pub fn from_payload(payload: &[u8]) -> Self {
        let response: Value = serde_json::from_slice(payload).expect("JSON");
        let fields = response["headers"].as_object().into_iter().flatten().map(|(name, value)| {
            let value = value.as_str().expect("a header field").parse().expect("visible ASCII");
            (name.parse().expect("a header name"), value)
        });
        Self {
            status: response["statusCode"]
                .as_u64()
                .and_then(|status| status.try_into().ok())
                .expect("a status"),
            headers: fields.collect(),
            text: response["body"].as_str().unwrap_or_default().to_owned(),
        }
    }

    /// Checks the status and returns the response.
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "unexpected status; body: {}", self.text);
        self
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("the body is not JSON: {:?}", self.text))
    }

    /// The value of a header field, or an empty string if it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("visible ASCII"))
    }

    /// The entity tag, which must be well-formed (RFC 9110 §8.8.3).
    #[track_caller]
    pub fn etag(&self) -> &str {
        let etag = self.header("etag");
        let tag = etag.strip_prefix("W/").unwrap_or(etag);
        let tag = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
        assert!(tag.is_some_and(|tag| tag.bytes().all(|byte| byte == b'!' || byte > b'"')), "ETag {etag:?}");
        etag
    }

    /// Checks the headers that every response of a function has. The documentation has its own
    /// cache rules.
    #[track_caller]
    pub fn assert_common_headers(&self) {
        assert!(!self.header("x-request-id").is_empty(), "every response has X-Request-Id: {}", self.text);
        assert_eq!(self.header("x-content-type-options"), "nosniff", "{} {}", self.status, self.text);
        let cache_control = match self.headers.contains_key("etag") {
            true => "private, no-cache",
            false if self.header("content-type").starts_with("application/json") => "no-store",
            false => return,
        };
        assert_eq!(self.header("cache-control"), cache_control, "{} {}", self.status, self.text);
    }

    /// Checks that this value of the request, and no other, was rejected. The message can be any.
    #[track_caller]
    pub fn assert_invalid_value(&self, contract: Contract, place: &str, field: &str) {
        assert_eq!(self.status, 422, "{}", self.text);
        let body = self.json();
        match contract {
            Contract::Envelope => {
                assert_eq!(body["error"]["code"], "VALIDATION_ERROR");
                let details = body["error"]["details"].as_object().expect("fields");
                assert_eq!(details.keys().collect::<Vec<_>>(), [field], "{}", self.text);
                assert!(details[field][0].is_string(), "{}", self.text);
            }
            Contract::Plain => {
                let errors = body["detail"].as_array().expect("errors");
                assert!(errors.iter().all(|error| error["loc"] == json!([place, field])), "{}", self.text);
                assert!(errors.iter().all(|error| error["type"].is_string() && error["msg"].is_string()));
                assert!(!errors.is_empty() && body["error"].is_string(), "{}", self.text);
            }
        }
        self.assert_common_headers();
    }

    /// Checks that this is the given error response, in the form of its contract.
    #[track_caller]
    pub fn assert_error(&self, contract: Contract, error: &ErrorResponse) {
        assert_eq!(self.status, error.status, "{}", self.text);
        let expected = match contract {
            Contract::Envelope => json!({
                "data": null,
                "error": { "code": error.code, "message": error.message, "details": null },
            }),
            Contract::Plain => json!({ "detail": error.detail, "error": error.detail }),
        };
        assert_eq!(self.json(), expected);
        assert_eq!(self.header("content-type"), "application/json");
        self.assert_common_headers();
    }

    /// Checks that the response reports these validation errors and no others, in any order, in the form of
    /// its contract.
    #[track_caller]
    pub fn assert_invalid(&self, contract: Contract, faults: &[FieldError]) {
        assert_eq!(self.status, 422, "{}", self.text);
        match contract {
            Contract::Envelope => {
                let mut details = serde_json::Map::new();
                for fault in faults {
                    let field = fault.loc.last().expect("a place");
                    let messages = details.entry(*field).or_insert_with(|| json!([]));
                    messages.as_array_mut().expect("an array").push(json!(fault.msg));
                }
                let expected = json!({
                    "data": null,
                    "error": {
                        "code": "VALIDATION_ERROR", "message": "Request validation failed", "details": details,
                    },
                });
                assert_eq!(self.json(), expected);
            }
            Contract::Plain => {
                let sorted = |mut faults: Vec<Value>| {
                    faults.sort_by_key(Value::to_string);
                    faults
                };
                let told = self.json()["detail"].as_array().cloned().expect("an array of errors");
                let lines = told.iter().map(|fault| {
                    let field = fault["loc"].as_array().and_then(|loc| loc.last()).expect("a place");
                    format!("{}: {}", field.as_str().expect("text"), fault["msg"].as_str().expect("text"))
                });
                assert_eq!(
                    self.json()["error"],
                    lines.collect::<Vec<_>>().join("; "),
                    "`error` sums up `detail`"
                );
                let expected = faults
                    .iter()
                    .map(|fault| json!({ "type": fault.kind, "loc": fault.loc, "msg": fault.msg }))
                    .collect();
                assert_eq!(sorted(told), sorted(expected));
            }
        }
        self.assert_common_headers();
    }
}

/// A validation error: one invalid value of a request.
#[derive(Debug, Clone)]
pub struct FieldError {
    /// The error's kind, which only the plain contract shows.
    pub kind: &'static str,
    /// The location of the value: `["body", "title"]`, or `["body"]` for the body as a whole.
    pub loc: Vec<&'static str>,
    /// The message.
    pub msg: String,
}

impl FieldError {
    /// An error of one field in a part of the request (`place`).
    pub fn new(place: &'static str, field: &'static str, kind: &'static str, msg: impl Into<String>) -> Self {
        Self { kind, loc: vec![place, field], msg: msg.into() }
    }

    /// The error for a missing field of the body.
    pub fn missing(field: &'static str) -> Self {
        Self::new("body", field, "missing", "Field required")
    }
}

/// An error response with fixed texts, in both contracts.
#[derive(Debug)]
pub struct ErrorResponse {
    /// The status code in both contracts.
    pub status: u16,
    /// The envelope contract's code.
    pub code: &'static str,
    /// The envelope contract's message.
    pub message: &'static str,
    /// The plain contract's detail.
    pub detail: &'static str,
}

/// Every error response whose texts are fixed.
pub mod errors {
    use super::ErrorResponse;

    const fn new(
        status: u16,
        code: &'static str,
        message: &'static str,
        detail: &'static str,
    ) -> ErrorResponse {
        ErrorResponse { status, code, message, detail }
    }

    const fn same(status: u16, code: &'static str, words: &'static str) -> ErrorResponse {
        new(status, code, words, words)
    }

    const INVALID_TOKEN: &str = "Missing or invalid JWT token";
    const MISMATCH: &str = "You do not have permission to access this resource";

    /// No `Authorization` header.
    pub const NO_TOKEN: ErrorResponse =
        new(401, "UNAUTHORIZED", INVALID_TOKEN, "Missing authorization token");
    /// An invalid token.
    pub const BAD_TOKEN: ErrorResponse =
        new(401, "UNAUTHORIZED", INVALID_TOKEN, "Invalid or malformed token");
    /// An expired token.
    pub const EXPIRED: ErrorResponse = same(401, "UNAUTHORIZED", "Token has expired");
    /// The path of another user.
    pub const FORBIDDEN: ErrorResponse =
        new(403, "FORBIDDEN", MISMATCH, "Access forbidden: user_id mismatch");
    /// The user has no such task.
    pub const NOT_FOUND: ErrorResponse = same(404, "NOT_FOUND", "Task not found");
    /// A body that is not JSON.
    pub const NOT_JSON: ErrorResponse = same(400, "BAD_REQUEST", "Request body is not valid JSON");
    /// A body that is too large.
    pub const TOO_LARGE: ErrorResponse = same(413, "PAYLOAD_TOO_LARGE", "Request body is too large");
    /// A body with another content type.
    pub const NOT_JSON_TYPE: ErrorResponse =
        same(415, "UNSUPPORTED_MEDIA_TYPE", "Content type must be application/json");
    /// An idempotency key that was used with a different request.
    pub const CONFLICT: ErrorResponse =
        same(409, "CONFLICT", "Idempotency-Key was used with a different request");
    /// A task that was changed since its ETag was read.
    pub const CHANGED: ErrorResponse = same(412, "PRECONDITION_FAILED", "Task was changed since it was read");
    /// The same, for a request that sent nothing but weak entity tags.
    pub const CHANGED_SINCE_A_WEAK_TAG: ErrorResponse = same(
        412,
        "PRECONDITION_FAILED",
        "Task was changed since it was read, or its entity tag was weakened on the way: a weak tag (W/) never matches",
    );
    /// A cursor of the changes feed that is too old.
    pub const CURSOR_EXPIRED: ErrorResponse =
        same(410, "GONE", "Cursor has expired: start again without since");
    /// A user whose write budget is used up.
    pub const TOO_MANY_WRITES: ErrorResponse = same(429, "RATE_LIMITED", "Too many requests");
    /// The database is unavailable.
    pub const UNAVAILABLE: ErrorResponse =
        same(503, "SERVICE_UNAVAILABLE", "Service temporarily unavailable");
}
