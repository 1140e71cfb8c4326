//! Renders results and errors into responses.

use lambda_http::http::{
    StatusCode,
    header::{CACHE_CONTROL, ETAG, HeaderName, LINK, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use uuid::Uuid;

use super::{
    Contract::{self, Envelope, Plain},
    bodies::{
        Data, Details, EnvelopeChanges, EnvelopeError, EnvelopeFailure, EnvelopeList, EnvelopeTask,
        Pagination, PlainChanges, PlainError, PlainTask,
    },
    cursor::of_changes,
    etag::entity_tag,
    lists::{next_cursor, next_query},
};
use crate::{
    error::{Error, Failure, TokenError},
    response::Response,
    task::{
        Change, ChangeList, ChangesPosition, ListStart, RateLimit, Shown, Task, TaskList, TaskQuery, Version,
        Written,
    },
};

/// Maximum size of the tasks in a response, in bytes. Lambda limits a whole response to 6 MiB.
const MAX_LIST_LEN: usize = 5 * 1024 * 1024;

/// `Retry-After` of a 503, in seconds.
const RETRY_AFTER_SECONDS: &str = "1";

const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const X_TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// The characters to percent-encode in a path segment: all except the unreserved ones of RFC 3986 §2.3.
const PATH_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Contract {
    /// Renders the response to a GET of a task.
    pub fn shown(self, task: &Shown<Task>) -> Response {
        match task {
            Shown::New(task) => self.task(StatusCode::OK, task),
            Shown::Known(version) => not_modified(*version),
        }
    }

    /// Renders the response to a PUT or PATCH.
    pub fn updated(self, written: &Written<Task>) -> Response {
        with_outcome(self.task(StatusCode::OK, &written.value), written)
    }

    /// Renders the response to a POST.
    pub fn created(self, written: &Written<Task>) -> Response {
        let task = &written.value;
        let id = match self {
            Envelope => task.id.to_string(),
            Plain => task.number.to_string(),
        };
        let location = format!("{}/{id}", self.tasks_path(&task.user_id));
        with_outcome(self.task(StatusCode::CREATED, task).with(LOCATION, location), written)
    }

    /// Renders the response to a DELETE of a task, which is the same in both contracts.
    pub fn deleted(self, written: &Written<()>) -> Response {
        with_outcome(Response::no_content(), written)
    }

    fn task(self, status: StatusCode, task: &Task) -> Response {
        let response = match self {
            Envelope => Response::json(status, &Data::new(EnvelopeTask::from(task))),
            Plain => Response::json(status, &PlainTask::from(task)),
        };
        with_version(response, task.version())
    }

    /// Renders the response to a GET of the changes of a list.
    pub fn changes(self, user_id: &str, list: &ChangeList) -> Response {
        match self {
            Envelope => {
                let ChangePage { changed, deleted, end, has_more } =
                    page(list, EnvelopeTask::from, |id, _| id);
                let cursor = of_changes(user_id, end);
                Response::json(
                    StatusCode::OK,
                    &Data::new(EnvelopeChanges { changed, deleted, cursor, has_more }),
                )
            }
            Plain => {
                let ChangePage { changed, deleted, end, has_more } =
                    page(list, PlainTask::from, |_, number| number);
                let cursor = of_changes(user_id, end);
                Response::json(StatusCode::OK, &PlainChanges { changed, deleted, cursor, has_more })
            }
        }
    }

    /// Renders the response to a GET of a list. If a plain list is incomplete, `Link` (RFC 8288) leads to the
    /// next page.
    pub fn list(self, user_id: &str, query: &TaskQuery, list: &Shown<TaskList>) -> Response {
        let list = match list {
            Shown::New(list) => list,
            Shown::Known(version) => return not_modified(*version),
        };
        let response = match self {
            Envelope => {
                let items = list.tasks.iter().map(EnvelopeTask::from).collect();
                let offset = match query.start {
                    ListStart::Offset(offset) => offset,
                    ListStart::After(_) => 0,
                };
                let next_cursor = next_cursor(user_id, query, list, list.tasks.len());
                let TaskList { total, has_more, .. } = *list;
                let pagination = Pagination { limit: query.limit, offset, total, has_more, next_cursor };
                Response::json(StatusCode::OK, &Data::new(EnvelopeList { items, pagination }))
            }
            Plain => {
                let (body, shown) = plain_array(&list.tasks);
                let response =
                    Response::new(StatusCode::OK, body).with(X_TOTAL_COUNT, list.total.to_string());
                match next_cursor(user_id, query, list, shown) {
                    Some(cursor) => {
                        let next = next_query(self, query, &cursor);
                        response.with(LINK, format!("<{}?{next}>; rel=\"next\"", self.tasks_path(user_id)))
                    }
                    None => response,
                }
            }
        };
        with_version(response, list.version)
    }

    /// Renders an error, without the details that only the log may contain.
    pub fn error(self, failure: &Failure, request_id: &str) -> Response {
        let Failure { error, rate_limit } = failure;
        const INVALID_TOKEN: &str = "Missing or invalid JWT token";
        let limit_reached: String;
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
            Error::TooManyTasks(limit) => {
                limit_reached = format!("Limit of {limit} tasks reached");
                same("CONFLICT", &limit_reached)
            }
            Error::Changed(_) => same("PRECONDITION_FAILED", "Task was changed since it was read"),
            Error::Gone => same("GONE", "Cursor has expired, start again without since"),
            Error::RateLimited => same("RATE_LIMITED", "Too many requests"),
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
        let response = match rate_limit {
            Some(rate_limit) => with_rate_limit(response, *rate_limit),
            None => response,
        };
        match (error, rate_limit) {
            (Error::Unauthorized(_), _) => response.with(WWW_AUTHENTICATE, "Bearer"),
            (Error::Unavailable(_), _) => response.with(RETRY_AFTER, RETRY_AFTER_SECONDS),
            (Error::Changed(version), _) => with_version(response, *version),
            (Error::RateLimited, Some(rate_limit)) => {
                response.with(RETRY_AFTER, rate_limit.retry_after.to_string())
            }
            _ => response,
        }
    }

    fn tasks_path(self, user_id: &str) -> String {
        format!("{}/api/{}/tasks", self.prefix(), utf8_percent_encode(user_id, PATH_SEGMENT))
    }
}

fn same<'a>(code: &'static str, text: &'a str) -> (&'static str, &'a str, &'a str) {
    (code, text, text)
}

fn not_modified(version: Version) -> Response {
    with_version(Response::empty(StatusCode::NOT_MODIFIED), version)
}

/// Adds the entity tag of a version. A browser may store the response, but must revalidate it before each
/// use.
fn with_version(response: Response, version: Version) -> Response {
    response.with(ETAG, entity_tag(version)).with(CACHE_CONTROL, "private, no-cache")
}

fn with_outcome<T>(response: Response, written: &Written<T>) -> Response {
    let response = match written.rate_limit {
        Some(rate_limit) => with_rate_limit(response, rate_limit),
        None => response,
    };
    if written.replayed { response.with(IDEMPOTENCY_REPLAYED, "true") } else { response }
}

/// Adds the state of the write budget (draft-ietf-httpapi-ratelimit-headers-10).
fn with_rate_limit(response: Response, rate_limit: RateLimit) -> Response {
    let RateLimit { quota, remaining, reset, retry_after: _ } = rate_limit;
    response
        .with(RATE_LIMIT_POLICY, format!("\"writes\";q={quota};w={}", RateLimit::WINDOW))
        .with(RATE_LIMIT, format!("\"writes\";r={remaining};t={reset}"))
}

/// The changes in one response.
struct ChangePage<T, I> {
    changed: Vec<T>,
    deleted: Vec<I>,
    /// The position after the last of them.
    end: Option<ChangesPosition>,
    has_more: bool,
}

/// Takes as many changes as fit into a response of Lambda.
fn page<'a, T: Serialize, I>(
    list: &'a ChangeList,
    task: impl Fn(&'a Task) -> T,
    id: impl Fn(Uuid, i64) -> I,
) -> ChangePage<T, I> {
    let (mut changed, mut deleted, mut carried, mut last) = (Vec::new(), Vec::new(), 0, None);
    for change in &list.changes {
        last = Some(match change {
            Change::Changed(changed_task) => {
                let body = task(changed_task);
                carried +=
                    carried_len(&serde_json::to_string(&body).expect("a struct of plain values is JSON"));
                if carried > MAX_LIST_LEN {
                    break;
                }
                changed.push(body);
                (changed_task.revision, changed_task.number)
            }
            Change::Deleted { id: uuid, number, revision } => {
                deleted.push(id(*uuid, *number));
                (*revision, *number)
            }
        });
    }
    let has_more = list.has_more || changed.len() + deleted.len() < list.changes.len();
    let end = match (list.end, last) {
        (Some(end), Some((revision, number))) if has_more => {
            Some(ChangesPosition { revision, number, ..end })
        }
        (end, _) => end,
    };
    ChangePage { changed, deleted, end, has_more }
}

/// Returns the size of a JSON body in Lambda's response, in bytes. There the body is a JSON string, in which
/// each quote and backslash needs a second byte.
fn carried_len(json: &str) -> usize {
    json.len() + json.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count()
}

/// Returns a JSON array of as many tasks as fit into a response of Lambda, and their number.
fn plain_array(tasks: &[Task]) -> (String, usize) {
    let mut array = String::from("[");
    let mut carried = 0;
    for (shown, task) in tasks.iter().enumerate() {
        let json = serde_json::to_string(&PlainTask::from(task)).expect("a struct of plain values is JSON");
        carried += 1 + carried_len(&json);
        if carried > MAX_LIST_LEN {
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
