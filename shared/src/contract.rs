//! The two contracts. All that differs between them stands in this file: for each matter one function, for each
//! contract one arm. The fields of the answers stand in [`bodies`].

pub mod bodies;

use std::ops::RangeInclusive;

use lambda_http::http::header::{HeaderName, LINK, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    Error, Response, StatusCode, Task, TaskChanges, TaskKey, TaskList, TaskQuery,
    auth::TokenFault,
    contract::bodies::{
        Data, Details, EnvelopeError, EnvelopeList, EnvelopeTask, Failure, Pagination, PlainError,
        PlainFault, PlainTask,
    },
    input::{Fields, Reader, boolean, date_time, text, title},
    task::{Completion, NewTaskFields},
};

/// How many tasks a list of the envelope contract may be asked to hold.
pub const ENVELOPE_LIMIT: RangeInclusive<i64> = 1..=100;

/// How many it holds where it isn't asked.
pub const ENVELOPE_LIMIT_DEFAULT: i64 = 10;

/// Where a list may be asked to begin.
pub const OFFSET: RangeInclusive<i64> = 0..=i64::MAX;

/// The task ids of the plain contract.
pub const TASK_NUMBER: RangeInclusive<i64> = 1..=i64::MAX;

/// Most tasks in a list of the plain contract.
pub const PLAIN_PAGE: i64 = 1000;

/// Most bytes of a plain list in the function's answer, which Lambda bounds at 6 MiB.
const PLAIN_LIST_LEN: usize = 5 * 1024 * 1024;

/// Seconds after which to try again when the database is out of reach.
const RETRY_AFTER_SECONDS: &str = "1";

const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const X_TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

/// Everything but the unreserved characters of RFC 3986 §2.3 is encoded in a path.
const PATH_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Which specification a front end was written against. Chosen by the route: `/plain/…` or not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Contract {
    /// Answers are `{"data": …, "error": …}`; tasks are named by UUID.
    Envelope,
    /// Answers are the object itself, or `{"detail": …}`; tasks are named by number.
    Plain,
}

use Contract::{Envelope, Plain};

/// The routes.
impl Contract {
    /// The contract of a path.
    pub fn of_path(path: &str) -> Self {
        if path == Plain.prefix() || path.starts_with("/plain/") { Plain } else { Envelope }
    }

    /// What the paths of its routes begin with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Envelope => "",
            Plain => "/plain",
        }
    }

    fn tasks_path(self, user_id: &str) -> String {
        format!("{}/api/{}/tasks", self.prefix(), utf8_percent_encode(user_id, PATH_SEGMENT))
    }
}

/// What comes in.
impl Contract {
    /// Most characters of a title.
    pub const fn title_max(self) -> usize {
        match self {
            Envelope => 255,
            Plain => 200,
        }
    }

    /// Most characters of a description.
    pub const fn description_max(self) -> usize {
        match self {
            Envelope => 2000,
            Plain => 1000,
        }
    }

    /// The task id in the path.
    pub fn read_task_key(self, request: &mut Reader) -> Option<TaskKey> {
        match self {
            Envelope => request.path_uuid("task_id").map(TaskKey::Id),
            Plain => request.path_integer("task_id", TASK_NUMBER).map(TaskKey::Number),
        }
    }

    /// Which tasks to list.
    pub fn read_task_query(self, request: &mut Reader) -> Option<TaskQuery> {
        match self {
            Envelope => {
                let limit = request.query_integer("limit", ENVELOPE_LIMIT, ENVELOPE_LIMIT_DEFAULT);
                let offset = request.query_integer("offset", OFFSET, 0);
                Some(TaskQuery::Newest { limit: limit?, offset: offset? })
            }
            Plain => {
                let after = request.query_integer("after", OFFSET, 0)?;
                Some(TaskQuery::Oldest { limit: PLAIN_PAGE, after })
            }
        }
    }

    /// The body of a POST.
    pub fn read_new_task(self, body: &mut Fields) -> Option<NewTaskFields> {
        let title = body.required("title", title(self.title_max()));
        let description = body.nullable("description", text(self.description_max()));
        let (due_date, completed) = match self {
            Envelope => (body.nullable("due_date", date_time), Some(None)),
            Plain => (Some(None), body.optional("completed", boolean)),
        };
        Some(NewTaskFields {
            title: title?,
            description: description?.flatten(),
            due_date: due_date?.flatten(),
            completed: completed?.unwrap_or(false),
        })
    }

    /// The body of a PUT. Envelope: replaces all. Plain: changes what is there, null counting as absent.
    pub fn read_put(self, body: &mut Fields) -> Option<TaskChanges> {
        let description = body.nullable("description", text(self.description_max()));
        match self {
            Envelope => {
                let title = body.required("title", title(self.title_max()));
                let due_date = body.nullable("due_date", date_time);
                let completed = body.optional("completed", boolean);
                Some(TaskChanges {
                    title: Some(title?),
                    description: Some(description?.flatten()),
                    due_date: Some(due_date?.flatten()),
                    completed: Some(Completion::Set(completed?.unwrap_or(false))),
                })
            }
            Plain => {
                let title = body.nullable("title", title(self.title_max()));
                let completed = body.nullable("completed", boolean);
                Some(TaskChanges {
                    title: title?.flatten(),
                    description: description?,
                    due_date: None,
                    completed: completed?.flatten().map(Completion::Set),
                })
            }
        }
    }

    /// The body of a PATCH of a task, which only the envelope contract has: changes what is there.
    pub fn read_patch(self, body: &mut Fields) -> Option<TaskChanges> {
        let title = body.optional("title", title(self.title_max()));
        let description = body.nullable("description", text(self.description_max()));
        let due_date = body.nullable("due_date", date_time);
        let completed = body.optional("completed", boolean);
        Some(TaskChanges {
            title: title?,
            description: description?,
            due_date: due_date?,
            completed: completed?.map(Completion::Set),
        })
    }

    /// What a PATCH of `…/complete` does. Envelope: what its body says. Plain: flips, without a body.
    pub fn read_completion(self, request: &mut Reader) -> Option<Completion> {
        match self {
            Envelope => request.body()?.required("completed", boolean).map(Completion::Set),
            Plain => Some(Completion::Flip),
        }
    }
}

/// What goes out.
impl Contract {
    /// An answer that shows one task.
    pub fn task(self, status: StatusCode, task: &Task) -> Response {
        match self {
            Envelope => Response::json(status, &Data::new(EnvelopeTask::from(task))),
            Plain => Response::json(status, &PlainTask::from(task)),
        }
    }

    /// The answer to a POST; `replayed` where the task was made by an earlier request with the same key.
    pub fn created(self, task: &Task, replayed: bool) -> Response {
        let id = match self {
            Envelope => task.id.to_string(),
            Plain => task.number.to_string(),
        };
        let response = self
            .task(StatusCode::CREATED, task)
            .with(LOCATION, format!("{}/{id}", self.tasks_path(&task.user_id)));
        if replayed { response.with(IDEMPOTENCY_REPLAYED, "true") } else { response }
    }

    /// The answer to a GET of many tasks. In the plain contract, where it does not hold all of them, `Link`
    /// (RFC 8288) says how to go on.
    pub fn list(self, user_id: &str, query: TaskQuery, list: &TaskList) -> Response {
        match query {
            TaskQuery::Newest { limit, offset } => {
                let items = list.tasks.iter().map(EnvelopeTask::from).collect();
                let pagination = Pagination { limit, offset, total: list.total, has_more: list.has_more };
                Response::json(StatusCode::OK, &Data::new(EnvelopeList { items, pagination }))
            }
            TaskQuery::Oldest { .. } => {
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

    /// What the caller may read of an error.
    pub fn error(self, error: &Error, request_id: &str) -> Response {
        const INVALID_TOKEN: &str = "Missing or invalid JWT token";
        #[rustfmt::skip]
        let (code, message, detail) = match error {
            Error::Unauthorized(TokenFault::Missing) => ("UNAUTHORIZED", INVALID_TOKEN, "Missing authorization token"),
            Error::Unauthorized(TokenFault::Invalid(_)) => ("UNAUTHORIZED", INVALID_TOKEN, "Invalid or malformed token"),
            Error::Unauthorized(TokenFault::Expired) => same("UNAUTHORIZED", "Token has expired"),
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
                    Error::Invalid(faults) => Some(Details::of_fields(faults)),
                    Error::Internal(_) => Some(Details::Request { request_id: request_id.to_owned() }),
                    _ => None,
                };
                Response::json(error.status(), &Failure::new(EnvelopeError { code, message, details }))
            }
            (Plain, Error::Invalid(faults)) => {
                let detail: Vec<_> = faults.iter().map(PlainFault::from).collect();
                Response::json(error.status(), &PlainError { detail })
            }
            (Plain, _) => Response::json(error.status(), &PlainError { detail }),
        };
        match error {
            Error::Unauthorized(_) => response.with(WWW_AUTHENTICATE, "Bearer"),
            Error::Unavailable(_) => response.with(RETRY_AFTER, RETRY_AFTER_SECONDS),
            _ => response,
        }
    }
}

fn same(code: &'static str, words: &'static str) -> (&'static str, &'static str, &'static str) {
    (code, words, words)
}

/// A JSON array of as many of these tasks as Lambda can carry, and how many that are.
fn plain_array(tasks: &[Task]) -> (String, usize) {
    let mut array = String::from("[");
    let mut carried = 0;
    for (shown, task) in tasks.iter().enumerate() {
        let json = serde_json::to_string(&PlainTask::from(task)).expect("a struct of plain values is JSON");
        // The event holds the body as a JSON string: there each quote and backslash takes a second byte.
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
