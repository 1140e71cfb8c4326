//! The operations: method, path, what they take and what they answer.

use serde_json::json;
use shared::{
    Contract::{self, Envelope, Plain},
    ListStart, Response, Shown, TaskQuery,
};
use utoipa::openapi::{
    HttpMethod, Paths, RefOr, Schema, SecurityRequirement,
    link::{Link, LinkBuilder},
    path::{Operation, OperationBuilder, Parameter},
    response::ResponsesBuilder,
};

use crate::{
    answers,
    inputs::{self, Body},
    public, samples,
};

/// The name of the security scheme.
pub const TOKEN: &str = "token";

/// All operations.
pub fn paths() -> Paths {
    let mut paths = Paths::new();
    let tasks = [Envelope, Plain].into_iter().flat_map(tasks);
    for (method, path, operation) in tasks.chain(public::operations()) {
        paths.add_path_operation(path, vec![method], operation);
    }
    paths
}

/// The operations of a contract on tasks.
fn tasks(contract: Contract) -> Vec<(HttpMethod, String, Operation)> {
    let all = format!("{}/api/{{user_id}}/tasks", contract.prefix());
    let one = format!("{all}/{{task_id}}");
    let complete = format!("{one}/complete");
    let changes = format!("{all}/changes");
    let user = format!("{}/api/{{user_id}}", contract.prefix());
    let updates = |task| contract.updated(&samples::written(task));
    let schema = answers::task_schema(contract);
    let changed = || Success::new("The task as it is now.", updates(samples::task()), schema.clone());

    let create = TaskOperation {
        description: "With an `Idempotency-Key` the task is made once, however often the request is sent: a repeat \
                      is answered with the same task and `Idempotency-Replayed: true`.",
        parameters: vec![inputs::idempotency()],
        body: Some(inputs::new_task(contract)),
        errors: &[409],
        links: true,
        ..TaskOperation::new(
            "createTask",
            "Make a task",
            Success::new("The task.", contract.created(&samples::written(samples::task())), schema.clone()),
        )
    };
    let (start, description) = match contract {
        Envelope => (ListStart::Newest { offset: 0 }, "The newest first."),
        Plain => (
            ListStart::After { number: 0 },
            "All of them in the order of creation; where that would be too many for one answer, `Link` leads to the \
             next part.",
        ),
    };
    let list = TaskOperation {
        description,
        parameters: inputs::list(contract),
        ..TaskOperation::new(
            "listTasks",
            "List the tasks",
            Success::new(
                "The tasks, or a part of them.",
                contract.list(samples::USER_ID, &TaskQuery { limit: 1, start }, &samples::list()),
                answers::list_schema(contract),
            ),
        )
    };
    let get = Success::new("The task.", contract.shown(&Shown::New(samples::task())), schema.clone());
    let get = TaskOperation::new("getTask", "Read a task", get).on_task(contract);
    let (summary, description) = match contract {
        Envelope => ("Replace a task", "What the body does not name becomes null, and `completed` false."),
        Plain => ("Change a task", "What the body does not name stays as it is."),
    };
    let update = TaskOperation {
        description,
        body: Some(inputs::put(contract)),
        ..TaskOperation::new("updateTask", summary, changed()).on_task(contract)
    };
    let (summary, body) = match contract {
        Envelope => ("Set whether a task is done", Some(inputs::completion())),
        Plain => ("Flip whether a task is done", None),
    };
    let done = Success::new("The task as it is now.", updates(samples::completed_task()), schema.clone());
    let complete_task =
        TaskOperation { body, ..TaskOperation::new("completeTask", summary, done).on_task(contract) };
    let gone =
        Success { description: "It is gone.", answer: contract.deleted(&samples::written(())), schema: None };
    let delete = TaskOperation::new("deleteTask", "Delete a task", gone).on_task(contract);
    let list_changes = TaskOperation {
        parameters: inputs::changes(),
        errors: &[410],
        ..TaskOperation::new(
            "listChanges",
            "List what has changed",
            Success::new(
                "What has changed.",
                contract.changes(samples::USER_ID, &samples::changes()),
                answers::changes_schema(contract),
            ),
        )
    };
    let erased = Success { description: "Nothing is left.", answer: Response::no_content(), schema: None };
    let erase = TaskOperation::new("eraseUser", "Delete everything about the user", erased);
    let patch = TaskOperation {
        description: "Fields that are not in the body stay as they are.",
        body: Some(inputs::patch(contract)),
        ..TaskOperation::new("patchTask", "Change a task", changed()).on_task(contract)
    };

    let operations = vec![
        (HttpMethod::Post, &all, create),
        (HttpMethod::Get, &all, list),
        (HttpMethod::Get, &one, get),
        (HttpMethod::Put, &one, update),
        (HttpMethod::Patch, &one, patch),
        (HttpMethod::Delete, &one, delete),
        (HttpMethod::Patch, &complete, complete_task),
        (HttpMethod::Get, &changes, list_changes),
        (HttpMethod::Delete, &user, erase),
    ];
    let describe = |(method, path, operation): (_, &String, TaskOperation)| {
        (method, path.clone(), operation.describe(contract))
    };
    operations.into_iter().map(describe).collect()
}

/// An answer with which an operation says that it is done.
struct Success {
    description: &'static str,
    /// As the code renders it.
    answer: Response,
    schema: Option<RefOr<Schema>>,
}

impl Success {
    fn new(description: &'static str, answer: Response, schema: RefOr<Schema>) -> Self {
        Self { description, answer, schema: Some(schema) }
    }
}

/// What tells an operation on tasks from the others.
struct TaskOperation {
    id: &'static str,
    summary: &'static str,
    description: &'static str,
    parameters: Vec<Parameter>,
    body: Option<Body>,
    success: Success,
    /// Statuses, besides those that every such operation can answer, or every one that has a body.
    errors: &'static [u16],
    /// Whether the operations on one task can be called with the id in the answer.
    links: bool,
}

impl TaskOperation {
    fn new(id: &'static str, summary: &'static str, success: Success) -> Self {
        Self {
            id,
            summary,
            description: "",
            parameters: Vec::new(),
            body: None,
            success,
            errors: &[],
            links: false,
        }
    }

    /// The same on one task, which may not be there.
    fn on_task(self, contract: Contract) -> Self {
        Self { parameters: vec![inputs::task(contract)], errors: &[404], ..self }
    }

    fn describe(self, contract: Contract) -> Operation {
        let mut errors = [self.errors, &[401, 403, 422, 500, 503]].concat();
        if self.body.is_some() {
            errors.extend([400, 413, 415]);
        }
        let Success { description, answer, schema } = self.success;
        let mut success = answers::rendered(description, &answer, schema);
        if self.links {
            success.links = links(contract);
        }
        let responses = ResponsesBuilder::new()
            .response(answer.status.as_str(), success)
            .responses_from_iter(answers::error_refs(contract, &errors));
        OperationBuilder::new()
            .operation_id(Some(operation_id(contract, self.id)))
            .tag(tag(contract))
            .summary(Some(self.summary))
            .description(Some(self.description).filter(|description| !description.is_empty()))
            .parameter(inputs::user())
            .parameters(Some(self.parameters))
            .request_body(self.body.map(Body::describe))
            .responses(responses.build())
            .security(SecurityRequirement::new(TOKEN, [""; 0]))
            .build()
    }
}

/// The operations that can be called with the task of an answer.
fn links(contract: Contract) -> std::collections::BTreeMap<String, RefOr<Link>> {
    let task_id = match contract {
        Envelope => "$response.body#/data/id",
        Plain => "$response.body#/id",
    };
    let ids = ["getTask", "updateTask", "patchTask", "completeTask", "deleteTask"];
    let link = |id| {
        let link = LinkBuilder::new()
            .operation_id(operation_id(contract, id))
            .parameter("user_id", json!("$request.path.user_id"))
            .parameter("task_id", json!(task_id));
        (id.to_owned(), link.build().into())
    };
    ids.into_iter().map(link).collect()
}

fn operation_id(contract: Contract, id: &str) -> String {
    match contract {
        Envelope => id.to_owned(),
        Plain => format!("plain{}{}", id[..1].to_uppercase(), &id[1..]),
    }
}

fn tag(contract: Contract) -> &'static str {
    match contract {
        Envelope => "envelope",
        Plain => "plain",
    }
}
