//! Lists of tasks: what the query of one asks for, how a page is shown, and how the next one is found.

#[cfg(feature = "openapi")]
pub mod describe;

use std::ops::RangeInclusive;

use chrono::{DateTime, Datelike, SecondsFormat, Utc};
use form_urlencoded::Serializer;
use lambda_http::http::{
    StatusCode,
    header::{HeaderName, LINK},
};
use ring::digest::{SHA256, digest};
use serde::Serialize;

use super::{
    Contract::{self, Envelope, Plain},
    cursor::{self, Kind},
    headers::{if_none_match, not_modified, with_version},
    tasks::{Data, EnvelopeTask, PlainTask, TASK_NUMBER},
};
use crate::{
    error::Recorded,
    request::{Problem, Reader, YEARS, date_time, integer, one_of, search, tag},
    response::Response,
    task::{
        DueDate, ListPosition, ListStart, Priority, Shown, SortKey, Task, TaskFilter, TaskList, TaskOrder,
        TaskQuery,
    },
};

/// Bounds of `offset`, which only the envelope contract has.
const OFFSET: RangeInclusive<i64> = 0..=10_000;

/// Maximum length of `search`, in characters.
const SEARCH_MAX: usize = 200;

/// The values of `status`, each with the value of `completed` that it selects.
const STATUSES: [(&str, Option<bool>); 3] =
    [("all", None), ("pending", Some(false)), ("completed", Some(true))];

/// The values of `sort`, each with its order.
const ORDERS: [(&str, TaskOrder); 10] = [
    ("created_at", ascending(SortKey::CreatedAt)),
    ("-created_at", descending(SortKey::CreatedAt)),
    ("updated_at", ascending(SortKey::UpdatedAt)),
    ("-updated_at", descending(SortKey::UpdatedAt)),
    ("due_date", ascending(SortKey::DueDate)),
    ("-due_date", descending(SortKey::DueDate)),
    ("title", ascending(SortKey::Title)),
    ("-title", descending(SortKey::Title)),
    ("priority", ascending(SortKey::Priority)),
    ("-priority", descending(SortKey::Priority)),
];

/// Maximum size of the tasks in a response, in bytes. Lambda limits a whole response to 6 MiB.
pub(super) const MAX_LIST_LEN: usize = 5 * 1024 * 1024;

const X_TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

const fn ascending(by: SortKey) -> TaskOrder {
    TaskOrder { by, descending: false }
}

const fn descending(by: SortKey) -> TaskOrder {
    TaskOrder { by, descending: true }
}

impl Contract {
    /// Returns the bounds of `limit`.
    const fn limits(self) -> RangeInclusive<i64> {
        match self {
            Envelope => 1..=100,
            Plain => 1..=1000,
        }
    }

    const fn limit_default(self) -> i64 {
        match self {
            Envelope => 10,
            Plain => 1000,
        }
    }

    /// Returns the order of a list without `sort`.
    const fn default_order(self) -> TaskOrder {
        match self {
            Envelope => descending(SortKey::Number),
            Plain => ascending(SortKey::Number),
        }
    }
}

/// Reads `GET …/tasks`.
pub fn list_tasks(contract: Contract, request: &mut Reader) -> Result<TaskQuery, Recorded> {
    let limit = request.query_integer("limit", contract.limits(), contract.limit_default());
    let offset = match contract {
        Envelope => request.query("offset", offset),
        Plain => Ok(None),
    };
    let filter = filter(request);
    let order = request.query("sort", one_of(&ORDERS));
    let order = order.map(|order| order.unwrap_or(contract.default_order()));
    let start = match cursor(request, filter.as_ref().ok(), order.ok()) {
        Ok(Some(_)) if offset != Ok(None) => {
            let message = "Input should not be given together with offset";
            Err(request.reject_query("cursor", ("value_error", message.into())))
        }
        Ok(Some(position)) => Ok(ListStart::After(position)),
        Ok(None) => offset.map(|offset| ListStart::Offset(offset.unwrap_or(0))),
        Err(Recorded) => Err(Recorded),
    };
    let known = if_none_match(request);
    request.no_query("since", "Input belongs to changes: a list is continued with cursor")?;
    Ok(TaskQuery { filter: filter?, order: order?, limit: limit?, start: start?, known: known? })
}

fn filter(request: &mut Reader) -> Result<TaskFilter, Recorded> {
    let completed = request.query("status", one_of(&STATUSES));
    let priority = request.query("priority", one_of(&Priority::WORDS));
    let tag = request.query("tag", tag);
    let search = request.query("search", search(SEARCH_MAX));
    let due_after = request.query("due_after", date_time);
    let due_before = request.query("due_before", date_time);
    Ok(TaskFilter {
        completed: completed?.flatten(),
        priority: priority?,
        tag: tag?,
        search: search?,
        due_after: due_after?,
        due_before: due_before?,
    })
}

fn offset(text: &str) -> Result<i64, Problem> {
    integer(text, OFFSET).map_err(|(kind, message)| match kind {
        "less_than_equal" => (kind, format!("{message}: use cursor to go further").into()),
        _ => (kind, message),
    })
}

/// Reads the position from the parameter `cursor`, if present. If the filter or order is `None` because of an
/// invalid parameter, the cursor can't be compared with them and is accepted: the request fails anyway.
fn cursor(
    request: &mut Reader,
    filter: Option<&TaskFilter>,
    order: Option<TaskOrder>,
) -> Result<Option<ListPosition>, Recorded> {
    const NAME: &str = "cursor";
    let user_id = request.user_id();
    let read = |text: &str| read_cursor(user_id, text).ok_or_else(invalid_cursor);
    let Some((query, position)) = request.query(NAME, read)? else { return Ok(None) };
    match filter.zip(order) {
        Some((filter, order)) if query != hash(filter, order) => {
            Err(request.reject_query(NAME, invalid_cursor()))
        }
        _ => Ok(Some(position)),
    }
}

fn invalid_cursor() -> Problem {
    (
        "value_error",
        "Input should be the cursor of a page of this list, with the same filters and sort".into(),
    )
}

/// The content of a cursor: the hash of its query, and the fields of a [`ListPosition`].
type Content = (u64, DateTime<Utc>, i64, Option<DateTime<Utc>>, Option<String>);

/// Decodes a cursor into the hash of its query and the position.
fn read_cursor(user_id: &str, text: &str) -> Option<(u64, ListPosition)> {
    let content = cursor::decode(Kind::List, user_id, text)?;
    let (query, begun_at, number, time, text): Content = serde_json::from_slice(&content).ok()?;
    // A forged cursor can contain values that PostgreSQL can't store.
    let is_possible = [Some(begun_at), time].into_iter().flatten().all(|time| YEARS.contains(&time.year()))
        && TASK_NUMBER.contains(&number)
        && !text.as_ref().is_some_and(|text| text.contains('\0'));
    is_possible.then_some((query, ListPosition { begun_at, number, time, text }))
}

/// Returns the hash of a query, to which a cursor is bound.
///
/// Clients keep cursors across versions of this code, so the format is fixed: the first 8 bytes, as a
/// big-endian number, of the SHA-256 of a JSON object (RFC 8259) without white space. Its members are `by`
/// and `descending` and then, only if the query has them, `completed`, `priority`, `tag`, `search`, `due_after`
/// and `due_before`. Times are in UTC as RFC 3339 with `Z`, with 0, 3, 6 or 9 decimals of a second. A filter that
/// is added later comes last, so that cursors of queries without it keep their hash.
fn hash(filter: &TaskFilter, order: TaskOrder) -> u64 {
    #[derive(Serialize)]
    struct Version1<'a> {
        by: SortKey,
        descending: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        completed: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        priority: Option<Priority>,
        #[serde(skip_serializing_if = "Option::is_none")]
        tag: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        search: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        due_after: Option<DateTime<Utc>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        due_before: Option<DateTime<Utc>>,
    }

    let TaskOrder { by, descending } = order;
    let TaskFilter { completed, priority, ref tag, ref search, due_after, due_before } = *filter;
    let (tag, search) = (tag.as_deref(), search.as_deref());
    let query = Version1 { by, descending, completed, priority, tag, search, due_after, due_before };
    let hash = digest(&SHA256, &serde_json::to_vec(&query).expect("a struct of plain values is JSON"));
    u64::from_be_bytes(*hash.as_ref().first_chunk().expect("a SHA-256 has 32 bytes"))
}

/// Returns the cursor of the page after `page`, or `None` if that was the last. The response contains only
/// the first `shown` tasks of `page`.
fn next_cursor(user_id: &str, query: &TaskQuery, page: &TaskList, shown: usize) -> Option<String> {
    let last = page.tasks[..shown].last().filter(|_| page.has_more || shown < page.tasks.len())?;
    let time = match query.order.by {
        SortKey::Number | SortKey::Title | SortKey::Priority => None,
        SortKey::CreatedAt => Some(last.created_at),
        SortKey::UpdatedAt => Some(last.updated_at),
        SortKey::DueDate => last.due_date.map(DueDate::time),
    };
    let text = match query.order.by {
        SortKey::Title => Some(last.title.clone()),
        SortKey::Priority => Some((last.priority as u8).to_string()),
        _ => None,
    };
    let content: Content = (hash(&query.filter, query.order), page.begun_at?, last.number, time, text);
    let content = serde_json::to_vec(&content).expect("plain values are JSON");
    Some(cursor::encode(Kind::List, user_id, &content))
}

/// Returns the query string that continues a query at a cursor.
fn next_query(contract: Contract, query: &TaskQuery, cursor: &str) -> String {
    let TaskQuery { filter, order, limit, .. } = query;
    let time =
        |time: Option<DateTime<Utc>>| time.map(|time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true));
    let status = STATUSES.iter().find(|(_, completed)| completed.is_some() && *completed == filter.completed);
    let sort = ORDERS.iter().find(|(_, other)| other == order);
    let limit = (*limit != contract.limit_default()).then(|| limit.to_string());
    let parameters = [
        ("cursor", Some(cursor.to_owned())),
        ("status", status.map(|(word, _)| (*word).to_owned())),
        ("priority", filter.priority.map(|priority| priority.word().to_owned())),
        ("tag", filter.tag.clone()),
        ("search", filter.search.clone()),
        ("due_after", time(filter.due_after)),
        ("due_before", time(filter.due_before)),
        ("sort", sort.map(|(word, _)| (*word).to_owned())),
        ("limit", limit),
    ];
    let present = parameters.into_iter().filter_map(|(name, value)| Some((name, value?)));
    Serializer::new(String::new()).extend_pairs(present).finish()
}

/// A page of the user's tasks.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EnvelopeList<'a> {
    /// The tasks on this page.
    items: Vec<EnvelopeTask<'a>>,
    pagination: Pagination,
}

/// The position of a page in its list.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pagination {
    /// The maximum number of tasks on this page.
    limit: i64,
    /// The number of tasks skipped before this page; 0 if it was requested with a cursor.
    offset: i64,
    /// The number of tasks that match the query, on all pages.
    #[cfg_attr(feature = "openapi", schema(minimum = 0))]
    total: i64,
    /// Whether there are more tasks after this page.
    has_more: bool,
    /// The `cursor` of the next page; null on the last page.
    #[cfg_attr(feature = "openapi", schema(required))]
    next_cursor: Option<String>,
}

impl Contract {
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
}

/// Returns the size of a JSON body in Lambda's response, in bytes. There the body is a JSON string, in which
/// each quote and backslash needs a second byte.
pub(super) fn carried_len(json: &str) -> usize {
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
