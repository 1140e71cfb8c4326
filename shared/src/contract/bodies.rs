//! The bodies of answers, field by field as they go out.

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

/// A success in the envelope contract.
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

/// A task, as the envelope contract shows it.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct EnvelopeTask<'a> {
    /// UUID of version 7.
    id: Uuid,
    /// The owner.
    #[cfg_attr(feature = "openapi", schema(schema_with = schemas::user_id))]
    user_id: &'a str,
    #[cfg_attr(feature = "openapi", schema(schema_with = schemas::shown_title))]
    title: &'a str,
    #[cfg_attr(feature = "openapi", schema(required, schema_with = schemas::shown_description))]
    description: Option<&'a str>,
    /// When it is due, in UTC.
    #[cfg_attr(feature = "openapi", schema(required))]
    due_date: Option<DateTime<Utc>>,
    /// Whether it is done.
    completed: bool,
    /// When it was done, in UTC; null while it is open.
    #[cfg_attr(feature = "openapi", schema(required))]
    completed_at: Option<DateTime<Utc>>,
    /// When it was made, in UTC.
    created_at: DateTime<Utc>,
    /// When it was last changed, in UTC.
    updated_at: DateTime<Utc>,
}

/// A task, as the plain contract shows it. Texts made through the envelope contract are shown whole.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct PlainTask<'a> {
    /// Counts up in the order of creation.
    #[cfg_attr(feature = "openapi", schema(schema_with = schemas::task_number))]
    id: i64,
    /// The owner.
    #[cfg_attr(feature = "openapi", schema(schema_with = schemas::user_id))]
    user_id: &'a str,
    #[cfg_attr(feature = "openapi", schema(schema_with = schemas::shown_title))]
    title: &'a str,
    #[cfg_attr(feature = "openapi", schema(required, schema_with = schemas::shown_description))]
    description: Option<&'a str>,
    /// Whether it is done.
    completed: bool,
    /// When it was made, in UTC.
    created_at: DateTime<Utc>,
    /// When it was last changed, in UTC.
    updated_at: DateTime<Utc>,
}

/// A part of the caller's tasks, the newest first.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct EnvelopeList<'a> {
    pub(super) items: Vec<EnvelopeTask<'a>>,
    pub(super) pagination: Pagination,
}

/// A part of what has changed in the caller's list, in the order of the changes.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct EnvelopeChanges<'a> {
    /// Tasks that were created or changed, as they are now.
    pub(super) changed: Vec<EnvelopeTask<'a>>,
    /// The ids of tasks that were deleted.
    pub(super) deleted: Vec<Uuid>,
    /// Where the next request continues, as its `since`.
    pub(super) cursor: String,
    /// Whether there are more changes now.
    pub(super) has_more: bool,
}

/// A part of what has changed in the caller's list, in the order of the changes.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct PlainChanges<'a> {
    /// Tasks that were created or changed, as they are now.
    pub(super) changed: Vec<PlainTask<'a>>,
    /// The ids of tasks that were deleted.
    pub(super) deleted: Vec<i64>,
    /// Where the next request continues, as its `since`.
    pub(super) cursor: String,
    /// Whether there are more changes now.
    pub(super) has_more: bool,
}

/// Which part of the list this is.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Pagination {
    /// The most tasks of this part.
    pub(super) limit: i64,
    /// How many tasks were left out before it; 0 for one that a cursor leads to.
    pub(super) offset: i64,
    /// How many tasks there are in all.
    #[cfg_attr(feature = "openapi", schema(minimum = 0))]
    pub(super) total: i64,
    /// Whether there are tasks after this part.
    pub(super) has_more: bool,
    /// The `cursor` of the next part; null if this is the last.
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
    /// The kind of error, for programs.
    pub(super) code: &'static str,
    /// What is wrong, for people.
    pub(super) message: &'a str,
    /// What is wrong with each field; or the id by which the log knows the request.
    pub(super) details: Option<Details>,
}

/// More about an error.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Details {
    /// The messages of each bad field.
    Fields(BTreeMap<String, Vec<String>>),
    /// The id by which the log knows the request.
    Request {
        /// As in the header `X-Request-Id`.
        request_id: String,
    },
}

impl Details {
    /// The messages of each field, as the envelope contract shows them.
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
    /// What is wrong: one text, or one entry for each invalid value.
    pub(super) detail: T,
    /// The same in one line that a page can show.
    pub(super) error: String,
}

impl<'a> PlainError<Vec<PlainFieldError<'a>>> {
    /// What is wrong with each value.
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
    /// The kind of error, for programs.
    r#type: &'static str,
    /// Where the value is: the part of the request, and the field in it unless the whole part is invalid.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 2))]
    loc: Vec<&'a str>,
    /// What is wrong, for people.
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
