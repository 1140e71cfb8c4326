//! Renders results and errors into responses.

use lambda_http::http::{
    StatusCode,
    header::{HeaderName, LINK, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    Contract::{self, Envelope, Plain},
    bodies::{
        Data, Details, EnvelopeError, EnvelopeFailure, EnvelopeList, EnvelopeTask, Pagination, PlainError,
        PlainTask,
    },
};
use crate::{
    error::{Error, TokenError},
    response::Response,
    task::{Created, ListStart, Task, TaskList, TaskQuery},
};

/// The largest plain list in a response, in bytes. Lambda's limit for a whole response is 6 MiB.
const PLAIN_LIST_LEN: usize = 5 * 1024 * 1024;

/// When to try again while the database is unavailable, in seconds.
const RETRY_AFTER_SECONDS: &str = "1";

const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const X_TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// In a path everything is encoded but the unreserved characters of RFC 3986 §2.3.
const PATH_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Contract {
    /// A response that shows one task.
    pub fn task(self, status: StatusCode, task: &Task) -> Response {
        match self {
            Envelope => Response::json(status, &Data::new(EnvelopeTask::from(task))),
            Plain => Response::json(status, &PlainTask::from(task)),
        }
    }

    /// The response to a POST.
    pub fn created(self, created: &Created) -> Response {
        let task = &created.task;
        let id = match self {
            Envelope => task.id.to_string(),
            Plain => task.number.to_string(),
        };
        let location = format!("{}/{id}", self.tasks_path(&task.user_id));
        let response = self.task(StatusCode::CREATED, task).with(LOCATION, location);
        if created.replayed { response.with(IDEMPOTENCY_REPLAYED, "true") } else { response }
    }

    /// The response to a GET of many tasks. If a plain list doesn't contain all of them, `Link` (RFC 8288) leads to
    /// the rest.
    pub fn list(self, user_id: &str, query: &TaskQuery, list: &TaskList) -> Response {
        match self {
            Envelope => {
                let items = list.tasks.iter().map(EnvelopeTask::from).collect();
                let offset = match query.start {
                    ListStart::Newest { offset } => offset,
                    ListStart::After { .. } => 0,
                };
                let TaskList { total, has_more, .. } = *list;
                let pagination = Pagination { limit: query.limit, offset, total, has_more };
                Response::json(StatusCode::OK, &Data::new(EnvelopeList { items, pagination }))
            }
            Plain => {
                let (body, shown) = plain_array(&list.tasks);
                let response =
                    Response::new(StatusCode::OK, body).with(X_TOTAL_COUNT, list.total.to_string());
                match list.tasks[..shown].last() {
                    Some(last) if list.has_more || shown < list.tasks.len() => {
                        let next =
                            format!("<{}?after={}>; rel=\"next\"", self.tasks_path(user_id), last.number);
                        response.with(LINK, next)
                    }
                    _ => response,
                }
            }
        }
    }

    /// The response to a request that fails: what the caller may read of the error.
    pub fn error(self, error: &Error, request_id: &str) -> Response {
        const INVALID_TOKEN: &str = "Missing or invalid JWT token";
        #[rustfmt::skip]
        let (code, message, detail) = match error {
            Error::Unauthorized(TokenError::Missing) => ("UNAUTHORIZED", INVALID_TOKEN, "Missing authorization token"),
            Error::Unauthorized(TokenError::Invalid(_)) => ("UNAUTHORIZED", INVALID_TOKEN, "Invalid or malformed token"),
            Error::Unauthorized(TokenError::Expired) => same("UNAUTHORIZED", "Token has expired"),
            Error::Forbidden(_) => ("FORBIDDEN", "You do not have permission to access this resource", "Access forbidden: user_id mismatch"),
            Error::NotFound => same("NOT_FOUND", "Task not found"),
            Error::InvalidJson => same("BAD_REQUEST", "Request body is not valid JSON"),
            Error::PayloadTooLarge => same("PAYLOAD_TOO_LARGE", "Request body is too large"),
            Error::UnsupportedMediaType => same("UNSUPPORTED_MEDIA_TYPE", "Content type must be application/json"),
            Error::Invalid(_) => same("VALIDATION_ERROR", "Request validation failed"),
            Error::Conflict => same("CONFLICT", "Idempotency-Key was used with a different request"),
            Error::Unavailable(_) => same("SERVICE_UNAVAILABLE", "Service temporarily unavailable"),
            Error::Internal(_) => ("INTERNAL_SERVER_ERROR", "An unexpected error occurred", "Internal server error"),
        };
        let response = match (self, error) {
            (Envelope, _) => {
                let details = match error {
                    Error::Invalid(errors) => Some(Details::of_fields(errors)),
                    Error::Internal(_) => Some(Details::Request { request_id: request_id.to_owned() }),
                    _ => None,
                };
                let error_body = EnvelopeError { code, message, details };
                Response::json(error.status(), &EnvelopeFailure::new(error_body))
            }
            (Plain, Error::Invalid(errors)) => Response::json(error.status(), &PlainError::of_values(errors)),
            (Plain, _) => Response::json(error.status(), &PlainError { detail, error: detail.into() }),
        };
        match error {
            Error::Unauthorized(_) => response.with(WWW_AUTHENTICATE, "Bearer"),
            Error::Unavailable(_) => response.with(RETRY_AFTER, RETRY_AFTER_SECONDS),
            _ => response,
        }
    }

    fn tasks_path(self, user_id: &str) -> String {
        format!("{}/api/{}/tasks", self.prefix(), utf8_percent_encode(user_id, PATH_SEGMENT))
    }
}

fn same(code: &'static str, text: &'static str) -> (&'static str, &'static str, &'static str) {
    (code, text, text)
}

/// A JSON array of as many of these tasks as Lambda can carry, and their number.
fn plain_array(tasks: &[Task]) -> (String, usize) {
    let mut array = String::from("[");
    let mut carried = 0;
    for (shown, task) in tasks.iter().enumerate() {
        let json = serde_json::to_string(&PlainTask::from(task)).expect("a struct of plain values is JSON");
        // In the event the body is a JSON string, in which each quote and backslash takes a second byte.
        carried += 1 + json.len() + json.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count();
        if carried > PLAIN_LIST_LEN {
            return (array + "]", shown);
        }
        if shown > 0 {
            array.push(',');
        }
        array.push_str(&json);
    }
    (array + "]", tasks.len())
}

#[cfg(test)]
mod tests;
