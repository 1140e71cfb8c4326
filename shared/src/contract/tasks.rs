//! Tasks: what requests that name or contain one mean, and how it is shown.

#[cfg(feature = "openapi")]
pub mod describe;

use std::ops::RangeInclusive;

use chrono::{DateTime, SecondsFormat, Utc};
use lambda_http::http::{StatusCode, header::LOCATION};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::{
    Contract::{self, Envelope, Plain},
    headers::{create_headers, if_none_match, not_modified, with_outcome, with_version, write_headers},
};
use crate::{
    error::Recorded,
    request::{Reader, boolean, due_date_value, priority, tags, text, title},
    response::Response,
    task::{
        Completion, DeleteTask, DueDate, GetTask, NewTask, NewTaskFields, Patch, Priority, Shown, Task,
        TaskChanges, TaskKey, TaskUpdate, Written,
    },
};

/// Bounds of a task's id in the plain contract.
pub const TASK_NUMBER: RangeInclusive<i64> = 1..=i64::MAX;

/// The characters to percent-encode in a path segment: all except the unreserved ones of RFC 3986 §2.3.
const PATH_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl Contract {
    /// Returns the maximum length of a title, in characters.
    pub const fn title_max(self) -> usize {
        match self {
            Envelope => 255,
            Plain => 200,
        }
    }

    /// Returns the maximum length of a description, in characters.
    pub const fn description_max(self) -> usize {
        match self {
            Envelope => 2000,
            Plain => 1000,
        }
    }
}

/// What the fields in a body are.
#[derive(Clone, Copy, PartialEq)]
enum Meaning {
    /// A new task. Absent fields get their default.
    Creation,
    /// The whole new content of a task. Absent fields get their default.
    Replacement,
    /// Changes of a task. Absent fields stay as they are.
    Changes,
}

use Meaning::{Changes, Creation, Replacement};

/// Reads `POST …/tasks`.
pub fn create_task(contract: Contract, request: &mut Reader) -> Result<NewTask, Recorded> {
    let headers = create_headers(request);
    let TaskChanges { title, description, due_date, priority, tags, completed } =
        fields(contract, Creation, request)?;
    let fields = NewTaskFields {
        // Required.
        title: title.ok_or(Recorded)?,
        description: description.value(),
        due_date: due_date.value(),
        priority: priority.unwrap_or_default(),
        tags: tags.unwrap_or_default(),
        completed: completed == Some(Completion::Set(true)),
    };
    Ok(NewTask { fields, headers: headers? })
}

/// Reads `GET …/tasks/{task_id}`.
pub fn get_task(contract: Contract, request: &mut Reader) -> Result<GetTask, Recorded> {
    Ok(GetTask { key: task_key(contract, request)?, known: if_none_match(request)? })
}

/// Reads `PUT …/tasks/{task_id}`, which replaces the task in the envelope contract only.
pub fn update_task(contract: Contract, request: &mut Reader) -> Result<TaskUpdate, Recorded> {
    update("PUT", contract, request, |request| match contract {
        Plain => fields(Plain, Changes, request),
        Envelope => {
            let TaskChanges { title, description, due_date, priority, tags, completed } =
                fields(Envelope, Replacement, request)?;
            Ok(TaskChanges {
                title,
                description: description.or_null(),
                due_date: due_date.or_null(),
                priority: priority.or(Some(Priority::default())),
                tags: tags.or(Some(Vec::new())),
                completed: completed.or(Some(Completion::Set(false))),
            })
        }
    })
}

/// Reads `PATCH …/tasks/{task_id}`.
pub fn patch_task(contract: Contract, request: &mut Reader) -> Result<TaskUpdate, Recorded> {
    update("PATCH", contract, request, |request| fields(contract, Changes, request))
}

/// Reads `PATCH …/tasks/{task_id}/complete`.
pub fn complete_task(contract: Contract, request: &mut Reader) -> Result<TaskUpdate, Recorded> {
    update("PATCH", contract, request, |request| {
        let completion = match contract {
            Envelope => request.body()?.required("completed", boolean).map(Completion::Set),
            Plain => Ok(Completion::Toggle),
        };
        Ok(TaskChanges { completed: Some(completion?), ..TaskChanges::default() })
    })
}

/// Reads `DELETE …/tasks/{task_id}`.
pub fn delete_task(contract: Contract, request: &mut Reader) -> Result<DeleteTask, Recorded> {
    let key = task_key(contract, request);
    let headers = write_headers(request);
    Ok(DeleteTask { key: key?, headers: headers? })
}

fn update(
    method: &'static str,
    contract: Contract,
    request: &mut Reader,
    read_changes: impl FnOnce(&mut Reader) -> Result<TaskChanges, Recorded>,
) -> Result<TaskUpdate, Recorded> {
    let key = task_key(contract, request);
    let headers = write_headers(request);
    let changes = read_changes(request);
    Ok(TaskUpdate { key: key?, method, changes: changes?, headers: headers? })
}

fn task_key(contract: Contract, request: &mut Reader) -> Result<TaskKey, Recorded> {
    match contract {
        Envelope => request.path_uuid("task_id").map(TaskKey::Id),
        Plain => request.path_integer("task_id", TASK_NUMBER).map(TaskKey::Number),
    }
}

/// Reads the fields of a body.
fn fields(contract: Contract, meaning: Meaning, request: &mut Reader) -> Result<TaskChanges, Recorded> {
    let mut body = request.body()?;
    let title = match (contract, meaning) {
        (_, Creation | Replacement) => body.required("title", title(contract.title_max())).map(Some),
        (Envelope, Changes) => body.optional("title", title(contract.title_max())),
        (Plain, Changes) => body.nullable("title", title(contract.title_max())).map(Patch::value),
    };
    let description = body.nullable("description", text(contract.description_max()));
    // Some front ends send `dueDate`.
    let due_date = body.nullable_or_alias("due_date", "dueDate", due_date_value);
    let priority = body.nullable("priority", priority).map(Patch::value);
    let tags = body.nullable("tags", tags).map(|tags| match tags {
        Patch::Absent => None,
        Patch::Null => Some(Vec::new()),
        Patch::Value(tags) => Some(tags),
    });
    let completed = match (contract, meaning) {
        (Envelope, Creation) => Ok(None),
        (Plain, Changes) => body.nullable("completed", boolean).map(Patch::value),
        _ => body.optional("completed", boolean),
    };
    let completed = completed.map(|completed| completed.map(Completion::Set));
    Ok(TaskChanges {
        title: title?,
        description: description?,
        due_date: due_date?,
        priority: priority?,
        tags: tags?,
        completed: completed?,
    })
}

/// A successful response in the envelope contract.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Data<T> {
    data: T,
    #[cfg_attr(feature = "openapi", schema(schema_with = describe::null))]
    error: (),
}

// The fields of bodies are sent in the order in which they stand here.

/// What both contracts show of a task. They differ in the form of the id and of the tags.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
struct TaskBody<'a, Id, Tags> {
    id: Id,
    /// The id of the owner.
    #[cfg_attr(feature = "openapi", schema(schema_with = describe::user_id))]
    user_id: &'a str,
    #[cfg_attr(feature = "openapi", schema(schema_with = describe::shown_title))]
    title: &'a str,
    #[cfg_attr(feature = "openapi", schema(required, schema_with = describe::shown_description))]
    description: Option<&'a str>,
    #[cfg_attr(feature = "openapi", schema(required, schema_with = describe::shown_due_date))]
    due_date: Option<DueDate>,
    #[cfg_attr(feature = "openapi", schema(schema_with = describe::priority))]
    priority: Priority,
    tags: Tags,
    /// Whether the task is completed.
    completed: bool,
    /// When the task was completed, in UTC; null while it is open.
    #[cfg_attr(feature = "openapi", schema(required, value_type = Option<DateTime<Utc>>))]
    completed_at: Option<Timestamp>,
    /// When the task was created, in UTC.
    #[cfg_attr(feature = "openapi", schema(value_type = DateTime<Utc>))]
    created_at: Timestamp,
    /// When the task was last changed, in UTC.
    #[cfg_attr(feature = "openapi", schema(value_type = DateTime<Utc>))]
    updated_at: Timestamp,
}

/// A task in the envelope contract: its tags are one string, with commas between them.
#[derive(Serialize)]
pub struct EnvelopeTask<'a>(TaskBody<'a, Uuid, Option<String>>);

/// A task in the plain contract. A `title` or `description` from the envelope contract can be longer than the
/// plain contract accepts.
#[derive(Serialize)]
pub struct PlainTask<'a>(TaskBody<'a, i64, &'a [String]>);

/// A time in UTC as RFC 3339. It always has six digits of seconds, so that times sort as text.
struct Timestamp(DateTime<Utc>);

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

impl<T> Data<T> {
    pub(super) fn new(data: T) -> Self {
        Self { data, error: () }
    }
}

impl<'a> From<&'a Task> for EnvelopeTask<'a> {
    fn from(task: &'a Task) -> Self {
        let tags = (!task.tags.is_empty()).then(|| task.tags.join(","));
        Self(TaskBody::new(task, task.id, tags))
    }
}

impl<'a> From<&'a Task> for PlainTask<'a> {
    fn from(task: &'a Task) -> Self {
        Self(TaskBody::new(task, task.number, task.tags.as_slice()))
    }
}

impl<'a, Id, Tags> TaskBody<'a, Id, Tags> {
    fn new(task: &'a Task, id: Id, tags: Tags) -> Self {
        Self {
            id,
            user_id: &task.user_id,
            title: &task.title,
            description: task.description.as_deref(),
            due_date: task.due_date,
            priority: task.priority,
            tags,
            completed: task.completed,
            completed_at: task.completed_at.map(Timestamp),
            created_at: Timestamp(task.created_at),
            updated_at: Timestamp(task.updated_at),
        }
    }
}

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

    pub(super) fn tasks_path(self, user_id: &str) -> String {
        format!("{}/api/{}/tasks", self.prefix(), utf8_percent_encode(user_id, PATH_SEGMENT))
    }
}

#[cfg(test)]
mod tests;
