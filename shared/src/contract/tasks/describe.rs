//! Describes the operations on single tasks.

use std::collections::BTreeMap;

use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        HttpMethod, KnownFormat, Object, ObjectBuilder, Ref, RefOr, Response, Schema,
        link::{Link, LinkBuilder},
        path::{Parameter, ParameterIn},
        schema::{AnyOfBuilder, ArrayBuilder},
    },
};

pub(super) use crate::contract::openapi::null;

use super::{Data, EnvelopeTask, Meaning, PlainTask, TASK_NUMBER, TaskBody};
use crate::{
    auth::MAX_USER_ID_CHARS,
    contract::{
        Contract::{self, Envelope, Plain},
        headers::describe::{idempotency_key, if_match, if_none_match, not_modified, rendered},
        openapi::{
            Body, NamedSchema, Operation, boolean, date_or_time, format, integer, nullable, object,
            parameter, samples, string, text, word,
        },
    },
    request::{MAX_TAG_CHARS, MAX_TAGS, MAX_TAGS_CHARS, YEARS},
    response::Response as Rendered,
    task::{Priority, Shown},
};

fn body(contract: Contract) -> &'static str {
    match contract {
        Envelope => "EnvelopeTaskResponse",
        Plain => "PlainTask",
    }
}

/// Returns the schemas of requests and responses, by name.
pub fn schemas() -> Vec<NamedSchema> {
    let bodies = [Envelope, Plain].into_iter().flat_map(|contract| {
        operations(contract).into_iter().filter_map(|operation| operation.body).map(Body::schema)
    });
    let tasks = [
        (EnvelopeTask::name().into_owned(), EnvelopeTask::schema()),
        (body(Envelope).into(), Data::<EnvelopeTask>::schema()),
        (body(Plain).into(), PlainTask::schema()),
    ];
    tasks.into_iter().chain(bodies).collect()
}

/// Describes the operations.
pub fn operations(contract: Contract) -> Vec<Operation> {
    let shown = |description: &str, response: &Rendered| {
        rendered(description, response, Some(Ref::from_schema_name(body(contract)).into()))
    };
    let updated =
        |task| vec![("200", shown("The updated task.", &contract.updated(&samples::written(task))))];
    let write = || vec![task_id(contract), idempotency_key(), if_match()];
    let task = contract.shown(&Shown::New(samples::task()));
    let (put, put_summary, put_description) = match contract {
        Envelope => (
            Meaning::Replacement,
            "Replace a task",
            "Replaces all fields of the body. `title` is required. If left out, `description`, `due_date` and `tags` \
             become null, `priority` becomes `medium`, and `completed` becomes false.",
        ),
        Plain => (Meaning::Changes, "Update a task", UPDATE),
    };
    let (complete_summary, complete_description, completion) = match contract {
        Envelope => ("Complete or reopen a task", "", Some(completion())),
        Plain => (
            "Toggle whether a task is completed",
            "Completes an open task and reopens a completed one. Send an `Idempotency-Key`, so that a repeated request \
             doesn't toggle the task again.",
            None,
        ),
    };
    let mut created = shown("The created task.", &contract.created(&samples::written(samples::task())));
    created.links = links(contract);
    vec![
        Operation {
            id: "createTask",
            summary: "Create a task",
            description: "Without an `Idempotency-Key`, a repeated request creates another task.",
            method: HttpMethod::Post,
            path: "/tasks",
            parameters: vec![idempotency_key()],
            body: Some(fields(contract, Meaning::Creation)),
            responses: vec![("201", created)],
            errors: &["400", "404", "409", "413", "415", "422", "429"],
        },
        Operation {
            id: "getTask",
            summary: "Get a task",
            description: "",
            method: HttpMethod::Get,
            path: "/tasks/{task_id}",
            parameters: vec![task_id(contract), if_none_match()],
            body: None,
            responses: vec![("200", shown("The task.", &task)), ("304", not_modified(&task))],
            errors: &["404", "422"],
        },
        Operation {
            id: "updateTask",
            summary: put_summary,
            description: put_description,
            method: HttpMethod::Put,
            path: "/tasks/{task_id}",
            parameters: write(),
            body: Some(fields(contract, put)),
            responses: updated(samples::task()),
            errors: &["400", "404", "409", "412", "413", "415", "422", "429"],
        },
        Operation {
            id: "patchTask",
            summary: "Update a task",
            description: UPDATE,
            method: HttpMethod::Patch,
            path: "/tasks/{task_id}",
            parameters: write(),
            body: Some(fields(contract, Meaning::Changes)),
            responses: updated(samples::task()),
            errors: &["400", "404", "409", "412", "413", "415", "422", "429"],
        },
        Operation {
            id: "completeTask",
            summary: complete_summary,
            description: complete_description,
            method: HttpMethod::Patch,
            path: "/tasks/{task_id}/complete",
            parameters: write(),
            body: completion,
            responses: updated(samples::completed_task()),
            errors: match contract {
                Envelope => &["400", "404", "409", "412", "413", "415", "422", "429"],
                Plain => &["404", "409", "412", "422", "429"],
            },
        },
        Operation {
            id: "deleteTask",
            summary: "Delete a task",
            description: "",
            method: HttpMethod::Delete,
            path: "/tasks/{task_id}",
            parameters: write(),
            body: None,
            responses: vec![deleted(contract)],
            errors: &["404", "409", "412", "422", "429"],
        },
    ]
}

const UPDATE: &str = "Changes only the fields in the body. A body without fields changes nothing.";

fn deleted(contract: Contract) -> (&'static str, Response) {
    ("204", rendered("The task was deleted.", &contract.deleted(&samples::written(())), None))
}

/// Links to the operations that can be called with the created task.
fn links(contract: Contract) -> BTreeMap<String, RefOr<Link>> {
    let task_id = match contract {
        Envelope => "$response.body#/data/id",
        Plain => "$response.body#/id",
    };
    let ids = ["getTask", "updateTask", "patchTask", "completeTask", "deleteTask"];
    let link = |id| {
        let link = LinkBuilder::new()
            .operation_id(contract.operation_id(id))
            .parameter("user_id", json!("$request.path.user_id"))
            .parameter("task_id", json!(task_id));
        (id.to_owned(), link.build().into())
    };
    ids.into_iter().map(link).collect()
}

/// The path parameter `task_id`.
fn task_id(contract: Contract) -> Parameter {
    let (schema, example) = match contract {
        Envelope => (format(KnownFormat::Uuid), json!(samples::TASK_ID)),
        Plain => (integer(TASK_NUMBER).build(), json!(samples::TASK_NUMBER)),
    };
    parameter("task_id", ParameterIn::Path, schema)
        .description(Some("The `id` of the task."))
        .example(Some(example))
        .build()
}

/// A body that contains fields of a task.
fn fields(contract: Contract, meaning: Meaning) -> Body {
    let mut schema = match (contract, meaning) {
        (Plain, Meaning::Changes) => object().property("title", nullable(title(contract))),
        _ => object().property("title", title(contract)),
    };
    if meaning != Meaning::Changes {
        schema = schema.required("title");
    }
    schema = schema.property("description", nullable(description(contract)));
    schema = schema
        .property("due_date", due_date())
        .property(
            "priority",
            nullable(priority().into()).description(Some(match meaning {
                Meaning::Changes => "Null leaves it unchanged.",
                _ => "Default: `medium`, also for null.",
            })),
        )
        .property("tags", tags());
    schema = match (contract, meaning) {
        (Envelope, Meaning::Creation) => schema,
        (Envelope, Meaning::Changes) => {
            schema.property("completed", boolean("Whether the task is completed."))
        }
        (Plain, Meaning::Changes) => {
            let completed = boolean("Whether the task is completed. Null leaves it unchanged.");
            schema.property("completed", nullable(completed))
        }
        _ => schema.property("completed", boolean("Whether the task is completed. Default: false.")),
    };
    let (name, description, example) = match (contract, meaning) {
        (Envelope, Meaning::Creation) => (
            "NewTask",
            "A task to create.",
            json!({
                "title": samples::TITLE, "description": samples::DESCRIPTION, "due_date": samples::DUE_DATE,
                "priority": "high", "tags": samples::TAGS.join(","),
            }),
        ),
        (Plain, Meaning::Creation) => (
            "NewTask",
            "A task to create.",
            json!({
                "title": samples::TITLE, "description": samples::DESCRIPTION, "due_date": samples::DUE_DATE,
                "priority": "high", "tags": samples::TAGS,
            }),
        ),
        (_, Meaning::Replacement) => (
            "TaskReplacement",
            "The new content of a task. Fields that are left out get their default.",
            json!({ "title": "Buy oat milk", "description": null, "completed": true }),
        ),
        (Envelope, Meaning::Changes) => (
            "TaskChanges",
            "The fields to change. Null clears `description`, `due_date` or `tags`.",
            json!({ "description": null, "due_date": "2026-12-24" }),
        ),
        (Plain, Meaning::Changes) => (
            "TaskChanges",
            "The fields to change. Null clears `description`, `due_date` or `tags`; a null `title` or `completed` is \
             ignored.",
            json!({ "title": "Buy oat milk" }),
        ),
    };
    Body::new(contract, name, schema, description, example)
}

/// The body of a PATCH of `…/complete` in the envelope contract. The plain contract has none.
fn completion() -> Body {
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

/// A title in a request.
fn title(contract: Contract) -> ObjectBuilder {
    let shows = format!(r"^[^\u0000]*[^\u0000{}][^\u0000]*$", white_space());
    text(contract.title_max()).min_length(Some(1)).pattern(Some(shows)).description(Some(
        "Must contain more than white space, and no U+0000. Length is counted in Unicode scalar values.",
    ))
}

/// A description in a request, without null.
fn description(contract: Contract) -> ObjectBuilder {
    text(contract.description_max())
        .description(Some("Must not contain U+0000. Length is counted in Unicode scalar values."))
}

/// A due date in a request.
fn due_date() -> Object {
    nullable(date_or_time())
        .description(Some(format!(
            "When the task is due: an ISO 8601 date, or a date and time. Seconds and offset can be left out; without an \
             offset the time is UTC. A date stays a date, and a time becomes one in UTC. The year in UTC must be {} to \
             {}. `dueDate` is accepted as another name; if both are sent, they must be equal.",
            YEARS.start(),
            YEARS.end()
        )))
        .build()
}

/// Tags in a request. JSON Schema can't express that some are dropped before the others are counted.
fn tags() -> RefOr<Schema> {
    let any = || string().pattern(Some(r"^[^\u0000]*$"));
    AnyOfBuilder::new()
        .item(any())
        .item(ArrayBuilder::new().items(any()))
        .item(null())
        .description(Some(format!(
            "An array, or one string with commas between the tags. White space around a tag, empty tags and repetitions \
             are dropped. Then at most {MAX_TAGS} tags, each of at most {MAX_TAG_CHARS} characters without a comma, are \
             accepted, and at most {MAX_TAGS_CHARS} characters with commas between them. Null means none."
        )))
        .into()
}

/// A tag in a response or a query.
pub fn tag() -> ObjectBuilder {
    string().min_length(Some(1)).max_length(Some(MAX_TAG_CHARS)).pattern(Some(r"^[^\u0000,]*$"))
}

/// The priority of a task.
pub fn priority() -> Object {
    word(Priority::WORDS.map(|(word, _)| word)).description(Some("How important the task is.")).build()
}

/// A due date in a response. One type, so that generated clients have one `string`.
pub(super) fn shown_due_date() -> Object {
    nullable(string().pattern(Some(r"^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d+)?Z)?$")))
        .description(Some(
            "When the task is due: a date, or a time in UTC, as it was sent; null if it isn't.",
        ))
        .build()
}

/// A task in a response: its id and tags have the form of the contract.
fn shown_task(description: &str, id: Object, tags: impl Into<RefOr<Schema>>) -> RefOr<Schema> {
    let mut schema = TaskBody::<String, String>::schema();
    if let RefOr::T(Schema::Object(task)) = &mut schema {
        task.description = Some(description.into());
        task.properties.insert("id".into(), id.into());
        task.properties.insert("tags".into(), tags.into());
    }
    schema
}

impl PartialSchema for EnvelopeTask<'_> {
    fn schema() -> RefOr<Schema> {
        let mut id = format(KnownFormat::Uuid);
        id.description = Some("The task's id, a UUID of version 7.".into());
        let tags = nullable(text(MAX_TAGS_CHARS))
            .description(Some("The tags, with commas between them; null if there are none."));
        shown_task("A task in the envelope contract.", id, tags)
    }
}

impl PartialSchema for PlainTask<'_> {
    fn schema() -> RefOr<Schema> {
        let description = "A task in the plain contract. A `title` or `description` from the envelope contract can be \
                           longer than the plain contract accepts.";
        let tags = ArrayBuilder::new().items(tag()).max_items(Some(MAX_TAGS)).description(Some("The tags."));
        shown_task(description, task_number(), tags)
    }
}

impl ToSchema for EnvelopeTask<'_> {}
impl ToSchema for PlainTask<'_> {}

/// A user's id, in a path or a response.
pub fn user_id() -> Object {
    text(MAX_USER_ID_CHARS).min_length(Some(1)).description(Some("The user's id, an opaque string.")).build()
}

/// A title in a response. Both contracts show a title in full, even if it is longer than they accept.
pub(super) fn shown_title() -> Object {
    text(longest(Contract::title_max)).min_length(Some(1)).description(Some("The title.")).build()
}

/// A description in a response. Both contracts show it in full, even if it is longer than they accept.
pub(super) fn shown_description() -> Object {
    let description = text(longest(Contract::description_max));
    nullable(description).description(Some("The description; null if the task has none.")).build()
}

/// The id of a task in the plain contract.
pub(super) fn task_number() -> Object {
    integer(TASK_NUMBER)
        .description(Some("The task's number. Later tasks have greater numbers, but not consecutive ones."))
        .build()
}

fn longest(bound: fn(Contract) -> usize) -> usize {
    bound(Envelope).max(bound(Plain))
}

/// Returns the characters that [`title`](crate::request::title) considers white space, as ranges for a
/// character class of a regular expression. `\s` isn't used because it matches a different set in each regex
/// dialect.
fn white_space() -> String {
    let spaces = (char::MIN..=char::MAX).filter(|character| character.is_whitespace());
    let mut ranges = Vec::<(u32, u32)>::new();
    for space in spaces.map(u32::from) {
        match ranges.last_mut() {
            Some((_, end)) if *end + 1 == space => *end = space,
            _ => ranges.push((space, space)),
        }
    }
    ranges.iter().map(|(start, end)| format!(r"\u{start:04x}-\u{end:04x}")).collect()
}
