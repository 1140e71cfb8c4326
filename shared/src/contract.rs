//! The two contracts. All that differs between them stands in this file: for each matter one function, for each
//! contract one arm.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use lambda_http::http::header::{HeaderName, LINK, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    Error, Response, StatusCode, Task, TaskChanges, TaskKey, TaskList, TaskQuery,
    auth::TokenFault,
    input::{Fault, Fields, Reader, boolean, date_time, text, title},
    task::{Completion, NewTaskFields},
};

/// Most tasks in a list of the plain contract.
const PLAIN_PAGE: i64 = 1000;

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

    fn prefix(self) -> &'static str {
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
            Plain => request.path_integer("task_id", 1..=i64::MAX).map(TaskKey::Number),
        }
    }

    /// Which tasks to list.
    pub fn read_task_query(self, request: &mut Reader) -> Option<TaskQuery> {
        match self {
            Envelope => {
                let limit = request.query_integer("limit", 1..=100, 10);
                let offset = request.query_integer("offset", 0..=i64::MAX, 0);
                Some(TaskQuery::Newest { limit: limit?, offset: offset? })
            }
            Plain => {
                let after = request.query_integer("after", 0..=i64::MAX, 0)?;
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
                    Error::Invalid(faults) => Some(Details::Fields(by_field(faults))),
                    Error::Internal(_) => Some(Details::Request { request_id: request_id.to_owned() }),
                    _ => None,
                };
                let body = Data::<()> { data: None, error: Some(EnvelopeError { code, message, details }) };
                Response::json(error.status(), &body)
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

/// The body of every answer in the envelope contract.
#[derive(Serialize)]
struct Data<T> {
    data: Option<T>,
    error: Option<EnvelopeError>,
}

impl<T> Data<T> {
    fn new(data: T) -> Self {
        Self { data: Some(data), error: None }
    }
}

#[derive(Serialize)]
struct EnvelopeTask<'a> {
    id: Uuid,
    user_id: &'a str,
    title: &'a str,
    description: Option<&'a str>,
    due_date: Option<DateTime<Utc>>,
    completed: bool,
    completed_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Serialize)]
struct PlainTask<'a> {
    id: i64,
    user_id: &'a str,
    title: &'a str,
    description: Option<&'a str>,
    completed: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Serialize)]
struct EnvelopeList<'a> {
    items: Vec<EnvelopeTask<'a>>,
    pagination: Pagination,
}

#[derive(Serialize)]
struct Pagination {
    limit: i64,
    offset: i64,
    total: i64,
    has_more: bool,
}

#[derive(Serialize)]
struct EnvelopeError {
    code: &'static str,
    message: &'static str,
    details: Option<Details>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Details {
    Fields(BTreeMap<String, Vec<String>>),
    Request { request_id: String },
}

#[derive(Serialize)]
struct PlainError<T> {
    detail: T,
}

#[derive(Serialize)]
struct PlainFault<'a> {
    r#type: &'static str,
    loc: Vec<&'a str>,
    msg: &'a str,
}

impl<'a> From<&'a Task> for EnvelopeTask<'a> {
    fn from(task: &'a Task) -> Self {
        Self {
            id: task.id,
            user_id: &task.user_id,
            title: &task.title,
            description: task.description.as_deref(),
            due_date: task.due_date,
            completed: task.completed,
            completed_at: task.completed_at,
            created_at: task.created_at,
            updated_at: task.updated_at,
        }
    }
}

impl<'a> From<&'a Task> for PlainTask<'a> {
    fn from(task: &'a Task) -> Self {
        Self {
            id: task.number,
            user_id: &task.user_id,
            title: &task.title,
            description: task.description.as_deref(),
            completed: task.completed,
            created_at: task.created_at,
            updated_at: task.updated_at,
        }
    }
}

impl<'a> From<&'a Fault> for PlainFault<'a> {
    fn from(fault: &'a Fault) -> Self {
        let loc = [Some(fault.place.as_str()), fault.field.as_deref()].into_iter().flatten().collect();
        Self { r#type: fault.kind, loc, msg: &fault.message }
    }
}

/// The messages of each field, as the envelope contract shows them.
fn by_field(faults: &[Fault]) -> BTreeMap<String, Vec<String>> {
    let mut fields = BTreeMap::<_, Vec<_>>::new();
    for fault in faults {
        let field = fault.field.as_deref().unwrap_or(fault.place.as_str());
        fields.entry(field.to_owned()).or_default().push(fault.message.to_string());
    }
    fields
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
