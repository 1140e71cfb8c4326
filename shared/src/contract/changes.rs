//! The changes of a user's list: which of them a request asks for, and how they are shown.

#[cfg(feature = "openapi")]
pub mod describe;

use std::ops::RangeInclusive;

use chrono::DateTime;
use lambda_http::http::StatusCode;
use serde::Serialize;
use uuid::Uuid;

use super::{
    Contract::{self, Envelope, Plain},
    cursor::{self, Kind},
    lists::{MAX_LIST_LEN, carried_len},
    tasks::{Data, EnvelopeTask, PlainTask},
};
use crate::{
    error::Recorded,
    request::Reader,
    response::Response,
    task::{Change, ChangeList, ChangesPosition, ChangesQuery, Task},
};

/// Bounds of `limit`.
const LIMIT: RangeInclusive<i64> = 1..=500;

/// Default of `limit`.
const LIMIT_DEFAULT: i64 = 100;

/// Reads `GET …/tasks/changes`.
pub fn list_changes(_: Contract, request: &mut Reader) -> Result<ChangesQuery, Recorded> {
    let user_id = request.user_id();
    let since = request.query("since", |cursor| {
        decode(user_id, cursor)
            .ok_or(("value_error", "Input should be a cursor from an earlier response".into()))
    });
    let limit = request.query_integer("limit", LIMIT, LIMIT_DEFAULT);
    request.no_query("cursor", "Input belongs to lists: changes are continued with since")?;
    Ok(ChangesQuery { since: since?.flatten(), limit: limit? })
}

/// Returns the cursor for a position. `None` is the start of a list that doesn't exist yet.
fn encode(user_id: &str, position: Option<ChangesPosition>) -> String {
    let numbers = position.map_or([0; 3], |position| {
        let ChangesPosition { revision, copied_from, list_updated_at } = position;
        [revision, copied_from, list_updated_at.timestamp_micros()]
    });
    cursor::encode(Kind::Changes, user_id, numbers.map(i64::to_be_bytes).as_flattened())
}

/// Decodes a cursor created by [`encode`] for the user. `None` if it is not one.
fn decode(user_id: &str, cursor: &str) -> Option<Option<ChangesPosition>> {
    let position = cursor::decode(Kind::Changes, user_id, cursor)?;
    let ([revision, copied_from, micros], []) = position.as_chunks() else { return None };
    let [revision, copied_from, micros] =
        [revision, copied_from, micros].map(|bytes| i64::from_be_bytes(*bytes));
    // chrono accepts earlier times than PostgreSQL. No genuine cursor has a negative one.
    let list_updated_at = DateTime::from_timestamp_micros(micros).filter(|_| micros >= 0)?;
    let position = ChangesPosition { revision, copied_from, list_updated_at };
    Some(Some(position).filter(|position| position.revision > 0))
}

/// A page of the changes of the user's tasks, oldest first. A task is listed once, with its last change.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EnvelopeChanges<'a> {
    /// Tasks that were created or changed, in their current state.
    changed: Vec<EnvelopeTask<'a>>,
    /// The ids of tasks that were deleted.
    deleted: Vec<Uuid>,
    /// The value of `since` for the next request.
    cursor: String,
    /// Whether there are more changes. If so, send the next request at once.
    has_more: bool,
}

/// A page of the changes of the user's tasks, oldest first. A task is listed once, with its last change.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlainChanges<'a> {
    /// Tasks that were created or changed, in their current state.
    changed: Vec<PlainTask<'a>>,
    /// The ids of tasks that were deleted.
    deleted: Vec<i64>,
    /// The `since` of the next request.
    cursor: String,
    /// Whether there are more changes. If so, send the next request at once.
    has_more: bool,
}

impl Contract {
    /// Renders the response to a GET of the changes of a list.
    pub fn changes(self, user_id: &str, list: &ChangeList) -> Response {
        match self {
            Envelope => {
                let Page { changed, deleted, end, has_more } = page(list, EnvelopeTask::from, |id, _| id);
                let cursor = encode(user_id, end);
                let body = EnvelopeChanges { changed, deleted, cursor, has_more };
                Response::json(StatusCode::OK, &Data::new(body))
            }
            Plain => {
                let Page { changed, deleted, end, has_more } =
                    page(list, PlainTask::from, |_, number| number);
                let cursor = encode(user_id, end);
                Response::json(StatusCode::OK, &PlainChanges { changed, deleted, cursor, has_more })
            }
        }
    }
}

/// The changes in one response.
struct Page<T, I> {
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
) -> Page<T, I> {
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
                changed_task.revision
            }
            Change::Deleted { id: uuid, number, revision } => {
                deleted.push(id(*uuid, *number));
                *revision
            }
        });
    }
    let has_more = list.has_more || changed.len() + deleted.len() < list.changes.len();
    let end = match (list.end, last) {
        (Some(end), Some(revision)) if has_more => Some(ChangesPosition { revision, ..end }),
        (end, _) => end,
    };
    Page { changed, deleted, end, has_more }
}

#[cfg(test)]
mod tests;
