//! Describes the input of the operations: parameters and bodies.

use serde_json::{Value, json};
use shared::{
    Contract::{self, Envelope, Plain},
    contract::{
        CHANGES_LIMIT, CHANGES_LIMIT_DEFAULT, ENVELOPE_LIMIT, ENVELOPE_LIMIT_DEFAULT, OFFSET, ORDERS,
        PLAIN_LIMIT, PLAIN_LIMIT_DEFAULT, STATUSES, TASK_NUMBER,
        schemas::{self as values, description, integer, null, search, title, user_id},
    },
    request::{MAX_BODY_LEN, YEARS},
};
use utoipa::openapi::{
    Content, KnownFormat, Object, ObjectBuilder, Ref, RefOr, Required, Schema, SchemaFormat,
    path::{Parameter, ParameterBuilder, ParameterIn},
    request_body::{RequestBody, RequestBodyBuilder},
    schema::{AnyOfBuilder, SchemaType, Type},
};

use crate::samples;

/// The path parameter `user_id`.
pub fn user() -> Parameter {
    parameter("user_id", ParameterIn::Path, user_id())
        .description(Some("The signed-in user: the token's claim `sub` or `user_id`. Any other user is 403."))
        .example(Some(json!(samples::USER_ID)))
        .build()
}

/// The path parameter `task_id`.
pub fn task(contract: Contract) -> Parameter {
    let (schema, example) = match contract {
        Envelope => (uuid(), json!(samples::TASK_ID)),
        Plain => (integer(TASK_NUMBER).build(), json!(samples::TASK_NUMBER)),
    };
    parameter("task_id", ParameterIn::Path, schema)
        .description(Some("The `id` of the task."))
        .example(Some(example))
        .build()
}

/// The query parameters of a list: which tasks, in which order, and which page.
pub fn list(contract: Contract) -> Vec<Parameter> {
    let number = |range, default| integer(range).default(Some(json!(default))).build();
    let words =
        |words: Vec<&'static str>| ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words));
    let (limits, default) = match contract {
        Envelope => (ENVELOPE_LIMIT, ENVELOPE_LIMIT_DEFAULT),
        Plain => (PLAIN_LIMIT, PLAIN_LIMIT_DEFAULT),
    };
    let cursor = match contract {
        Envelope => {
            "Continues an earlier page: the `pagination.next_cursor` of that page's response. Send the same `status`, \
             `search`, `due_after`, `due_before` and `sort` as for that page. `limit` may differ. Can't be combined \
             with `offset`."
        }
        Plain => {
            "Continues an earlier page: part of the URL in that page's `Link` header, which also repeats the other \
             parameters. `status`, `search`, `due_after`, `due_before` and `sort` must be the same as for that page. \
             `limit` may differ."
        }
    };
    let status = words(STATUSES.map(|(word, _)| word).to_vec()).default(Some(json!("all"))).build();
    let sort = words(ORDERS.map(|(word, _)| word).to_vec()).build();
    let mut parameters = vec![
        optional_query("limit", number(limits, default), "The maximum number of tasks to return."),
        optional_query(
            "status",
            status,
            "Returns all tasks, only open ones (`pending`) or only completed ones.",
        ),
        optional_query(
            "search",
            search(),
            "Returns only tasks whose title or description contains this text. Case is ignored in every script. `%` \
             and `_` are not wildcards.",
        ),
        optional_query("due_after", due_time(), "Returns only tasks that are due at or after this time."),
        optional_query("due_before", due_time(), "Returns only tasks that are due before this time."),
        optional_query(
            "sort",
            sort,
            "The field to sort by; a leading `-` means descending. Titles are compared without case. In both \
             directions, equal tasks are sorted from oldest to newest, and tasks without a due date come last.",
        ),
        optional_query("cursor", ObjectBuilder::new().schema_type(Type::String).build(), cursor),
    ];
    if contract == Envelope {
        let description = "The number of tasks to skip. Use `cursor` to go beyond the maximum.";
        parameters.insert(1, optional_query("offset", number(OFFSET, 0), description));
    }
    parameters
}

/// A time in a query.
fn due_time() -> RefOr<Schema> {
    AnyOfBuilder::new()
        .item(format(KnownFormat::DateTime))
        .item(format(KnownFormat::Date))
        .description(Some(
            "A date (midnight UTC), or a date and time (UTC unless it has an offset; encode `+` as `%2B`).",
        ))
        .into()
}

/// The query parameters of a list of changes.
pub fn changes() -> Vec<Parameter> {
    let limit = integer(CHANGES_LIMIT).default(Some(json!(CHANGES_LIMIT_DEFAULT))).build();
    vec![
        optional_query(
            "since",
            text(),
            "The `cursor` of the previous response. Leave it out to get all tasks.",
        ),
        optional_query(
            "limit",
            limit,
            "The maximum number of changes to return: `changed` and `deleted` together.",
        ),
    ]
}

/// The header `Idempotency-Key`, which makes a write safe to repeat.
pub fn idempotency_key() -> Parameter {
    parameter("Idempotency-Key", ParameterIn::Header, values::idempotency_key())
        .required(Required::False)
        .description(Some(
            "Makes the write safe to repeat. Generate a new key, such as a UUID, for each write and send the same key \
             with each repeat: the write is carried out only once. Keys are stored for at least 24 hours.",
        ))
        .build()
}

/// The header `If-Match`, which makes a write depend on the task's version.
pub fn if_match() -> Parameter {
    let tag = ObjectBuilder::new().schema_type(Type::String).pattern(Some(r#"^[*]$|^(W/)?"[!#-~]*"$"#));
    parameter("If-Match", ParameterIn::Header, tag.build())
        .required(Required::False)
        .description(Some(
            "The `ETag` of the task when it was read. If the task has been changed since, nothing is written and the \
             response is 412 (RFC 9110 §13.1.1).",
        ))
        .build()
}

/// The header `If-None-Match`, which avoids sending a version that the client already has.
pub fn if_none_match() -> Parameter {
    parameter("If-None-Match", ParameterIn::Header, text())
        .required(Required::False)
        .description(Some(
            "The `ETag` of the version that the client already has. If it is still current, the response is 304 \
             without a body (RFC 9110 §13.1.2).",
        ))
        .build()
}

/// The body of a request.
pub struct Body {
    name: String,
    schema: ObjectBuilder,
    description: &'static str,
    example: Value,
}

/// Returns every body.
pub fn bodies() -> Vec<Body> {
    let both = [Envelope, Plain].into_iter().flat_map(|contract| [new_task(contract), put(contract)]);
    both.chain([patch(Envelope), completion()]).collect()
}

/// The body of a POST.
pub fn new_task(contract: Contract) -> Body {
    let body = object().property("title", title(contract)).required("title");
    let body = body.property("description", nullable(description(contract)));
    let (body, example) = match contract {
        Envelope => (
            body.property("due_date", due_date()),
            json!({ "title": samples::TITLE, "description": samples::DESCRIPTION, "due_date": samples::DUE_DATE }),
        ),
        Plain => (
            body.property("completed", boolean("Whether the task is completed. Default: false.")),
            json!({ "title": samples::TITLE, "description": samples::DESCRIPTION }),
        ),
    };
    Body::new(contract, "NewTask", body, "A task to create.", example)
}

/// The body of a PUT.
pub fn put(contract: Contract) -> Body {
    match contract {
        Envelope => Body::new(
            contract,
            "TaskReplacement",
            object()
                .property("title", title(contract))
                .required("title")
                .property("description", nullable(description(contract)))
                .property("due_date", due_date())
                .property("completed", boolean("Whether the task is completed. Default: false.")),
            "The new content of a task. Fields that are left out become null, `completed` false.",
            json!({ "title": "Buy oat milk", "description": null, "completed": true }),
        ),
        Plain => patch(contract),
    }
}

/// The body of a PATCH of a task.
pub fn patch(contract: Contract) -> Body {
    match contract {
        Envelope => Body::new(
            contract,
            "TaskChanges",
            object()
                .property("title", title(contract))
                .property("description", nullable(description(contract)))
                .property("due_date", due_date())
                .property("completed", boolean("Whether the task is completed.")),
            "The fields to change. Null clears `description` or `due_date`.",
            json!({ "description": null, "due_date": "2026-12-24" }),
        ),
        Plain => Body::new(
            contract,
            "TaskChanges",
            object()
                .property("title", nullable(title(contract)))
                .property("description", nullable(description(contract)))
                .property(
                    "completed",
                    nullable(boolean("Whether the task is completed. Null leaves it unchanged.")),
                ),
            "The fields to change. Null clears `description`; a null `title` or `completed` is ignored.",
            json!({ "title": "Buy oat milk" }),
        ),
    }
}

/// The body of a PATCH of `…/complete` in the envelope contract. The plain contract has none.
pub fn completion() -> Body {
    Body::new(
        Envelope,
        "TaskCompletion",
        object()
            .property("completed", boolean("True completes the task, false reopens it."))
            .required("completed"),
        "The new state of a task.",
        json!({ "completed": true }),
    )
}

/// An optional query parameter. It has no example, because /docs would send it.
fn optional_query(name: &str, schema: impl Into<RefOr<Schema>>, description: &str) -> Parameter {
    parameter(name, ParameterIn::Query, schema)
        .required(Required::False)
        .description(Some(description))
        .build()
}

fn parameter(name: &str, place: ParameterIn, schema: impl Into<RefOr<Schema>>) -> ParameterBuilder {
    ParameterBuilder::new().name(name).parameter_in(place).required(Required::True).schema(Some(schema))
}

impl Body {
    fn new(
        contract: Contract,
        name: &str,
        schema: ObjectBuilder,
        description: &'static str,
        example: Value,
    ) -> Self {
        Self { name: format!("{contract:?}{name}"), schema, description, example }
    }

    /// Returns the name and schema of the body.
    pub fn schema(self) -> (String, RefOr<Schema>) {
        (self.name, self.schema.description(Some(self.description)).into())
    }

    /// Describes the body as part of an operation.
    pub fn describe(self) -> RequestBody {
        let mut content = Content::new(Some(Ref::from_schema_name(self.name)));
        content.example = Some(self.example);
        RequestBodyBuilder::new()
            .description(Some(format!("JSON of at most {} KiB.", MAX_BODY_LEN / 1024)))
            .required(Some(Required::True))
            .content("application/json", content)
            .build()
    }
}

fn text() -> Object {
    ObjectBuilder::new().schema_type(Type::String).build()
}

fn object() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Object)
}

fn boolean(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Boolean).description(Some(description))
}

fn nullable(schema: ObjectBuilder) -> Object {
    let mut schema = schema.build();
    if let SchemaType::Type(own) = schema.schema_type {
        schema.schema_type = SchemaType::Array(vec![own, Type::Null]);
    }
    schema
}

fn due_date() -> RefOr<Schema> {
    AnyOfBuilder::new()
        .item(format(KnownFormat::DateTime))
        .item(format(KnownFormat::Date))
        .item(null())
        .description(Some(format!(
            "When the task is due: an ISO 8601 date (midnight UTC) or date and time. Seconds and offset can be left \
             out; without an offset the time is UTC. The year in UTC must be {} to {}. `dueDate` is accepted as another \
             name; if both are sent, they must be equal.",
            YEARS.start(),
            YEARS.end()
        )))
        .into()
}

fn uuid() -> Object {
    format(KnownFormat::Uuid)
}

fn format(format: KnownFormat) -> Object {
    ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(format))).build()
}
