//! Response bodies, with their fields in the order in which they are sent.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
#[cfg(feature = "openapi")]
use utoipa::ToSchema;
use uuid::Uuid;

#[cfg(feature = "openapi")]
use super::schemas;
use crate::{
    error::{InputError, Place},
    task::Task,
};

/// A successful response in the envelope contract.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Data<T> {
    data: T,
    #[cfg_attr(feature = "openapi", schema(schema_with = schemas::null))]
    error: (),
}

impl<T> Data<T> {
    pub(super) fn new(data: T) -> Self {
        Self { data, error: () }
    }
}

/// A task in the envelope contract.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct EnvelopeTask<'a> {
    /// The task's id, a UUID of version 7.
    id: Uuid,
    /// The id of the owner.
    #[cfg_attr(feature = "openapi", schema(schema_with = schemas::user_id))]
    user_id: &'a str,
    #[cfg_attr(feature = "openapi", schema(schema_with = schemas::shown_title))]
    title: &'a str,
    #[cfg_attr(feature = "openapi", schema(required, schema_with = schemas::shown_description))]
    description: Option<&'a str>,
    /// When the task is due, in UTC; null if it has no due date.
    #[cfg_attr(feature = "openapi", schema(required))]
    due_date: Option<DateTime<Utc>>,
    /// Whether the task is completed.
    completed: bool,
    /// When the task was completed, in UTC; null while it is open.
    #[cfg_attr(feature = "openapi", schema(required))]
    completed_at: Option<DateTime<Utc>>,
    /// When the task was created, in UTC.
    created_at: DateTime<Utc>,
    /// When the task was last changed, in UTC.
    updated_at: DateTime<Utc>,
}

/// A task in the plain contract. A `title` or `description` from the envelope contract can be longer than the
/// plain contract accepts.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct PlainTask<'a> {
    /// The task's number, which increases in the order of creation.
    #[cfg_attr(feature = "openapi", schema(schema_with = schemas::task_number))]
    id: i64,
    /// The id of the owner.
    #[cfg_attr(feature = "openapi", schema(schema_with = schemas::user_id))]
    user_id: &'a str,
    #[cfg_attr(feature = "openapi", schema(schema_with = schemas::shown_title))]
    title: &'a str,
    #[cfg_attr(feature = "openapi", schema(required, schema_with = schemas::shown_description))]
    description: Option<&'a str>,
    /// Whether the task is completed.
    completed: bool,
    /// When the task was created, in UTC.
    created_at: DateTime<Utc>,
    /// When the task was last changed, in UTC.
    updated_at: DateTime<Utc>,
}

/// A page of the user's tasks.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct EnvelopeList<'a> {
    /// The tasks on this page.
    pub(super) items: Vec<EnvelopeTask<'a>>,
    pub(super) pagination: Pagination,
}

/// A page of the changes of the user's tasks, oldest first. A task is listed once, with its last change.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct EnvelopeChanges<'a> {
    /// Tasks that were created or changed, in their current state.
    pub(super) changed: Vec<EnvelopeTask<'a>>,
    /// The ids of tasks that were deleted.
    pub(super) deleted: Vec<Uuid>,
    /// The value of `since` for the next request.
    pub(super) cursor: String,
    /// Whether there are more changes. If so, send the next request at once.
    pub(super) has_more: bool,
}

/// A page of the changes of the user's tasks, oldest first. A task is listed once, with its last change.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct PlainChanges<'a> {
    /// Tasks that were created or changed, in their current state.
    pub(super) changed: Vec<PlainTask<'a>>,
    /// The ids of tasks that were deleted.
    pub(super) deleted: Vec<i64>,
    /// The `since` of the next request.
    pub(super) cursor: String,
    /// Whether there are more changes. If so, send the next request at once.
    pub(super) has_more: bool,
}

/// The position of a page in its list.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Pagination {
    /// The maximum number of tasks on this page.
    pub(super) limit: i64,
    /// The number of tasks skipped before this page; 0 if it was requested with a cursor.
    pub(super) offset: i64,
    /// The number of tasks that match the query, on all pages.
    #[cfg_attr(feature = "openapi", schema(minimum = 0))]
    pub(super) total: i64,
    /// Whether there are more tasks after this page.
    pub(super) has_more: bool,
    /// The `cursor` of the next page; null on the last page.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub(super) next_cursor: Option<String>,
}

/// An error in the envelope contract.
#[derive(Serialize)]
pub struct EnvelopeFailure<'a> {
    data: (),
    error: EnvelopeError<'a>,
}

impl<'a> EnvelopeFailure<'a> {
    pub(super) fn new(error: EnvelopeError<'a>) -> Self {
        Self { data: (), error }
    }
}

/// Why a request failed.
#[derive(Serialize)]
pub struct EnvelopeError<'a> {
    /// A machine-readable error code.
    pub(super) code: &'static str,
    /// A human-readable error message.
    pub(super) message: &'a str,
    /// The messages for each invalid field, or the request's id if the error is unexpected.
    pub(super) details: Option<Details>,
}

/// More about an error.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Details {
    /// The messages for each invalid field.
    Fields(BTreeMap<String, Vec<String>>),
    /// The request's id, by which it can be found in the log.
    Request {
        /// The value of the header `X-Request-Id`.
        request_id: String,
    },
}

impl Details {
    /// Groups errors by field. An error of the body as a whole gets the key `body`.
    pub(super) fn of_fields(errors: &[InputError]) -> Self {
        let mut fields = BTreeMap::<_, Vec<_>>::new();
        for error in errors {
            let field = error.field.as_deref().unwrap_or(error.place.as_str());
            fields.entry(field.to_owned()).or_default().push(error.message.to_string());
        }
        Details::Fields(fields)
    }
}

/// An error in the plain contract.
#[derive(Serialize)]
pub struct PlainError<T> {
    /// One text, or one entry for each invalid value.
    pub(super) detail: T,
    /// `detail` as one line of text, ready to show to a user.
    pub(super) error: String,
}

impl<'a> PlainError<Vec<PlainFieldError<'a>>> {
    /// Reports every invalid value.
    pub(super) fn of_values(errors: &'a [InputError]) -> Self {
        let detail: Vec<_> = errors.iter().map(PlainFieldError::from).collect();
        let line = |error: &PlainFieldError| format!("{}: {}", error.loc[error.loc.len() - 1], error.msg);
        Self { error: detail.iter().map(line).collect::<Vec<_>>().join("; "), detail }
    }
}

/// An invalid value.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct PlainFieldError<'a> {
    /// A machine-readable error code.
    r#type: &'static str,
    /// Where the value is: `body`, `path`, `query` or `header`, then the field. The field is missing if the
    /// body as a whole is invalid.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 2))]
    loc: Vec<&'a str>,
    /// A human-readable error message.
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

impl<'a> From<&'a InputError> for PlainFieldError<'a> {
    fn from(error: &'a InputError) -> Self {
        let loc = [Some(Place::as_str(error.place)), error.field.as_deref()].into_iter().flatten().collect();
        Self { r#type: error.kind, loc, msg: &error.message }
    }
}
