//! Describes lists of tasks.

use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{HttpMethod, ObjectBuilder, Ref, path::Parameter, schema::ArrayBuilder},
};

use super::{Data, EnvelopeList, OFFSET, ORDERS, PlainTask, SEARCH_MAX, STATUSES};
use crate::{
    contract::{
        Contract::{self, Envelope, Plain},
        headers::describe::{if_none_match, not_modified, rendered},
        openapi::{
            NamedSchema, Operation, date_or_time, integer, optional_query, samples, string, text, word,
        },
        tasks::describe::{priority, tag},
    },
    task::{ListStart, Shown, TaskFilter, TaskList, TaskQuery, Version},
};

fn body(contract: Contract) -> &'static str {
    match contract {
        Envelope => "EnvelopeListResponse",
        Plain => "PlainTaskList",
    }
}

/// Returns the schemas of the responses, by name.
pub fn schemas() -> Vec<NamedSchema> {
    let most = usize::try_from(*Plain.limits().end()).ok();
    let plain_tasks = ArrayBuilder::new().items(Ref::from_schema_name(PlainTask::name())).max_items(most);
    let mut schemas = vec![
        (EnvelopeList::name().into_owned(), EnvelopeList::schema()),
        (body(Envelope).into(), Data::<EnvelopeList>::schema()),
        (body(Plain).into(), plain_tasks.into()),
    ];
    Data::<EnvelopeList>::schemas(&mut schemas);
    schemas
}

/// Describes the operations.
pub fn operations(contract: Contract) -> Vec<Operation> {
    let description = match contract {
        Envelope => {
            "Newest first, unless `sort` is given. To get the next page, send `next_cursor` as `cursor`."
        }
        Plain => {
            "Oldest first, unless `sort` is given. If there are more tasks than `limit` or than fit into one response, \
             the header `Link` has the URL of the next page."
        }
    };
    let response = contract.list(samples::USER_ID, &query(contract), &Shown::New(page()));
    let schema = Ref::from_schema_name(body(contract));
    vec![Operation {
        id: "listTasks",
        summary: "List tasks",
        description,
        method: HttpMethod::Get,
        path: "/tasks",
        parameters: parameters(contract),
        body: None,
        responses: vec![
            ("200", rendered("A page of tasks.", &response, Some(schema.into()))),
            ("304", not_modified(&response)),
        ],
        errors: &["422", "429"],
    }]
}

fn query(contract: Contract) -> TaskQuery {
    TaskQuery {
        filter: TaskFilter::default(),
        order: contract.default_order(),
        limit: 1,
        start: ListStart::Offset(0),
        known: None,
    }
}

/// A page that is followed by another.
fn page() -> TaskList {
    let task = samples::task();
    let version = Version { revision: 2, updated_at: task.updated_at };
    let begun_at = Some(task.created_at);
    TaskList { tasks: vec![task], total: 2, has_more: true, version, begun_at }
}

/// Which tasks, in which order, and which page.
fn parameters(contract: Contract) -> Vec<Parameter> {
    let number = |range, default| integer(range).default(Some(json!(default)));
    let status = word(STATUSES.map(|(word, _)| word)).default(Some(json!("all")));
    let sort = word(ORDERS.map(|(word, _)| word));
    let cursor = match contract {
        Envelope => {
            "Continues an earlier page: the `pagination.next_cursor` of that page's response. Send the same filters \
             and `sort` as for that page. `limit` may differ. Can't be combined with `offset`."
        }
        Plain => {
            "Continues an earlier page: part of the URL in that page's `Link` header, which also repeats the other \
             parameters. The filters and `sort` must be the same as for that page. `limit` may differ."
        }
    };
    let mut parameters = vec![
        if_none_match(),
        optional_query(
            "limit",
            number(contract.limits(), contract.limit_default()),
            "The maximum number of tasks to return.",
        ),
        // Generators of clients that page take the first parameter whose name they know, and `cursor` misses
        // no task.
        optional_query("cursor", string(), cursor),
        optional_query(
            "status",
            status,
            "Returns all tasks, only open ones (`pending`) or only completed ones.",
        ),
        optional_query("priority", priority(), "Returns only tasks with this priority."),
        optional_query(
            "tag",
            tag(),
            "Returns only tasks that have this tag. Case is ignored as in `search`.",
        ),
        optional_query(
            "search",
            text(SEARCH_MAX).min_length(Some(1)),
            "Returns only tasks whose title or description contains this text. Case is ignored in every script. `%` \
             and `_` are not wildcards.",
        ),
        optional_query("due_after", due_time(), "Returns only tasks that are due at or after this time."),
        optional_query("due_before", due_time(), "Returns only tasks that are due before this time."),
        optional_query(
            "sort",
            sort,
            "The field to sort by; a leading `-` means descending. Titles are compared without case, priorities from \
             low to high. In both directions, equal tasks are sorted from oldest to newest, and tasks without a due date come last.",
        ),
    ];
    if contract == Envelope {
        let description = "The number of tasks to skip. Use `cursor` to go beyond the maximum.";
        parameters.insert(3, optional_query("offset", number(OFFSET, 0), description));
    }
    parameters
}

/// A time in a query.
fn due_time() -> ObjectBuilder {
    date_or_time().description(Some(
        "A date (midnight UTC), or a date and time (UTC unless it has an offset; encode `+` as `%2B`).",
    ))
}
