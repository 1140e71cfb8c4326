//! Reads the query of a list, and creates the cursor and link of the next page.

use chrono::{DateTime, Datelike, SecondsFormat, Utc};
use form_urlencoded::Serializer;
use ring::digest::{SHA256, digest};

use super::{
    Contract::{self, Envelope, Plain},
    bounds::{
        ENVELOPE_LIMIT, ENVELOPE_LIMIT_DEFAULT, OFFSET, PLAIN_LIMIT, PLAIN_LIMIT_DEFAULT, SEARCH_MAX,
        TASK_NUMBER,
    },
    cursor::{self, Kind},
    etag::known,
};
use crate::{
    error::Recorded,
    request::{Problem, Reader, YEARS, date_time, integer, one_of, search},
    task::{ListPosition, ListStart, SortKey, TaskFilter, TaskList, TaskOrder, TaskQuery},
};

/// The values of `status`, each with the value of `completed` that it selects.
pub const STATUSES: [(&str, Option<bool>); 3] =
    [("all", None), ("pending", Some(false)), ("completed", Some(true))];

/// The values of `sort`, each with its order.
pub const ORDERS: [(&str, TaskOrder); 8] = [
    ("created_at", ascending(SortKey::CreatedAt)),
    ("-created_at", descending(SortKey::CreatedAt)),
    ("updated_at", ascending(SortKey::UpdatedAt)),
    ("-updated_at", descending(SortKey::UpdatedAt)),
    ("due_date", ascending(SortKey::DueDate)),
    ("-due_date", descending(SortKey::DueDate)),
    ("title", ascending(SortKey::Title)),
    ("-title", descending(SortKey::Title)),
];

/// The content of a cursor: the hash of its query, and the fields of a [`ListPosition`].
type Content = (u64, DateTime<Utc>, i64, Option<DateTime<Utc>>, Option<String>);

const fn ascending(by: SortKey) -> TaskOrder {
    TaskOrder { by, descending: false }
}

const fn descending(by: SortKey) -> TaskOrder {
    TaskOrder { by, descending: true }
}

impl Contract {
    /// Returns the order of a list without `sort`.
    const fn default_order(self) -> TaskOrder {
        match self {
            Envelope => descending(SortKey::Number),
            Plain => ascending(SortKey::Number),
        }
    }

    fn limit_default(self) -> i64 {
        match self {
            Envelope => ENVELOPE_LIMIT_DEFAULT,
            Plain => PLAIN_LIMIT_DEFAULT,
        }
    }
}

/// Reads the input of `GET …/tasks`.
pub fn list_tasks(contract: Contract, request: &mut Reader) -> Result<TaskQuery, Recorded> {
    let limits = match contract {
        Envelope => ENVELOPE_LIMIT,
        Plain => PLAIN_LIMIT,
    };
    let limit = request.query_integer("limit", limits, contract.limit_default());
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
    let known = known(request);
    Ok(TaskQuery { filter: filter?, order: order?, limit: limit?, start: start?, known: known? })
}

fn filter(request: &mut Reader) -> Result<TaskFilter, Recorded> {
    let completed = request.query("status", one_of(&STATUSES));
    let search = request.query("search", search(SEARCH_MAX));
    let due_after = request.query("due_after", date_time);
    let due_before = request.query("due_before", date_time);
    Ok(TaskFilter {
        completed: completed?.flatten(),
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

/// Decodes a cursor into the hash of its query and the position.
fn read_cursor(user_id: &str, text: &str) -> Option<(u64, ListPosition)> {
    let content = cursor::decode(Kind::List, user_id, text)?;
    let (query, begun_at, number, time, title): Content = serde_json::from_slice(&content).ok()?;
    // A forged cursor can contain values that PostgreSQL can't store.
    let is_possible = [Some(begun_at), time].into_iter().flatten().all(|time| YEARS.contains(&time.year()))
        && TASK_NUMBER.contains(&number)
        && !title.as_ref().is_some_and(|title| title.contains('\0'));
    is_possible.then_some((query, ListPosition { begun_at, number, time, title }))
}

/// Returns the hash of a query, to which a cursor is bound.
fn hash(filter: &TaskFilter, order: TaskOrder) -> u64 {
    let query = serde_json::to_vec(&(filter, order)).expect("plain values serialize to JSON");
    let hash = digest(&SHA256, &query);
    u64::from_be_bytes(*hash.as_ref().first_chunk().expect("a SHA-256 has 32 bytes"))
}

/// Returns the cursor of the page after `page`, or `None` if that was the last. The response contains only
/// the first `shown` tasks of `page`.
pub(super) fn next_cursor(user_id: &str, query: &TaskQuery, page: &TaskList, shown: usize) -> Option<String> {
    let last = page.tasks[..shown].last().filter(|_| page.has_more || shown < page.tasks.len())?;
    let time = match query.order.by {
        SortKey::Number | SortKey::Title => None,
        SortKey::CreatedAt => Some(last.created_at),
        SortKey::UpdatedAt => Some(last.updated_at),
        SortKey::DueDate => last.due_date,
    };
    let title = (query.order.by == SortKey::Title).then(|| last.title.clone());
    let content: Content = (hash(&query.filter, query.order), page.begun_at?, last.number, time, title);
    let content = serde_json::to_vec(&content).expect("plain values are JSON");
    Some(cursor::encode(Kind::List, user_id, &content))
}

/// Returns the query string that continues a query at a cursor.
pub(super) fn next_query(contract: Contract, query: &TaskQuery, cursor: &str) -> String {
    let TaskQuery { filter, order, limit, .. } = query;
    let time =
        |time: Option<DateTime<Utc>>| time.map(|time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true));
    let status = STATUSES.iter().find(|(_, completed)| completed.is_some() && *completed == filter.completed);
    let sort = ORDERS.iter().find(|(_, other)| other == order);
    let limit = (*limit != contract.limit_default()).then(|| limit.to_string());
    let parameters = [
        ("cursor", Some(cursor.to_owned())),
        ("status", status.map(|(word, _)| (*word).to_owned())),
        ("search", filter.search.clone()),
        ("due_after", time(filter.due_after)),
        ("due_before", time(filter.due_before)),
        ("sort", sort.map(|(word, _)| (*word).to_owned())),
        ("limit", limit),
    ];
    let present = parameters.into_iter().filter_map(|(name, value)| Some((name, value?)));
    Serializer::new(String::new()).extend_pairs(present).finish()
}

#[cfg(test)]
mod tests;
