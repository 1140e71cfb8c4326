//! What the operations take: parameters and bodies.

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

/// The user whose tasks are meant.
pub fn user() -> Parameter {
    parameter("user_id", ParameterIn::Path, user_id())
        .description(Some("The caller, as the token names them."))
        .example(Some(json!(samples::USER_ID)))
        .build()
}

/// The task that is meant.
pub fn task(contract: Contract) -> Parameter {
    let (schema, example) = match contract {
        Envelope => (uuid(), json!(samples::TASK_ID)),
        Plain => (integer(TASK_NUMBER).build(), json!(samples::TASK_NUMBER)),
    };
    parameter("task_id", ParameterIn::Path, schema)
        .description(Some("The id of the task."))
        .example(Some(example))
        .build()
}

/// Which of the tasks to list, in which order, and which part of them.
pub fn list(contract: Contract) -> Vec<Parameter> {
    let number = |range, default| integer(range).default(Some(json!(default))).build();
    let words =
        |words: Vec<&'static str>| ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words));
    let (limits, default) = match contract {
        Envelope => (ENVELOPE_LIMIT, ENVELOPE_LIMIT_DEFAULT),
        Plain => (PLAIN_LIMIT, PLAIN_LIMIT_DEFAULT),
    };
    let status = words(STATUSES.map(|(word, _)| word).to_vec()).default(Some(json!("all"))).build();
    let sort = words(ORDERS.map(|(word, _)| word).to_vec()).build();
    let mut parameters = vec![
        optional_query("limit", number(limits, default), "The most tasks to return."),
        optional_query("status", status, "Only tasks that are open, or that are completed."),
        optional_query(
            "search",
            search(),
            "Only tasks whose title or description contains this text, in upper or lower case.",
        ),
        optional_query("due_after", due_time(), "Only tasks that are due at this time or later."),
        optional_query("due_before", due_time(), "Only tasks that are due before this time."),
        optional_query(
            "sort",
            sort,
            "The order; descending after `-`. Tasks without a due date come last in either direction, equal tasks \
             oldest first.",
        ),
        optional_query(
            "cursor",
            ObjectBuilder::new().schema_type(Type::String).build(),
            "Continues where a page ended, as the response with that page says. Filters and `sort` must be those of \
             that page's query; `limit` may differ.",
        ),
    ];
    if contract == Envelope {
        let description = "How many tasks to leave out. To go further, use `cursor`.";
        parameters.insert(1, optional_query("offset", number(OFFSET, 0), description));
    }
    parameters
}

/// A time in a query.
fn due_time() -> RefOr<Schema> {
    AnyOfBuilder::new()
        .item(format(KnownFormat::DateTime))
        .item(format(KnownFormat::Date))
        .description(Some("In the forms of `due_date`."))
        .into()
}

/// What a request for changes takes.
pub fn changes() -> Vec<Parameter> {
    let limit = integer(CHANGES_LIMIT).default(Some(json!(CHANGES_LIMIT_DEFAULT))).build();
    vec![
        optional_query(
            "since",
            text(),
            "The cursor of an earlier response. Absent: all tasks, for a new copy.",
        ),
        optional_query("limit", limit, "The most changes to return."),
    ]
}

/// The header that makes a write safe to repeat.
pub fn idempotency_key() -> Parameter {
    parameter("Idempotency-Key", ParameterIn::Header, values::idempotency_key())
        .required(Required::False)
        .description(Some(
            "The write is carried out once, however often the request is sent. Use a new value, such as a UUID, for \
             each write; a repeat has the same value. Kept for at least 24 hours.",
        ))
        .build()
}

/// The header that makes a write depend on the task's version.
pub fn if_match() -> Parameter {
    let tag = ObjectBuilder::new().schema_type(Type::String).pattern(Some(r#"^[*]$|^(W/)?"[!#-~]*"$"#));
    parameter("If-Match", ParameterIn::Header, tag.build())
        .required(Required::False)
        .description(Some(
            "The `ETag` of the task as it was read. If the task was changed since, nothing is written and the \
             response is 412 (RFC 9110 §13.1.1).",
        ))
        .build()
}

/// The header that saves the transfer of a version that the client has.
pub fn if_none_match() -> Parameter {
    parameter("If-None-Match", ParameterIn::Header, text())
        .required(Required::False)
        .description(Some("The `ETag` of the version that the client has (RFC 9110 §13.1.2)."))
        .build()
}

/// A body that an operation takes.
pub struct Body {
    name: String,
    schema: ObjectBuilder,
    description: &'static str,
    example: Value,
}

/// Every body.
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
            body.property("completed", boolean("Whether it is done; false where absent.")),
            json!({ "title": samples::TITLE, "description": samples::DESCRIPTION }),
        ),
    };
    Body::new(contract, "NewTask", body, "What the task is to be.", example)
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
                .property("completed", boolean("False where absent.")),
            "What the task is to be: what is absent becomes null, and `completed` false.",
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
            "The fields to change. Null clears `description` and `due_date`.",
            json!({ "description": null, "due_date": "2026-12-24" }),
        ),
        Plain => Body::new(
            contract,
            "TaskChanges",
            object()
                .property("title", nullable(title(contract)))
                .property("description", nullable(description(contract)))
                .property("completed", nullable(boolean("Null counts as absent."))),
            "The fields to change. Null clears `description` and counts as absent for the others.",
            json!({ "title": "Buy oat milk" }),
        ),
    }
}

/// The body of a PATCH of `…/complete`, which only the envelope contract has.
pub fn completion() -> Body {
    Body::new(
        Envelope,
        "TaskCompletion",
        object().property("completed", boolean("Whether it is to be done.")).required("completed"),
        "Whether the task is done.",
        json!({ "completed": true }),
    )
}

/// A parameter of the query. It has no example, because /docs would send that.
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

    /// Its schema, by name.
    pub fn schema(self) -> (String, RefOr<Schema>) {
        (self.name, self.schema.description(Some(self.description)).into())
    }

    /// Itself, as an operation takes it.
    pub fn describe(self) -> RequestBody {
        let mut content = Content::new(Some(Ref::from_schema_name(self.name)));
        content.example = Some(self.example);
        RequestBodyBuilder::new()
            .description(Some(format!("At most {} KiB.", MAX_BODY_LEN / 1024)))
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
            "When it is due, in the years {} to {} of UTC. A date alone is midnight UTC. Other forms of ISO 8601 are \
             accepted too: without an offset (UTC), without seconds. `dueDate` is accepted as another name.",
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
